// SPDX-License-Identifier: Apache-2.0
#include "http/freshness.h"

#include "base/ascii.h"
#include "http/date.h"

enum {
    HEURISTIC_PART = 10,              // of the time since Last-Modified (RFC 9111 4.2.2)
    HEURISTIC_MAX_S = 24 * 60 * 60,
};

static const struct {
    const char *name, *text;
    bool lasting;
} reasons[N_STORABLE] = {
#define STORABLE(id, name, lasting, text) [id] = {name, text, lasting},
#include "http/storable.tbl"
#undef STORABLE
};

const char *storable_name(enum storable s)
{
    return reasons[s].name;
}

const char *storable_text(enum storable s)
{
    return reasons[s].text;
}

bool storable_is_lasting(enum storable s)
{
    return reasons[s].lasting;
}

// ---- Statuses

static bool is_one_of(unsigned status, const uint16_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i] == status)
            return true;
    return false;
}

// May be fresh without the origin's word. RFC 9110 15.1 has more; errors need explicit freshness here, so that what one odd request
// provoked is not everybody's answer.
static bool is_heuristic(unsigned status)
{
    static const uint16_t v[] = {200, 203, 204, 300, 301, 308};
    return is_one_of(status, v, ARRAY_LEN(v));
}

// Whose meaning for caches we know (RFC 9111 5.2.2.3): those of RFC 9110 and its like.
static bool is_understood(unsigned status)
{
    static const uint16_t v[] = {200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413,
                                 414, 415, 417, 421, 422, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 507, 508, 511};
    return is_one_of(status, v, ARRAY_LEN(v));
}

// Answers that concern their own request or connection alone, whatever they say.
static bool is_storable_status(unsigned status)
{
    static const uint16_t never[] = {206, 304, 412, 416, 417, 421, 426, 431};
    return status >= 200 && status < 600 && !is_one_of(status, never, ARRAY_LEN(never));
}

// ---- Lifetimes

void freshness_directives(const struct fields *f, struct arena *a, struct cache_control *ret, bool *ret_targeted)
{
    *ret_targeted = (fields_find(f, SPAN("Weir-Cache-Control")) && cache_control_parse_targeted(f, SPAN("Weir-Cache-Control"), a, ret)) ||
                    (fields_may_have(f, FIELD_CDN_CACHE_CONTROL) && cache_control_parse_targeted(f, SPAN("CDN-Cache-Control"), a, ret));
    if (!*ret_targeted)
        cache_control_parse(f, ret);
}

// A date without regard to case, as a cache reads it (RFC 9111 4.2).
static bool parse_date(struct span s, int64_t now_s, int64_t *ret)
{
    char text[40]; // the longest form has 33
    bool in_word = false;
    if (http_date_parse(s, now_s, ret))
        return true;
    if (s.len > sizeof text)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        text[i] = (char)(in_word ? ascii_lower(c) : ascii_upper(c));
        in_word = ascii_is_alpha(c);
    }
    if (s.len >= 3 && span_eq_ci(span_skip(s, s.len - 3), SPAN("GMT")))
        memcpy(text + s.len - 3, "GMT", 3);
    return http_date_parse(span_of(text, s.len), now_s, ret);
}

static int64_t date_or(const struct fields *f, enum field_id id, int64_t now_s, int64_t otherwise)
{
    int64_t t;
    return fields_count(f, id) == 1 && parse_date(fields_value(f, id), now_s, &t) ? t : otherwise;
}

// Age is one number (RFC 9111 5.1); of a list without white space its first. What is anything else may hide a great age: the
// response counts as stale, which is always safe (docs/decisions/0020-cache-where-rules-disagree.md).
static int64_t age_value_s(const struct fields *f)
{
    struct span v = fields_value(f, FIELD_AGE);
    int64_t s;
    if (!v.ptr)
        return 0;
    struct span first = span_first(v, span_find(v, ',')), rest = span_skip(v, first.len + 1);
    bool plain = span_find(v, ' ') == v.len && span_find(v, '\t') == v.len && span_find(rest, ',') == rest.len;
    return plain && fields_count(f, FIELD_AGE) == 1 && cache_seconds_parse(first, &s) ? s : CACHE_SECONDS_MAX;
}

