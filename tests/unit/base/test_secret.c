// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/secret.h"

// The VmFlags of the mapping that p stands in.
static void flags_of(const void *p, char flags[256])
{
    char line[512];
    bool here = false;
    FILE *f = fopen("/proc/self/smaps", "re");
    assert_non_null(f);
    *flags = '\0';
    while (fgets(line, sizeof line, f)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            here = (uintptr_t)p >= from && (uintptr_t)p < to;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            snprintf(flags, 256, "%.255s", line + 8);
    }
    fclose(f);
}

static void it_is_locked_and_in_no_dump(void **state)
{
    (void)state;
    char flags[256];
    char *p = (char *)secret_alloc(5000);
    assert_non_null(p);
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(p[i], 0);
    memset(p, 'x', 5000);
    for (size_t i = 0; i < 5000; i += 4096) {
        flags_of(p + i, flags);
        assert_non_null(strstr(flags, " dd"));
        assert_non_null(strstr(flags, " lo")); // 8 KiB is within every RLIMIT_MEMLOCK
    }
    secret_free(p);
    unsigned char resident;
    assert_int_equal(mincore((void *)((uintptr_t)p & ~(uintptr_t)4095), 4096, &resident), -1); // it is gone
    secret_free(NULL);
}

static void more_than_there_is(void **state)
{
    (void)state;
    assert_null(secret_alloc(SIZE_MAX));
    assert_null(secret_alloc(SIZE_MAX / 2));
}

static void wiping(void **state)
{
    (void)state;
    char copy[] = "password";
    secret_wipe(copy + 2, 3);
    assert_memory_equal(copy, "pa\0\0\0ord", 8);
    secret_wipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_is_locked_and_in_no_dump), cmocka_unit_test(more_than_there_is), cmocka_unit_test(wiping)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
