// SPDX-License-Identifier: Apache-2.0
// What clients use up, by key: a rate (requests over time) and what is held at once (requests under way, connections). One table
// for the process, of fixed size, shared by its threads; keys find their place by a keyed hash, so that nobody can aim at one.
// Pure: the caller brings the clock.
#ifndef WEIR_POLICY_THROTTLE_H
#define WEIR_POLICY_THROTTLE_H

#include "base/span.h"

enum {
    THROTTLE_KEY_BYTES = 46,
    THROTTLE_BURST_MAX = 1000000,
};

/// Whose use is counted. owner says for which statement, so that no two statements share a place.
struct throttle_key {
    uint64_t owner;
    uint8_t len;
    char text[THROTTLE_KEY_BYTES];
};
/// kind keeps sorts of keys apart that could have the same text (an address, a name). A text that does not fit is stood for by
/// its beginning and 128 bits of a keyed hash of the whole.
void throttle_key_set(struct throttle_key *k, uint64_t owner, char kind, struct span text);
bool throttle_key_eq(const struct throttle_key *a, const struct throttle_key *b);

struct throttle_table;
/// The process's table; NULL when memory is out. It is never freed: counting goes on over reloads.
struct throttle_table *throttle_table_shared(void);
/// A table of one's own, for tests.
struct throttle_table *throttle_table_new(void);
void throttle_table_free(struct throttle_table *t);

/// One more now. Each costs interval_ns, and up to burst (at least 1, at most THROTTLE_BURST_MAX) may come at once. False where
/// that is too much: *ret_wait_ns (may be NULL) says when the next one passes. Of a full bucket of the table the key that is
/// nearest to being forgiven is forgotten.
bool throttle_take(struct throttle_table *t, const struct throttle_key *k, uint64_t interval_ns, uint32_t burst, uint64_t now_ns,
                   uint64_t *ret_wait_ns);

/// What cost_ns buys is used now, whatever was before; gives how long (ns) until all that was charged is paid for. Where the table has no
/// place for the key only this is.
uint64_t throttle_charge(struct throttle_table *t, const struct throttle_key *k, uint64_t cost_ns, uint64_t now_ns);

struct throttle_slot;
enum throttle_entry { THROTTLE_ENTERED, THROTTLE_FULL, THROTTLE_UNCOUNTED };
/// One more is held, where fewer than max are. *ret_slot is for throttle_leave (THROTTLE_ENTERED only). THROTTLE_UNCOUNTED: the table has
/// no place for another key; it passes.
enum throttle_entry throttle_enter(struct throttle_table *t, const struct throttle_key *k, uint32_t max, struct throttle_slot **ret_slot);
void throttle_leave(struct throttle_table *t, struct throttle_slot *s);

#endif
