// SPDX-License-Identifier: Apache-2.0
// `privacy off|standard|strict`: what happens to the fields that say who a client is (docs/privacy.md is the table in words).
#ifndef WEIR_POLICY_PRIVACY_H
#define WEIR_POLICY_PRIVACY_H

#include "http/field.h"

enum privacy { PRIVACY_OFF, PRIVACY_STANDARD, PRIVACY_STRICT };

/// What a request is to the page that asks for it.
struct privacy_context {
    struct span origin; // of what is asked for: SCHEME://HOST[:PORT]
    bool third_party;
};

/// Changes a request's fields on their way out. ERR_NO_MEMORY.
MUST_USE enum err privacy_request(enum privacy level, const struct privacy_context *c, struct fields *f, struct arena *a);
/// Changes an answer's fields on their way to the client. ERR_NO_MEMORY.
MUST_USE enum err privacy_answer(enum privacy level, const struct privacy_context *c, struct fields *f, struct arena *a);
/// The query without parameters that are known to follow users around (utm_source and its like); NULL pointer: none is left.
MUST_USE enum err privacy_clean_query(struct span query, struct arena *a, struct span *ret);
/// What a Via of others says, without the names of hosts (RFC 9110 7.6.3 allows pseudonyms). A NULL pointer when memory is out.
struct span privacy_via(struct span via, struct arena *a);

#endif
