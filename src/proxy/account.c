// SPDX-License-Identifier: Apache-2.0
#include "proxy/account.h"

#include "admin/log.h"
#include "base/num.h"
#include "http/date.h"
#include "proxy/thread.h"

enum { TARGET_MAX_BYTES = 8192, LINE_FIXED_BYTES = 1536 };

struct line {
    char *p;
    size_t n, cap;
};

static void put(struct line *l, struct span s)
{
    size_t n = MIN(s.len, l->cap - l->n);
    if (n)
        memcpy(l->p + l->n, s.ptr, n);
    l->n += n;
}

static void put_dec(struct line *l, uint64_t v)
{
    char t[20];
    put(l, span_of(t, num_put_dec(t, v)));
}

// Any octets as the inside of a JSON string. What is not ASCII is escaped by its octet, so the line is always valid.
static void put_escaped(struct line *l, struct span s, size_t max)
{
    for (size_t i = 0; i < s.len && i < max; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\') {
            char two[2] = {'\\', (char)c};
            put(l, span_of(two, 2));
        } else if (c < 0x20 || c >= 0x7f) {
            char six[6] = {'\\', 'u', '0', '0', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]};
            put(l, span_of(six, 6));
        } else {
            put(l, span_of(s.ptr + i, 1));
        }
    }
}

static void member(struct line *l, const char *name, struct span value)
{
    if (!value.len)
        return;
    put(l, SPAN(",\""));
    put(l, span_str(name));
    put(l, SPAN("\":\""));
    put_escaped(l, value, TARGET_MAX_BYTES);
    put(l, SPAN("\""));
}

static void number(struct line *l, const char *name, uint64_t v)
{
    put(l, SPAN(",\""));
    put(l, span_str(name));
    put(l, SPAN("\":"));
    put_dec(l, v);
}

static void put_ms(struct line *l, const char *name, uint64_t us)
{
    number(l, name, us / 1000);
    char frac[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10), (char)('0' + us % 10)};
    put(l, span_of(frac, 4));
}

// RFC 3339 in UTC with milliseconds; the HTTP date has the digits already.
static void put_time(struct line *l)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint64_t ms = loop_wall_ms();
    char d[HTTP_DATE_BYTES];
    http_date_format((int64_t)(ms / 1000), d);
    unsigned m = 1;
    while (m < 12 && memcmp(months + (size_t)(m - 1) * 3, d + 8, 3) != 0)
        m++;
    char out[24] = {d[12], d[13], d[14], d[15], '-', (char)('0' + m / 10), (char)('0' + m % 10), '-', d[5], d[6], 'T'};
    memcpy(out + 11, d + 17, 8);
    out[19] = '.';
    out[20] = (char)('0' + ms / 100 % 10);
    out[21] = (char)('0' + ms / 10 % 10);
    out[22] = (char)('0' + ms % 10);
    out[23] = 'Z';
    put(l, span_of(out, 24));
}

static unsigned status_sent(const struct exchange *x)
{
    return x->client->head_sent ? x->resp.status : 0;
}

static struct span protocol(const struct exchange *x)
{
    return x->req->version == HTTP_1_0 ? SPAN("HTTP/1.0") : x->req->version == HTTP_2 ? SPAN("HTTP/2") : SPAN("HTTP/1.1");
}

