// SPDX-License-Identifier: Apache-2.0
#include "tls/memory.h"

#include <openssl/crypto.h>

#include "base/spare.h"

static void *on_alloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return spare_alloc(n);
}

static void *on_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return spare_realloc(p, n);
}

static void on_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    spare_free(p);
}

void tls_memory_init(void)
{
    (void)CRYPTO_set_mem_functions(on_alloc, on_realloc,
                                   on_free); // refused once OpenSSL has memory, which is as good, and slower
}
