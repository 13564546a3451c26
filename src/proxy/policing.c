// SPDX-License-Identifier: Apache-2.0
#include "proxy/policing.h"

#include "filter/codec.h"
#include "http/media.h"
#include "http/sniff.h"
#include "proxy/decide.h"
#include "proxy/inspect.h"
#include "proxy/page.h"
#include "proxy/refusals.h"
#include "proxy/strip.h"
#include "proxy/thread.h"
#include "tls/hello.h"

enum {
    LOOK_BYTES = 512,      // of content that a look at its type waits for
    LOOK_MS = 2000,        // and for how long
    DECODED_BYTES = 65536, // of encoded content, for that look
    PIECES = 8,            // a second, of what is throttled
};

// ---- What a rule says

// A 2xx to CONNECT would be a promise of a tunnel.
static bool may_answer(const struct exchange *x, const struct policy_rule *r)
{
    return !x->tunnel_wanted || r->status >= 300;
}

// An answer of ours in place of whatever was there.
static enum err answer_text(struct exchange *x, const struct policy_rule *r)
{
    const struct text *t = &x->proxy->policy_texts[r - x->proxy->policy.v];
    strip_begin(x);
    struct span text = text_render(t, x, NULL);
    if (!text.ptr)
        return ERR_NO_MEMORY;
    if (r->action == POLICY_RESPOND)
        return page_text(r->status, text, &x->resp, &x->content);
    enum err e = fields_add(&x->resp.fields, FIELD_LOCATION, text);
    return e ? e : page_text(r->status, SPAN(""), &x->resp, &x->content);
}

static enum err refuse(struct exchange *x)
{
    const struct policy_rule *r = x->policy->outcome.rule;
    if (!r)
        return ERR_DENIED;
    x->message = r->message;
    if (r->action == POLICY_TARPIT)
        return tarpit(x);
    if (r->action == POLICY_CHALLENGE)
        return challenge_answer(x);
    if (r->action == POLICY_DENY || !may_answer(x, r))
        return ERR_DENIED;
    return answer_text(x, r);
}

static void decide(struct exchange *x)
{
    struct policy_state *s = x->policy;
    policy_decide(&x->proxy->policy, &s->in, &s->outcome);
    x->rule = policy_where(&x->proxy->policy, &s->outcome);
    if (s->outcome.n_logs)
        x->noted = s->outcome.logs[0]->where;
}

// ---- The request

// Lists of addresses are for names too. What cannot be resolved fails when it is to be connected to.
static enum err look_up(struct exchange *x)
{
    struct policy_state *s = x->policy;
    enum err e = ERR_OK;
    if (x->inside && inspection_addr(x->inside)->family) { // where the tunnel leads already
        s->dest.addrs[0] = *inspection_addr(x->inside);
        s->dest.n = 1;
    } else {
        e = dns_resolve(x->service->dns, x->req->authority.host, deadline_in(DNS_QUERY_TIMEOUT_MS + 1000), &s->dest);
    }
    if (e == ERR_CANCELED || e == ERR_NO_MEMORY)
        return e;
    s->dest.n = e ? 0 : s->dest.n;
    s->in.dest = s->dest.addrs;
    s->in.n_dest = s->dest.n;
    return ERR_OK;
}

bool policing_addresses(const struct exchange *x, const struct dns_answer **ret)
{
    if (likely(!x->policy) || !x->policy->dest.n)
        return false;
    *ret = &x->policy->dest;
    return true;
}

