// SPDX-License-Identifier: Apache-2.0
// What depends on the architecture, in one program that needs nothing but a C library: the switch between fibers and the wide search
// in heads. `make cross` builds it for aarch64 and runs it under qemu-user. (The unit tests cover the same and more where they run.)
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/h1.h"
#include "http/h1_scan.h"
#include "io/fiber.h"
#include "io/loop.h"

#define EXPECT(x) ((x) ? (void)0 : fail(#x, __LINE__))

static _Noreturn void fail(const char *what, int line)
{
    fprintf(stderr, "check.c:%d: %s does not hold\n", line, what);
    exit(1);
}

// ---- Fibers: what a callee must preserve is what it was after every switch, floating-point registers included.

enum { FIBERS = 200, TURNS = 50 };
static unsigned ended;

static void fiber_work(void *arg)
{
    double d = (double)*(unsigned *)arg, e = d / 3;
    unsigned long a = *(unsigned *)arg, b = a * 7, c = a ^ 0x5555;
    char stack[3000];
    memset(stack, (int)a, sizeof stack);
    for (unsigned i = 0; i < TURNS; i++) {
        fiber_yield();
        EXPECT(d == (double)*(unsigned *)arg + i && e == (double)*(unsigned *)arg / 3);
        d += 1;
        a++, b += 7, c = (c ^ 0x5555) + 1, c ^= 0x5555;
    }
    unsigned first = *(unsigned *)arg;
    EXPECT(d == (double)first + TURNS && a == first + TURNS && b == a * 7 && (c ^ 0x5555) == a);
    for (size_t i = 0; i < sizeof stack; i++)
        EXPECT(stack[i] == (char)first);
    EXPECT(fiber_sleep(1) == ERR_OK);
    ended++;
}

static bool all_ended(void *arg)
{
    (void)arg;
    return ended == FIBERS;
}

static void check_fibers(void)
{
    static unsigned numbers[FIBERS];
    struct loop *l;
    EXPECT(loop_new(&l) == ERR_OK);
    for (unsigned i = 0; i < FIBERS; i++) {
        numbers[i] = i * 31;
        EXPECT(fiber_start(fiber_work, &numbers[i], NULL) == ERR_OK);
    }
    EXPECT(loop_run_until(l, all_ended, NULL));
    EXPECT(fiber_live_count() == 0);
    loop_free(l);
}

// ---- Heads

static void check_scan(void)
{
    char buf[80];
    for (size_t n = 0; n <= sizeof buf - 8; n++) {
        for (size_t offset = 0; offset < 8; offset++) {
            for (size_t at = 0; at <= n; at++) {
                for (unsigned c = 0; c < 256; c++) {
                    memset(buf, 'a', sizeof buf);
                    buf[offset + at] = (char)c;
                    const char *p = buf + offset;
                    EXPECT(scan_value(p, p, p + n) == scan_value_scalar(p, p + n));
                    EXPECT(scan_value(buf, p, p + n) == scan_value_scalar(p, p + n));
                }
            }
        }
    }
}

static void check_lines(void)
{
    char buf[80];
    for (size_t step = 1; step < 40; step++) {
        for (size_t n = 0; n <= sizeof buf; n++) {
            for (size_t i = 0; i < n; i++)
                buf[i] = i % step == step - 1 ? '\n' : 'a';
            struct scan_lines lines = scan_lines_of(buf, buf + n);
            for (size_t i = step - 1; i < n; i += step)
                EXPECT(scan_lines_next(&lines) == buf + i);
            EXPECT(scan_lines_next(&lines) == NULL);
            EXPECT(scan_near(buf, buf + n, '\n') == (step <= n ? buf + step - 1 : NULL));
        }
    }
}

static void check_head(void)
{
    static const char text[] = "GET /a/../b HTTP/1.1\r\nHost: A.test\r\nX: 0123456789012345678901234567890123456789\r\n\r\n";
    static const struct h1_limits limits = {.line_bytes = 8192, .fields = 128, .fields_bytes = 32768};
    struct h1_head h;
    struct request r;
    struct arena a;
    arena_init(&a, 0);
    h1_head_init(&h);
    EXPECT(h1_head_scan(&h, text, sizeof text - 1, true, &limits) == ERR_OK);
    EXPECT(h1_parse_request(text, &h, SPAN("http"), &a, &r) == ERR_OK);
    EXPECT(span_eq(r.authority.host, SPAN("a.test")) && span_eq(r.path, SPAN("/b")) && r.fields.n == 2);
    arena_fini(&a);
}

int main(void)
{
    check_fibers();
    check_scan();
    check_lines();
    check_head();
    puts("fibers, scan and head as they should be");
    return 0;
}
