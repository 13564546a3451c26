// SPDX-License-Identifier: Apache-2.0
#include "proxy/scan_service.h"

#include "base/hash.h"
#include "base/mem.h"
#include "icap/exchange.h"
#include "proxy/side.h"
#include "proxy/thread.h"

enum {
    DOWN_MS = 2000,                 // how long one that failed is left alone
    OPTIONS_BODY_MAX_BYTES = 65536, // which nobody reads
};

static struct scan_peer *peer_new(struct service *s, struct span url)
{
    struct scan_peer *p = (struct scan_peer *)mem_calloc(1, sizeof *p + url.len);
    if (!p)
        return NULL;
    memcpy((char *)(p + 1), url.ptr, url.len);
    p->url = span_of((const char *)(p + 1), url.len);
    arena_init(&p->arena, 0);
    list_init(&p->waiting);
    p->next = s->scan_peers;
    s->scan_peers = p;
    return p;
}

static struct scan_peer *peer_of(struct service *s, const struct scan_rule *r)
{
    for (struct scan_peer *p = s->scan_peers; p; p = p->next)
        if (span_eq(p->url, r->url.text))
            return p;
    return peer_new(s, r->url.text);
}

void scan_peers_free(struct service *s)
{
    for (struct scan_peer *p = s->scan_peers, *next; p; p = next) {
        next = p->next;
        arena_fini(&p->arena);
        mem_free(p);
    }
    s->scan_peers = NULL;
}

void scan_note_tag(struct scan_peer *p, const struct fields *f)
{
    struct icap_tag t;
    icap_tag_of(f, &t);
    if (t.len && !icap_tag_eq(&t, &p->options.tag))
        p->expires_ms = 0; // RFC 3507 4.7
}

void scan_note_down(struct scan_peer *p, enum err why)
{
    p->down_until_ms = loop_now_ms() + DOWN_MS;
    p->why = why;
}

// ---- Connections

static uint64_t identity_of(const struct scan_rule *r)
{
    return hash_fast_seed(r->url.authority, hash_keyed(SPAN("icap"))) | 1;
}

static enum err as_ours(enum err e)
{
    switch (e) {
    case ERR_NO_MEMORY:
    case ERR_NO_FILES:
    case ERR_CANCELED:
    case ERR_SHUTDOWN:
        return e;
    case ERR_QUEUE_TIMEOUT:
        return ERR_SCAN_BUSY;
    default:
        return ERR_SCAN_DOWN;
    }
}

enum err scan_connect(struct exchange *x, const struct scan_rule *r, const struct scan_peer *p, bool fresh,
                      struct upstream_conn **ret)
{
    struct side to = {.host = r->url.host,
                      .port = r->url.port,
                      .identity = identity_of(r),
                      .member = r->member,
                      .max = r->connections,
                      .wait_ms = r->timeout_ms};
    if (p && p->known && p->options.max_connections)
        to.max = MIN(to.max, p->options.max_connections);
    enum err e = side_connect(x, &to, fresh, ret);
    return e && !fiber_canceled(fiber_self()) ? as_ours(e) : e;
}

// ---- Options

static enum err skip_content(struct icap_exchange *ix, uint64_t deadline)
{
    struct chunkq q;
    enum err e = ERR_OK;
    uint64_t n = 0;
    chunkq_init(&q);
    while (!e && !icap_is_read(ix) && n < OPTIONS_BODY_MAX_BYTES) {
        e = icap_read(ix, &q, OPTIONS_BODY_MAX_BYTES, deadline);
        n += q.bytes;
        chunkq_clear(&q);
    }
    return e == ERR_EOF ? ERR_OK : e;
}

