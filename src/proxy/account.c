// SPDX-License-Identifier: Apache-2.0
#include "proxy/account.h"

#include "admin/history.h"
#include "admin/log.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/num.h"
#include "proxy/access_log.h"
#include "proxy/cache_fetch.h"
#include "proxy/decide.h"
#include "proxy/tap.h"
#include "proxy/thread.h"

static unsigned status_sent(const struct exchange *x)
{
    return x->client->head_sent ? x->resp.status : 0;
}

static struct span protocol(const struct exchange *x)
{
    if (x->client->protocol.len)
        return x->client->protocol;
    return x->req->version == HTTP_1_0 ? SPAN("HTTP/1.0")
           : x->req->version == HTTP_2 ? SPAN("HTTP/2")
                                       : SPAN("HTTP/1.1");
}

// What a record's texts are written into.
struct texts {
    char client[ADDR_IP_TEXT_MAX], upstream[ADDR_TEXT_MAX];
    struct access_phase phases[N_PHASES];
};

// What a log that may not say who asked for what has instead: a keyed hash of the address (its key is the
// process's), no queries.
static void hide(struct access_record *r, struct texts *t)
{
    uint64_t hash = hash_keyed(r->client);
    CHECK(sizeof t->client >= 17);
    t->client[0] = '~';
    r->client = span_of(t->client, 1 + num_put_hex(t->client + 1, hash));
    r->target = span_first(r->target, span_find(r->target, '?'));
    r->referer = span_first(r->referer, span_find(r->referer, '?'));
}

static struct access_record record_of(const struct exchange *x, uint64_t duration_us, struct texts *t)
{
    const struct request *req = x->req;
    struct access_record r = {
        .wall_ms = loop_wall_ms(),
        .id = x->id,
        .client = span_of(t->client, addr_format_ip(&x->client_addr, t->client)),
        .user = x->user,
        .listener = x->listener->name,
        .site = x->site ? x->site->name : SPAN_NONE,
        .proxy = x->proxy ? x->proxy->name : SPAN_NONE,
        .route = x->route ? x->route->where : SPAN_NONE,
        .method = req->method_text,
        .scheme = req->scheme,
        .host = req->authority.text,
        .target = req->target,
        .protocol = protocol(x),
        .status = status_sent(x),
        .bytes_in = x->client->head_bytes_in + x->client->bytes_in,
        .bytes_out = x->client->bytes_out,
        .duration_us = duration_us,
        .phase = span_str(phase_name(x->phase)),
        .upstream_status = x->upstream_status,
        .upstream_connect_us = x->connect_us,
        .upstream_first_byte_us = x->first_byte_us,
        .retries = x->tries,
        .cache = x->cached ? x->cached->status_text : SPAN_NONE,
        .reason = span_str(err_name(x->log_reason ? x->log_reason : x->reason)),
        .rule = x->rule,
        .scan = x->scan_said,
        .noted = x->noted,
        .inspected = x->inspected,
        .referer = fields_value(&req->fields, FIELD_REFERER),
        .user_agent = fields_value(&req->fields, FIELD_USER_AGENT),
    };
    if (x->conn->t.info)
        r.tls = x->conn->t.info->version;
    if (x->upstream_addr.family)
        r.upstream = span_of(t->upstream, addr_format(&x->upstream_addr, t->upstream));
    if (x->proxy && x->proxy->privacy == PRIVACY_STRICT)
        hide(&r, t);
    return r;
}

// Whether the access log wants it: of what ended well perhaps a part only, and what meets the conditions.
static bool is_wanted(struct exchange *x)
{
    enum { WHOLE = 10000 };
    const struct generation *g = x->gen;
    struct condition_input in;
    struct response_facts answer;
    bool well = !x->reason && !x->log_reason && x->resp.status < 400;
    if (g->log_sample < WHOLE && well && hash_fast(x->id) % WHOLE >= g->log_sample)
        return false;
    return !g->log_when || (!decide_input_at_end(x, &answer, &in) && condition_set_match(g->log_when, &in));
}

static void write_log(const struct access_record *r, enum access_log form, char line[ACCESS_LINE_MAX_BYTES])
{
    log_access(
        span_of(line, form == ACCESS_LOG_JSON ? access_log_json(r, line) : access_log_combined(r, line)));
}

