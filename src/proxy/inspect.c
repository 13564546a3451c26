// SPDX-License-Identifier: Apache-2.0
// What is decided about tunnels, and what is known inside of one.
#include "proxy/inspect.h"

#include "base/mem.h"
#include "proxy/connection.h"
#include "proxy/decide.h"
#include "proxy/inspection.h"
#include "proxy/policing.h"
#include "proxy/thread.h"

// ---- Which tunnels

struct inspect_verdict inspect_decide(const struct inspect_rules *rules, const struct condition_input *in)
{
    struct inspect_verdict v = {0};
    for (unsigned i = 0; i < rules->n && !v.rule; i++)
        if (condition_set_match(rules->v[i]->when, in))
            v.rule = rules->v[i];
    if (v.rule)
        v.bypass = inspect_bypass(v.rule, in);
    return v;
}

// Where it is not sure that a list has it, it is left alone as well.
struct span inspect_bypass(const struct inspect_rule *r, const struct condition_input *in)
{
    struct list_hit hit;
    for (unsigned i = 0; i < r->n_bypass; i++)
        if (list_match(r->bypass[i], in, &hit) != MATCH_NO)
            return hit.list;
    return SPAN("");
}

struct span inspect_words(const struct inspect_verdict *v, struct arena *a)
{
    if (!v->rule)
        return SPAN("spliced");
    if (!v->bypass.len)
        return arena_printf(a, "intercepted by %.*s", SPAN_ARG(v->rule->where));
    return arena_printf(a, "spliced by %.*s, bypass list %.*s", SPAN_ARG(v->rule->where),
                        SPAN_ARG(v->bypass));
}

static bool need_addresses(const struct inspect_rules *r)
{
    unsigned needs = 0;
    for (unsigned i = 0; i < r->n; i++)
        needs |= r->v[i]->needs;
    return needs & CONDITION_NEEDS_ADDRESSES;
}

enum err inspect_input(struct exchange *x, struct request_view **view, struct dns_answer *dest,
                       struct condition_input *ret)
{
    enum err e = ERR_OK;
    if (x->policy)
        *ret = x->policy->in;
    else
        e = decide_input(x, ret);
    ret->view = view;
    ret->hit = NULL;
    if (e || ret->n_dest || !need_addresses(&x->proxy->inspects))
        return e;
    // What cannot be resolved fails when it is to be connected to.
    if (!dns_resolve(x->service->dns, x->req->authority.host, deadline_in(DNS_QUERY_TIMEOUT_MS + 1000),
                     dest)) {
        ret->dest = dest->addrs;
        ret->n_dest = dest->n;
    }
    return fiber_canceled(fiber_self());
}

enum err inspect_plan(struct exchange *x)
{
    struct condition_input in;
    struct request_view *view = NULL;
    struct dns_answer dest;
    if (likely(!x->proxy->inspects.n))
        return ERR_OK;
    enum err e = inspect_input(x, &view, &dest, &in);
    if (e)
        return e;
    struct inspect_verdict v = inspect_decide(&x->proxy->inspects, &in);
    x->inspected = inspect_words(&v, x->arena);
    if (!x->inspected.ptr)
        return ERR_NO_MEMORY;
    if (!v.rule || v.bypass.len)
        return ERR_OK;
    x->inspect = v.rule;
    return x->proxy->parents.n ? ERR_OK : connection_foresee(x); // a parent looks names up itself
}

// ---- Inside of one

struct inspection *inspection_new(struct exchange *x, struct span name)
{
    const struct authority *a = &x->req->authority;
    const struct span parts[] = {name, a->host, x->user};
    size_t size = sizeof(struct inspection);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        size += parts[i].len;
    struct inspection *in = (struct inspection *)mem_calloc(1, size);
    if (!in)
        return NULL;
    struct span *const to[] = {&in->name, &in->host, &in->user};
    char *p = in->text;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].len)
            memcpy(p, parts[i].ptr, parts[i].len);
        *to[i] = span_of(p, parts[i].len);
        p += parts[i].len;
    }
    in->refs = 1;
    in->client = ERR_TLS_FAILED; // until it has succeeded
    in->gen = generation_ref(x->gen);
    in->rule = x->inspect;
    in->port = a->port;
    uint64_t servers = tls_client_identity(in->rule->servers), port = in->port;
    const struct span of[] = {in->name, in->host, span_of((const char *)&servers, sizeof servers),
                              span_of((const char *)&port, sizeof port)};
    in->identity = tls_identity(of, ARRAY_LEN(of));
    return in;
}

