// SPDX-License-Identifier: Apache-2.0
// The disk tier: stored responses in append-only segments of one folder, found by an index in memory. To it a stored response is
// a key, metadata and content, all of them opaque bytes. docs/cache-disk.md describes the files.
//
// Whatever happens to the folder (full, unreadable, flipped bits, a process that ended anywhere) loses stored responses and
// never changes one: every octet that is given out was compared with its checksum. What is damaged is not found, and counted.
//
// Unless a function says otherwise it may be called from any thread. On a fiber, what would block is done on a helper thread
// while the fiber waits; elsewhere it blocks.
#ifndef WEIR_CACHE_DISK_H
#define WEIR_CACHE_DISK_H

#include "base/chunk.h"

enum {
    DISK_KEY_MAX = 64 * 1024,
    DISK_METADATA_MAX = 1024 * 1024,
    DISK_SIZE_MIN_BYTES = 4 * 1024 * 1024,
};

struct disk;
struct disk_files; // disk_files.h: the system calls beneath, replaced in tests

/// Names a stored response. The first group_len bytes are the group: those that are removed and searched together, as the
/// variants of one URL are. group_len = bytes.len where there are no variants.
struct disk_key {
    struct span bytes;
    size_t group_len;
};

struct disk_config {
    int folder_fd;                    // of the folder, readable and searchable; the store's from now on
    uint64_t size_bytes;              // of all files together; at least DISK_SIZE_MIN_BYTES
    uint64_t write_rate_bytes_s;      // over a burst; 0: the default
    const struct disk_files *files;   // NULL: the system's
    void *files_arg;                  // theirs
    bool in_place;                    // no thread of its own: writes are done by who commits (tests, simulator)
    unsigned wait_ms;                 // how long disk_open waits for the index; what is not there yet by then follows later
};
/// Opens the store and begins to rebuild the index. Where another process still has the folder, the store is empty and takes
/// nothing until that process lets go. Starts a thread: call it after the process has dropped its privileges.
MUST_USE enum err disk_open(const struct disk_config *c, struct disk **ret);
/// Finishes what is being written (for a few seconds at most) and closes the files in order. No handle may be open, no write begun.
void disk_close(struct disk *d);

/// The content of one object at most.
uint64_t disk_max_object(const struct disk *d);
/// From now on this is its size; what is too much goes at once.
void disk_resize(struct disk *d, uint64_t size_bytes);
/// From now on so much is written each second; 0: the default.
void disk_set_write_rate(struct disk *d, uint64_t bytes_s);

// ---- Writing

/// A response on its way in; used by one thread at a time.
struct disk_write;
/// Nothing of it is found before it is committed, and what was committed under this key before stays until then.
/// ERR_NO_MEMORY; ERR_AGAIN where the store takes nothing at present (too much is waiting to be written, or no space);
/// ERR_CONTENT_TOO_LARGE for a key beyond DISK_KEY_MAX.
MUST_USE enum err disk_begin(struct disk *d, struct disk_key key, struct disk_write **ret);
/// Shares the first n bytes of q as the content's next: they are not copied and must not change. Never waits. After an error the
/// write can only be aborted: ERR_AGAIN (as above), ERR_NO_MEMORY, ERR_CONTENT_TOO_LARGE (for this store).
MUST_USE enum err disk_append(struct disk_write *w, const struct chunkq *q, size_t n);
/// The content is whole. Ends the write, which is found as soon as it was written; is dropped where its key or group was removed
/// since disk_begin, or the metadata is beyond DISK_METADATA_MAX. Where it cannot be written, what was there under its key before
/// goes too. The metadata is copied.
void disk_commit(struct disk_write *w, struct span metadata);
/// Ends the write without a trace.
void disk_abort(struct disk_write *w);

/// Waits until what was committed so far is written, at most wait_ms.
void disk_settle(struct disk *d, unsigned wait_ms);

// ---- Reading

struct disk_segment;

/// A stored response that was found; in memory of the caller's, used on one thread. What it shows stays readable while it is
/// open, whatever becomes of it in the store.
struct disk_object {
    struct span key, metadata; // live as long as it is open
    size_t group_len;
    uint64_t length; // of the content
    // Private
    struct disk *disk;
    struct disk_segment *segment; // of the record
    struct disk_segment *other;   // of the extent that was looked at last, where it is another one
    struct chunk *chunk;          // the record, and the content behind it where it was read along
    const char *extents, *sums;
    uint64_t hash, checked_to;             // content before checked_to was compared with its sums
    uint64_t extent_start;                 // in the content, of extent `extent`
    uint32_t n_extents, extent, index, place, inline_at, inline_bytes;
    uint16_t epoch;
    bool trusted;
};

