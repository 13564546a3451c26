// SPDX-License-Identifier: Apache-2.0
#include "proxy/access_log.h"

#include "base/check.h"
#include "base/num.h"
#include "http/date.h"
#include "proxy/escape.h"

// How long the texts may be once escaped. With the names around them their sum stays below a line's size.
enum { SHORT = 64, MEDIUM = 192, LONG = 512, FIELD = 2048 };

struct line {
    char *next, *end;
};

static void put(struct line *l, struct span s)
{
    CHECK(s.len <= (size_t)(l->end - l->next));
    if (s.len)
        memcpy(l->next, s.ptr, s.len);
    l->next += s.len;
}

static void put_dec(struct line *l, uint64_t v)
{
    CHECK(l->end - l->next >= 20);
    l->next += num_put_dec(l->next, v);
}

// ---- Credentials

// The authority's part before `@`, with it (RFC 3986 3.2.1); empty where there is none. A target of the
// origin form has no authority.
static struct span userinfo(struct span s)
{
    size_t start = span_find_span(s, SPAN("://"));
    size_t end = 0;
    start = start > s.len ? 0 : start + 3;
    if (start == 0 && s.len && s.ptr[0] == '/')
        return SPAN_NONE;
    struct span rest = span_skip(s, start);
    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?' && rest.ptr[end] != '#')
        end++;
    struct span authority = span_first(rest, end);
    size_t at = span_rfind(authority, '@');
    return at < authority.len ? span_first(authority, at + 1) : SPAN_NONE;
}

static void put_escaped(struct line *l, struct span s, size_t max,
                        size_t (*escape)(struct span, char *, size_t))
{
    CHECK(max <= (size_t)(l->end - l->next));
    l->next += escape(s, l->next, max);
}

// A URL without what may be a password in it.
static void put_url(struct line *l, struct span s, size_t max, size_t (*escape)(struct span, char *, size_t))
{
    struct span secret = userinfo(s);
    char *first = l->next;
    if (secret.len) {
        put_escaped(l, span_of(s.ptr, (size_t)(secret.ptr - s.ptr)), max / 2, escape);
        put(l, SPAN("***@"));
        s = span_skip(s, (size_t)(secret.ptr - s.ptr) + secret.len);
    }
    put_escaped(l, s, max - (size_t)(l->next - first), escape);
}

// ---- Time

// The second of the last line, written out: a thread asks for the same one thousands of times.
static const char *date_of_second(int64_t s)
{
    static _Thread_local int64_t last = INT64_MIN;
    static _Thread_local char date[HTTP_DATE_BYTES];
    if (s != last) {
        http_date_format(s, date);
        last = s;
    }
    return date; // "Sat, 31 Jan 2026 12:00:00 GMT"
}

static unsigned month_of(const char *date)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    unsigned m = 0;
    while (m < 11 && memcmp(months + (size_t)m * 3, date + 8, 3) != 0)
        m++;
    return m + 1;
}

// RFC 3339: 2026-01-31T12:00:00.000Z
static void put_time(struct line *l, uint64_t wall_ms)
{
    const char *d = date_of_second((int64_t)(wall_ms / 1000));
    unsigned m = month_of(d), ms = (unsigned)(wall_ms % 1000);
    char out[24];
    memcpy(out, d + 12, 4);
    out[4] = out[7] = '-';
    out[5] = (char)('0' + m / 10);
    out[6] = (char)('0' + m % 10);
    memcpy(out + 8, d + 5, 2);
    out[10] = 'T';
    memcpy(out + 11, d + 17, 8);
    out[19] = '.';
    out[20] = (char)('0' + ms / 100);
    out[21] = (char)('0' + ms / 10 % 10);
    out[22] = (char)('0' + ms % 10);
    out[23] = 'Z';
    put(l, span_of(out, sizeof out));
}

