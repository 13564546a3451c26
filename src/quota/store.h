// SPDX-License-Identifier: Apache-2.0
// The store of quotas: a SQLite database (write-ahead log) in a folder of the worker's own. Every function
// may block; one at a time, any thread. A database that is broken is copied aside, under a name with the
// date, and a new one begun.
#ifndef WEIR_QUOTA_STORE_H
#define WEIR_QUOTA_STORE_H

#include "quota/table.h"

struct quota_store;

/// Opens (and makes) the database in the folder, whose descriptor is taken over. say: tells what went wrong,
/// a sentence. NULL: it cannot be opened at all.
MUST_USE struct quota_store *quota_store_open(int folder_fd, void (*say)(const char *text));
/// What is stored for the key; 0 where nothing is, or it cannot be read.
uint64_t quota_store_read(struct quota_store *s, const struct quota_key *k);
struct quota_saving {
    const struct quota_key *key;
    uint64_t bytes; // more
};
/// Adds to n counters, all of them or none. False: none; *ret_anew: the database was begun anew, so that all
/// that is known is to be saved.
MUST_USE bool quota_store_save(struct quota_store *s, const struct quota_saving *v, unsigned n,
                               bool *ret_anew);
/// Drops what ended before this moment (seconds since 1970).
void quota_store_forget(struct quota_store *s, int64_t before_s);
void quota_store_close(struct quota_store *s);

#endif
