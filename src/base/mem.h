// SPDX-License-Identifier: Apache-2.0
// The one door to the allocator. Tests make an allocation fail through mem_fail_set; nothing in src/ calls
// malloc by itself.
#ifndef WEIR_BASE_MEM_H
#define WEIR_BASE_MEM_H

#include "base/macros.h"

/// NULL when memory is out (or a test says so): the caller answers with ERR_NO_MEMORY.
MUST_USE void *mem_alloc(size_t size);
MUST_USE void *mem_calloc(size_t n, size_t size);
MUST_USE void *mem_realloc(void *p, size_t size);
MUST_USE char *mem_strdup(const char *s);
/// Gives the whole pages of [from, to), within one allocation or mapping, back to the system: what they hold is lost, and they read as
/// zeros if at all. For what lies unused for long.
void mem_discard(char *from, char *to);
/// p may be NULL.
void mem_free(void *p);
/// Bytes of the process's allocations that mem_alloc made and mem_free has not yet taken back (for leak tests
/// and metrics).
int64_t mem_live_count(void);

/// Test seam: hook(arg) is asked before each allocation whether it fails. NULL turns it off. Not thread-safe:
/// set it before threads start.
void mem_fail_set(bool (*hook)(void *arg), void *arg);

#endif
