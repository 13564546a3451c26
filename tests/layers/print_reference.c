// SPDX-License-Identifier: Apache-2.0
// Writes the reference of the configuration language, which docs/reference/configuration.md must be equal to.
#include <stdio.h>

#include "conf/conf.h"

int main(void)
{
    struct arena a;
    arena_init(&a, ARENA_NO_LIMIT);
    struct span text = conf_reference(&a);
    size_t n = fwrite(text.ptr, 1, text.len, stdout);
    arena_fini(&a);
    return text.len > 0 && n == text.len && fflush(stdout) == 0 ? 0 : 1;
}
