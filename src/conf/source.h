// SPDX-License-Identifier: Apache-2.0
// Where files come from: the disk (in the supervisor, which may read them), or a bundle of what was read before (in the
// unprivileged worker, and for a restart with the last good configuration).
#ifndef WEIR_CONF_SOURCE_H
#define WEIR_CONF_SOURCE_H

#include "base/arena.h"

enum { CONF_FILE_MAX_BYTES = 64 << 20 };

/// What tells that a file is not the one any more that was read.
struct conf_stamp {
    uint64_t inode, size; // inode 0: nothing is there
    int64_t modified_ns, changed_ns;
};
void conf_stamp_take(const char *path, struct conf_stamp *ret);

struct conf_file {
    const char *path;
    struct span content; // secret memory: it may be a key
    bool missing;
    bool text;               // of the configuration itself, or found by a pattern
    struct conf_stamp stamp; // of a file on the disk
    struct conf_file *next;
};

/// A folder whose files are served: who may enter it opens it for who may not.
struct conf_folder {
    const char *path;
    int fd; // O_PATH, or -1: not passed along
    struct conf_folder *next;
};

/// Files by path, each read once. All memory but their contents is in its arena.
struct conf_source {
    struct arena arena;
    struct conf_file *files;
    struct conf_folder *folders, *last_folder;
    bool disk; // may read files that it does not have yet
    bool makes_folders;    // makes folders to write to, for the user
    unsigned folder_owner; // with this number
};
void conf_source_init(struct conf_source *s, bool disk);
void conf_source_fini(struct conf_source *s);
/// The content of a file; false where it cannot be read (*ret_why is a sentence). Lives as long as the source.
bool conf_source_read(struct conf_source *s, const char *path, struct span *ret, const char **ret_why);
/// Paths that match a glob pattern, in order, NULL-terminated; only what exists.
const char **conf_source_glob(struct conf_source *s, const char *pattern);
/// A file that need not be there: empty then, until it is. False when it is there and cannot be read.
bool conf_source_read_optional(struct conf_source *s, const char *path, struct span *ret);
/// From now on what is there counts as the configuration's own text, but for the files named (NULL-terminated).
void conf_source_mark_text(struct conf_source *s, const char *const *except);
/// Takes the configuration's text over from another source, which may then be let go.
bool conf_source_take_text(struct conf_source *s, const struct conf_source *from);
/// Puts a file in without reading it.
bool conf_source_put(struct conf_source *s, const char *path, struct span content);
/// The descriptor (O_PATH, the source's own) of a folder; -1 with *ret_why where it cannot be opened.
int conf_source_folder(struct conf_source *s, const char *path, const char **ret_why);
/// The same for a folder that the worker writes to. Where the source makes such folders, it is made, or its owner changed while it is
/// empty. Where not: -1 without a reason (NULL) for one that is not there.
int conf_source_own_folder(struct conf_source *s, const char *path, const char **ret_why);
/// After unpacking: the folders have no descriptors yet. This one is now the source's, for its next folder without one
/// (they stand in the order that they had before); closed where there is none.
void conf_source_give_folder(struct conf_source *s, int fd);
/// All files and the folders' paths as one run of bytes, and back. False when memory is out, or for a malformed run.
bool conf_source_pack(const struct conf_source *s, struct arena *a, struct span *ret);
bool conf_source_unpack(struct conf_source *s, struct span packed);

#endif