static const struct freshness_ttl *ttl_for(const struct freshness_policy *p, unsigned status)
{
    for (unsigned i = 0; i < p->n_ttls; i++)
        if (p->ttls[i].statuses ? is_one_of(status, p->ttls[i].statuses, p->ttls[i].n_statuses) : is_heuristic(status))
            return &p->ttls[i];
    return NULL;
}

// The lifetime that the origin says, or CACHE_SECONDS_NONE. date_s: the response's Date.
static int64_t explicit_s(const struct response *r, const struct cache_control *c, bool targeted, int64_t date_s)
{
    if (c->s_maxage != CACHE_SECONDS_NONE)
        return c->s_maxage;
    if (c->max_age != CACHE_SECONDS_NONE)
        return c->max_age;
    if (targeted || !fields_get(&r->fields, FIELD_EXPIRES))
        return CACHE_SECONDS_NONE;
    int64_t expires = date_or(&r->fields, FIELD_EXPIRES, date_s, date_s);
    return expires > date_s ? MIN(expires - date_s, (int64_t)CACHE_SECONDS_MAX) : 0;
}

static int64_t heuristic_s(const struct response *r, int64_t date_s)
{
    int64_t modified = date_or(&r->fields, FIELD_LAST_MODIFIED, date_s, INT64_MAX);
    if (!is_heuristic(r->status) || modified >= date_s || fields_get(&r->fields, FIELD_SET_COOKIE))
        return 0;
    return MIN((date_s - modified) / HEURISTIC_PART, (int64_t)HEURISTIC_MAX_S);
}

struct times {
    int64_t sent_ms, received_ms;
};

static bool compute(const struct response *r, const struct cache_control *c, bool targeted, const struct freshness_policy *p, struct times t,
                    struct freshness *ret)
{
    int64_t date_s = date_or(&r->fields, FIELD_DATE, t.received_ms / 1000, t.received_ms / 1000);
    int64_t apparent_ms = MAX((t.received_ms / 1000 - date_s) * 1000, INT64_C(0)), delay_ms = MAX(t.received_ms - t.sent_ms, INT64_C(0));
    int64_t life_s = p->override_s != CACHE_SECONDS_NONE ? p->override_s : explicit_s(r, c, targeted, date_s);
    bool is_explicit = life_s != CACHE_SECONDS_NONE;
    *ret = (struct freshness){.received_ms = t.received_ms};
    ret->initial_age_ms = MAX(apparent_ms, age_value_s(&r->fields) * 1000 + delay_ms);
    if (!is_explicit) {
        const struct freshness_ttl *ttl = fields_get(&r->fields, FIELD_SET_COOKIE) ? NULL : ttl_for(p, r->status);
        is_explicit = ttl != NULL;
        life_s = ttl ? ttl->seconds : heuristic_s(r, date_s);
        ret->heuristic = !ttl && life_s > 0;
    }
    ret->lifetime_ms = life_s * 1000;
    ret->always_validate = c->no_cache && p->override_s == CACHE_SECONDS_NONE;
    ret->never_stale = c->must_revalidate || c->proxy_revalidate || c->s_maxage != CACHE_SECONDS_NONE;
    int64_t swr = c->stale_while_revalidate != CACHE_SECONDS_NONE ? c->stale_while_revalidate : p->stale_while_revalidate_s;
    int64_t sie = c->stale_if_error != CACHE_SECONDS_NONE ? c->stale_if_error : p->stale_if_error_s;
    if (!ret->never_stale && !ret->always_validate) {
        ret->while_revalidate_ms = MAX(swr, INT64_C(0)) * 1000;
        ret->if_error_ms = MAX(sie, INT64_C(0)) * 1000;
    }
    return is_explicit;
}

void freshness_compute(const struct response *resp, const struct freshness_policy *policy, int64_t sent_ms, int64_t received_ms, struct arena *a,
                       struct freshness *ret)
{
    struct cache_control c;
    bool targeted;
    freshness_directives(&resp->fields, a, &c, &targeted);
    (void)compute(resp, &c, targeted, policy, (struct times){sent_ms, received_ms}, ret);
}

// ---- Storing (RFC 9111 3)

static bool vary_is_all(const struct fields *f)
{
    for (const struct field *x = fields_get(f, FIELD_VARY); x; x = fields_next(f, x))
        if (list_has(x->value, SPAN("*")))
            return true;
    return false;
}

