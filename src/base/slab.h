// SPDX-License-Identifier: Apache-2.0
// Objects of one size, taken from pages and kept for reuse, last in first out. Not thread-safe: one slab a
// thread.
#ifndef WEIR_BASE_SLAB_H
#define WEIR_BASE_SLAB_H

#include "base/macros.h"

struct slab_page;
struct slab {
    void *free;
    struct slab_page *pages;
    uint32_t size, per_page;
    uint32_t live; // objects handed out
};

/// size: bytes of an object (rounded up to 16).
void slab_init(struct slab *s, size_t size);
/// Frees every page; no object may be in use.
void slab_fini(struct slab *s);
/// Uninitialised; NULL when memory is out.
MUST_USE void *slab_alloc(struct slab *s);
void slab_free(struct slab *s, void *p);

#endif
