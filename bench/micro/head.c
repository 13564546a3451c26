// SPDX-License-Identifier: Apache-2.0
// What a head costs to scan and to parse: a browser's request and a small one. Run under `valgrind --tool=callgrind` for
// instructions, or as it is for time.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "http/h1.h"

static const char browser[] =
    "GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg?x=1 HTTP/1.1\r\n"
    "Host: www.kittyhell.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: wp_ozh_wsa_visits=2; wp_ozh_wsa_visit_lasttime=xxxxxxxxxx; "
    "__utma=xxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.x; "
    "__utmz=xxxxxxxxx.xxxxxxxxxx.x.x.utmccn=(referral)|utmcsr=reader.livedoor.com|utmcct=/reader/|utmcmd=referral\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: none\r\n"
    "\r\n";
static const char small[] = "GET / HTTP/1.1\r\nHost: a.test\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";

static void run(const char *name, const char *text, size_t n, unsigned rounds)
{
    static const struct h1_limits limits = {.line_bytes = 8192, .fields = 128, .fields_bytes = 32768};
    struct timespec a, b;
    struct arena arena;
    arena_init(&arena, 0);
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (unsigned i = 0; i < rounds; i++) {
        struct h1_head h;
        struct request r;
        h1_head_init(&h);
        if (h1_head_scan(&h, text, n, true, &limits) || h1_parse_request(text, &h, SPAN("http"), &arena, &r))
            exit(1);
        arena_reset(&arena);
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    double ns = (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec);
    printf("%s: %zu octets, %.0f ns\n", name, n, ns / rounds);
    arena_fini(&arena);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 1000000;
    run("browser", browser, sizeof browser - 1, rounds);
    run("small", small, sizeof small - 1, rounds);
    return 0;
}
