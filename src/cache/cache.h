// SPDX-License-Identifier: Apache-2.0
// Stored responses, shared by all threads: found by URL, told apart by what else the answer depends on, evicted by S3-FIFO with
// a sketch in place of its ghosts. A response is immutable once it is here; one that a 304 updates is replaced by another
// that shares its content. A shard's lock is held for a walk over a few entries and never over an allocation of content.
#ifndef WEIR_CACHE_CACHE_H
#define WEIR_CACHE_CACHE_H

#include "cache/body.h"
#include "cache/disk.h"
#include "cache/key.h"
#include "cache/object.h"

struct cache;

struct cache_config {
    struct span name;
    uint64_t memory_bytes;
    uint64_t max_object_bytes; // content of one response
    uint64_t disk_bytes;       // of the disk tier; 0: none
    uint64_t write_rate_bytes_s; // of it; 0: the default
    const char *folder;        // its path, by which it is told from others
    int folder_fd;             // the folder, or -1: it cannot be used here
};

/// The process's cache with this name, made (with this configuration) where it is not there yet, with one reference. NULL when
/// memory is out. Any thread.
struct cache *cache_open(const struct cache_config *config);
/// From now on it has this configuration.
void cache_configure(struct cache *c, const struct cache_config *config);
/// The cache with this name, or NULL; with one reference.
struct cache *cache_find(struct span name);
/// The last reference frees it and all that is stored.
void cache_close(struct cache *c);
struct span cache_name(const struct cache *c);
/// The content that may be stored at most; and what of that in memory: larger ones only go to disk.
uint64_t cache_max_object(const struct cache *c);
uint64_t cache_max_in_memory(const struct cache *c);
/// Takes from now on one more request for a URL that is not stored into account; how often it was asked for lately, this one
/// included (an estimate). is_counted: it matters how often, so that what was asked for longer ago counts too.
unsigned cache_note_miss(struct cache *c, const struct cache_key *k, bool is_counted);

/// The stored response that answers the request by its key and secondary key, the most recently stored one; with a reference.
/// NULL: none. *ret_url_known: something is stored for the URL.
struct cache_object *cache_lookup(struct cache *c, const struct cache_key *k, const struct fields *request, struct arena *a, bool *ret_url_known);
/// Puts a response into the index in place of those with the same keys. Takes a reference of its own. Evicts others where memory is
/// over the limit. False: memory was out, and nothing is stored.
bool cache_insert(struct cache *c, struct cache_object *o);
/// A number that changes whenever something is purged or made invalid that concerns the URL (others may change it too, seldom).
uint32_t cache_purges_of(const struct cache *c, uint64_t hash);
/// cache_insert, unless that number has changed since it was read, before the response was asked for: what was fetched while its URL was
/// purged is what the purge meant. False then, too.
bool cache_insert_since(struct cache *c, struct cache_object *o, uint32_t purges);
/// The same in place of old, only if that is still there (an update by 304 or HEAD).
bool cache_replace(struct cache *c, struct cache_object *old, struct cache_object *o);
/// Evicts until the limit of memory is kept, as far as there is something to evict (content that grows calls this). False: still above it.
bool cache_make_room(struct cache *c);
/// All of the content of a response that was put in has come: it goes to disk too, where there is one. Whoever puts one in calls this, as
/// soon as nobody waits for it any more.
void cache_completed(struct cache *c, struct cache_object *o);
/// For content that turns out to be too large for memory: what has come of o, which was just removed and whose body is not passing through
/// yet, goes to disk, and the rest may be appended by disk_append. NULL where there is no disk, or it takes nothing.
struct disk_write *cache_spill(struct cache *c, struct cache_object *o);
/// All of it was appended. Ends the write.
void cache_spill_commit(struct disk_write *w, const struct cache_object *o);
/// Takes one response out (it broke off, or is known to be wrong).
void cache_remove(struct cache *c, struct cache_object *o);

// ---- One fetch for many

