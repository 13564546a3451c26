// SPDX-License-Identifier: Apache-2.0
// The method PURGE, for those who may.
#include "base/num.h"
#include "proxy/cached.h"
#include "proxy/page.h"

enum { TEXT_BYTES = 64 };

static bool is_soft(const struct fields *f)
{
    const struct field *s = fields_find(f, SPAN("soft-purge"));
    return s && span_eq(s->value, SPAN("1"));
}

// *ret_any: there were tags.
static uint64_t purge_tags(struct cache *c, const struct fields *f, bool soft, bool *ret_any)
{
    static const struct {
        struct span name;
        char separator;
    } kinds[] = {{SPAN_INIT("cache-tag"), ','}, {SPAN_INIT("surrogate-key"), ' '}, {SPAN_INIT("xkey"), ' '}};
    uint64_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        for (const struct field *x = fields_find(f, kinds[i].name); x; x = fields_find_next(f, x)) {
            for (struct span rest = x->value; rest.ptr;) {
                struct span tag = span_trim(span_cut(&rest, kinds[i].separator));
                if (!tag.len)
                    continue;
                n += cache_purge(c, PURGE_TAG, tag, soft);
                *ret_any = true;
            }
        }
    }
    return n;
}

static enum err answer(struct exchange *x, uint64_t n, bool soft)
{
    char *p = arena_bytes(x->arena, TEXT_BYTES);
    if (!p)
        return ERR_NO_MEMORY;
    size_t len = num_put_dec(p, n);
    struct span rest = soft ? SPAN(" stored responses are stale now\n") : SPAN(" stored responses purged\n");
    memcpy(p + len, rest.ptr, rest.len);
    x->answer = ANSWER_LOCAL;
    return page_text(200, span_of(p, len + rest.len), &x->resp, &x->content);
}

static bool may_purge(const struct exchange *x, const struct cache_use *use)
{
    struct addr a = addr_canonical(&x->client_addr);
    for (unsigned i = 0; use && i < use->n_purge_from; i++)
        if (prefix_has(&use->purge_from[i], &a))
            return true;
    return false;
}

enum err cache_answer_purge(struct exchange *x)
{
    const struct cache_use *use = cache_use_of(x);
    const struct request *r = x->req;
    struct span url;
    bool tags = false;
    if (!may_purge(x, use))
        return ERR_METHOD_REFUSED;
    bool soft = use->purge_soft || is_soft(&r->fields);
    uint64_t n = purge_tags(use->cache, &r->fields, soft, &tags);
    if (tags)
        return answer(x, n, soft);
    enum err e = cache_key_url(x->proxy ? r->scheme : x->scheme, &r->authority, r->path, r->query, &use->key, x->arena, &url);
    return e ? e : answer(x, cache_purge(use->cache, PURGE_URL, url, soft), soft);
}
