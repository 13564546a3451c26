// SPDX-License-Identifier: Apache-2.0
// `auth request URL`: a service of the user's decides. What the statement says.
#ifndef WEIR_POLICY_AUTH_REQUEST_H
#define WEIR_POLICY_AUTH_REQUEST_H

#include "http/uri.h"
#include "policy/condition.h"

enum { AUTH_REQUEST_FIELDS_MAX = 32 };

struct auth_request {
    struct authority authority;
    uint16_t port;
    struct span target;                          // path and query
    struct span user;                            // the field of its answer that names the user; empty: none
    struct span fields[AUTH_REQUEST_FIELDS_MAX]; // those that go on with the request
    unsigned n_fields;
    uint64_t timeout_ms;
    uint64_t cache_ms; // how long a yes holds; 0: for one request
};
/// NULL after an error was reported.
const struct auth_request *auth_request_new(struct condition_context *k, const struct conf_stmt *s);

#endif
