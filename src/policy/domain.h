// SPDX-License-Identifier: Apache-2.0
// Domains as the configuration and lists write them: `x.example` is that name, `.x.example` it and all below it.
#ifndef WEIR_POLICY_DOMAIN_H
#define WEIR_POLICY_DOMAIN_H

#include "policy/condition.h"

/// Checks what is written; *ret is it without a final dot, with the leading one.
MUST_USE bool domain_read(struct span written, struct span *ret);
/// Reports a value that domain_read refuses.
void domain_report(struct condition_context *k, const struct conf_value *v);
/// host in the form that authority_parse gives it.
bool domain_has(struct span domain, struct span host);

#endif
