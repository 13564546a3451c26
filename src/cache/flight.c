// SPDX-License-Identifier: Apache-2.0
// One fetch for many. A flight hangs on its URL's entry while it is under way, under the shard's lock, which is its own too.
#include "base/mem.h"
#include "cache/internal.h"
#include "cache/wait.h"
#include "http/vary.h"

struct cache_flight {
    struct list node; // of the entry
    _Atomic uint32_t refs;
    struct cache *cache;
    struct cache_entry *entry; // NULL once it has ended
    struct cache_key key;
    struct span vary; // for which values, by what is known of the URL's answers
    struct list waiters;
    unsigned n_waiters;
    uint32_t purges; // cache_purges_of at its beginning: who asks after the next one waits for an answer of its own
    enum flight_end how;
    enum err err;
    struct cache_object *object;
    char text[];
};

static struct shard *shard_of(const struct cache_flight *f)
{
    return cache_shard(f->cache, f->key.hash);
}

static char *keep(char *o, struct span s, struct span *ret)
{
    if (s.len)
        memcpy(o, s.ptr, s.len);
    *ret = span_of(o, s.len);
    return o + s.len;
}

static struct cache_flight *flight_new(struct cache *c, const struct cache_key *k, struct span vary)
{
    struct cache_flight *f = (struct cache_flight *)mem_alloc(sizeof *f + k->url.len + k->extra.len + vary.len);
    if (!f)
        return NULL;
    memset(f, 0, sizeof *f);
    atomic_init(&f->refs, 2); // the leader's and the index's
    f->cache = c;
    f->key.hash = k->hash;
    f->purges = cache_purges_of(c, k->hash);
    keep(keep(keep(f->text, k->url, &f->key.url), k->extra, &f->key.extra), vary, &f->vary);
    list_init(&f->waiters);
    return f;
}

void cache_flight_unref(struct cache_flight *f)
{
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    cache_object_unref(f->object);
    mem_free(f);
}

static struct cache_flight *find(struct cache_entry *e, struct span extra, const struct fields *request, struct arena *a)
{
    LIST_FOREACH (it, &e->flights) {
        struct cache_flight *f = container_of(it, struct cache_flight, node);
        if (f->purges == cache_purges_of(f->cache, f->key.hash) && span_eq(f->key.extra, extra) && (f->vary.len == 0 || vary_matches(f->vary, request, a)))
            return f;
    }
    return NULL;
}

// The secondary key that the answer will probably have: by the names in that of the newest answer of the URL.
static enum err expected_vary(struct cache_entry *e, struct span extra, const struct fields *request, struct arena *a, struct span *ret)
{
    *ret = SPAN("");
    LIST_FOREACH (it, &e->variants) {
        const struct cache_object *o = container_of(it, const struct cache_object, variant);
        if (span_eq(o->key.extra, extra))
            return o->vary.len ? vary_rekey(o->vary, request, a, ret) : ERR_OK;
    }
    return ERR_OK;
}

static enum flight_role begin(struct cache *c, struct cache_entry *e, const struct cache_key *k, struct span vary, struct cache_flight **ret)
{
    struct cache_flight *f = flight_new(c, k, vary);
    if (!f)
        return FLIGHT_ALONE;
    f->entry = e;
    list_push_back(&e->flights, &f->node);
    *ret = f;
    return FLIGHT_LEAD;
}

static enum flight_role enter_locked(struct cache *c, struct shard *s, const struct cache_key *k, const struct fields *request, struct arena *a,
                                     const struct cache_object *seen, struct cache_flight **ret)
{
    struct span vary;
    struct cache_entry *e = index_find_or_add(c, s, k->hash, k->url);
    if (!e)
        return FLIGHT_ALONE;
    enum flight_role role;
    struct cache_flight *f = find(e, k->extra, request, a);
    if (seen && cache_body_disk(seen->body))
        seen = NULL; // of which the index knows nothing
    if (index_match(e, k->extra, request, a) != seen) {
        role = FLIGHT_AGAIN;
    } else if (f) {
        atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
        f->n_waiters++;
        *ret = f;
        role = FLIGHT_WAIT;
    } else {
        role = expected_vary(e, k->extra, request, a, &vary) ? FLIGHT_ALONE : begin(c, e, k, vary, ret);
    }
    index_tidy(c, s, e);
    return role;
}

enum flight_role cache_flight_enter(struct cache *c, const struct cache_key *k, const struct fields *request, struct arena *a,
                                    const struct cache_object *seen, struct cache_flight **ret_flight)
{
    struct shard *s = cache_shard(c, k->hash);
    pthread_mutex_lock(&s->lock);
    enum flight_role role = enter_locked(c, s, k, request, a, seen, ret_flight);
    pthread_mutex_unlock(&s->lock);
    return role;
}

void cache_flight_end(struct cache_flight *f, enum flight_end how, struct cache_object *object, enum err e)
{
    struct shard *s = shard_of(f);
    pthread_mutex_lock(&s->lock);
    bool first = f->entry != NULL;
    if (first) {
        f->how = how;
        f->err = e;
        f->object = object ? cache_object_ref(object) : NULL;
        list_remove(&f->node);
        index_tidy(f->cache, s, f->entry);
        f->entry = NULL;
        cache_wake_all(&f->waiters);
    }
    pthread_mutex_unlock(&s->lock);
    if (first)
        cache_flight_unref(f); // the index's
}

void cache_flight_leave(struct cache_flight *f)
{
    struct shard *s = shard_of(f);
    pthread_mutex_lock(&s->lock);
    f->n_waiters--;
    pthread_mutex_unlock(&s->lock);
    cache_flight_unref(f);
}

unsigned cache_flight_waiters(struct cache_flight *f)
{
    struct shard *s = shard_of(f);
    pthread_mutex_lock(&s->lock);
    unsigned n = f->n_waiters;
    pthread_mutex_unlock(&s->lock);
    return n;
}

enum err cache_flight_wait(struct cache_flight *f, enum flight_end *ret_how, struct cache_object **ret_object, enum err *ret_err)
{
    struct shard *s = shard_of(f);
    struct cache_waiter *w = cache_waiter_new();
    enum err e = w ? ERR_OK : ERR_NO_MEMORY;
    pthread_mutex_lock(&s->lock);
    bool ended = f->entry == NULL;
    if (!ended && w)
        cache_waiter_join(&f->waiters, w);
    pthread_mutex_unlock(&s->lock);
    if (ended)
        cache_waiter_free(w);
    else if (w)
        e = cache_waiter_wait(w, &s->lock);
    pthread_mutex_lock(&s->lock);
    f->n_waiters--;
    if (!e || ended) {
        e = ERR_OK;
        *ret_how = f->how;
        *ret_err = f->err;
        *ret_object = f->object ? cache_object_ref(f->object) : NULL;
    }
    pthread_mutex_unlock(&s->lock);
    return e;
}
