// SPDX-License-Identifier: Apache-2.0
// What the files of the disk tier share.
//
// Locks, in the order in which they are taken: log (whoever appends, removes or makes room: one at a time), writing (the list of writes
// under way), a shard of the index, then the small ones: segments (their table), queue. A reader takes its shard's lock and
// no other for longer than a table look-up; none is held over a wait for the disk but the log's.
#ifndef WEIR_CACHE_DISK_INTERNAL_H
#define WEIR_CACHE_DISK_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "cache/disk.h"
#include "cache/disk_files.h"
#include "cache/disk_layout.h"

enum {
    DISK_SHARDS = 64,
    DISK_SLOTS = 8192, // segments at most
    DISK_SEGMENT_MIN_BYTES = 1024 * 1024,
    DISK_SEGMENT_MAX_BYTES = 1024 * 1024 * 1024,
    DISK_DESCRIPTOR_MAX_BYTES = UINT16_MAX * DISK_UNIT_BYTES - DISK_RECORD_HEAD_BYTES,
    DISK_USES_MAX = 3,
};

// ---- Segments: disk_segment.c

struct disk_rows {
    struct disk_row *v;
    size_t n, cap;
};

/// A file. Readers hold references, so that it may be removed under them.
struct disk_segment {
    struct disk *disk;
    _Atomic uint32_t refs;
    int fd;
    uint16_t slot;
    _Atomic bool sealed; // nothing is appended any more
    uint64_t number;
    struct hash_key key;
    uint64_t end;           // where the next record goes; under the log's lock
    _Atomic int64_t stamp;  // of the file when it was sealed or opened
    struct disk_rows rows;  // of the one that is appended to: its summary to be
};
struct disk_segment *disk_segment_ref(struct disk_segment *s);
void disk_segment_unref(struct disk_segment *s);
/// The segment of a number, with a reference; NULL where it is gone.
struct disk_segment *disk_segment_by_number(struct disk *d, uint64_t number);
/// Puts an open file into the table, taking fd over; NULL where that cannot be done. Numbers only grow.
struct disk_segment *disk_segment_add(struct disk *d, int fd, const struct disk_segment_head *h, uint64_t end);
/// Takes it out of the table and removes its file. Nothing in the index may point to it any more.
void disk_segment_drop(struct disk *d, struct disk_segment *s);
/// Whether its bytes are those that were there when it was sealed, as far as the system knows. If not, nothing that was checked is
/// trusted any more.
bool disk_segment_unchanged(struct disk_segment *s);
void disk_segment_name(uint64_t number, char ret[DISK_FILE_NAME_MAX]);
bool disk_rows_add(struct disk_rows *rows, const struct disk_row *r);
/// Reads all n bytes: ERR_OK, ERR_EOF where there are fewer, ERR_IO. On a fiber a helper thread waits for the disk.
MUST_USE enum err disk_segment_read(struct disk_segment *s, void *buf, size_t n, uint64_t offset);

// ---- The index: disk_index.c

struct disk_entry {
    uint64_t hash;       // of the group
    uint32_t next;       // in the bucket, or among the free ones; 0: none
    uint32_t place;      // of the record in its segment, in units
    uint32_t tag;        // hash of the whole key
    uint16_t head_units; // head and descriptor
    uint16_t record_units; // all of it; UINT16_MAX: that or more
    uint16_t slot;         // segment of the record
    uint16_t first_slot;   // lowest segment of its content
    uint16_t trusted;      // the epoch in which all its content was checked, or 0
    uint8_t uses;
};

struct disk_shard {
    pthread_mutex_t lock;
    struct disk_entry *entries; // the first one is none
    uint32_t n_entries, cap, free;
    uint32_t *buckets;
    uint64_t n_objects;
} __attribute__((aligned(64)));

MUST_USE enum err disk_index_init(struct disk *d);
void disk_index_fini(struct disk *d);
/// Makes e the entry of its key, in place of what was. False where memory is out: then there is none.
bool disk_index_put(struct disk *d, const struct disk_entry *e);
/// Removes the entry of a key, or with tag NULL all of a group. Returns how many there were.
uint64_t disk_index_remove(struct disk *d, uint64_t hash, const uint32_t *tag);
/// An entry with its number and a reference to its segment.
struct disk_found {
    struct disk_entry entry;
    uint32_t index;
    struct disk_segment *segment;
};
/// The entries of a key, or with tag NULL of a group, from the newest on, at most max; counts a use of each.
unsigned disk_index_find(struct disk *d, uint64_t hash, const uint32_t *tag, struct disk_found *ret, unsigned max);
/// Whether there is one.
bool disk_index_has(struct disk *d, uint64_t hash, const uint32_t *tag);
/// Removes the entry if it is still this one.
bool disk_index_forget(struct disk *d, uint64_t hash, uint32_t index, const struct disk_segment *s, uint32_t place);
bool disk_index_is(struct disk *d, uint64_t hash, uint32_t index, const struct disk_segment *s, uint32_t place);
void disk_index_trust(struct disk *d, uint64_t hash, uint32_t index, const struct disk_segment *s, uint32_t place, uint16_t epoch);
/// Removes all entries that need the slot; those that were used and have all they are in it are copied to used first, at most max
/// of them. Returns how many went (and sets *ret_used).
uint64_t disk_index_leave(struct disk *d, uint16_t slot, struct disk_entry *used, unsigned max, unsigned *ret_used);
uint64_t disk_index_count(struct disk *d);
/// Copies entries of one shard from *at on, with references; goes on at *at. Returns how many, 0 at its end.
unsigned disk_index_page(struct disk *d, unsigned shard, uint32_t *at, struct disk_found *ret, unsigned max);

