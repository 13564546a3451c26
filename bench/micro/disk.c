// SPDX-License-Identifier: Apache-2.0
// The disk tier's start: how long a folder of N small objects takes to be there again, and a look-up.
// usage: bench_disk FOLDER [N]
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/disk.h"
#include "io/loop.h"

enum { CONTENT_BYTES = 200, WAIT_MS = 60000, LOOKUPS = 200000 };

static struct disk *open_store(const char *folder)
{
    struct disk_config c = {.folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .size_bytes = UINT64_C(20) << 30, .write_rate_bytes_s = UINT64_C(1) << 40,
                            .wait_ms = WAIT_MS};
    struct disk *d;
    if (c.folder_fd < 0 || disk_open(&c, &d)) {
        perror(folder);
        exit(1);
    }
    return d;
}

static struct disk_key key_of(unsigned i, char text[64])
{
    size_t n = (size_t)snprintf(text, 64, "http://bench.example/objects/%u", i);
    return (struct disk_key){{text, n}, n};
}

static void fill(struct disk *d, unsigned n)
{
    char text[64], content[CONTENT_BYTES] = "content";
    for (unsigned i = 0; i < n; i++) {
        struct disk_write *w;
        struct chunkq q;
        while (disk_begin(d, key_of(i, text), &w))
            disk_settle(d, 1000);
        chunkq_init(&q);
        if (chunkq_append_copy(&q, content, sizeof content) || disk_append(w, &q, q.bytes))
            disk_abort(w);
        else
            disk_commit(w, SPAN("HTTP/1.1 200 OK, as long as heads are: two hundred octets or so, of which nobody here reads any"));
        chunkq_fini(&q);
        if (i % 10000 == 0)
            disk_settle(d, WAIT_MS);
    }
}

static void time_open(const char *what, const char *folder)
{
    struct disk_stats s;
    uint64_t begin = loop_clock_us();
    struct disk *d = open_store(folder);
    uint64_t us = loop_clock_us() - begin;
    disk_get_stats(d, &s);
    printf("%s: %" PRIu64 " objects, %" PRIu64 " MB, in %.3f s\n", what, s.objects, s.bytes >> 20, (double)us / 1e6);
    begin = loop_clock_us();
    for (unsigned i = 0; i < LOOKUPS; i++) {
        struct disk_object o;
        char text[64];
        if (!disk_lookup(d, key_of((unsigned)((uint64_t)i * 2654435761u % s.objects), text), &o))
            disk_object_close(&o);
    }
    printf("a look-up from the page cache: %.2f us\n", (double)(loop_clock_us() - begin) / LOOKUPS);
    disk_close(d);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    struct disk *d = open_store(argv[1]);
    fill(d, argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1000000);
    disk_close(d);
    time_open("closed in order", argv[1]);
    return 0;
}
