// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets share. A target is one function; the first byte of its input often chooses where the
// rest is cut.
#ifndef WEIR_TESTS_FUZZ_H
#define WEIR_TESTS_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/// A copy of exactly these bytes (NULL: memory to write them into), so that the sanitizer sees one byte too
/// far. The caller frees it.
static inline char *fuzz_exact(const void *data, size_t size)
{
    char *p = malloc(size ? size : 1);
    CHECK(p);
    if (data && size)
        memcpy(p, data, size);
    return p;
}

#endif
