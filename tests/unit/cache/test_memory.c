// SPDX-License-Identifier: Apache-2.0
// The memory tier: what it holds is what it says it holds, eviction keeps the limit and what is used, keys are told apart.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "cache/cache.h"
#include "http/vary.h"

static struct arena a;
static const int64_t now_ms = INT64_C(1700000000000);

static struct cache *open_cache(const char *name, uint64_t bytes)
{
    struct cache_config c = {.name = span_str(name), .memory_bytes = bytes, .max_object_bytes = bytes, .folder_fd = -1};
    struct cache *cache = cache_open(&c);
    assert_non_null(cache);
    return cache;
}

static struct cache_key key_of(const char *url, const char *extra)
{
    struct span s = span_str(url);
    return (struct cache_key){cache_key_hash(s), s, span_str(extra)};
}

// Stores content of so many bytes; vary: the value of X-V where the response varies by it.
static void put(struct cache *c, const char *url, const char *extra, size_t bytes, const char *vary)
{
    struct cache_key k = key_of(url, extra);
    struct fields f, request;
    struct chunkq q;
    struct cache_body *b = cache_body_new(c, bytes);
    static const char zeros[1 << 16];
    fields_init(&f, &a);
    fields_init(&request, &a);
    chunkq_init(&q);
    for (size_t n = bytes; n; n -= MIN(n, sizeof zeros))
        assert_int_equal(chunkq_append(&q, NULL, zeros, MIN(n, sizeof zeros)), ERR_OK);
    assert_int_equal(cache_body_append(b, &q), ERR_OK);
    cache_body_finish(b);
    assert_int_equal(fields_add_named(&f, SPAN("X-Own"), SPAN("1")), ERR_OK);
    assert_int_equal(fields_add_named(&f, SPAN("Cache-Tag"), span_str(url)), ERR_OK);
    if (vary) {
        assert_int_equal(fields_add_named(&f, SPAN("Vary"), SPAN("X-V")), ERR_OK);
        assert_int_equal(fields_add_named(&request, SPAN("X-V"), span_str(vary)), ERR_OK);
    }
    struct cache_head h = {.key = &k, .status = 200, .fields = &f, .fresh = {.received_ms = now_ms, .lifetime_ms = 60000}, .body = b};
    assert_int_equal(vary_key(&f, &request, &a, &h.vary), ERR_OK);
    struct cache_object *o = cache_object_new(c, &h);
    assert_non_null(o);
    assert_true(cache_insert(c, o));
    cache_object_unref(o);
    cache_body_unref(b);
    chunkq_fini(&q);
}

static bool has(struct cache *c, const char *url, const char *extra, const char *vary)
{
    struct cache_key k = key_of(url, extra);
    struct fields request;
    bool known;
    fields_init(&request, &a);
    if (vary)
        assert_int_equal(fields_add_named(&request, SPAN("X-V"), span_str(vary)), ERR_OK);
    struct cache_object *o = cache_lookup(c, &k, &request, &a, &known);
    cache_object_unref(o);
    return o != NULL;
}

// Beside the least recently used in as much memory, with keys by Zipf's law: better, and for good.
enum { ZIPF_KEYS = 20000, ZIPF_BYTES = 1000, ZIPF_OBJECTS = 5000 };

struct lru {
    unsigned prev[ZIPF_KEYS + 1], next[ZIPF_KEYS + 1], n; // the last one is the ring's head
    bool in[ZIPF_KEYS];
};

static bool lru_asked(struct lru *l, unsigned k)
{
    bool hit = l->in[k];
    unsigned head = ZIPF_KEYS, out = hit ? k : l->n == ZIPF_OBJECTS ? l->prev[head] : head;
    if (out != head) {
        l->next[l->prev[out]] = l->next[out];
        l->prev[l->next[out]] = l->prev[out];
        l->in[out] = false;
        l->n--;
    }
    l->next[k] = l->next[head];
    l->prev[k] = head;
    l->prev[l->next[head]] = k;
    l->next[head] = k;
    l->in[k] = true;
    l->n++;
    return hit;
}

