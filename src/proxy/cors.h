// SPDX-License-Identifier: Apache-2.0
// `cors`: which pages of other origins may read answers (the Fetch standard's CORS protocol). Preflights are
// answered here; what the server says of it itself does not count.
#ifndef WEIR_PROXY_CORS_H
#define WEIR_PROXY_CORS_H

#include "proxy/exchange.h"

struct cors {
    struct pattern *const *origins;
    unsigned n;
    bool any;         // everybody, as `*`
    bool credentials; // never with `any`
    bool any_header;
    struct span methods, headers, exposed; // lists; empty: none besides those that need no leave
    struct span max_age;                   // seconds; empty: what browsers take then
};

/// Whether it asks, for a page, what a request may be like.
bool cors_is_preflight(const struct exchange *x);
/// Answers it (204).
MUST_USE enum err cors_answer_preflight(struct exchange *x);
/// Of any other answer: what is there of these fields goes, ours come.
MUST_USE enum err cors_mark(struct exchange *x, const struct cors *c);
/// Whether the text is an origin as browsers write it (RFC 6454 6.2): scheme, host, perhaps a port.
bool cors_is_origin(struct span s);

#endif
