// SPDX-License-Identifier: Apache-2.0
#include "http/vary.h"

#include "base/ascii.h"

// A key is a run of: name length (2 bytes), name, whether there is a value (1), its length (4), the value.
enum { ENTRY_BYTES = 7, ITEMS_MAX = 64 };

static bool is_weighted(struct span name)
{
    return span_eq_ci(name, SPAN("accept")) || span_eq_ci(name, SPAN("accept-encoding")) || span_eq_ci(name, SPAN("accept-language")) ||
           span_eq_ci(name, SPAN("accept-charset"));
}

// What a proxy writes about each client: the request that came does not tell what the server saw.
static bool is_written_here(struct span name)
{
    static const struct span v[] = {SPAN_INIT("forwarded"), SPAN_INIT("x-forwarded-for"), SPAN_INIT("x-request-id")};
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        if (span_eq_ci(name, v[i]))
            return true;
    return false;
}

static char *put(char *o, struct span s)
{
    if (s.len)
        memcpy(o, s.ptr, s.len);
    return o + s.len;
}

// `gzip; Q=1.0` as `gzip`, `en ; q=0.50` as `en;q=0.50`: lower case, no white space, a weight of one left out.
static struct span weighted_item(struct span item, char *out)
{
    char *o = out;
    while (item.ptr) {
        struct span part = span_trim(span_cut(&item, ';'));
        bool is_one = o != out && part.len >= 3 && ascii_lower((unsigned char)part.ptr[0]) == 'q' && part.ptr[1] == '=' && part.ptr[2] == '1';
        if (is_one || part.len == 0)
            continue;
        if (o != out)
            *o++ = ';';
        for (size_t i = 0; i < part.len; i++)
            if (part.ptr[i] != ' ' && part.ptr[i] != '\t')
                *o++ = (char)ascii_lower((unsigned char)part.ptr[i]);
    }
    return span_of(out, (size_t)(o - out));
}

static unsigned insert_sorted(struct span *v, unsigned n, struct span item)
{
    unsigned i = n;
    for (; i > 0 && span_cmp(v[i - 1], item) > 0; i--)
        ;
    if (i > 0 && span_eq(v[i - 1], item))
        return n;
    memmove(v + i + 1, v + i, (n - i) * sizeof *v);
    v[i] = item;
    return n + 1;
}