static unsigned zipf(uint64_t *rng)
{
    static double up_to[ZIPF_KEYS]; // how likely a key up to this one is
    for (unsigned i = 0; up_to[ZIPF_KEYS - 1] == 0 && i < ZIPF_KEYS; i++)
        up_to[i] = (i ? up_to[i - 1] : 0) + 1.0 / (i + 100);
    *rng = *rng * 6364136223846793005u + 1442695040888963407u;
    double u = (double)(*rng >> 11) / 9007199254740992.0 * up_to[ZIPF_KEYS - 1];
    unsigned low = 0, high = ZIPF_KEYS - 1;
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (up_to[mid] <= u)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void what_is_asked_for_often_stays(void **state)
{
    enum { ROUNDS = 6, EACH = 50000 };
    static struct lru l = {.prev[ZIPF_KEYS] = ZIPF_KEYS, .next[ZIPF_KEYS] = ZIPF_KEYS};
    char url[40];
    uint64_t rng = 1;
    unsigned best = 0;
    (void)state;
    struct cache *probe = open_cache("zipf-one", 1 << 20);
    put(probe, "http://a/1000", "", ZIPF_BYTES, NULL);
    uint64_t one = cache_stats_of(probe).used_bytes;
    put(probe, "http://a/1001", "", ZIPF_BYTES, NULL);
    one = cache_stats_of(probe).used_bytes - one;
    cache_close(probe);
    struct cache *c = open_cache("zipf", one * ZIPF_OBJECTS);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned hits = 0, lru_hits = 0;
        for (unsigned i = 0; i < EACH; i++) {
            unsigned k = zipf(&rng);
            snprintf(url, sizeof url, "http://a/%u", k);
            struct cache_key key = key_of(url, "");
            lru_hits += lru_asked(&l, k);
            if (has(c, url, "", NULL)) {
                hits++;
            } else {
                (void)cache_note_miss(c, &key, false);
                put(c, url, "", ZIPF_BYTES, NULL);
            }
            arena_reset(&a);
        }
        assert_true(hits > lru_hits + lru_hits / (round ? 7 : 14));
        best = MAX(best, hits);
        assert_true(hits > best - best / 50); // what was asked for long ago does not spoil it
    }
    cache_close(c);
}

static void keys_are_told_apart(void **state)
{
    (void)state;
    struct cache *c = open_cache("keys", 1 << 20);
    put(c, "http://a/x", "one", 10, NULL);
    put(c, "http://a/y", "one", 10, "v");
    assert_true(has(c, "http://a/x", "one", NULL));
    assert_false(has(c, "http://a/x", "two", NULL));
    assert_false(has(c, "http://a/xx", "one", NULL));
    assert_true(has(c, "http://a/y", "one", "v"));
    assert_false(has(c, "http://a/y", "one", "w"));
    assert_false(has(c, "http://a/y", "one", NULL));
    put(c, "http://a/y", "one", 10, "w");
    assert_true(has(c, "http://a/y", "one", "v") && has(c, "http://a/y", "one", "w"));
    assert_int_equal(cache_stats_of(c).objects, 3);
    assert_int_equal(cache_purge(c, PURGE_URL, SPAN("http://a/y"), false), 2);
    assert_int_equal(cache_purge(c, PURGE_TAG, SPAN("http://a/x"), false), 1);
    assert_int_equal(cache_purge(c, PURGE_ALL, SPAN_NONE, false), 0);
    put(c, "http://b/1", "", 10, NULL);
    put(c, "http://b/2", "", 10, NULL);
    put(c, "http://c/1", "", 10, NULL);
    assert_int_equal(cache_purge(c, PURGE_PREFIX, SPAN("http://b/"), false), 2);
    assert_true(has(c, "http://c/1", "", NULL));
    cache_close(c);
    cache_close(open_cache("keys", 1 << 20));
    assert_int_equal(cache_stats_of(c).objects, 0);
}

// What is charged is all that was allocated: nothing is left when everything has gone, but for the tables.
static void memory_is_accounted(void **state)
{
    (void)state;
    struct cache *c = open_cache("bytes", 64 << 20);
    put(c, "http://a/first", "", 100, NULL);
    uint64_t before = cache_stats_of(c).used_bytes;
    put(c, "http://a/second", "", 1000, NULL);
    uint64_t one = cache_stats_of(c).used_bytes - before;
    assert_in_range(one, 1000 + sizeof(struct cache_object), 1000 + sizeof(struct cache_object) + 1200);
    put(c, "http://a/third", "", (size_t)5 << 20, NULL);
    assert_in_range(cache_stats_of(c).used_bytes - before - one, (size_t)5 << 20, ((size_t)5 << 20) + 8192);
    assert_int_equal(cache_purge(c, PURGE_ALL, SPAN_NONE, false), 3);
    uint64_t tables = cache_stats_of(c).used_bytes;
    put(c, "http://a/first", "", 100, NULL);
    assert_int_equal(cache_purge(c, PURGE_ALL, SPAN_NONE, false), 1);
    assert_int_equal(cache_stats_of(c).used_bytes, tables);
    cache_close(c);
}