// One request for them, on a connection of its own.
static enum err ask_on(struct exchange *x, const struct scan_rule *r, struct scan_peer *p,
                       struct upstream_conn *u, struct icap_options *ret)
{
    struct icap_exchange ix;
    struct icap_answer answer;
    struct icap_request q = {.method = ICAP_OPTIONS, .url = &r->url};
    struct chunkq none;
    uint64_t deadline = deadline_in(r->timeout_ms);
    chunkq_init(&none);
    icap_begin(&ix, &u->t, &u->input, x->arena, r->timeout_ms);
    enum err e = icap_send_head(&ix, &q, &none, ICAP_END);
    if (!e)
        e = icap_read_head(&ix, deadline, &answer);
    if (!e)
        e = skip_content(&ix, deadline);
    if (!e) {
        arena_reset(&p->arena);
        memset(p->options.transfer, 0, sizeof p->options.transfer);
        e = icap_options_parse(&answer, &p->arena, ret);
    }
    bool canceled = fiber_canceled(fiber_self()) != ERR_OK;
    bool stale = (e == ERR_EOF || e == ERR_RESET) && !ix.any_byte && u->n_exchanges;
    chunkq_fini(&none);
    u->on_finish(u, icap_end(&ix) && !e);
    if (!e || canceled || e == ERR_NO_MEMORY)
        return e;
    return stale ? ERR_AGAIN : e == ERR_TIMEOUT ? ERR_SCAN_TIMEOUT : ERR_SCAN_FAILED;
}

static enum err ask(struct exchange *x, const struct scan_rule *r, struct scan_peer *p)
{
    struct icap_options o;
    enum err e = ERR_AGAIN;
    for (unsigned i = 0; i < 2 && e == ERR_AGAIN; i++) {
        struct upstream_conn *u;
        e = scan_connect(x, r, p, i > 0, &u);
        if (!e)
            e = ask_on(x, r, p, u, &o);
    }
    if (e == ERR_AGAIN)
        e = ERR_SCAN_FAILED;
    if (!e) {
        p->options = o;
        p->known = true;
        p->down_until_ms = 0;
        p->expires_ms = loop_now_ms() + o.ttl_s * 1000;
    } else if (err_info(e)->fault == ERR_FAULT_SELF && e != ERR_NO_MEMORY && !fiber_canceled(fiber_self())) {
        scan_note_down(p, e);
    }
    return e;
}

struct waiting {
    struct list node;
    struct waiter waiter;
};

static enum err wait_for_asker(struct scan_peer *p)
{
    struct waiting w = {0};
    list_push_back(&p->waiting, &w.node);
    enum err e = waiter_park(&w.waiter, DEADLINE_NONE);
    list_remove(&w.node);
    return e;
}

static enum err ask_for_all(struct exchange *x, const struct scan_rule *r, struct scan_peer *p)
{
    p->asking = true;
    enum err e = ask(x, r, p);
    p->asking = false;
    LIST_FOREACH (it, &p->waiting)
        waiter_wake(&container_of(it, struct waiting, node)->waiter);
    return e;
}

enum err scan_peer_get(struct exchange *x, const struct scan_rule *r, struct scan_peer **ret)
{
    struct scan_peer *p = peer_of(x->service, r);
    if (!p)
        return ERR_NO_MEMORY;
    *ret = p;
    for (;;) {
        if (loop_now_ms() < p->down_until_ms)
            return p->why;
        if (p->known && loop_now_ms() < p->expires_ms)
            return ERR_OK;
        if (!p->asking)
            return ask_for_all(x, r, p);
        if (p->known)
            return ERR_OK; // the old ones do, until the new ones are there
        enum err e = wait_for_asker(p);
        if (e)
            return e;
    }
}

enum err scan_tag(struct exchange *x, struct span *ret)
{
    const struct scanning *all = scanning_of(x);
    struct scan_peer *p = NULL;
    *ret = SPAN_NONE;
    if (likely(!all) || !all->responses)
        return ERR_OK;
    enum err e = scan_peer_get(x, all->responses, &p);
    if (e && (e == ERR_NO_MEMORY || fiber_canceled(fiber_self())))
        return e;
    // As long as it is down what it last said counts.
    return arena_dup(x->arena, span_of(p->options.tag.text, p->options.tag.len), ret) ? ERR_OK
                                                                                      : ERR_NO_MEMORY;
}
