// SPDX-License-Identifier: Apache-2.0
#include "http/conditional.h"

#include "base/num.h"
#include "http/date.h"

static struct span opaque(struct span etag)
{
    return span_starts(etag, SPAN("W/")) ? span_skip(etag, 2) : etag;
}

bool etag_list_has(struct span list, struct span etag, bool weak)
{
    struct span item;
    if (span_eq(span_trim(list), SPAN("*")))
        return true;
    if (!etag.len || (!weak && span_starts(etag, SPAN("W/"))))
        return false;
    while (list_next(&list, &item))
        if (weak ? span_eq(opaque(item), opaque(etag)) : span_eq(item, etag))
            return true;
    return false;
}

static bool any_has(const struct fields *f, enum field_id id, struct span etag, bool weak)
{
    for (const struct field *x = fields_get(f, id); x; x = fields_next(f, x))
        if (etag_list_has(x->value, etag, weak))
            return true;
    return false;
}

static bool date_of(const struct request *req, enum field_id id, int64_t now_s, int64_t *ret)
{
    return fields_count(&req->fields, id) == 1 && http_date_parse(fields_value(&req->fields, id), now_s, ret);
}

enum conditional conditional_check(const struct request *req, const struct validators *v, int64_t now_s)
{
    const struct fields *f = &req->fields;
    bool get = req->method == METHOD_GET || req->method == METHOD_HEAD;
    int64_t t;
    if (fields_get(f, FIELD_IF_MATCH)) {
        if (!any_has(f, FIELD_IF_MATCH, v->etag, false))
            return CONDITIONAL_FAILED;
    } else if (v->last_modified && date_of(req, FIELD_IF_UNMODIFIED_SINCE, now_s, &t) && v->last_modified > t) {
        return CONDITIONAL_FAILED;
    }
    if (fields_get(f, FIELD_IF_NONE_MATCH)) {
        if (any_has(f, FIELD_IF_NONE_MATCH, v->etag, true))
            return get ? CONDITIONAL_NOT_MODIFIED : CONDITIONAL_FAILED;
    } else if (get && v->last_modified && date_of(req, FIELD_IF_MODIFIED_SINCE, now_s, &t) && v->last_modified <= t) {
        return CONDITIONAL_NOT_MODIFIED;
    }
    return CONDITIONAL_PASS;
}

bool if_range_holds(const struct request *req, const struct validators *v, int64_t now_s)
{
    struct span s = fields_value(&req->fields, FIELD_IF_RANGE);
    int64_t t;
    if (!s.ptr)
        return true;
    if (s.len && (s.ptr[0] == '"' || s.ptr[0] == 'W'))
        return v->etag.len && !span_starts(v->etag, SPAN("W/")) && span_eq(s, v->etag);
    return v->last_modified && http_date_parse(s, now_s, &t) && t == v->last_modified;
}

bool range_position(struct span s, uint64_t *ret)
{
    if (num_parse_dec(s, INT64_MAX, ret))
        return true;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    *ret = INT64_MAX;
    return s.len > 0;
}

enum range_kind range_check(const struct request *req, const struct validators *v, uint64_t size, int64_t now_s, uint64_t *ret_first,
                            uint64_t *ret_length)
{
    struct span s = fields_value(&req->fields, FIELD_RANGE);
    uint64_t a, b;
    if (req->method != METHOD_GET || !span_starts_ci(s, SPAN("bytes=")) || fields_count(&req->fields, FIELD_RANGE) != 1 ||
        !if_range_holds(req, v, now_s))
        return RANGE_NONE;
    s = span_trim(span_skip(s, 6));
    if (span_find(s, ',') < s.len || span_find(s, '-') == s.len)
        return RANGE_NONE;
    struct span last = s, first = span_cut(&last, '-');
    if (first.len == 0) { // the last so many bytes
        if (!range_position(last, &b))
            return RANGE_NONE;
        if (b == 0 || size == 0)
            return RANGE_UNSATISFIABLE;
        *ret_first = b >= size ? 0 : size - b;
        *ret_length = size - *ret_first;
        return RANGE_ONE;
    }
    if (!range_position(first, &a))
        return RANGE_NONE;
    b = INT64_MAX;
    if (last.len && (!range_position(last, &b) || b < a))
        return RANGE_NONE;
    if (a >= size)
        return RANGE_UNSATISFIABLE;
    *ret_first = a;
    *ret_length = MIN(b, size - 1) - a + 1;
    return RANGE_ONE;
}
