// SPDX-License-Identifier: Apache-2.0
// The secondary key of an answer, where what the server saw is not what the client sent.
#include "http/device.h"
#include "proxy/cache_keep.h"

// What the server saw of a field that Vary names.
enum seen {
    SEEN_AS_SENT,
    SEEN_BY_KEY,  // all who have this key have the same: statements wrote it
    SEEN_BY_NONE, // statements wrote it from more than the key: it cannot be told from another client's request
};

static enum seen after(const struct field_ops *ops, struct span name, bool by_device, enum seen seen)
{
    for (unsigned i = 0; i < ops->n; i++) {
        const struct field_op *op = &ops->v[i];
        if (op->on_response || !span_eq_ci(op->name, name))
            continue;
        if (op->kind == FIELD_OP_SET || op->kind == FIELD_OP_REMOVE)
            seen = SEEN_BY_KEY;
        if (op->kind != FIELD_OP_REMOVE && !text_is_keyed(&op->value, by_device))
            seen = SEEN_BY_NONE;
    }
    return seen;
}

static enum seen server_saw(const struct exchange *x, const struct cache_use *use, struct span name)
{
    enum seen s = use->key_device && device_covers(name) ? SEEN_BY_KEY : SEEN_AS_SENT;
    if (x->site)
        s = after(&x->site->fields, name, use->key_device, s);
    return x->route ? after(&x->route->fields, name, use->key_device, s) : s;
}

// Whether anything above can make a difference.
static bool needs_care(const struct exchange *x, const struct cache_use *use)
{
    return use->key_device || (x->site && x->site->fields.n) || (x->route && x->route->fields.n);
}

// Vary without the names that the key stands for.
static enum err remaining(struct exchange *x, const struct cache_use *use, const struct fields *response, struct fields *ret)
{
    fields_init(ret, x->arena);
    for (const struct field *f = fields_get(response, FIELD_VARY); f; f = fields_next(response, f)) {
        struct span rest = f->value, name;
        while (list_next(&rest, &name)) {
            enum seen s = server_saw(x, use, name);
            if (s == SEEN_BY_NONE)
                return ERR_AGAIN;
            if (s == SEEN_AS_SENT && fields_add(ret, FIELD_VARY, name))
                return ERR_NO_MEMORY;
        }
    }
    return ERR_OK;
}

enum err cache_vary_key(struct exchange *x, const struct cache_use *use, const struct fields *response, struct span *ret)
{
    struct fields vary;
    if (likely(!fields_may_have(response, FIELD_VARY)) || !needs_care(x, use))
        return vary_key(response, &x->req->fields, x->arena, ret);
    enum err e = remaining(x, use, response, &vary);
    return e ? e : vary_key(&vary, &x->req->fields, x->arena, ret);
}
