// SPDX-License-Identifier: Apache-2.0
// More work than a thread can do: how late its loop is says so (`limits { lag }`). Then only as many requests are served at a time as
// it keeps up with, and new ones are refused at once: those that are under way end in good time, instead of all of them late.
#ifndef WEIR_PROXY_OVERLOAD_H
#define WEIR_PROXY_OVERLOAD_H

#include "io/loop.h"

struct service;

enum { OVERLOAD_SECONDS = 8 };

struct overload {
    struct timer tick;
    bool measuring;    // the last tick came late: once may be a page fault or a suspended machine, so from then on it is measured
    uint64_t cpu_us;   // of the thread, at that tick
    uint64_t clock_us; // the same of the clock
    unsigned room;     // requests that may be under way; 0: as many as come
    // Requests under way that began in the last seconds, by second: older ones wait for somebody and are no work.
    uint64_t second;
    unsigned young[OVERLOAD_SECONDS], n_young;
};

void overload_init(struct overload *o);
void overload_fini(struct overload *o);
/// A request begins; false: there is no room for it. Either way it is counted until overload_leave with the second that came out.
bool overload_enter(struct service *s, uint64_t *ret_second);
void overload_leave(struct service *s, uint64_t second);
/// Whether new connections are better refused.
bool overload_is_full(const struct overload *o);

#endif