enum err policing_request(struct exchange *x, const struct condition_input *in)
{
    const struct policy *p = &x->proxy->policy;
    if (x->proxy->privacy == PRIVACY_STRICT && x->req->query.ptr) {
        enum err clean = privacy_clean_query(x->req->query, x->arena, &x->req->query);
        if (clean)
            return clean;
    }
    if (!p->n && !p->default_deny) {
        x->rule = p->default_where;
        return ERR_OK;
    }
    struct policy_state *s = x->policy = (struct policy_state *)arena_zalloc(x->arena, sizeof *s);
    if (!s)
        return ERR_NO_MEMORY;
    s->in = *in;
    s->in.view = &s->view;
    s->in.hit = &s->hit;
    enum err e = p->needs & CONDITION_NEEDS_ADDRESSES ? look_up(x) : ERR_OK;
    if (e)
        return e;
    decide(x);
    if (s->outcome.rule && s->outcome.rule->action == POLICY_CHALLENGE && challenge_is_met(x)) {
        s->in.solved = true;
        decide(x);
    }
    if (s->outcome.refused && !s->outcome.pending)
        return refuse(x);
    if (s->outcome.strip & STRIP_TRACKERS)
        e = strip_request(x);
    if (!e && x->answer == ANSWER_NONE && p->cleans_queries && x->req->query.ptr)
        e = policy_clean_query(p, &s->in, x->req->query, &x->req->query);
    return e;
}

// ---- The answer

// Content that came already, without its coding: as much of it as there is. A NULL pointer where it cannot be read.
static struct span decoded(struct exchange *x, char *out, size_t cap)
{
    enum coding codings[FILTERS_MAX];
    unsigned n = coding_list(fields_joined(&x->resp.fields, FIELD_CONTENT_ENCODING, x->arena), codings, FILTERS_MAX);
    struct filter_chain chain;
    struct chunkq in, plain;
    bool ok = n <= FILTERS_MAX, done;
    filter_chain_init(&chain);
    chunkq_init(&in);
    chunkq_init(&plain);
    for (unsigned i = MIN(n, (unsigned)FILTERS_MAX); ok && i > 0; i--)
        ok = codings[i - 1] != CODING_UNKNOWN && filter_chain_add(&chain, decoder_new(codings[i - 1], DECODED_BYTES, 0));
    ok = ok && !chunkq_share(&in, &x->ahead, x->ahead.bytes);
    if (ok)
        (void)!filter_chain_run(&chain, &in, &plain, FILTER_FLUSH, &done); // a part is all that is there
    size_t len = ok ? chunkq_peek(&plain, out, cap) : 0;
    filter_chain_fini(&chain);
    chunkq_fini(&in);
    chunkq_fini(&plain);
    return span_of(len ? out : NULL, len);
}

// Waits for the first bytes of content. They go to the client before the others.
static enum err look_at_content(struct exchange *x)
{
    struct upstream_stream *u = x->upstream;
    uint64_t until = deadline_in(LOOK_MS);
    enum err e = ERR_OK;
    if (x->req->method == METHOD_HEAD || x->resp.framing.kind == FRAMING_NONE)
        return ERR_OK;
    while (!e && !u->response_complete && x->ahead.bytes < LOOK_BYTES)
        e = u->ops->read(u, &x->ahead, LOOK_BYTES * 2, until);
    return e == ERR_EOF || e == ERR_TIMEOUT || e == ERR_UPSTREAM_STALLED ? ERR_OK : e;
}

// A part of a file does not begin with what shows its type.
static bool begins_at_start(const struct exchange *x)
{
    struct span range = fields_value(&x->resp.fields, FIELD_CONTENT_RANGE);
    return x->resp.status != 206 || span_starts_ci(range, SPAN("bytes 0-"));
}

static enum err gather(struct exchange *x, struct response_facts *f)
{
    const struct response *r = &x->resp;
    *f = (struct response_facts){.status = r->status, .size = r->framing.kind == FRAMING_LENGTH ? r->framing.length : UINT64_MAX,
                                 .type = media_essence(fields_value(&r->fields, FIELD_CONTENT_TYPE)),
                                 .disposition = fields_value(&r->fields, FIELD_CONTENT_DISPOSITION)};
    if (r->framing.kind == FRAMING_NONE && x->req->method != METHOD_HEAD)
        f->size = 0;
    if (!(x->proxy->policy.needs & CONDITION_NEEDS_CONTENT) || !begins_at_start(x))
        return ERR_OK;
    enum err e = look_at_content(x);
    if (e)
        return e;
    bool encoded = fields_may_have(&r->fields, FIELD_CONTENT_ENCODING) && fields_get(&r->fields, FIELD_CONTENT_ENCODING);
    char *first = arena_bytes(x->arena, SNIFF_BYTES);
    if (!first)
        return ERR_NO_MEMORY;
    struct span bytes = encoded ? decoded(x, first, SNIFF_BYTES) : span_of(first, chunkq_peek(&x->ahead, first, SNIFF_BYTES));
    f->sniffed = sniff_beside(bytes, f->type);
    return ERR_OK;
}

