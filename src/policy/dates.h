// SPDX-License-Identifier: Apache-2.0
// Dates of the calendar: `2026-12-24`, `2026-12-24..2027-01-06`, `12-25` (every year), and files of them.
#ifndef WEIR_POLICY_DATES_H
#define WEIR_POLICY_DATES_H

#include "policy/condition.h"

struct dates;

/// Whether a word is meant as a date at all.
bool dates_is_date(struct span word);
/// Adds a word's dates to *d (NULL: none yet). NULL, or what is wrong with it.
const char *dates_add(struct condition_context *k, struct span word, struct dates **d);
/// Adds the dates of a file, one a line, whose broken lines are counted and told. False after an error was reported.
bool dates_read(struct condition_context *k, const struct conf_value *file, struct dates **d);
/// day: since 1970-01-01, of the local calendar.
bool dates_has(const struct dates *d, int64_t day);

#endif
