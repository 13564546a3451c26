// SPDX-License-Identifier: Apache-2.0
// What a site, route or proxy asks of every request: methods, a Host, the size of the content; and which fields pass.
#ifndef WEIR_PROXY_GUARD_H
#define WEIR_PROXY_GUARD_H

#include "proxy/build.h"
#include "proxy/exchange.h"

struct guard_names {
    const struct span *v; // names of fields; one that ends in `*` stands for all that begin so
    unsigned n;
};
struct guard {
    const struct span *methods; // NULL: all
    unsigned n_methods;
    struct span allow; // the same for a 405's Allow
    bool host_required;
    uint64_t body; // bytes; 0: as `limits { body }` says
    const struct guard_names *keep_request, *keep_response; // NULL: all
};

/// A block's statements over those outside of it; NULL where there are none.
const struct guard *build_guard(struct builder *b, const struct conf_stmt *block, const struct guard *outer);

/// The exchange's guard, or NULL.
const struct guard *guard_of(const struct exchange *x);
/// Methods, Host and a content's length that is known.
MUST_USE enum err guard_check(struct exchange *x, const struct guard *g);
/// How much content the request may have.
uint64_t guard_body_limit(const struct exchange *x);
/// Whether a field that the client or the server sent goes on; what a message cannot be understood without always does.
bool guard_keeps(const struct guard_names *names, const struct field *f);
/// Takes the fields away that do not go on. names may be NULL.
void guard_filter(const struct guard_names *names, struct fields *f);
/// The trailers that go on, or NULL.
const struct fields *guard_trailers(const struct exchange *x, bool of_response, struct fields *trailers);

#endif
