// SPDX-License-Identifier: Apache-2.0
// The parameters of a query, `NAME[=VALUE]` between `&`.
#ifndef WEIR_HTTP_QUERY_H
#define WEIR_HTTP_QUERY_H

#include "base/arena.h"
#include "base/err.h"

/// The query without the parameters of which goes says so, the others as they are and in their order; *ret is
/// the query itself where none goes, and a NULL pointer where all do. ERR_NO_MEMORY.
MUST_USE enum err query_without(struct span query, bool (*goes)(void *arg, struct span param), void *arg,
                                struct arena *a, struct span *ret);

#endif
