// SPDX-License-Identifier: Apache-2.0
// More work than a thread can do: how late its loop is says so (`limits { lag }`), with its timers, with the
// events that it handles, or with the connections that wait to be accepted. Then only as many requests are
// served at a time as it keeps up with, and new ones are refused at once: those that are under way end in
// good time, instead of all of them late. Refusing has a share of the time too; beyond it new connections
// wait in the kernel.
#ifndef WEIR_PROXY_OVERLOAD_H
#define WEIR_PROXY_OVERLOAD_H

#include "io/loop.h"

struct service;

enum { OVERLOAD_SECONDS = 8, OVERLOAD_TICK_MS = 50 };

struct overload {
    struct timer tick;
    uint64_t tick_ms;    // when the last tick was
    uint64_t cpu_us;     // processor time of the thread then; 0: it was not looked at
    unsigned late_ticks; // one after the other
    uint64_t settled_ms; // when what was done last against lateness can have shown its effect
    unsigned room;       // requests that may be under way; 0: as many as come
    unsigned n_begun, n_ended;    // requests that were served since the last tick
    uint64_t per_1000_s; // how many a thousand seconds, as a running mean
    unsigned n_refused;  // connections since the last tick
    unsigned shed;       // connections to refuse next, because they waited for too long already
    uint64_t refused_ms; // when anybody was refused last
    // Requests under way that began in the last seconds, by second: older ones wait for somebody and are no
    // work.
    uint64_t second;
    unsigned young[OVERLOAD_SECONDS], n_young;
};

void overload_init(struct overload *o);
void overload_fini(struct overload *o);
/// A request begins; false: there is no room for it. Either way it is counted until overload_leave with the
/// second that came out.
bool overload_enter(struct service *s, uint64_t *ret_second);
void overload_leave(struct service *s, uint64_t second, bool served);
/// Whether new connections are better refused.
static inline bool overload_is_full(const struct overload *o)
{
    return unlikely(o->room != 0) && (o->n_young >= o->room || o->shed);
}
/// Whether there is time left for refusing one now, which it then takes; otherwise it is better not accepted
/// yet.
bool overload_may_refuse(struct overload *o);

#endif