// The items in one order. False: too many.
static bool weighted_value(const struct fields *request, struct span name, size_t size, struct arena *a, struct span *ret)
{
    struct span items[ITEMS_MAX + 1];
    unsigned n = 0;
    char *scratch = arena_bytes(a, size), *out = arena_bytes(a, size), *o = out;
    if (!scratch || !out)
        return false;
    for (const struct field *x = fields_find(request, name); x; x = fields_find_next(request, x)) {
        struct span rest = x->value, item;
        while (list_next(&rest, &item)) {
            struct span w = weighted_item(item, scratch);
            scratch += w.len;
            n = insert_sorted(items, n, w);
            if (n > ITEMS_MAX)
                return false;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        if (i)
            *o++ = ',';
        o = put(o, items[i]);
    }
    *ret = span_of(out, (size_t)(o - out));
    return true;
}

// All lines as one, without white space around commas.
static struct span plain_value(const struct fields *request, struct span name, char *out)
{
    char *o = out;
    bool first = true;
    for (const struct field *x = fields_find(request, name); x; x = fields_find_next(request, x)) {
        struct span rest = x->value, item;
        while (list_next(&rest, &item)) {
            if (!first)
                *o++ = ',';
            o = put(o, item);
            first = false;
        }
    }
    return span_of(out, (size_t)(o - out));
}

enum err vary_value(const struct fields *request, struct span name, struct arena *a, struct span *ret)
{
    size_t size = 1;
    const struct field *first = fields_find(request, name);
    *ret = SPAN_NONE;
    if (!first)
        return ERR_OK;
    for (const struct field *x = first; x; x = fields_find_next(request, x))
        size += x->value.len + 1;
    if (is_weighted(name) && weighted_value(request, name, size, a, ret))
        return ERR_OK;
    char *out = arena_bytes(a, size);
    if (!out)
        return ERR_NO_MEMORY;
    *ret = plain_value(request, name, out);
    return ERR_OK;
}

static enum err build(const struct span *names, unsigned n, const struct fields *request, struct arena *a, struct span *ret)
{
    struct span values[VARY_NAMES_MAX];
    size_t size = 0;
    for (unsigned i = 0; i < n; i++) {
        enum err e = vary_value(request, names[i], a, &values[i]);
        if (e)
            return e;
        size += ENTRY_BYTES + names[i].len + values[i].len;
    }
    char *p = arena_bytes(a, size), *o = p;
    if (!p)
        return ERR_NO_MEMORY;
    for (unsigned i = 0; i < n; i++) {
        uint16_t name_len = (uint16_t)names[i].len;
        uint32_t value_len = (uint32_t)values[i].len;
        o = put(o, span_of((const char *)&name_len, sizeof name_len));
        o = put(o, names[i]);
        *o++ = values[i].ptr != NULL;
        o = put(o, span_of((const char *)&value_len, sizeof value_len));
        o = put(o, values[i]);
    }
    *ret = span_of(p, size);
    return ERR_OK;
}

enum err vary_key(const struct fields *response, const struct fields *request, struct arena *a, struct span *ret)
{
    struct span names[VARY_NAMES_MAX + 1];
    unsigned n = 0;
    for (const struct field *x = fields_get(response, FIELD_VARY); x; x = fields_next(response, x)) {
        struct span rest = x->value, item;
        while (list_next(&rest, &item)) {
            char *lower = arena_bytes(a, item.len);
            if (!lower)
                return ERR_NO_MEMORY;
            if (n == VARY_NAMES_MAX || !http_is_token(item) || item.len > UINT16_MAX || span_eq(item, SPAN("*")) || is_written_here(item))
                return ERR_AGAIN;
            for (size_t i = 0; i < item.len; i++)
                lower[i] = (char)ascii_lower((unsigned char)item.ptr[i]);
            n = insert_sorted(names, n, span_of(lower, item.len));
        }
    }
    *ret = SPAN("");
    return n ? build(names, n, request, a, ret) : ERR_OK;
}

// The next entry of a key, which is one that we made.
static bool entry_next(struct span *key, struct span *ret_name, struct span *ret_value)
{
    uint16_t name_len;
    uint32_t value_len;
    if (key->len < ENTRY_BYTES)
        return false;
    memcpy(&name_len, key->ptr, sizeof name_len);
    if (key->len < (size_t)ENTRY_BYTES + name_len)
        return false;
    *ret_name = span_of(key->ptr + sizeof name_len, name_len);
    const char *p = ret_name->ptr + name_len;
    bool has_value = *p != 0;
    memcpy(&value_len, p + 1, sizeof value_len);
    if (key->len < (size_t)ENTRY_BYTES + name_len + value_len)
        return false;
    *ret_value = has_value ? span_of(p + 5, value_len) : SPAN_NONE;
    *key = span_skip(*key, (size_t)ENTRY_BYTES + name_len + value_len);
    return true;
}

bool vary_matches(struct span key, const struct fields *request, struct arena *a)
{
    struct span name, wanted, value;
    while (entry_next(&key, &name, &wanted)) {
        // The same octets in one line need no normalising.
        const struct field *f = fields_find(request, name);
        if (!f != !wanted.ptr)
            return false;
        if (!f || (span_eq(f->value, wanted) && !fields_find_next(request, f)))
            continue;
        if (vary_value(request, name, a, &value) || !span_eq(value, wanted))
            return false;
    }
    return key.len == 0;
}

enum err vary_rekey(struct span key, const struct fields *request, struct arena *a, struct span *ret)
{
    struct span names[VARY_NAMES_MAX], value;
    unsigned n = 0;
    while (n < VARY_NAMES_MAX && entry_next(&key, &names[n], &value))
        n++;
    *ret = SPAN("");
    return n ? build(names, n, request, a, ret) : ERR_OK;
}

enum err vary_add(struct fields *response, struct span name, struct arena *a)
{
    struct span vary = fields_joined(response, FIELD_VARY, a);
    if (vary.ptr && (list_has(vary, name) || list_has(vary, SPAN("*"))))
        return ERR_OK;
    struct span value =
        vary.ptr && vary.len ? arena_printf(a, "%.*s, %.*s", SPAN_ARG(vary), SPAN_ARG(name)) : name;
    return value.ptr ? fields_set(response, FIELD_VARY, value) : ERR_NO_MEMORY;
}
