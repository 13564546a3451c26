// SPDX-License-Identifier: Apache-2.0
// `group NAME { user NAME...; client PREFIX...; users FILE }`. Immutable.
#ifndef WEIR_POLICY_GROUP_H
#define WEIR_POLICY_GROUP_H

#include "policy/condition.h"

struct group;

/// The compiled group of a name, once for a configuration. NULL after an error was reported.
const struct group *group_named(struct condition_context *k, const struct conf_value *name);
/// Compiles every group, so that a mistake in one that nothing uses yet shows as well.
void group_compile_all(struct condition_context *k);
/// Whether the user, or a client at this address, is one of it.
bool group_has(const struct group *g, struct span user, const struct addr *client);
/// Whether it has users (otherwise nobody needs to say who they are).
bool group_has_users(const struct group *g);

#endif
