// SPDX-License-Identifier: Apache-2.0
#include "http/ranges.h"

#include "base/num.h"

enum item { ITEM_OK, ITEM_OUTSIDE, ITEM_MALFORMED };

static enum item parse_item(struct span s, uint64_t size, struct byte_range *ret)
{
    uint64_t a, b = INT64_MAX;
    if (span_find(s, '-') == s.len)
        return ITEM_MALFORMED;
    struct span last = s, first = span_cut(&last, '-');
    if (first.len == 0) {
        if (!range_position(last, &b))
            return ITEM_MALFORMED;
        if (b == 0 || size == 0)
            return ITEM_OUTSIDE;
        ret->first = b >= size ? 0 : size - b;
        ret->length = size - ret->first;
        return ITEM_OK;
    }
    if (!range_position(first, &a) || (last.len && (!range_position(last, &b) || b < a)))
        return ITEM_MALFORMED;
    if (a >= size)
        return ITEM_OUTSIDE;
    *ret = (struct byte_range){a, MIN(b, size - 1) - a + 1};
    return ITEM_OK;
}

static bool overlaps(const struct ranges *r, const struct byte_range *x)
{
    for (unsigned i = 0; i < r->n; i++)
        if (x->first < r->v[i].first + r->v[i].length && r->v[i].first < x->first + x->length)
            return true;
    return false;
}

void ranges_check(const struct request *req, const struct validators *v, uint64_t size, int64_t now_s, struct ranges *ret)
{
    struct span s = fields_value(&req->fields, FIELD_RANGE), item;
    ret->n = 0;
    // One range, none, and If-Range are conditional.c's.
    if (span_find(s, ',') == s.len || fields_count(&req->fields, FIELD_RANGE) != 1 || !if_range_holds(req, v, now_s)) {
        ret->kind = range_check(req, v, size, now_s, &ret->v[0].first, &ret->v[0].length);
        ret->n = ret->kind == RANGE_ONE;
        return;
    }
    ret->kind = RANGE_NONE;
    if (req->method != METHOD_GET || !span_starts_ci(s, SPAN("bytes=")))
        return;
    for (s = span_skip(s, 6); list_next(&s, &item);) {
        struct byte_range x;
        enum item what = parse_item(item, size, &x);
        if (what == ITEM_MALFORMED || (what == ITEM_OK && (ret->n == RANGES_MAX || overlaps(ret, &x)))) {
            ret->n = 0;
            return;
        }
        if (what == ITEM_OK)
            ret->v[ret->n++] = x;
    }
    ret->kind = ret->n ? RANGE_ONE : RANGE_UNSATISFIABLE;
}

struct span ranges_part_head(const struct ranges *r, unsigned i, uint64_t size, struct span content_type, struct span boundary, struct arena *a)
{
    const struct byte_range *x = &r->v[i];
    bool typed = content_type.len > 0;
    return arena_printf(a, "\r\n--%.*s\r\n%s%.*s%sContent-Range: bytes %llu-%llu/%llu\r\n\r\n", SPAN_ARG(boundary), typed ? "Content-Type: " : "",
                        SPAN_ARG(content_type), typed ? "\r\n" : "", (unsigned long long)x->first, (unsigned long long)(x->first + x->length - 1),
                        (unsigned long long)size);
}

struct span ranges_end(struct span boundary, struct arena *a)
{
    return arena_printf(a, "\r\n--%.*s--\r\n", SPAN_ARG(boundary));
}

bool content_range_parse(struct span s, struct byte_range *ret, uint64_t *ret_size)
{
    uint64_t first, last, size;
    if (!span_starts_ci(s, SPAN("bytes ")))
        return false;
    struct span rest = span_trim(span_skip(s, 6)), a = span_cut(&rest, '-'), b = span_cut(&rest, '/');
    if (!num_parse_dec(a, INT64_MAX, &first) || !num_parse_dec(b, INT64_MAX, &last) || !num_parse_dec(rest, INT64_MAX, &size) || first > last ||
        last >= size)
        return false;
    *ret = (struct byte_range){first, last - first + 1};
    *ret_size = size;
    return true;
}