static void json_line(struct line *l, struct exchange *x, uint64_t duration_us)
{
    char ip[ADDR_IP_TEXT_MAX], up[ADDR_TEXT_MAX];
    put(l, SPAN("{\"time\":\""));
    put_time(l);
    put(l, SPAN("\""));
    member(l, "id", x->id);
    member(l, "client", span_of(ip, addr_format_ip(&x->client_addr, ip)));
    member(l, "listener", x->listener->name);
    if (x->site)
        member(l, "site", x->site->name);
    if (x->proxy)
        member(l, "proxy", x->proxy->name);
    if (x->route)
        member(l, "route", x->route->where);
    member(l, "method", x->req->method_text);
    member(l, "scheme", x->req->scheme);
    member(l, "host", x->req->authority.text);
    member(l, "target", x->req->target);
    member(l, "protocol", protocol(x));
    number(l, "status", status_sent(x));
    number(l, "bytes_in", x->client->head_bytes_in + x->client->bytes_in);
    number(l, "bytes_out", x->client->bytes_out);
    put_ms(l, "duration_ms", duration_us);
    member(l, "phase", span_str(phase_name(x->phase)));
    if (x->upstream_addr.family) {
        member(l, "upstream", span_of(up, addr_format(&x->upstream_addr, up)));
        if (x->upstream_status)
            number(l, "upstream_status", x->upstream_status);
        put_ms(l, "upstream_connect_ms", x->connect_us);
        put_ms(l, "upstream_first_byte_ms", x->first_byte_us);
        number(l, "retries", x->tries);
    }
    member(l, "reason", span_str(err_name(x->reason)));
    member(l, "rule", x->rule);
    put(l, SPAN("}\n"));
}

// The combined form that every log tool reads.
static void combined_line(struct line *l, struct exchange *x)
{
    char ip[ADDR_IP_TEXT_MAX], d[HTTP_DATE_BYTES];
    http_date_format((int64_t)(loop_wall_ms() / 1000), d);
    put(l, span_of(ip, addr_format_ip(&x->client_addr, ip)));
    put(l, SPAN(" - - ["));
    put(l, span_of(d + 5, 2));
    put(l, SPAN("/"));
    put(l, span_of(d + 8, 3));
    put(l, SPAN("/"));
    put(l, span_of(d + 12, 4));
    put(l, SPAN(":"));
    put(l, span_of(d + 17, 8));
    put(l, SPAN(" +0000] \""));
    put_escaped(l, x->req->method_text, 32);
    put(l, SPAN(" "));
    put_escaped(l, x->req->target, TARGET_MAX_BYTES);
    put(l, SPAN(" "));
    put(l, protocol(x));
    put(l, SPAN("\" "));
    put_dec(l, status_sent(x));
    put(l, SPAN(" "));
    put_dec(l, x->client->bytes_out);
    put(l, SPAN(" \""));
    struct span ref = fields_value(&x->req->fields, FIELD_REFERER), ua = fields_value(&x->req->fields, FIELD_USER_AGENT);
    put_escaped(l, ref.len ? ref : SPAN("-"), 2048);
    put(l, SPAN("\" \""));
    put_escaped(l, ua.len ? ua : SPAN("-"), 2048);
    put(l, SPAN("\"\n"));
}

static void write_log(struct exchange *x, uint64_t duration_us)
{
    size_t texts = MIN(x->req->target.len, (size_t)TARGET_MAX_BYTES) + x->req->authority.text.len + x->rule.len;
    if (x->gen->log == ACCESS_LOG_COMBINED)
        texts += 4096;
    struct line l = {.cap = LINE_FIXED_BYTES + 6 * texts};
    l.p = arena_bytes(x->arena, l.cap);
    if (!l.p)
        return;
    if (x->gen->log == ACCESS_LOG_JSON)
        json_line(&l, x, duration_us);
    else
        combined_line(&l, x);
    log_access(span_of(l.p, l.n));
}

void account(struct exchange *x)
{
    uint64_t us = loop_clock_us() - x->started_us;
    struct metric_set *set = x->site ? x->site->metrics : x->proxy ? x->proxy->metrics : x->gen->nowhere;
    metric_add_status(set, METRIC_REQUESTS, status_sent(x));
    if (x->answer != ANSWER_TUNNEL)
        metric_observe_us(set, METRIC_REQUEST_SECONDS, us);
    if (x->reason)
        metric_add_reason(set, METRIC_ERRORS, x->reason);
    metric_add(set, METRIC_BYTES_IN, (int64_t)x->client->bytes_in);
    metric_add(set, METRIC_BYTES_OUT, (int64_t)x->client->bytes_out);
    if (x->tries)
        metric_add(set, METRIC_RETRIES, x->tries);
    if (x->gen->log != ACCESS_LOG_OFF)
        write_log(x, us);
}
