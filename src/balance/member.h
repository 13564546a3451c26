// SPDX-License-Identifier: Apache-2.0
// What all threads know of a server together, and what outlives generations: its load, its latency, its health. A member is one
// address of a server of a pool; a server that was written as a name has one for each address of the name.
#ifndef WEIR_BALANCE_MEMBER_H
#define WEIR_BALANCE_MEMBER_H

#include <stdatomic.h>

#include "base/span.h"
#include "balance/queue.h"
#include "net/addr.h"

/// Why a member is not simply taken. None: it is.
enum member_flags {
    MEMBER_DOWN = 1,     // its checks fail, or its name does not resolve
    MEMBER_EJECTED = 2,  // it failed requests: left alone until ejected_until_ms
    MEMBER_PROBING = 4,  // it was ejected: one request at a time, until one has succeeded
    MEMBER_SLOW = 8,     // it came back a moment ago and takes its part by and by
    MEMBER_DRAINING = 16, // by command: only who was there before
    MEMBER_DISABLED = 32, // by command: nobody
};

struct server_shared;
struct job;

/// What the checks of a member said; the keeper's thread only.
struct member_checks {
    unsigned good, bad; // in a row
    bool known;         // there was one
    struct job *job;    // that makes them; NULL: nobody does
    uint64_t mark;      // of the last look at who is still there
};

struct member {
    /// Requests under way, plus MEMBER_REF for each holder. The last one to leave frees the member.
    _Atomic uint64_t use;
    _Atomic uint32_t flags;
    _Atomic uint32_t errors_in_row, slow_in_row;
    _Atomic uint32_t window, window_requests, window_failures; // of the present ten seconds, where their rate matters
    /// Peak EWMA: microseconds << 32 | the lower half of the time (ms) of the last sample. 0: no sample yet.
    _Atomic uint64_t latency;
    _Atomic uint64_t ejected_until_ms;
    _Atomic uint64_t slow_from_ms;
    _Atomic uint64_t failures;           // ever
    _Atomic uint32_t ejections;          // one after the other: each is longer
    _Atomic uint32_t connections;        // open, over all threads
    struct queue connecting;             // who waits for a connection (`max-connections`)
    struct server_shared *server;
    struct member *next; // of its server
    struct member_checks checks;
    struct addr addr;    // AF_UNSPEC: what the name stands for is not known yet
    char path[];         // of a unix socket
};

#define MEMBER_REF (UINT64_C(1) << 32)

/// Requests under way at a member.
static inline uint32_t member_load(const struct member *m)
{
    return (uint32_t)atomic_load_explicit(&m->use, memory_order_relaxed);
}
static inline uint32_t member_flags(const struct member *m)
{
    return atomic_load_explicit(&m->flags, memory_order_relaxed);
}
void member_set_flags(struct member *m, uint32_t set, uint32_t clear);

/// One more request. The caller holds the member in another way at this moment.
static inline void member_enter(struct member *m)
{
    atomic_fetch_add_explicit(&m->use, 1, memory_order_relaxed);
}
void member_free(struct member *m);
/// The request is over; the member may be gone afterwards.
void member_leave(struct member *m);

/// Adds a sample. Latency that grows counts at once, latency that falls by and by (over LATENCY_DECAY_MS).
void member_note_latency(struct member *m, uint64_t us, uint64_t now_ms);
/// The latency as of now: what nobody has measured for a while is forgotten slowly, so that a slow server is tried again.
uint64_t member_latency_us(const struct member *m, uint64_t now_ms);

#endif