static enum storable judge_request(const struct request *req, const struct freshness_policy *p)
{
    struct cache_control c;
    if (req->method != METHOD_GET)
        return STORABLE_REQUEST_METHOD;
    if (req->framing.kind != FRAMING_NONE && !(req->framing.kind == FRAMING_LENGTH && req->framing.length == 0))
        return STORABLE_REQUEST_CONTENT;
    if (p->ignores_request || !fields_may_have(&req->fields, FIELD_CACHE_CONTROL))
        return STORABLE_YES;
    cache_control_parse(&req->fields, &c);
    return c.no_store ? STORABLE_REQUEST_NO_STORE : STORABLE_YES;
}

static enum storable judge_directives(const struct request *req, const struct response *r, const struct cache_control *c)
{
    if (c->must_understand) {
        if (!is_understood(r->status))
            return STORABLE_NOT_UNDERSTOOD;
    } else if (c->no_store) {
        return STORABLE_NO_STORE;
    }
    if (c->private_)
        return STORABLE_PRIVATE;
    if (fields_get(&req->fields, FIELD_AUTHORIZATION) && !c->public_ && c->s_maxage == CACHE_SECONDS_NONE && !c->must_revalidate)
        return STORABLE_AUTHORIZATION;
    return vary_is_all(&r->fields) ? STORABLE_VARY_ALL : STORABLE_YES;
}

static bool has_validator(const struct fields *f)
{
    return fields_get(f, FIELD_ETAG) || fields_get(f, FIELD_LAST_MODIFIED);
}

static bool is_of_use(const struct response *r, const struct freshness *f)
{
    bool is_fresh = !f->always_validate && (f->lifetime_ms > f->initial_age_ms || f->while_revalidate_ms || f->if_error_ms);
    return is_fresh || (r->status == 200 && has_validator(&r->fields));
}

enum storable freshness_judge(const struct request *req, const struct response *resp, const struct freshness_policy *policy, int64_t sent_ms,
                              int64_t received_ms, struct arena *a, struct freshness *ret)
{
    struct cache_control c;
    bool targeted;
    freshness_directives(&resp->fields, a, &c, &targeted);
    bool is_explicit = compute(resp, &c, targeted, policy, (struct times){sent_ms, received_ms}, ret);
    enum storable s = judge_request(req, policy);
    if (!s && !is_storable_status(resp->status))
        s = STORABLE_STATUS;
    if (!s)
        s = judge_directives(req, resp, &c);
    if (s)
        return s;
    if (resp->status >= 400 && !is_explicit)
        return STORABLE_ERROR;
    if (!is_explicit && fields_get(&resp->fields, FIELD_SET_COOKIE))
        return STORABLE_SET_COOKIE;
    return is_of_use(resp, ret) ? STORABLE_YES : STORABLE_NO_FRESHNESS;
}

// ---- Use (RFC 9111 4)

enum freshness_use freshness_use(const struct freshness *f, const struct cache_control *q, int64_t now_ms)
{
    int64_t age = freshness_age_ms(f, now_ms), left = f->lifetime_ms - age;
    if (f->always_validate)
        return USE_VALIDATE;
    if (q && q->no_cache)
        return USE_VALIDATE_REQUEST;
    bool asked_fresher = q && ((q->max_age != CACHE_SECONDS_NONE && (q->max_age == 0 || age > q->max_age * 1000)) ||
                               (q->min_fresh != CACHE_SECONDS_NONE && left < q->min_fresh * 1000));
    if (left > 0)
        return asked_fresher ? USE_VALIDATE_REQUEST : USE_FRESH;
    if (f->never_stale)
        return USE_VALIDATE;
    if (q && q->max_stale != CACHE_SECONDS_NONE && -left <= q->max_stale * 1000 && !asked_fresher)
        return USE_STALE;
    return -left < f->while_revalidate_ms && !asked_fresher ? USE_WHILE_REVALIDATE : USE_VALIDATE;
}

bool freshness_serves_error(const struct freshness *f, const struct cache_control *q, int64_t now_ms)
{
    int64_t left = freshness_left_ms(f, now_ms), limit = f->if_error_ms;
    if (f->always_validate || f->never_stale || (q && q->no_cache))
        return false;
    if (q && q->stale_if_error != CACHE_SECONDS_NONE)
        limit = MAX(limit, q->stale_if_error * 1000);
    return left > 0 || -left < limit;
}
