// SPDX-License-Identifier: Apache-2.0
// A thread's own stock of small memory in front of the allocator, for libraries that take and give back
// hundreds of pieces for one piece of work (OpenSSL: some 650 for a handshake). A piece may be freed by any
// thread; it needs no header, since the allocator knows how large it is.
#ifndef WEIR_BASE_SPARE_H
#define WEIR_BASE_SPARE_H

#include "base/macros.h"

/// NULL when memory is out.
MUST_USE void *spare_alloc(size_t size);
/// p: of these functions, or NULL.
MUST_USE void *spare_realloc(void *p, size_t size);
void spare_free(void *p);
/// Frees what this thread keeps (at thread end).
void spare_thread_fini(void);

#endif