struct cache_flight;
enum flight_end {
    FLIGHT_FLYING,
    FLIGHT_STORED,  // there is an object
    FLIGHT_FAILED,  // ret_err
    FLIGHT_PASS,    // not for sharing: everybody for himself, side by side
    FLIGHT_ORPHAN,  // whoever fetched has gone: somebody else may begin
};
enum flight_role {
    FLIGHT_LEAD,   // the caller fetches, and must end the flight
    FLIGHT_WAIT,   // somebody does already
    FLIGHT_AGAIN,  // meanwhile something else than seen is stored: look again
    FLIGHT_ALONE,  // known not to be for sharing, or memory was out
};
/// Joins or begins the fetch for a key and a request. seen: what cache_lookup gave, or NULL. *ret_flight has a reference with
/// FLIGHT_LEAD and FLIGHT_WAIT.
enum flight_role cache_flight_enter(struct cache *c, const struct cache_key *k, const struct fields *request, struct arena *a,
                                    const struct cache_object *seen, struct cache_flight **ret_flight);
/// The leader's word. object (FLIGHT_STORED) is referenced; e: FLIGHT_FAILED.

void cache_flight_end(struct cache_flight *f, enum flight_end how, struct cache_object *object, enum err e);
/// Waits on the calling fiber. *ret_object has a reference with FLIGHT_STORED, *ret_err with FLIGHT_FAILED. An error is the
/// fiber's own (it was canceled).
MUST_USE enum err cache_flight_wait(struct cache_flight *f, enum flight_end *ret_how, struct cache_object **ret_object, enum err *ret_err);
/// Instead of waiting.
void cache_flight_leave(struct cache_flight *f);
/// How many wait.
unsigned cache_flight_waiters(struct cache_flight *f);
void cache_flight_unref(struct cache_flight *f);

// ---- Purging and looking (commands, PURGE, invalidation)

enum purge_kind {
    PURGE_URL,    // what: a URL as cache_key writes it, all variants
    PURGE_PREFIX, // what: the beginning of URLs
    PURGE_TAG,    // what: one tag of Cache-Tag, Surrogate-Key or xkey
    PURGE_ALL,
};
/// How many stored responses went, or (soft) became stale. Any thread.
uint64_t cache_purge(struct cache *c, enum purge_kind kind, struct span what, bool soft);
/// The same in every cache of the process. Where `key` statements leave parameters out of the key, the URL has to be without them too.
uint64_t cache_purge_everywhere(enum purge_kind kind, struct span what, bool soft);

/// Makes purges so far hold over a loss of power. Blocks.
void cache_sync_everywhere(void);

/// One stored response, or what is remembered of a URL that is not.
struct cache_inspection {
    struct span cache;
    uint16_t status; // 0: nothing is stored, only remembered that it cannot be (why)
    bool fresh, filling, partial;
    bool in_memory, on_disk;
    int64_t age_ms, left_ms;
    uint64_t bytes, uses;
    struct span vary; // its Vary field, or empty
    struct span etag;
    enum storable why;
};
/// Calls fn for each stored variant of a URL, in all caches; the spans live during the call. Returns how many.
unsigned cache_inspect(struct span url, int64_t now_ms, void (*fn)(void *arg, const struct cache_inspection *i), void *arg);

// ---- The disk tier

/// Opens the folders of all caches that are configured and have none open yet; others get their new size. Calls fail(name, folder, why) for
/// each that cannot be used; they go on in memory. In a process that serves, once it has dropped its privileges. wait_ms: how
/// long to wait for the indexes.
void cache_open_folders(unsigned wait_ms, void (*fail)(const char *name, const char *folder, const char *why));
/// Writes what is waiting and closes them all; nobody may use any cache any more.
void cache_close_folders(void);

struct cache_stats {
    uint64_t objects, used_bytes, limit_bytes, evicted, inserted;
    bool has_disk;
    struct disk_stats disk; // with has_disk
};
struct cache_stats cache_stats_of(struct cache *c);
/// For all caches that are in use.
void cache_for_each(void (*fn)(void *arg, struct cache *c), void *arg);

#endif
