// SPDX-License-Identifier: Apache-2.0
// What services of `auth request` have said yes to, for a while: by everything that they were told but the
// request's id. One table for the process, of fixed size.
#ifndef WEIR_PROXY_AUTH_ANSWERS_H
#define WEIR_PROXY_AUTH_ANSWERS_H

#include "http/field.h"
#include "policy/auth.h"

/// The fields of a yes that still holds, that the rule takes over; false: there is none.
bool auth_answers_find(const struct auth_method *m, const struct fields *asked, struct arena *a,
                       struct fields *ret);
/// Keeps what the rule takes over of a yes, where that is little.
void auth_answers_keep(const struct auth_method *m, const struct fields *asked, const struct fields *answer,
                       struct arena *a);

#endif
