// SPDX-License-Identifier: Apache-2.0
// A fetch with a fiber of its own, for one client or for many, or for nobody (revalidation in the background). What may be stored
// goes on into the cache whoever leaves; what may not goes to the one client that it was for.
#ifndef WEIR_PROXY_CACHE_FETCH_H
#define WEIR_PROXY_CACHE_FETCH_H

#include "proxy/cached.h"

struct cache_job;

/// Fetches for x, whose fiber waits until there is an answer: x->answer is set then (ANSWER_STORED, or ANSWER_DONE where it went
/// out already). flight: whom else it is for (taken over; NULL: nobody). stale: what is to be validated (NULL: nothing).
MUST_USE enum err cache_fetch(struct exchange *x, struct cache_flight *flight, struct cache_object *stale);
/// Fetches the range that x asks for; part: what is stored of the same (NULL: nothing), which may be put together with it.
MUST_USE enum err cache_fetch_part(struct exchange *x, struct cache_object *part);
/// The same for nobody. Where it cannot be started the flight is ended.
void cache_fetch_behind(struct exchange *x, struct cache_flight *flight, struct cache_object *stale);
void cache_job_unref(struct cache_job *j);
/// What the log says of a fetch that another fiber did.
void cache_job_account(const struct cache_job *j, struct exchange *x);
/// Cancels all fetches of a thread that no client waits for.
void cache_fetch_cancel_all(struct service *s);

#endif
