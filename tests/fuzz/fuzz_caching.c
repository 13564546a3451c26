// SPDX-License-Identifier: Apache-2.0
// What a cache reads of a message: structured fields, directives, ages and dates, secondary keys, ranges. The input's lines are the
// values of one field each, chosen by their first octet.
#include "fuzz.h"

#include "http/freshness.h"
#include "http/ranges.h"
#include "http/structured.h"
#include "http/vary.h"

static const struct span names[] = {
    SPAN_INIT("Cache-Control"), SPAN_INIT("CDN-Cache-Control"), SPAN_INIT("Expires"), SPAN_INIT("Date"), SPAN_INIT("Age"), SPAN_INIT("Vary"),
    SPAN_INIT("Last-Modified"), SPAN_INIT("ETag"), SPAN_INIT("Content-Range"), SPAN_INIT("Range"), SPAN_INIT("If-Range"), SPAN_INIT("Accept-Encoding"),
    SPAN_INIT("Accept-Language"), SPAN_INIT("X-Any"),
};

static void structured(struct span s)
{
    struct sf_member m;
    struct sf_item item;
    struct span rest = s;
    bool valid = sf_dict_is_valid(s);
    enum sf_step step;
    while ((step = sf_dict_next(&rest, &m)) == SF_NEXT) {
        struct span params = m.item.params, inner = m.item.text;
        struct sf_member p;
        CHECK(m.key.len > 0);
        while (sf_param_next(&params, &p) == SF_NEXT)
            ;
        CHECK(params.len == 0); // what was taken parses again, to its end
        while (m.item.type == SF_INNER_LIST && sf_inner_next(&inner, &item) == SF_NEXT)
            ;
        CHECK(m.item.type != SF_INNER_LIST || inner.len == 0);
    }
    CHECK(valid == (step == SF_END));
    (void)sf_list_is_valid(s);
    if (sf_item_parse(s, &item))
        CHECK(item.type != SF_INNER_LIST);
}

static void judge(const struct request *req, const struct response *resp, struct arena *a)
{
    static const struct freshness_policy none = {NULL, 0, CACHE_SECONDS_NONE, CACHE_SECONDS_NONE, CACHE_SECONDS_NONE, false};
    const int64_t now_ms = INT64_C(1700000000500);
    struct cache_control q;
    struct freshness f;
    cache_control_parse(&req->fields, &q);
    (void)freshness_judge(req, resp, &none, now_ms - 100, now_ms, a, &f);
    CHECK(f.lifetime_ms >= 0 && f.initial_age_ms >= 0 && f.while_revalidate_ms >= 0 && f.if_error_ms >= 0);
    enum freshness_use use = freshness_use(&f, &q, now_ms);
    if (use == USE_FRESH)
        CHECK(freshness_left_ms(&f, now_ms) > 0 && !f.always_validate);
    if (f.never_stale && freshness_left_ms(&f, now_ms) <= 0)
        CHECK(use == USE_VALIDATE || use == USE_VALIDATE_REQUEST);
}

static void keys(const struct request *req, const struct response *resp, struct arena *a)
{
    struct span key, again;
    if (vary_key(&resp->fields, &req->fields, a, &key) == ERR_OK) {
        CHECK(vary_matches(key, &req->fields, a)); // a request has its own key
        CHECK(vary_rekey(key, &req->fields, a, &again) == ERR_OK && span_eq(key, again));
    }
}

static void ranges(const struct request *req, const struct response *resp)
{
    struct ranges r;
    struct byte_range x;
    uint64_t size;
    ranges_check(req, &(struct validators){fields_value(&resp->fields, FIELD_ETAG), 0}, 1000, 1700000000, &r);
    for (unsigned i = 0; i < r.n; i++)
        CHECK(r.kind == RANGE_ONE && r.v[i].length > 0 && r.v[i].first < 1000 && r.v[i].length <= 1000 - r.v[i].first);
    if (content_range_parse(fields_value(&resp->fields, FIELD_CONTENT_RANGE), &x, &size))
        CHECK(x.length > 0 && x.first < size && x.length <= size - x.first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *buf = fuzz_exact(data, size);
    struct span rest = span_of(buf, size);
    struct arena a;
    struct request req;
    struct response resp;
    arena_init(&a, 1 << 22);
    memset(&req, 0, sizeof req);
    memset(&resp, 0, sizeof resp);
    fields_init(&req.fields, &a);
    fields_init(&resp.fields, &a);
    req.method = METHOD_GET;
    resp.status = 200;
    while (rest.ptr) {
        struct span line = span_cut(&rest, '\n');
        if (!line.len)
            continue;
        unsigned which = (unsigned char)line.ptr[0];
        struct span value = span_trim(span_skip(line, 1));
        structured(value);
        if (!http_is_field_value(value))
            continue;
        struct fields *f = which & 64 ? &req.fields : &resp.fields;
        if (fields_add_named(f, names[which % ARRAY_LEN(names)], value))
            break;
    }
    judge(&req, &resp, &a);
    keys(&req, &resp, &a);
    ranges(&req, &resp);
    arena_fini(&a);
    free(buf);
    return 0;
}
