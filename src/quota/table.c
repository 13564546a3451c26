// SPDX-License-Identifier: Apache-2.0
#include "quota/table.h"

#include <pthread.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

enum { BUCKETS = 16384, EVICT_LOOKS = 64 };

static struct quota_entry *buckets[BUCKETS];
static unsigned n_entries, hand; // hand: where the search for something to forget goes on
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct quota_entry **bucket_of(const struct quota_key *k)
{
    uint64_t h = hash_keyed(k->who); // clients choose their names
    return &buckets[hash_fast_seed(k->period, hash_fast_seed(k->scope, h)) % BUCKETS];
}

static struct quota_entry *find_locked(struct quota_entry *head, const struct quota_key *k)
{
    while (head && !(span_eq(head->key.who, k->who) && span_eq(head->key.period, k->period) &&
                     span_eq(head->key.scope, k->scope)))
        head = head->next;
    if (head)
        head->holds++;
    return head;
}

struct quota_entry *quota_find(const struct quota_key *k)
{
    pthread_mutex_lock(&lock);
    struct quota_entry *e = find_locked(*bucket_of(k), k);
    pthread_mutex_unlock(&lock);
    return e;
}

static bool is_forgettable(const struct quota_entry *e)
{
    return !e->holds && !atomic_load_explicit(&e->unsaved, memory_order_relaxed);
}

// Whatever is saved and in nobody's hands can be read from the store again.
static bool forget_one(void)
{
    for (unsigned i = 0; i < BUCKETS; i++, hand = (hand + 1) % BUCKETS) {
        for (struct quota_entry **p = &buckets[hand], *e; (e = *p); p = &e->next) {
            if (!is_forgettable(e))
                continue;
            *p = e->next;
            mem_free(e);
            n_entries--;
            return true;
        }
    }
    return false;
}

static struct span put(char **p, struct span s)
{
    struct span r = span_of(*p, s.len);
    if (s.len)
        memcpy(*p, s.ptr, s.len);
    *p += s.len;
    return r;
}

static struct quota_entry *entry_new(const struct quota_key *k, uint64_t used)
{
    struct quota_entry *e =
        (struct quota_entry *)mem_calloc(1, sizeof *e + k->scope.len + k->who.len + k->period.len);
    if (!e)
        return NULL;
    char *p = e->text;
    e->key.scope = put(&p, k->scope);
    e->key.who = put(&p, k->who);
    e->key.period = put(&p, k->period);
    e->key.ends_s = k->ends_s;
    e->holds = 1;
    atomic_init(&e->used, used);
    atomic_init(&e->unsaved, 0);
    return e;
}

struct quota_entry *quota_insert(const struct quota_key *k, uint64_t used)
{
    pthread_mutex_lock(&lock);
    struct quota_entry **head = bucket_of(k), *e = find_locked(*head, k);
    if (!e && (n_entries < QUOTA_ENTRIES_MAX || forget_one()) && (e = entry_new(k, used))) {
        e->next = *head;
        *head = e;
        n_entries++;
    }
    pthread_mutex_unlock(&lock);
    return e;
}

void quota_release(struct quota_entry *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&lock);
    CHECK(e->holds > 0);
    e->holds--;
    pthread_mutex_unlock(&lock);
}

unsigned quota_collect_unsaved(struct quota_entry **v, unsigned max, bool all)
{
    unsigned n = 0;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (struct quota_entry *e = buckets[i]; e && n < max; e = e->next) {
            if (all)
                atomic_store_explicit(&e->unsaved, atomic_load_explicit(&e->used, memory_order_relaxed),
                                      memory_order_relaxed);
            if (!atomic_load_explicit(&e->unsaved, memory_order_relaxed))
                continue;
            e->holds++;
            v[n++] = e;
        }
    }
    pthread_mutex_unlock(&lock);
    return n;
}

void quota_summary(struct span scope, struct span period, uint64_t limit, unsigned *ret_users,
                   unsigned *ret_over)
{
    unsigned users = 0, over = 0;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (struct quota_entry *e = buckets[i]; e; e = e->next) {
            if (!span_eq(e->key.scope, scope) || !span_eq(e->key.period, period))
                continue;
            users++;
            over += quota_used(e) >= limit;
        }
    }
    pthread_mutex_unlock(&lock);
    *ret_users = users;
    *ret_over = over;
}

void quota_table_clear(void)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (struct quota_entry *e = buckets[i], *next; e; e = next) {
            next = e->next;
            CHECK(!e->holds);
            mem_free(e);
        }
        buckets[i] = NULL;
    }
    n_entries = 0;
    pthread_mutex_unlock(&lock);
}