// 31/Jan/2026:12:00:00 +0000
static void put_common_time(struct line *l, uint64_t wall_ms)
{
    const char *d = date_of_second((int64_t)(wall_ms / 1000));
    put(l, span_of(d + 5, 2));
    put(l, SPAN("/"));
    put(l, span_of(d + 8, 3));
    put(l, SPAN("/"));
    put(l, span_of(d + 12, 4));
    put(l, SPAN(":"));
    put(l, span_of(d + 17, 8));
    put(l, SPAN(" +0000"));
}

// ---- JSON

// name: `,"name":"`
static void put_text(struct line *l, struct span name, struct span value, size_t max)
{
    if (!value.len)
        return;
    put(l, name);
    put_escaped(l, value, max, escape_json);
    put(l, SPAN("\""));
}
#define TEXT(l, name, value, max) put_text((l), SPAN(",\"" name "\":\""), (value), (max))

#define NUMBER(l, name, value)                                                                               \
    do {                                                                                                     \
        put((l), SPAN(",\"" name "\":"));                                                                    \
        put_dec((l), (value));                                                                               \
    } while (0)

static void put_ms(struct line *l, struct span name, uint64_t us)
{
    char frac[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10), (char)('0' + us % 10)};
    put(l, name);
    put_dec(l, us / 1000);
    put(l, span_of(frac, sizeof frac));
}

static void put_upstream(struct line *l, const struct access_record *r)
{
    if (!r->upstream.len)
        return;
    TEXT(l, "upstream", r->upstream, MEDIUM);
    if (r->upstream_status)
        NUMBER(l, "upstream_status", r->upstream_status);
    put_ms(l, SPAN(",\"upstream_connect_ms\":"), r->upstream_connect_us);
    put_ms(l, SPAN(",\"upstream_first_byte_ms\":"), r->upstream_first_byte_us);
    NUMBER(l, "retries", r->retries);
}

static void put_phases(struct line *l, const struct access_record *r)
{
    if (!r->n_phases)
        return;
    put(l, SPAN(",\"phases_ms\":{"));
    for (unsigned i = 0; i < r->n_phases; i++) {
        put(l, i ? SPAN(",\"") : SPAN("\""));
        put_escaped(l, r->phases[i].name, SHORT, escape_json);
        put_ms(l, SPAN("\":"), r->phases[i].us);
    }
    put(l, SPAN("}"));
}

size_t access_log_json(const struct access_record *r, char out[ACCESS_LINE_MAX_BYTES])
{
    struct line line = {out, out + ACCESS_LINE_MAX_BYTES}, *l = &line;
    put(l, SPAN("{\"time\":\""));
    put_time(l, r->wall_ms);
    put(l, SPAN("\""));
    TEXT(l, "id", r->id, MEDIUM);
    TEXT(l, "client", r->client, SHORT);
    TEXT(l, "user", r->user, MEDIUM);
    TEXT(l, "listener", r->listener, MEDIUM);
    TEXT(l, "site", r->site, LONG);
    TEXT(l, "proxy", r->proxy, LONG);
    TEXT(l, "route", r->route, LONG);
    TEXT(l, "method", r->method, SHORT);
    TEXT(l, "scheme", r->scheme, SHORT);
    TEXT(l, "host", r->host, LONG);
    if (r->target.len) {
        put(l, SPAN(",\"target\":\""));
        put_url(l, r->target, ACCESS_TARGET_MAX_BYTES, escape_json);
        put(l, SPAN("\""));
    }
    TEXT(l, "protocol", r->protocol, SHORT);
    NUMBER(l, "status", r->status);
    NUMBER(l, "bytes_in", r->bytes_in);
    NUMBER(l, "bytes_out", r->bytes_out);
    put_ms(l, SPAN(",\"duration_ms\":"), r->duration_us);
    TEXT(l, "phase", r->phase, SHORT);
    put_upstream(l, r);
    TEXT(l, "cache", r->cache, LONG);
    TEXT(l, "reason", r->reason, SHORT);
    TEXT(l, "rule", r->rule, LONG);
    TEXT(l, "scan", r->scan, MEDIUM);
    TEXT(l, "noted", r->noted, MEDIUM);
    TEXT(l, "tls", r->tls, SHORT);
    TEXT(l, "inspected", r->inspected, MEDIUM);
    put_phases(l, r);
    put(l, SPAN("}\n"));
    return (size_t)(l->next - out);
}

