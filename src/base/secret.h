// SPDX-License-Identifier: Apache-2.0
// Memory for keys and passwords: locked (never in swap, as far as RLIMIT_MEMLOCK goes), left out of core dumps, wiped when it is
// given back. Whole pages, so for few and long-lived things.
#ifndef WEIR_BASE_SECRET_H
#define WEIR_BASE_SECRET_H

#include "base/macros.h"

/// Zeroed; NULL when memory is out. A forked child has it too.
MUST_USE void *secret_alloc(size_t size);
/// p may be NULL.
void secret_free(void *p);
/// Writes zeros that no optimiser takes away. For what a secret was copied into.
void secret_wipe(void *p, size_t size);

#endif
