// SPDX-License-Identifier: Apache-2.0
// Quotas: how much users have used in a day or a month, kept over restarts. Counters are in memory (table.h);
// a thread brings them to the store every few seconds and at the end, so that a process that is killed loses
// no more than that.
#ifndef WEIR_QUOTA_QUOTA_H
#define WEIR_QUOTA_QUOTA_H

#include "quota/table.h"

enum {
    QUOTA_SAVE_MS = 2000,
    QUOTA_FORGET_S = 62 * 86400, // after the end of a period, what is known of it
};

/// Opens the store in a folder (its descriptor is duplicated) and starts the thread that writes; without a
/// folder (-1), or where it is open already, nothing happens. False, after say was told why: counting goes on
/// in memory only.
bool quota_open(int folder_fd, void (*say)(const char *text));
/// Whether the store is open.
bool quota_is_open(void);
/// Saves everything a last time; for a process that ends while its threads run.
void quota_end(void);
/// The same, and closes. No other thread may use quotas any more.
void quota_close(void);
/// The counter, held, with what the store knows of it. May block. NULL: there is no place for it, and it
/// cannot be counted.
MUST_USE struct quota_entry *quota_load(const struct quota_key *k);

#endif