enum err policing_answer(struct exchange *x)
{
    struct policy_state *s = x->policy;
    if (likely(!s) || x->answer != ANSWER_UPSTREAM || (!s->outcome.pending && !s->outcome.strip))
        return ERR_OK;
    struct response_facts f;
    enum err e = gather(x, &f);
    if (e)
        return e;
    s->in.answer = &f;
    decide(x);
    if (s->outcome.refused) {
        e = refuse(x);
        if (f.sniffed.len && f.type.len && !span_eq_ci(f.sniffed, f.type))
            x->log_reason = ERR_TYPE_DISAGREES;
    } else if (s->outcome.strip) {
        e = strip_answer(x, &f);
    }
    s->in.answer = NULL;
    return e;
}

// ---- What goes through a tunnel

static enum err decide_name(struct exchange *x, struct span name)
{
    struct policy_state *s = x->policy;
    struct request req = *x->req;
    struct condition_input in = s->in;
    struct request_view *view = NULL;
    struct policy_outcome o;
    if (!name.len || span_eq(name, x->req->authority.host))
        return ERR_OK;
    req.authority.host = name;
    req.authority.kind = HOST_NAME;
    in.req = &req;
    in.view = &view;
    policy_decide(&x->proxy->policy, &in, &o);
    if (!o.refused || o.pending)
        return ERR_OK;
    x->rule = policy_where(&x->proxy->policy, &o);
    return ERR_DENIED;
}

enum err policing_first_bytes(struct exchange *x, const struct chunkq *q, bool *ret_more)
{
    static const char handshake[] = {0x16, 0x03}; // a record of TLS with a handshake message in it
    static _Thread_local char joined[TLS_HELLO_MAX]; // nothing lets another fiber run before it was read
    char name[TLS_NAME_MAX + 1];
    *ret_more = false;
    if (!x->policy || !x->tunnel_wanted)
        return ERR_OK;
    struct span bytes = chunkq_first(q);
    if (!bytes.len || memcmp(bytes.ptr, handshake, MIN(bytes.len, sizeof handshake)) != 0)
        return ERR_OK;
    if (bytes.len < q->bytes)
        bytes = span_of(joined, chunkq_peek(q, joined, sizeof joined));
    switch (tls_hello_parse(bytes, name)) {
    case TLS_HELLO_PARTIAL:
        *ret_more = true;
        return ERR_OK;
    case TLS_HELLO_WHOLE:
        return decide_name(x, span_str(name));
    case TLS_HELLO_BAD: // a handshake that only the server is to understand
        break;
    }
    return ERR_DENIED;
}

// ---- throttle

size_t policing_piece(const struct exchange *x, size_t want)
{
    uint64_t rate = x->policy ? x->policy->outcome.throttle : 0;
    return rate ? (size_t)MIN((uint64_t)want, MAX(rate / PIECES, (uint64_t)1)) : want;
}

enum err policing_pace(struct exchange *x, size_t n)
{
    struct policy_state *s = x->policy;
    if (likely(!s) || !s->outcome.throttle || !n)
        return ERR_OK;
    uint64_t now = loop_clock_us();
    s->pace_at_us = MAX(s->pace_at_us, now) + (uint64_t)n * 1000000 / s->outcome.throttle;
    uint64_t wait_ms = (s->pace_at_us - now) / 1000;
    return wait_ms ? fiber_sleep(wait_ms) : ERR_OK;
}
