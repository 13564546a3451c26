// SPDX-License-Identifier: Apache-2.0
#include "icap/options.h"

#include "base/num.h"

enum {
    TTL_DEFAULT_S = 3600, // of a service that says none
    TTL_MAX_S = 86400,
    LIST_MAX_BYTES = 8192,
};

void icap_tag_of(const struct fields *f, struct icap_tag *ret)
{
    const struct field *x = fields_find(f, SPAN("ISTag"));
    struct span v = x ? x->value : SPAN_NONE;
    if (v.len >= 2 && v.ptr[0] == '"' && v.ptr[v.len - 1] == '"')
        v = span_of(v.ptr + 1, v.len - 2);
    ret->len = (uint8_t)MIN(v.len, (size_t)ICAP_TAG_MAX_BYTES);
    if (ret->len)
        memcpy(ret->text, v.ptr, ret->len);
}

bool icap_tag_eq(const struct icap_tag *a, const struct icap_tag *b)
{
    return span_eq(span_of(a->text, a->len), span_of(b->text, b->len));
}

// A number that is there and makes no sense is as if it were not there.
static bool number(const struct fields *f, struct span name, uint64_t max, uint64_t *ret)
{
    const struct field *x = fields_find(f, name);
    uint64_t v;
    if (!x || !num_parse_dec(x->value, UINT64_MAX, &v))
        return false;
    *ret = MIN(v, max);
    return true;
}

static bool says(const struct fields *f, struct span name, struct span token)
{
    for (const struct field *x = fields_find(f, name); x; x = fields_find_next(f, x))
        if (list_has(x->value, token))
            return true;
    return false;
}

static enum err read_transfers(const struct fields *f, struct arena *a, struct icap_options *o)
{
    static const struct span names[] = {SPAN_INIT("Transfer-Preview"), SPAN_INIT("Transfer-Complete"),
                                        SPAN_INIT("Transfer-Ignore")};
    for (unsigned i = 0; i < N_ICAP_TRANSFERS; i++) {
        const struct field *x = fields_find(f, names[i]);
        if (x && x->value.len > LIST_MAX_BYTES)
            return ERR_BAD_RESPONSE;
        if (x && !arena_dup(a, x->value, &o->transfer[i]))
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

enum err icap_options_parse(const struct icap_answer *answer, struct arena *a, struct icap_options *ret)
{
    const struct fields *f = &answer->fields;
    struct icap_options o = {.ttl_s = TTL_DEFAULT_S};
    uint64_t n;
    o.reqmod = says(f, SPAN("Methods"), SPAN("REQMOD"));
    o.respmod = says(f, SPAN("Methods"), SPAN("RESPMOD"));
    if (answer->status != 200 || (!o.reqmod && !o.respmod))
        return ERR_BAD_RESPONSE;
    o.allow_204 = says(f, SPAN("Allow"), SPAN("204"));
    if (number(f, SPAN("Preview"), ICAP_PREVIEW_MAX_BYTES, &n)) {
        o.has_preview = true;
        o.preview = (uint32_t)n;
    }
    if (number(f, SPAN("Max-Connections"), 1000000, &n))
        o.max_connections = (uint32_t)n;
    if (number(f, SPAN("Options-TTL"), TTL_MAX_S, &n))
        o.ttl_s = MAX(n, (uint64_t)1);
    icap_tag_of(f, &o.tag);
    enum err e = read_transfers(f, a, &o);
    if (!e)
        *ret = o;
    return e;
}

static struct span extension_of(struct span path)
{
    size_t slash = span_rfind(path, '/');
    struct span name = slash < path.len ? span_skip(path, slash + 1) : path;
    size_t dot = span_rfind(name, '.');
    return dot < name.len ? span_skip(name, dot + 1) : SPAN_NONE;
}

enum icap_transfer icap_transfer_of(const struct icap_options *o, struct span path)
{
    struct span extension = extension_of(path);
    for (unsigned i = 0; i < N_ICAP_TRANSFERS && extension.len; i++)
        if (list_has(o->transfer[i], extension))
            return (enum icap_transfer)i;
    for (unsigned i = 0; i < N_ICAP_TRANSFERS; i++)
        if (list_has(o->transfer[i], SPAN("*")))
            return (enum icap_transfer)i;
    return ICAP_TRANSFER_PREVIEW;
}
