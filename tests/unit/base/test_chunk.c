// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/chunk.h"
#include "base/mem.h"

static void chunks_have_the_smallest_size_that_fits(void **state)
{
    (void)state;
    static const struct {
        size_t want, cap;
    } rows[] = {
        {0, CHUNK_SMALL_BYTES},
        {CHUNK_SMALL_BYTES, CHUNK_SMALL_BYTES},
        {CHUNK_SMALL_BYTES + 1, CHUNK_MEDIUM_BYTES},
        {CHUNK_MEDIUM_BYTES + 1, CHUNK_LARGE_BYTES},
        {CHUNK_LARGE_BYTES + 1, CHUNK_LARGE_BYTES + 1},
    };
    int64_t live = chunk_live_count();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chunk *c = chunk_new(rows[i].want);
        assert_int_equal(c->cap, rows[i].cap);
        assert_int_equal(c->used, 0);
        memset(c->data, 1, c->cap);
        assert_int_equal(chunk_live_count(), live + 1);
        assert_false(chunk_is_shared(c));
        assert_ptr_equal(chunk_ref(c), c);
        assert_true(chunk_is_shared(c));
        chunk_unref(c);
        assert_false(chunk_is_shared(c));
        chunk_unref(c);
    }
    chunk_unref(NULL);
    assert_int_equal(chunk_live_count(), live);
    assert_null(chunk_new((size_t)UINT32_MAX + 1));
}

static void a_freed_chunk_is_the_next_one(void **state)
{
    (void)state;
    struct chunk *a = chunk_new(1), *b = chunk_new(1);
    chunk_unref(a);
    chunk_unref(b);
    struct chunk *c = chunk_new(1), *d = chunk_new(1);
    assert_ptr_equal(c, b);
    assert_ptr_equal(d, a);
    chunk_unref(c);
    chunk_unref(d);
}

// The model of a queue: its bytes as one string.
struct model {
    char bytes[1 << 20];
    size_t len;
};

static void check_same(const struct chunkq *q, const struct model *m)
{
    static char got[sizeof(m->bytes)];
    assert_int_equal(q->bytes, m->len);
    assert_int_equal(chunkq_peek(q, got, sizeof(got)), m->len);
    assert_memory_equal(got, m->bytes, m->len);
    size_t sum = 0;
    struct iovec iov[8];
    unsigned n = chunkq_iov(q, iov, ARRAY_LEN(iov));
    assert_int_equal(n, MIN(q->n, 8u));
    for (unsigned i = 0; i < n; i++) {
        assert_true(iov[i].iov_len > 0);
        assert_memory_equal(iov[i].iov_base, m->bytes + sum, iov[i].iov_len);
        sum += iov[i].iov_len;
    }
    struct span first = chunkq_first(q);
    assert_int_equal(first.len == 0, m->len == 0);
    if (first.len)
        assert_memory_equal(first.ptr, m->bytes, first.len);
}

static void model_append(struct model *m, const char *p, size_t n)
{
    assert_true(m->len + n <= sizeof(m->bytes));
    memcpy(m->bytes + m->len, p, n);
    m->len += n;
}

static void model_skip(struct model *m, size_t n)
{
    n = MIN(n, m->len);
    memmove(m->bytes, m->bytes + n, m->len - n);
    m->len -= n;
}

static unsigned pick(unsigned *seed, unsigned n)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 8) % n;
}

// Random operations on two queues and on their models, which must always agree.
static void queues_behave_as_strings(void **state)
{
    (void)state;
    static struct model m[2];
    static char text[70000];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i % 26);
    for (unsigned seed = 1; seed <= 20; seed++) {
        unsigned rnd = seed;
        int64_t live = chunk_live_count();
        struct chunkq q[2];
        m[0].len = m[1].len = 0;
        chunkq_init(&q[0]);
        chunkq_init(&q[1]);
        for (unsigned step = 0; step < 300; step++) {
            unsigned k = pick(&rnd, 2);
            size_t n = pick(&rnd, pick(&rnd, 8) ? 40 : sizeof(text));
            const char *p = text + pick(&rnd, (unsigned)(sizeof(text) - n));
            if (m[0].len + m[1].len > sizeof(m->bytes) / 2 - 2 * sizeof(text)) {
                chunkq_clear(&q[k]);
                m[k].len = 0;
            }
            size_t most = MIN(n, m[!k].len);
            switch (pick(&rnd, 8)) {
            case 0:
            case 1:
                assert_int_equal(chunkq_append_copy(&q[k], p, n), ERR_OK);
                model_append(&m[k], p, n);
                break;
            case 2: // borrowed
                assert_int_equal(chunkq_append(&q[k], NULL, p, n), ERR_OK);
                model_append(&m[k], p, n);
                break;
            case 3: { // a chunk of one's own, appended in two runs that touch
                struct chunk *c = chunk_new(n);
                memcpy(c->data, p, n);
                c->used = (uint32_t)n;
                size_t half = n / 2;
                assert_int_equal(chunkq_append(&q[k], c, c->data, half), ERR_OK);
                assert_int_equal(chunkq_append(&q[k], c, c->data + half, n - half), ERR_OK);
                chunk_unref(c);
                model_append(&m[k], p, n);
                break;
            }
            case 4: {
                assert_int_equal(chunkq_prepend(&q[k], NULL, p, n), ERR_OK);
                assert_true(m[k].len + n <= sizeof(m->bytes));
                memmove(m[k].bytes + n, m[k].bytes, m[k].len);
                memcpy(m[k].bytes, p, n);
                m[k].len += n;
                break;
            }
            case 5:
                assert_int_equal(chunkq_move(&q[k], &q[!k], n), ERR_OK);
                model_append(&m[k], m[!k].bytes, most);
                model_skip(&m[!k], most);
                break;
            case 6:
                assert_int_equal(chunkq_share(&q[k], &q[!k], n), ERR_OK);
                model_append(&m[k], m[!k].bytes, most);
                break;
            case 7:
                chunkq_skip(&q[k], n);
                model_skip(&m[k], n);
                break;
            }
            check_same(&q[0], &m[0]);
            check_same(&q[1], &m[1]);
        }
        chunkq_fini(&q[0]);
        chunkq_fini(&q[1]);
        assert_int_equal(chunk_live_count(), live);
    }
}

