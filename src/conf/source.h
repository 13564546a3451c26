// SPDX-License-Identifier: Apache-2.0
// Where files come from: the disk (in the supervisor, which may read them), or a bundle of what was read before (in the
// unprivileged worker, and for a restart with the last good configuration).
#ifndef WEIR_CONF_SOURCE_H
#define WEIR_CONF_SOURCE_H

#include "base/arena.h"

enum { CONF_FILE_MAX_BYTES = 64 << 20 };

struct conf_file {
    const char *path;
    struct span content; // secret memory: it may be a key
    bool missing;
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
};
void conf_source_init(struct conf_source *s, bool disk);
void conf_source_fini(struct conf_source *s);
/// The content of a file; false where it cannot be read (*ret_why is a sentence). Lives as long as the source.
bool conf_source_read(struct conf_source *s, const char *path, struct span *ret, const char **ret_why);
/// Paths that match a glob pattern, in order, NULL-terminated; only what exists.
const char **conf_source_glob(struct conf_source *s, const char *pattern);
/// Puts a file in without reading it.
bool conf_source_put(struct conf_source *s, const char *path, struct span content);
/// The descriptor (O_PATH, the source's own) of a folder; -1 with *ret_why where it cannot be opened.
int conf_source_folder(struct conf_source *s, const char *path, const char **ret_why);
/// After unpacking: the folders have no descriptors yet. This one is now the source's, for its next folder without one
/// (they stand in the order that they had before); closed where there is none.
void conf_source_give_folder(struct conf_source *s, int fd);
/// All files and the folders' paths as one run of bytes, and back. False when memory is out, or for a malformed run.
bool conf_source_pack(const struct conf_source *s, struct arena *a, struct span *ret);
bool conf_source_unpack(struct conf_source *s, struct span packed);

#endif
