// SPDX-License-Identifier: Apache-2.0
// What a shared cache may store, for how long that is fresh, and when it may be used (RFC 9111 3, 4.2, 5.2; RFC 5861). Pure: the
// clock's readings come as arguments, in milliseconds since 1970.
#ifndef WEIR_HTTP_FRESHNESS_H
#define WEIR_HTTP_FRESHNESS_H

#include "http/cache_control.h"
#include "http/message.h"

/// What the operator says besides the origin.
struct freshness_ttl {
    int64_t seconds;
    const uint16_t *statuses; // NULL: those that may be fresh by heuristics
    unsigned n_statuses;
};
struct freshness_policy {
    const struct freshness_ttl *ttls; // where the origin says no lifetime; the first that names the status
    unsigned n_ttls;
    int64_t override_s;               // in place of every lifetime that the origin says; CACHE_SECONDS_NONE: none
    int64_t stale_while_revalidate_s; // where the origin says none; CACHE_SECONDS_NONE: none
    int64_t stale_if_error_s;
    bool ignores_request; // its directives make no difference
};

/// Why a response is not stored. The names are `weir why`'s.
enum storable {
#define STORABLE(id, name, lasting, text) id,
#include "http/storable.tbl"
#undef STORABLE
    N_STORABLE
};
const char *storable_name(enum storable s);
const char *storable_text(enum storable s);
/// Whether the reason will be the same for the next answer, as far as one can tell: who waits for it would wait in vain.
bool storable_is_lasting(enum storable s);

struct freshness {
    int64_t received_ms;    // when the response came
    int64_t initial_age_ms; // its age then (RFC 9111 4.2.3: corrected_initial_age)
    int64_t lifetime_ms;    // 0: stale from the beginning
    int64_t while_revalidate_ms, if_error_ms; // beyond the lifetime; 0: never
    bool always_validate;   // no-cache
    bool never_stale;       // must-revalidate, proxy-revalidate, s-maxage
    bool heuristic;
};

/// The directives that hold for a response: Weir-Cache-Control, CDN-Cache-Control, Cache-Control, the first that is there and can
/// be read. ret_targeted: it is none of Cache-Control's.
void freshness_directives(const struct fields *f, struct arena *a, struct cache_control *ret, bool *ret_targeted);

/// Whether the final response to a GET may be stored, and its freshness (also where it is not storable). sent_ms: when the request
/// went, received_ms: when the head came. ERR_OK aside nothing fails; arena: for joined fields.
enum storable freshness_judge(const struct request *req, const struct response *resp, const struct freshness_policy *policy,
                              int64_t sent_ms, int64_t received_ms, struct arena *a, struct freshness *ret);
/// Only the freshness (for a stored response that a 304 or HEAD has updated).
void freshness_compute(const struct response *resp, const struct freshness_policy *policy, int64_t sent_ms, int64_t received_ms,
                       struct arena *a, struct freshness *ret);

static inline int64_t freshness_age_ms(const struct freshness *f, int64_t now_ms)
{
    int64_t resident = now_ms - f->received_ms;
    return f->initial_age_ms + (resident > 0 ? resident : 0);
}
/// What is left of its lifetime; negative: how long it has been stale.
static inline int64_t freshness_left_ms(const struct freshness *f, int64_t now_ms)
{
    return f->lifetime_ms - freshness_age_ms(f, now_ms);
}

enum freshness_use {
    USE_FRESH,
    USE_STALE,            // the request takes it stale (max-stale)
    USE_WHILE_REVALIDATE, // stale, but to be used while it is validated in the background
    USE_VALIDATE,         // stale, or no-cache
    USE_VALIDATE_REQUEST, // fresh, but the request wants it validated
};
/// request: its directives, or NULL where they are ignored.
enum freshness_use freshness_use(const struct freshness *f, const struct cache_control *request, int64_t now_ms);
/// Whether it may stand in for an answer that failed.
bool freshness_serves_error(const struct freshness *f, const struct cache_control *request, int64_t now_ms);

#endif