static void eviction_keeps_what_is_used(void **state)
{
    (void)state;
    enum { N = 4000, HOT = 40, BYTES = 4000 };
    uint64_t limit = 2 << 20;
    struct cache *c = open_cache("evict", limit);
    char url[40];
    unsigned hot = 0, cold = 0;
    for (unsigned i = 0; i < N; i++) {
        snprintf(url, sizeof url, "http://a/%u", i);
        put(c, url, "", BYTES, NULL);
        assert_true(cache_stats_of(c).used_bytes <= limit);
        for (unsigned k = 0; k < HOT && k <= i; k++) { // these are asked for again and again
            snprintf(url, sizeof url, "http://a/%u", k);
            (void)has(c, url, "", NULL);
        }
    }
    for (unsigned i = 0; i < N; i++) {
        snprintf(url, sizeof url, "http://a/%u", i);
        *(i < HOT ? &hot : &cold) += has(c, url, "", NULL);
    }
    assert_int_equal(hot, HOT); // a scan of a hundred times the memory has not driven them out
    assert_in_range(cold, 100, limit / BYTES);
    cache_close(c);
}

static void many_variants_of_one_url(void **state)
{
    (void)state;
    struct cache *c = open_cache("variants", 8 << 20);
    char v[16];
    for (unsigned i = 0; i < 500; i++) {
        snprintf(v, sizeof v, "%u", i);
        put(c, "http://a/x", "", 10, v);
    }
    assert_in_range(cache_stats_of(c).objects, 1, 64);
    assert_true(has(c, "http://a/x", "", "499"));
    assert_false(has(c, "http://a/x", "", "0"));
    cache_close(c);
}

static void urls_are_canonical(void **state)
{
    (void)state;
    static const struct span ignore[] = {SPAN_INIT("utm_*"), SPAN_INIT("f")};
    struct cache_key_rules r = {.ignore_query = ignore, .n_ignore = 2, .sort_query = true};
    static const struct {
        const char *url, *plain, *ruled;
    } t[] = {
        {"http://A.test:80/x?b=1&a=2", "http://a.test/x?b=1&a=2", "http://a.test/x?a=2&b=1"},
        {"https://a.test:443/x?utm_x=1", "https://a.test/x?utm_x=1", "https://a.test/x"},
        {"http://a.test:81/%41/../x?", "http://a.test:81/x?", "http://a.test:81/x?"},
        {"http://[::1]/x?f=1&ff=2", "http://[::1]/x?f=1&ff=2", "http://[::1]/x?ff=2"},
        {"http://a.test/x#y", "http://a.test/x", "http://a.test/x"},
    };
    struct span s;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        assert_true(cache_key_url_parse(span_str(t[i].url), NULL, &a, &s));
        if (!span_eq(s, span_str(t[i].plain)))
            fail_msg("%s: %.*s", t[i].url, SPAN_ARG(s));
        assert_true(cache_key_url_parse(span_str(t[i].url), &r, &a, &s));
        if (!span_eq(s, span_str(t[i].ruled)))
            fail_msg("%s: %.*s", t[i].url, SPAN_ARG(s));
    }
    assert_false(cache_key_url_parse(SPAN("/x"), NULL, &a, &s));
    assert_false(cache_key_url_parse(SPAN("ftp://a/x"), NULL, &a, &s));
}

// Each allocation fails once: nothing is lost, nothing breaks.
static unsigned countdown;
static bool fail_at(void *arg)
{
    (void)arg;
    return countdown && --countdown == 0;
}

static void memory_runs_out(void **state)
{
    (void)state;
    struct cache *c = open_cache("oom", 1 << 20);
    for (unsigned i = 1; i < 12; i++) {
        struct cache_key k = key_of("http://a/oom", "");
        struct fields f;
        fields_init(&f, &a);
        assert_int_equal(fields_add_named(&f, SPAN("X-Own"), SPAN("1")), ERR_OK);
        countdown = i;
        mem_fail_set(fail_at, NULL);
        struct cache_body *b = cache_body_new(c, 5);
        struct chunkq q;
        chunkq_init(&q);
        struct cache_object *o = NULL;
        if (b && !chunkq_append(&q, NULL, "12345", 5) && !cache_body_append(b, &q)) {
            cache_body_finish(b);
            struct cache_head h = {.key = &k, .status = 200, .fields = &f, .vary = SPAN(""), .body = b};
            o = cache_object_new(c, &h);
            if (o)
                (void)cache_insert(c, o);
        }
        mem_fail_set(NULL, NULL);
        chunkq_fini(&q);
        cache_object_unref(o);
        cache_body_unref(b);
        (void)cache_purge(c, PURGE_ALL, SPAN_NONE, false);
    }
    assert_int_equal(cache_stats_of(c).objects, 0);
    cache_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_told_apart),       cmocka_unit_test(memory_is_accounted), cmocka_unit_test(eviction_keeps_what_is_used),
        cmocka_unit_test(many_variants_of_one_url), cmocka_unit_test(urls_are_canonical),  cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(what_is_asked_for_often_stays),
    };
    arena_init(&a, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&a);
    arena_thread_fini();
    return failed;
}
