// SPDX-License-Identifier: Apache-2.0
#include "session/h2_fields.h"

#include "base/ascii.h"

enum {
    LINE_OVERHEAD = 4, // ": " and CRLF of HTTP/1
    COOKIES_MAX = 1024,
};

// ---- In

void h2_block_begin(struct h2_block *b, enum h2_block_kind kind, struct fields *fields, const struct h1_limits *limits)
{
    *b = (struct h2_block){.arena = fields->arena, .fields = fields, .limits = *limits, .kind = kind};
}

static void bad(struct h2_block *b, enum err e)
{
    if (!b->error)
        b->error = e;
}

static bool is_name(struct span s, enum field_id id)
{
    if (likely(id))
        return span_eq(s, field_name_lower(id));
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (!http_is_tchar(c) || (c >= 'A' && c <= 'Z'))
            return false;
    }
    return s.len > 0;
}

static void pseudo(struct h2_block *b, struct span name, struct span value)
{
    static const struct {
        struct span name;
        enum h2_block_kind kind;
        size_t offset;
    } known[] = {
        {SPAN_INIT(":method"), H2_BLOCK_REQUEST, offsetof(struct h2_block, method)},
        {SPAN_INIT(":path"), H2_BLOCK_REQUEST, offsetof(struct h2_block, path)},
        {SPAN_INIT(":authority"), H2_BLOCK_REQUEST, offsetof(struct h2_block, authority)},
        {SPAN_INIT(":scheme"), H2_BLOCK_REQUEST, offsetof(struct h2_block, scheme)},
        {SPAN_INIT(":status"), H2_BLOCK_RESPONSE, offsetof(struct h2_block, status)},
        {SPAN_INIT(":protocol"), H2_BLOCK_REQUEST, offsetof(struct h2_block, protocol)},
    };
    for (unsigned i = 0; i < ARRAY_LEN(known); i++) {
        if (!span_eq(name, known[i].name))
            continue;
        struct span *place = (struct span *)(void *)((char *)b + known[i].offset);
        if (known[i].kind != b->kind || b->regular || place->ptr)
            break;
        if (!arena_dup(b->arena, value, place))
            bad(b, ERR_NO_MEMORY);
        return;
    }
    bad(b, ERR_BAD_FIELD);
}

static void cookie(struct h2_block *b, struct span value)
{
    if (!value.len)
        return; // joined with others it would leave a separator without a pair
    if (!b->cookies && !(b->cookies = (struct span *)arena_alloc(b->arena, 8 * sizeof *b->cookies)))
        return bad(b, ERR_NO_MEMORY);
    if (b->n_cookies >= 8 && (b->n_cookies & (b->n_cookies - 1)) == 0) { // full at each power of two
        struct span *more = (struct span *)arena_alloc(b->arena, 2 * b->n_cookies * sizeof *more);
        if (!more)
            return bad(b, ERR_NO_MEMORY);
        memcpy(more, b->cookies, b->n_cookies * sizeof *more);
        b->cookies = more;
    }
    if (!arena_dup(b->arena, value, &b->cookies[b->n_cookies]))
        return bad(b, ERR_NO_MEMORY);
    b->n_cookies++;
}

// What belongs to a connection has no place in HTTP/2 (RFC 9113 8.2.2).
static bool is_for_connection(enum field_id id, struct span value)
{
    switch (id) {
    case FIELD_CONNECTION:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
        return true;
    case FIELD_TE:
        return !span_eq_ci(value, SPAN("trailers"));
    default:
        return false;
    }
}

static void regular(struct h2_block *b, struct span name, struct span value)
{
    enum field_id id = field_id_of(name);
    b->regular = true;
    if (!is_name(name, id) || !http_is_field_value(value) || is_for_connection(id, value))
        return bad(b, ERR_BAD_FIELD);
    if (b->kind == H2_BLOCK_TRAILERS && field_flags(id) & (FIELD_NO_TRAILER | FIELD_HOP | FIELD_FRAMING))
        return; // dropped, never merged
    if (b->kind == H2_BLOCK_REQUEST && id == FIELD_COOKIE)
        return b->n_cookies < COOKIES_MAX ? cookie(b, value) : bad(b, ERR_FIELDS_TOO_LARGE);
    if (++b->n > b->limits.fields)
        return bad(b, ERR_FIELDS_TOO_LARGE);
    struct span v, n = id ? field_name(id) : SPAN_NONE;
    if (!arena_dup(b->arena, value, &v) || (!id && !arena_dup(b->arena, name, &n)) ||
        (id ? fields_add(b->fields, id, v) : fields_add_named(b->fields, n, v)))
        bad(b, ERR_NO_MEMORY);
}

