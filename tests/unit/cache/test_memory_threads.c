// SPDX-License-Identifier: Apache-2.0
// The memory tier under several threads: what is found is whole and its own, and in the end nothing is left. Also built with
// ThreadSanitizer.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>

#include "cache/cache.h"

enum { THREADS = 4, STEPS = 4000, URLS = 200, CONTENT_MAX = 3000 };

static struct cache *cache;

struct worker {
    pthread_t id;
    uint64_t seed;
    unsigned found, wrong;
};

static unsigned next(struct worker *w)
{
    w->seed = w->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(w->seed >> 33);
}

static void put(const struct cache_key *k, unsigned url, size_t bytes, struct arena *a)
{
    struct fields f;
    struct chunkq q;
    char content[CONTENT_MAX];
    struct cache_body *b = cache_body_new(cache, UINT64_MAX);
    memset(content, (int)(url & 0xff), bytes);
    fields_init(&f, a);
    chunkq_init(&q);
    if (b && !chunkq_append(&q, NULL, content, bytes) && !cache_body_append(b, &q)) {
        cache_body_finish(b);
        struct cache_head h = {.key = k, .vary = SPAN(""), .status = 200, .fields = &f, .body = b};
        struct cache_object *o = cache_object_new(cache, &h);
        if (o)
            (void)cache_insert(cache, o);
        cache_object_unref(o);
    }
    chunkq_fini(&q);
    cache_body_unref(b);
}

static void look(struct worker *w, const struct cache_key *k, unsigned url, struct arena *a)
{
    struct fields none;
    struct chunkq q;
    char content[CONTENT_MAX];
    bool known;
    fields_init(&none, a);
    chunkq_init(&q);
    struct cache_object *o = cache_lookup(cache, k, &none, a, &known);
    if (o && !cache_body_share(o->body, 0, cache_body_length(o->body), &q)) {
        size_t n = chunkq_peek(&q, content, sizeof content);
        w->found++;
        for (size_t i = 0; i < n; i++)
            w->wrong += content[i] != (char)(url & 0xff);
        w->wrong += !span_eq(o->key.url, k->url);
    }
    chunkq_fini(&q);
    cache_object_unref(o);
}

static void *work(void *arg)
{
    struct worker *w = (struct worker *)arg;
    for (unsigned i = 0; i < STEPS; i++) {
        struct arena a;
        char text[40];
        unsigned url = next(w) % URLS;
        arena_init(&a, 0);
        struct span s = span_of(text, (size_t)snprintf(text, sizeof text, "http://a/%u", url));
        struct cache_key k = {cache_key_hash(s), s, SPAN("")};
        unsigned what = next(w) % 100;
        if (what < 30)
            put(&k, url, next(w) % CONTENT_MAX, &a);
        else if (what < 32)
            (void)cache_purge(cache, PURGE_URL, s, what == 30);
        else if (what < 33)
            (void)cache_purge(cache, PURGE_PREFIX, s, false);
        else
            look(w, &k, url, &a);
        arena_fini(&a);
    }
    arena_thread_fini();
    chunk_thread_fini();
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    struct cache_config c = {.name = SPAN("threads"), .memory_bytes = 200 * 1024, .max_object_bytes = CONTENT_MAX, .folder_fd = -1};
    struct worker w[THREADS];
    unsigned found = 0;
    cache = cache_open(&c);
    assert_non_null(cache);
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.seed = i + 1};
        assert_int_equal(pthread_create(&w[i].id, NULL, work, &w[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(w[i].id, NULL);
        assert_int_equal(w[i].wrong, 0);
        found += w[i].found;
    }
    assert_true(found > STEPS / 4);
    assert_true(cache_stats_of(cache).used_bytes <= c.memory_bytes + 64 * 1024); // each thread may be about to make room
    (void)cache_purge(cache, PURGE_ALL, SPAN_NONE, false);
    assert_int_equal(cache_stats_of(cache).objects, 0);
    cache_close(cache);
    chunk_thread_fini();
    assert_int_equal(chunk_live_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
