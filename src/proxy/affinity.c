// SPDX-License-Identifier: Apache-2.0
#include "proxy/affinity.h"

#include "base/hash.h"
#include "proxy/choice.h"

struct span affinity_cookie(const struct exchange *x, struct span name)
{
    for (const struct field *f = fields_get(&x->req->fields, FIELD_COOKIE); f; f = fields_next(&x->req->fields, f)) {
        struct span rest = f->value;
        while (rest.ptr) {
            struct span value = span_cut(&rest, ';'), n = span_trim(span_cut(&value, '='));
            if (value.ptr && span_eq(n, name))
                return span_trim(value);
        }
    }
    return SPAN_NONE;
}

static struct span query_value(struct span query, struct span name)
{
    while (query.ptr) {
        struct span value = span_cut(&query, '&'), n = span_cut(&value, '=');
        if (span_eq(n, name))
            return value.ptr ? value : SPAN("");
    }
    return SPAN_NONE;
}

static struct span key_text(const struct exchange *x, enum pool_key key, struct span name)
{
    const struct field *f;
    switch (key) {
    case POOL_KEY_CLIENT_IP:
        return addr_ip_bytes(&x->client_addr);
    case POOL_KEY_HEADER:
        f = fields_find(&x->req->fields, name);
        return f ? f->value : SPAN_NONE;
    case POOL_KEY_COOKIE:
        return affinity_cookie(x, name);
    case POOL_KEY_PATH:
        return x->req->path;
    case POOL_KEY_QUERY:
        return query_value(x->req->query, name);
    case POOL_KEY_NONE:
        break;
    }
    return SPAN_NONE;
}

bool affinity_key(const struct exchange *x, enum pool_key key, struct span name, uint64_t *ret)
{
    struct span text = key_text(x, key, name);
    if (!text.ptr)
        return false;
    *ret = hash_fast(text); // not with the process's key: where a client goes survives restarts
    return true;
}

void affinity_find(const struct exchange *x, const struct pool *p, struct pick *k)
{
    if (p->sticky_cookie.len)
        k->session = affinity_cookie(x, p->sticky_cookie);
    if (p->key)
        k->has_key = affinity_key(x, p->key, p->key_name, &k->key);
}

static enum err set_cookie(struct exchange *x, struct span name, struct span value)
{
    bool secure = span_eq(x->scheme, SPAN("https"));
    struct span s = arena_printf(x->arena, "%.*s=%.*s; Path=/; HttpOnly; SameSite=Lax%s", SPAN_ARG(name), SPAN_ARG(value), secure ? "; Secure" : "");
    return s.ptr ? fields_add(&x->resp.fields, FIELD_SET_COOKIE, s) : ERR_NO_MEMORY;
}

static enum err set_place(struct exchange *x)
{
    struct span place = arena_printf(x->arena, "%u", (unsigned)x->split_place - 1);
    return place.ptr ? set_cookie(x, x->route->choice->by_name, place) : ERR_NO_MEMORY;
}

enum err affinity_answer(struct exchange *x)
{
    const struct pool *p = x->pool;
    char text[STICKY_TOKEN_BYTES];
    enum err e = unlikely(x->split_place) ? set_place(x) : ERR_OK;
    if (e)
        return e;
    if (likely(!p->sticky_cookie.len) || !x->target.member)
        return ERR_OK;
    sticky_token(p, x->target.server, &x->target.member->addr, text);
    struct span token = span_of(text, sizeof text);
    return span_eq(affinity_cookie(x, p->sticky_cookie), token) ? ERR_OK : set_cookie(x, p->sticky_cookie, token);
}