void h2_block_line(struct h2_block *b, struct span name, struct span value)
{
    bool is_pseudo = name.len && name.ptr[0] == ':';
    b->bytes += name.len + value.len + LINE_OVERHEAD;
    if (b->error)
        return;
    uint64_t most = (uint64_t)b->limits.fields_bytes + (b->kind == H2_BLOCK_TRAILERS ? 0 : b->limits.line_bytes);
    if (is_pseudo && value.len > b->limits.line_bytes)
        bad(b, ERR_TARGET_TOO_LONG);
    else if (b->bytes > most)
        bad(b, ERR_FIELDS_TOO_LARGE);
    else if (is_pseudo)
        pseudo(b, name, value);
    else
        regular(b, name, value);
}

enum err h2_block_end(struct h2_block *b)
{
    if (b->error || !b->n_cookies)
        return b->error;
    struct span all = b->cookies[0];
    if (b->n_cookies > 1) {
        size_t total = 0;
        for (unsigned i = 0; i < b->n_cookies; i++)
            total += b->cookies[i].len + 2;
        char *p = arena_bytes(b->arena, total), *o = p;
        if (!p)
            return ERR_NO_MEMORY;
        for (unsigned i = 0; i < b->n_cookies; i++) {
            if (i)
                *o++ = ';', *o++ = ' ';
            if (b->cookies[i].len)
                memcpy(o, b->cookies[i].ptr, b->cookies[i].len);
            o += b->cookies[i].len;
        }
        all = span_of(p, (size_t)(o - p));
    }
    return fields_add(b->fields, FIELD_COOKIE, all);
}

// ---- Out

nghttp2_nv h2_nv_one(struct span name, struct span value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.ptr,
                        .namelen = name.len,
                        .value = (uint8_t *)(uintptr_t)(value.ptr ? value.ptr : ""),
                        .valuelen = value.len,
                        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

static bool lower(struct span *s, struct arena *a)
{
    size_t i = 0;
    while (i < s->len && !(s->ptr[i] >= 'A' && s->ptr[i] <= 'Z'))
        i++;
    if (i == s->len)
        return true;
    char *p = arena_bytes(a, s->len);
    if (!p)
        return false;
    for (i = 0; i < s->len; i++)
        p[i] = (char)ascii_lower((unsigned char)s->ptr[i]);
    s->ptr = p;
    return true;
}

nghttp2_nv *h2_nv(const struct fields *f, struct arena *a, unsigned extra, size_t *ret_n)
{
    nghttp2_nv *nv = (nghttp2_nv *)arena_alloc(a, (f->n + extra) * sizeof *nv);
    size_t n = extra;
    if (!nv)
        return NULL;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct field *x = &f->v[i];
        if (x->removed || x->id == FIELD_HOST || !field_is_written((enum field_id)x->id))
            continue;
        struct span name = x->id ? field_name_lower((enum field_id)x->id) : x->name;
        if (!x->id && !lower(&name, a))
            return NULL;
        nv[n++] = h2_nv_one(name, x->value);
    }
    *ret_n = n;
    return nv;
}

bool h2_trailers_submit(nghttp2_session *ng, int32_t id, const struct fields *trailers)
{
    size_t n;
    nghttp2_nv *nv = h2_nv(trailers, trailers->arena, 0, &n);
    for (size_t i = 0; nv && i < n; i++)
        nv[i].flags = NGHTTP2_NV_FLAG_NONE; // copied: their frame may be serialised at any time
    return nv && n && !nghttp2_submit_trailer(ng, id, nv, n);
}