// What one queue shares with another never changes under it, whatever is appended later.
static void shared_bytes_do_not_change(void **state)
{
    (void)state;
    struct chunkq a, b;
    chunkq_init(&a);
    chunkq_init(&b);
    assert_int_equal(chunkq_append_copy(&a, "hello", 5), ERR_OK);
    assert_int_equal(chunkq_share(&b, &a, 5), ERR_OK);
    assert_int_equal(chunkq_append_copy(&a, " there", 6), ERR_OK);
    assert_int_equal(chunkq_append_copy(&b, " world", 6), ERR_OK);
    char got[16];
    assert_int_equal(chunkq_peek(&a, got, sizeof(got)), 11);
    assert_memory_equal(got, "hello there", 11);
    assert_int_equal(chunkq_peek(&b, got, sizeof(got)), 11);
    assert_memory_equal(got, "hello world", 11);
    chunkq_fini(&a);
    chunkq_fini(&b);
}

static void runs_that_touch_are_merged(void **state)
{
    (void)state;
    struct chunkq q;
    chunkq_init(&q);
    struct chunk *c = chunk_new(100);
    c->used = 100;
    memset(c->data, 'x', 100);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(chunkq_append(&q, c, c->data + i, 1), ERR_OK);
    assert_int_equal(q.n, 1);
    assert_int_equal(q.bytes, 100);
    assert_int_equal(chunkq_append(&q, c, c->data, 0), ERR_OK);
    assert_int_equal(q.n, 1);
    chunkq_fini(&q);
    assert_false(chunk_is_shared(c));
    chunk_unref(c);
}

static bool nth(void *arg)
{
    unsigned *left = arg;
    return *left && --*left == 0;
}

// Every allocation of a run of operations fails once: the error is returned, and nothing is lost or leaked.
static void every_allocation_fails_once(void **state)
{
    (void)state;
    bool failed = true;
    for (unsigned at = 1; failed; at++) {
        assert_true(at < 1000);
        chunk_thread_fini();
        int64_t live = chunk_live_count(), mem = mem_live_count();
        struct chunkq a, b;
        chunkq_init(&a);
        chunkq_init(&b);
        unsigned left = at;
        mem_fail_set(nth, &left);
        failed = false;
        char text[] = "0123456789";
        for (unsigned i = 0; i < 20 && !failed; i++) {
            failed = chunkq_append_copy(&a, text, 5) != ERR_OK ||
                     chunkq_append(&a, NULL, text, 3) != ERR_OK ||
                     chunkq_prepend(&b, NULL, text, 2) != ERR_OK || chunkq_share(&b, &a, 4) != ERR_OK;
        }
        size_t sum = a.bytes + b.bytes;
        if (!failed)
            failed = chunkq_move(&b, &a, SIZE_MAX) != ERR_OK;
        assert_int_equal(a.bytes + b.bytes, sum);
        mem_fail_set(NULL, NULL);
        assert_int_equal(failed, left == 0);
        chunkq_fini(&a);
        chunkq_fini(&b);
        chunk_thread_fini();
        assert_int_equal(chunk_live_count(), live);
        assert_int_equal(mem_live_count(), mem);
    }
}

static int nothing_is_left(void **state)
{
    (void)state;
    chunk_thread_fini();
    return mem_live_count() == 0 && chunk_live_count() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_have_the_smallest_size_that_fits),
        cmocka_unit_test(a_freed_chunk_is_the_next_one),
        cmocka_unit_test(queues_behave_as_strings),
        cmocka_unit_test(shared_bytes_do_not_change),
        cmocka_unit_test(runs_that_touch_are_merged),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, nothing_is_left);
}
