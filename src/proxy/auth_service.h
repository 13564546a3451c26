// SPDX-License-Identifier: Apache-2.0
// `auth request`: a request to the service that decides, and what comes of its answer.
#ifndef WEIR_PROXY_AUTH_SERVICE_H
#define WEIR_PROXY_AUTH_SERVICE_H

#include "policy/auth.h"
#include "proxy/exchange.h"

/// What a service's yes adds to the request.
struct granted {
    const struct auth_request *rule;
    struct fields fields; // those of its answer that go on
};

/// Asks. ERR_OK: the answer is yes (x->granted), or it was no and the service's words are the exchange's
/// answer. ERR_AUTH_SERVICE_*, ERR_NO_MEMORY or the fiber's cancellation.
MUST_USE enum err auth_service_ask(struct exchange *x, const struct auth_method *m);
/// Puts what was granted into the request that goes on, in place of what a client says of it.
MUST_USE enum err auth_service_fields(const struct exchange *x, struct fields *f);

#endif
