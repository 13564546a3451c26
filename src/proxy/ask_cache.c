// SPDX-License-Identifier: Apache-2.0
// What commands ask of the cache: `purge` and `why`.
#include "http/freshness.h"
#include "io/loop.h"
#include "proxy/ask.h"
#include "proxy/generation.h"

enum { URLS_MAX = 64 }; // a URL as the different `key` statements write it

struct urls {
    struct arena *arena;
    struct span given;
    struct span v[URLS_MAX];
    struct cache *caches[URLS_MAX];
    unsigned n;
};

static void add_url(struct urls *u, const struct cache_use *use)
{
    struct span url;
    if (!use || !cache_key_url_parse(u->given, &use->key, u->arena, &url))
        return;
    for (unsigned i = 0; i < u->n; i++)
        if (u->caches[i] == use->cache && span_eq(u->v[i], url))
            return;
    if (u->n == URLS_MAX)
        return;
    u->caches[u->n] = use->cache;
    u->v[u->n++] = url;
}

// The URL by the rules of everybody who uses a cache.
static void collect_urls(const struct generation *g, struct span given, struct arena *a, struct urls *ret)
{
    *ret = (struct urls){.arena = a, .given = given};
    for (unsigned i = 0; i < g->n_sites; i++)
        for (unsigned k = 0; k < g->sites[i]->n_routes; k++)
            add_url(ret, g->sites[i]->routes[k].cache);
    for (unsigned i = 0; i < g->n_proxies; i++)
        add_url(ret, g->proxies[i]->cache);
}

static bool is_url(struct ask *k, struct span given)
{
    struct span url;
    if (cache_key_url_parse(given, NULL, k->arena, &url))
        return true;
    k->status = 2;
    ask_say(k, "`%.*s` is no URL: it begins with http:// or https:// and has a host\n", SPAN_ARG(given));
    return false;
}

// ---- purge [soft] url|prefix|tag|all WHAT

static uint64_t purge_url(struct ask *k, struct span given, bool soft)
{
    struct urls u;
    uint64_t n = 0;
    collect_urls(k->gen, given, k->arena, &u);
    for (unsigned i = 0; i < u.n; i++)
        n += cache_purge(u.caches[i], PURGE_URL, u.v[i], soft);
    return n;
}

// The prefix in the form that keys have; what ends in the middle of a query stays as it is.
static struct span prefix_of(struct ask *k, struct span given)
{
    struct span query = given, url, path = span_cut(&query, '?');
    if (!cache_key_url_parse(path, NULL, k->arena, &url))
        return given;
    return query.ptr ? arena_printf(k->arena, "%.*s?%.*s", SPAN_ARG(url), SPAN_ARG(query)) : url;
}

void ask_purge(struct ask *k)
{
    struct span what = k->rest, kind = span_cut(&what, ' ');
    bool soft = span_eq(kind, SPAN("soft"));
    uint64_t n = 0;
    if (soft)
        kind = span_cut(&what, ' ');
    if (span_eq(kind, SPAN("all"))) {
        n = cache_purge_everywhere(PURGE_ALL, SPAN_NONE, soft);
    } else if (span_eq(kind, SPAN("tag")) && what.len) {
        n = cache_purge_everywhere(PURGE_TAG, what, soft);
    } else if (span_eq(kind, SPAN("url")) || span_eq(kind, SPAN("prefix"))) {
        if (!is_url(k, what))
            return;
        n = span_eq(kind, SPAN("url")) ? purge_url(k, what, soft) : cache_purge_everywhere(PURGE_PREFIX, prefix_of(k, what), soft);
    } else {
        k->status = 2;
        ask_say(k, "purge wants to know what\n");
        return;
    }
    cache_sync_everywhere();
    if (k->json)
        ask_say(k, "{\"purged\": %llu, \"soft\": %s}\n", (unsigned long long)n, soft ? "true" : "false");
    else
        ask_say(k, soft ? "%llu stored responses are stale now\n" : "%llu stored responses purged\n", (unsigned long long)n);
}

// ---- why URL

static void say_seconds(struct ask *k, const char *before, int64_t ms, const char *behind)
{
    ask_say(k, "%s%lld s%s", before, (long long)(ms / 1000), behind);
}

static void say_stored(void *arg, const struct cache_inspection *i)
{
    struct ask *k = (struct ask *)arg;
    ask_say(k, "%.*s: ", SPAN_ARG(i->cache));
    if (!i->status) {
        ask_say(k, "not stored: %s", storable_text(i->why));
        say_seconds(k, "; remembered for another ", i->left_ms, "\n");
        return;
    }
    ask_say(k, "stored, status %u, %llu bytes%s%s, in %s; ", i->status, (unsigned long long)i->bytes, i->filling ? " so far" : "", i->partial ? ", a part" : "",
            !i->on_disk ? "memory" : i->in_memory ? "memory and on disk" : "the folder on disk");
    say_seconds(k, "age ", i->age_ms, "; ");
    if (i->fresh)
        say_seconds(k, "fresh for another ", i->left_ms, "");
    else
        say_seconds(k, i->left_ms > 0 ? "to be validated; its lifetime has another " : "stale for ", i->left_ms > 0 ? i->left_ms : -i->left_ms, "");
    if (i->etag.len)
        ask_say(k, "; ETag %.*s", SPAN_ARG(i->etag));
    if (i->vary.len)
        ask_say(k, "; Vary: %.*s", SPAN_ARG(i->vary));
    ask_say(k, "\n");
}

void ask_why(struct ask *k)
{
    struct urls u;
    unsigned n = 0;
    if (!is_url(k, k->rest))
        return;
    collect_urls(k->gen, k->rest, k->arena, &u);
    for (unsigned i = 0; i < u.n; i++) {
        bool seen = false; // each one is looked for in all caches
        for (unsigned j = 0; j < i; j++)
            seen |= span_eq(u.v[i], u.v[j]);
        if (!seen)
            n += cache_inspect(u.v[i], (int64_t)loop_wall_ms(), say_stored, k);
    }
    if (!u.n)
        ask_say(k, "nothing is stored: no site and no proxy uses a cache\n");
    else if (!n)
        ask_say(k, "not stored: nothing was asked for under this URL lately that could be, or it is gone again\n");
}