static void keep(const struct exchange *x, struct access_record *r, struct texts *t,
                 char line[ACCESS_LINE_MAX_BYTES])
{
    r->phases = t->phases;
    for (unsigned p = 0; p < N_PHASES; p++)
        if (x->phase_us[p])
            t->phases[r->n_phases++] =
                (struct access_phase){span_str(phase_name((enum phase)p)), x->phase_us[p]};
    history_put(x->id, span_of(line, access_log_json(r, line)));
}

static void tell(struct exchange *x, uint64_t us)
{
    static _Thread_local char line[ACCESS_LINE_MAX_BYTES]; // nothing below lets another fiber run
    struct texts texts;
    struct access_record r = record_of(x, us, &texts);
    if (x->gen->log != ACCESS_LOG_OFF && is_wanted(x))
        write_log(&r, x->gen->log, line);
    if (x->gen->keeps_history)
        keep(x, &r, &texts, line);
    if (tap_is_on())
        tap_show(x, &r, line);
}

// Which limit or deadline of the configuration a reason is about.
static void count_limit(enum err reason)
{
    static const uint8_t limits[N_ERRS] = {
        [ERR_TARGET_TOO_LONG] = 1 + LIMIT_REQUEST_LINE,
        [ERR_TOO_MANY_FIELDS] = 1 + LIMIT_FIELDS,
        [ERR_FIELDS_TOO_LARGE] = 1 + LIMIT_FIELD_BYTES,
        [ERR_CONTENT_TOO_LARGE] = 1 + LIMIT_BODY,
        [ERR_RESPONSE_TOO_MANY_FIELDS] = 1 + LIMIT_RESPONSE_FIELDS, [ERR_RESPONSE_FIELDS_TOO_LARGE] = 1 + LIMIT_RESPONSE_FIELD_BYTES,
        [ERR_RESPONSE_TOO_MANY_1XX] = 1 + LIMIT_INTERIM,
        [ERR_DECODED_TOO_LARGE] = 1 + LIMIT_DECOMPRESS,
        [ERR_REQUEST_TIMEOUT] = 1 + LIMIT_HEADER,
        [ERR_CONNECT_TIMEOUT] = 1 + LIMIT_CONNECT,
        [ERR_UPSTREAM_TIMEOUT] = 1 + LIMIT_FIRST_BYTE,
        [ERR_UPSTREAM_STALLED] = 1 + LIMIT_BETWEEN_BYTES,
        [ERR_UPSTREAM_WRITE_TIMEOUT] = 1 + LIMIT_BETWEEN_BYTES,
        [ERR_CLIENT_STALLED] = 1 + LIMIT_BETWEEN_BYTES,
        [ERR_CLIENT_UPLOAD_STALLED] = 1 + LIMIT_BETWEEN_BYTES,
        [ERR_TUNNEL_IDLE] = 1 + LIMIT_TUNNEL_IDLE,
    };
    if (limits[reason])
        metrics_limit((enum limit)(limits[reason] - 1));
}

struct metric_set *account_metrics(const struct exchange *x)
{
    return x->site ? x->site->metrics : x->proxy ? x->proxy->metrics : x->gen->nowhere;
}

void account(struct exchange *x)
{
    if (x->cached && x->cached->job)
        cache_job_account(x->cached->job, x);
    uint64_t us = loop_clock_us() - x->started_us;
    struct metric_set *set = account_metrics(x);
    metric_add_status(set, METRIC_REQUESTS, status_sent(x));
    if (x->answer != ANSWER_TUNNEL)
        metric_observe_us(set, METRIC_REQUEST_SECONDS, us);
    if (x->reason) {
        metric_add_reason(set, METRIC_ERRORS, x->reason);
        count_limit(x->reason);
    }
    metric_add(set, METRIC_BYTES_IN, (int64_t)x->client->bytes_in);
    metric_add(set, METRIC_BYTES_OUT, (int64_t)x->client->bytes_out);
    if (x->cached)
        metric_add(set, x->cached->fwd ? METRIC_CACHE_FORWARDS : METRIC_CACHE_HITS, 1);
    if (x->tries)
        metric_add(set, METRIC_RETRIES, x->tries);
    if (x->gen->log != ACCESS_LOG_OFF || x->gen->keeps_history)
        tell(x, us);
}