// ---- Writing: disk_write.c, disk_log.c

enum disk_job_kind { DISK_JOB_PIECE, DISK_JOB_COMMIT, DISK_JOB_UPDATE, DISK_JOB_ABORT };
struct disk_job {
    struct disk_job *next;
    struct disk_write *write;
    enum disk_job_kind kind;
    struct chunkq content;
};

struct disk_write {
    struct disk *disk;
    struct list node; // in disk.writing, until it was written
    uint64_t hash;
    uint32_t tag;
    _Atomic bool committed; // nothing more is appended
    _Atomic bool dropped; // its key was removed meanwhile, or something failed
    char *key;
    size_t key_bytes, group_bytes;
    uint64_t length;      // of what was appended
    struct chunkq gather; // not a whole piece yet
    char *metadata;
    size_t metadata_bytes;
    struct disk_job last;
    // Of whoever writes
    struct disk_extent *extents;
    size_t n_extents, extents_cap;
    uint64_t *sums;
    size_t n_sums, sums_cap;
};

/// A record to be: its descriptor and content. The log's lock is held in all of these.
bool disk_log_piece(struct disk *d, struct disk_write *w, struct chunkq *content);
bool disk_log_object(struct disk *d, struct disk_write *w, struct chunkq *content);
/// Appends an object's record with other metadata; its content stays where it is.
bool disk_log_update(struct disk *d, struct disk_object *o, struct span metadata);
/// Notes a removal (tag NULL: of the group). Whatever happens, what was removed is not found after a restart.
void disk_log_removal(struct disk *d, uint64_t hash, const uint32_t *tag);
/// Seals the segment that is appended to, with a summary; one begins with the next record.
void disk_log_seal(struct disk *d);
/// Removes all files.
void disk_log_wipe(struct disk *d);
/// Removes the oldest segments until all are within the store's size and need_bytes more fit.
void disk_log_make_room(struct disk *d, uint64_t need_bytes);
/// Writes a removed entry's object anew.
bool disk_log_reinsert(struct disk *d, struct disk_segment *from, const struct disk_entry *e);

/// Whether something is being written under a key or (tag NULL) of a group; committed: and all of it has come.
bool disk_is_writing(struct disk *d, uint64_t hash, const uint32_t *tag, bool committed);
/// Does what is queued, until stop.
void *disk_writer_main(void *arg);
void disk_run_job(struct disk_job *j);

// ---- Reading: disk_read.c

/// Reads and checks a record into o, which has the reference of found then (and has given it back after a failure).
MUST_USE enum err disk_open_found(struct disk *d, struct disk_found *f, struct disk_object *o);

/// The entries of a group, from the newest on; none before the store is ready.
unsigned disk_find_group(struct disk *d, struct span group, struct disk_found *ret, unsigned max);

// ---- Loading: disk_load.c

/// Reads the folder, which is ours, and makes the store ready.
void disk_load(struct disk *d);

enum disk_state { DISK_LOADING, DISK_READY, DISK_CLOSING };

struct disk {
    const struct disk_files *files;
    void *files_arg;
    int folder_fd, lock_fd;
    bool in_place;
    uint64_t size_bytes, segment_bytes, record_max_bytes;
    _Atomic uint64_t object_max_bytes;
    struct hash_key key;      // the store's
    _Atomic uint16_t epoch;   // what was checked in another one is not trusted
    _Atomic uint64_t paused_until_ms; // takes nothing before
    _Atomic uint64_t close_by_ms;     // writes nothing after
    _Atomic int state;
    _Atomic bool wipe; // something was removed before the index was there

    pthread_mutex_t log;
    struct disk_segment *active; // NULL: begins with the next record
    uint64_t next_number;
    _Atomic uint64_t bytes; // of all segments
    char *buffer;                // a record
    bool reinserting;

    pthread_mutex_t segments;
    struct disk_segment *slots[DISK_SLOTS];
    struct disk_segment **order; // by number
    unsigned n_segments;

    pthread_mutex_t writing;
    struct list writes;

    pthread_mutex_t queue;
    pthread_cond_t queue_changed, loaded;
    struct disk_job *first, **last;
    uint64_t n_posted, n_done;
    unsigned n_settling; // who waits for n_done
    _Atomic uint64_t queued_bytes;
    pthread_t writer;
    bool has_writer;
    _Atomic uint64_t write_rate;
    uint64_t rate_free_us; // when the budget for writing is whole again

    uint32_t bucket_mask;
    struct disk_shard shards[DISK_SHARDS];

    struct {
        _Atomic uint64_t hits, misses, written_bytes, stored, dropped, evicted, reinserted, damaged, read_errors, write_errors;
    } n;
};

uint64_t disk_now_ms(void);
/// Waits on a condition of the queue's lock, which is held, until done(d) or the time has come.
void disk_wait_until(struct disk *d, pthread_cond_t *changed, uint64_t until_ms, bool (*done)(struct disk *d));
/// The same for one change. False when the time has come.
bool disk_wait_once(struct disk *d, pthread_cond_t *changed, uint64_t until_ms);
/// Does fn(arg) where it may block: on a fiber, on a helper thread.
void disk_blocking(void (*fn)(void *arg), void *arg);
static inline void disk_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}
void disk_hash_key(const struct disk *d, struct disk_key key, uint64_t *ret_hash, uint32_t *ret_tag);
static inline bool disk_is_ready(struct disk *d)
{
    return atomic_load_explicit(&d->state, memory_order_acquire) == DISK_READY;
}

#endif