/// Finds a stored response and reads its metadata (of a small one the content too, with the same call). ERR_NOT_FOUND; also
/// where it was damaged or could not be read, which is counted. ERR_NO_MEMORY.
MUST_USE enum err disk_lookup(struct disk *d, struct disk_key key, struct disk_object *ret);
/// Finds one of a group: calls match(arg, object) for its members from the one stored last on until it says true. ERR_NOT_FOUND
/// where it never does.
MUST_USE enum err disk_lookup_group(struct disk *d, struct span group, bool (*match)(void *arg, const struct disk_object *o),
                                    void *arg, struct disk_object *ret);
/// Whether there is anything under the key, or of the group, in the index or being written. No file is asked: true may turn out to be
/// damaged.
bool disk_may_have(struct disk *d, struct disk_key key);
bool disk_may_have_group(struct disk *d, struct span group);
/// Another handle of the same object, for another thread or place; o may be used by others meanwhile if all they do is this.
void disk_object_dup(const struct disk_object *o, struct disk_object *ret);
void disk_object_close(struct disk_object *o);

/// A run of content, as a part of a file that was checked before and has not changed since (fd >= 0), or as checked bytes.
struct disk_piece {
    size_t len;
    int fd; // -1: bytes
    uint64_t fd_offset;
    const char *ptr;
    struct chunk *chunk;          // a reference of the piece's own
    struct disk_segment *segment; // private: keeps fd open
};
/// The content from offset on, at most max bytes of it (less as it fits); want_fd: a part of a file would do too, for sendfile.
/// offset < length, max > 0. ERR_NOT_FOUND where it is damaged, unreadable or gone: nothing more can be had of this object.
MUST_USE enum err disk_piece(struct disk_object *o, uint64_t offset, uint64_t max, bool want_fd, struct disk_piece *ret);
void disk_piece_release(struct disk_piece *p);
/// Appends n bytes of the content from offset on. As disk_piece; on failure to may have got some.
MUST_USE enum err disk_read(struct disk_object *o, uint64_t offset, uint64_t n, struct chunkq *to);

// ---- Changing

/// Gives what is stored under the key new metadata (a 304 came), as soon as it is this one's turn among the writes; the content is not
/// written again. Where that cannot be done it goes. Handles that are open go on showing what was.
void disk_update(struct disk *d, struct disk_key key, struct span metadata);
/// Removes a stored response, and what is being written under this key. Holds over a restart, also after a kill, from the return
/// on. True where there was one, or a committed write.
bool disk_remove(struct disk *d, struct disk_key key);
/// Removes a whole group; says how many there were, committed writes included.
uint64_t disk_remove_group(struct disk *d, struct span group);
enum disk_verdict { DISK_KEEP, DISK_DROP, DISK_CHANGE };
/// Asks judge(arg, object, &metadata) about everything of a group, or with a NULL pointer everything that is stored: it stays, is removed, or
/// gets the metadata (copied at once) in place of its own. What is being written of it is dropped. Returns how many were removed or
/// changed. Reads all the metadata; on a fiber, judge is called on a helper thread. It must not call the store, and may be asked
/// about a changed one again.
uint64_t disk_judge(struct disk *d, struct span group, enum disk_verdict (*judge)(void *arg, const struct disk_object *o, struct span *ret_metadata),
                    void *arg);
/// Makes what was removed so far hold over a loss of power too.
void disk_sync(struct disk *d);
/// Removes everything.
uint64_t disk_remove_all(struct disk *d);
/// Calls fn for the stored responses of a group, from the newest on (and at most 64).
void disk_each(struct disk *d, struct span group, void (*fn)(void *arg, const struct disk_object *o), void *arg);

// ---- Counting

struct disk_stats {
    uint64_t bytes, objects;                    // there now
    uint64_t hits, misses;                      // of lookups
    uint64_t written_bytes, stored, dropped;    // dropped: writes that the store did not take
    uint64_t evicted, reinserted;               // objects that made room; that were used and written anew for it
    uint64_t damaged, read_errors, write_errors;
    bool loading; // the index is not complete yet
};
void disk_get_stats(struct disk *d, struct disk_stats *ret);

#endif