// ---- Combined

static void put_or_dash(struct line *l, struct span s, size_t max)
{
    put_escaped(l, s.len ? s : SPAN("-"), max, escape_log);
}

// A name outside of quotes: spaces would shift what follows it.
static void put_bare(struct line *l, struct span s, size_t max)
{
    char *first = l->next;
    put_or_dash(l, s, max);
    for (char *p = first; p < l->next; p++)
        if (*p == ' ')
            *p = '_';
}

size_t access_log_combined(const struct access_record *r, char out[ACCESS_LINE_MAX_BYTES])
{
    struct line line = {out, out + ACCESS_LINE_MAX_BYTES}, *l = &line;
    put_bare(l, r->client, SHORT);
    put(l, SPAN(" - "));
    put_bare(l, r->user, MEDIUM);
    put(l, SPAN(" ["));
    put_common_time(l, r->wall_ms);
    put(l, SPAN("] \""));
    put_or_dash(l, r->method, SHORT);
    put(l, SPAN(" "));
    put_url(l, r->target.len ? r->target : SPAN("-"), ACCESS_TARGET_MAX_BYTES, escape_log);
    put(l, SPAN(" "));
    put_or_dash(l, r->protocol, SHORT);
    put(l, SPAN("\" "));
    put_dec(l, r->status);
    put(l, SPAN(" "));
    put_dec(l, r->bytes_out);
    put(l, SPAN(" \""));
    put_url(l, r->referer.len ? r->referer : SPAN("-"), FIELD, escape_log);
    put(l, SPAN("\" \""));
    put_or_dash(l, r->user_agent, FIELD);
    put(l, SPAN("\"\n"));
    return (size_t)(l->next - out);
}

// ---- Brief

static void put_if(struct line *l, struct span before, struct span s, size_t max)
{
    if (!s.len)
        return;
    put(l, before);
    put_escaped(l, s, max, escape_log);
}

size_t access_log_brief(const struct access_record *r, char out[ACCESS_LINE_MAX_BYTES])
{
    struct line line = {out, out + ACCESS_LINE_MAX_BYTES}, *l = &line;
    put_time(l, r->wall_ms);
    put_if(l, SPAN(" "), r->client, SHORT);
    put_if(l, SPAN(" "), r->user, MEDIUM);
    put_if(l, SPAN(" "), r->method, SHORT);
    put(l, SPAN(" "));
    if (r->target.len && r->target.ptr[0] == '/') { // of the origin form: the URL is put together
        put_escaped(l, r->scheme, SHORT, escape_log);
        put(l, SPAN("://"));
        put_escaped(l, r->host, LONG, escape_log);
    }
    put_url(l, r->target.len ? r->target : SPAN("-"), ACCESS_TARGET_MAX_BYTES, escape_log);
    put(l, SPAN(" "));
    put_dec(l, r->status);
    put_ms(l, SPAN(" "), r->duration_us);
    put(l, SPAN("ms "));
    put_dec(l, r->bytes_out);
    put(l, SPAN("B"));
    put_if(l, SPAN(" from "), r->upstream, MEDIUM);
    put_if(l, SPAN(" cache "), r->cache, LONG);
    if (!span_eq(r->reason, SPAN("ok")))
        put_if(l, SPAN(" reason "), r->reason, SHORT);
    put_if(l, SPAN(" rule "), r->rule, LONG);
    put_if(l, SPAN(" id "), r->id, MEDIUM);
    put(l, SPAN("\n"));
    return (size_t)(l->next - out);
}