struct inspection *inspection_ref(struct inspection *in)
{
    in->refs++;
    return in;
}

void inspection_unref(struct inspection *in)
{
    if (!in || --in->refs)
        return;
    tls_leaf_unref(in->leaf);
    generation_unref(in->gen);
    mem_free(in);
}

const struct client_settings *inspection_settings(const struct inspection *in)
{
    return &in->rule->settings;
}

struct span inspection_user(const struct inspection *in)
{
    return in->user.len ? in->user : SPAN_NONE;
}

struct span inspection_host(const struct inspection *in)
{
    return in->host;
}

uint16_t inspection_port(const struct inspection *in)
{
    return in->port;
}

const struct addr *inspection_addr(const struct inspection *in)
{
    return &in->addr;
}

uint64_t inspection_identity(const struct inspection *in)
{
    return in->identity;
}

static struct span doubt(struct exchange *x, struct span why)
{
    return why.len
               ? arena_printf(x->arena, "The server's certificate is not to be trusted: %.*s.", SPAN_ARG(why))
               : SPAN_NONE;
}

enum err inspection_secure(struct exchange *x, struct transport *t)
{
    struct inspection *in = x->inside;
    struct tls_verdict v;
    enum err e = tls_connect_told(t, in->rule->servers, in->name, &x->upstream_addr,
                                  deadline_in(x->timeouts->handshake), &v);
    in->why = e == ERR_TLS_CERTIFICATE ? v.why : SPAN("");
    x->message = doubt(x, in->why);
    if (e == ERR_TLS_FAILED && v.certificate_wanted)
        return ERR_TLS_WANTS_CERTIFICATE;
    return e == ERR_TIMEOUT ? ERR_CONNECT_TIMEOUT : e;
}

// ---- Requests inside

// A client of HTTP/1.0 need not say whom it means; the tunnel says it.
static enum err complete_authority(struct exchange *x)
{
    const struct inspection *in = x->inside;
    struct request *r = x->req;
    if (!r->authority.host.len) {
        bool v6 = span_find(in->name, ':') < in->name.len, own = in->port == 443;
        struct span port = own ? SPAN("") : arena_printf(x->arena, ":%u", (unsigned)in->port);
        struct span text = arena_printf(x->arena, "%s%.*s%s%.*s", v6 ? "[" : "", SPAN_ARG(in->name),
                                        v6 ? "]" : "", SPAN_ARG(port));
        enum err e = text.ptr ? authority_parse(text, x->arena, &r->authority) : ERR_NO_MEMORY;
        if (e)
            return e;
        x->host = r->authority.text;
    }
    return ERR_OK;
}

enum err inspect_admit(struct exchange *x)
{
    const struct inspection *in = x->inside;
    const struct request *r = x->req;
    x->proxy = x->listener->proxy;
    if (in->failure) {
        x->message = doubt(x, in->why);
        return in->failure;
    }
    if (r->method == METHOD_CONNECT || r->form == TARGET_AUTHORITY || r->method == METHOD_TRACE ||
        (r->method == METHOD_PURGE && !x->gen->purges))
        return ERR_METHOD_REFUSED;
    if (!span_eq(r->scheme, SPAN("https")) || (r->form == TARGET_ASTERISK && r->method != METHOD_OPTIONS))
        return ERR_BAD_TARGET;
    enum err e = complete_authority(x);
    if (e)
        return e;
    const struct authority *a = &r->authority;
    bool named = span_eq(a->host, in->name) || span_eq(a->host, in->host);
    return named && (a->port ? a->port : 443) == in->port ? ERR_OK : ERR_MISDIRECTED;
}
