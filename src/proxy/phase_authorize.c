// SPDX-License-Identifier: Apache-2.0
// authorize: may this client do this, here and now? And the answers of routes that need no server, which only those may have.
#include "http/media.h"
#include "proxy/authenticate.h"
#include "proxy/cached.h"
#include "proxy/cors.h"
#include "proxy/decide.h"
#include "proxy/error_pages.h"
#include "proxy/files.h"
#include "proxy/guard.h"
#include "proxy/page.h"
#include "proxy/policing.h"
#include "proxy/quotas.h"
#include "proxy/refusals.h"
#include "proxy/throttles.h"

enum err decide_input(struct exchange *x, struct condition_input *ret)
{
    *ret = (struct condition_input){.req = x->req, .path = x->req->path, .path_loose = x->req->path, .client = &x->client_addr, .user = x->user,
                                    .wall_s = (int64_t)(loop_wall_ms() / 1000), .arena = x->arena};
    const struct transport_info *tls = x->conn->t.info;
    if (tls) {
        ret->tls_version = tls->version;
        ret->client_cert = tls->client_verified;
        ret->client_subject = tls->client_subject;
    }
    enum err e = x->path_loose.ptr || !x->req->path.len ? ERR_OK : path_loose(x->req->path, x->arena, &x->path_loose);
    if (x->path_loose.ptr)
        ret->path_loose = x->path_loose;
    return e;
}

enum err decide_input_at_end(struct exchange *x, struct response_facts *answer, struct condition_input *ret)
{
    const struct response *r = &x->resp;
    *answer = (struct response_facts){.status = x->client->head_sent ? r->status : 0, .size = x->client->bytes_out,
                                      .type = media_essence(fields_value(&r->fields, FIELD_CONTENT_TYPE)),
                                      .disposition = fields_value(&r->fields, FIELD_CONTENT_DISPOSITION)};
    enum err e = decide_input(x, ret);
    ret->answer = answer;
    return e;
}

static enum err error_of(enum rule_action a)
{
    switch (a) {
    case RULE_ALLOW:
        return ERR_OK;
    case RULE_TARPIT:
        return ERR_TARPITTED;
    case RULE_CHALLENGE:
        return ERR_CHALLENGED;
    case RULE_DENY:
        break;
    }
    return ERR_DENIED;
}

static bool denied(const struct rules *rules, const struct condition_input *in, struct verdict *ret)
{
    const struct rule *r = rules_decide(rules, in);
    if (!r || r->action == RULE_ALLOW)
        return false;
    *ret = (struct verdict){error_of(r->action), r->where};
    return true;
}

struct verdict decide_site(const struct site *s, const struct route *r, const struct condition_input *in)
{
    struct verdict v = {ERR_OK, r->where};
    if (!denied(&s->deny, in, &v))
        denied(&r->deny, in, &v);
    return v;
}

struct verdict decide_client(const struct proxy *p, const struct condition_input *in)
{
    const struct rule *c = p->clients.n ? rules_decide(&p->clients, in) : NULL;
    if (p->clients.n && (!c || c->action != RULE_ALLOW))
        return (struct verdict){c ? error_of(c->action) : ERR_DENIED, c ? c->where : p->where};
    return (struct verdict){ERR_OK, p->where};
}

// Who moves a tree to another place moves its queries too.
struct span decide_redirect_url(struct exchange *x)
{
    const struct text *t = &x->route->text;
    struct span url = text_render(t, x, NULL);
    bool query = url.ptr && x->req->query.ptr && text_has(t, SPAN("rest")) && span_find(url, '?') == url.len && span_find(url, '#') == url.len;
    return query ? arena_printf(x->arena, "%.*s?%.*s", SPAN_ARG(url), SPAN_ARG(x->req->query)) : url;
}

static enum err answer_redirect(struct exchange *x)
{
    struct span url = decide_redirect_url(x);
    if (!url.ptr)
        return ERR_NO_MEMORY;
    enum err e = fields_add(&x->resp.fields, FIELD_LOCATION, url);
    if (!e)
        e = page_text(x->route->status, SPAN(""), &x->resp, &x->content);
    x->answer = ANSWER_LOCAL;
    return e;
}

static enum err answer_respond(struct exchange *x)
{
    const struct route *r = x->route;
    struct span text = text_render(&r->text, x, NULL);
    enum err e = text.ptr ? ERR_OK : ERR_NO_MEMORY;
    x->answer = ANSWER_LOCAL;
    x->retry_after_s = r->retry_after_s;
    if (!e && !r->text.literal.ptr && error_page_take(x, r->status, &e))
        return e;
    if (!e)
        e = page_retry_after(r->retry_after_s, x->arena, &x->resp.fields);
    return e ? e : page_text(r->status, text, &x->resp, &x->content);
}

static enum err answer_files(struct exchange *x)
{
    struct files_result f;
    struct span rest = x->rest;
    while (rest.len && rest.ptr[0] == '/')
        rest = span_skip(rest, 1);
    x->allow = SPAN("GET, HEAD");
    enum err e = files_answer(x->route->files, rest, x->req, x->route->precompressed, x->arena, &x->resp, &f);
    if (e)
        return e;
    x->answer = f.fd >= 0 ? ANSWER_FILE : ANSWER_LOCAL;
    x->file_fd = f.fd;
    x->file_offset = f.offset;
    x->file_left = x->resp.framing.length;
    return ERR_OK;
}

static enum err answer_here(struct exchange *x)
{
    switch (x->route->target) {
    case TARGET_REDIRECT:
        return answer_redirect(x);
    case TARGET_RESPOND:
        return answer_respond(x);
    case TARGET_FILES:
        return answer_files(x);
    case TARGET_POOL:
    case TARGET_PASSTHROUGH:
        break;
    }
    return ERR_OK;
}

static struct verdict decide(const struct exchange *x, const struct condition_input *in)
{
    return x->proxy ? decide_client(x->proxy, in) : decide_site(x->site, x->route, in);
}

static enum err refuse(struct exchange *x, enum err e)
{
    return e == ERR_TARPITTED ? tarpit(x) : e == ERR_CHALLENGED ? challenge_answer(x) : e;
}

// The rules on who may be here, and for what. What a challenge answers is no refusal.
static enum err hold_rules(struct exchange *x, struct condition_input *in)
{
    struct verdict v = decide(x, in);
    if (v.err == ERR_CHALLENGED && challenge_is_met(x)) {
        in->solved = true;
        v = decide(x, in);
    }
    x->rule = v.where;
    return v.err ? refuse(x, v.err) : ERR_OK;
}

static bool rules_need_user(const struct exchange *x)
{
    unsigned needs = x->proxy ? x->proxy->clients.needs : x->site->deny.needs | x->route->deny.needs;
    return needs & CONDITION_NEEDS_USER;
}

// Whoever may not be here is not asked for a password.
static enum err hold_rules_and_authenticate(struct exchange *x, struct condition_input *in)
{
    bool need_user = rules_need_user(x);
    enum err e = need_user ? ERR_OK : hold_rules(x, in);
    if (!e && x->answer == ANSWER_NONE)
        e = authenticate(x);
    in->user = x->user;
    return e || !need_user || x->answer != ANSWER_NONE ? e : hold_rules(x, in);
}

// A browser asks before it sends anything that says who it is for; so whoever may be here at all is answered.
static enum err answer_preflight(struct exchange *x, struct condition_input *in)
{
    enum err e = rules_need_user(x) ? ERR_OK : hold_rules(x, in);
    return e || x->answer != ANSWER_NONE ? e : cors_answer_preflight(x);
}

enum err phase_authorize(struct exchange *x)
{
    struct condition_input in;
    enum err e = decide_input(x, &in);
    if (!e)
        e = throttles_admit(x, THROTTLE_UNKNOWN_USER);
    if (e)
        return e;
    if (unlikely(x->route && x->route->cors && cors_is_preflight(x)))
        return answer_preflight(x, &in);
    const struct guard *g = guard_of(x);
    if (g && (e = guard_check(x, g)))
        return e;
    e = hold_rules_and_authenticate(x, &in);
    if (e || x->answer != ANSWER_NONE)
        return e;
    e = throttles_admit(x, THROTTLE_KNOWN_USER);
    if (!e)
        e = quotas_admit(x);
    if (!e && x->proxy)
        e = policing_request(x, &in);
    if (e || x->answer != ANSWER_NONE)
        return e;
    if (x->tunnel_wanted)
        return egress_check_connect_port(&x->proxy->egress, x->req->authority.port);
    if (unlikely(x->req->method == METHOD_PURGE))
        return cache_answer_purge(x);
    return x->route ? answer_here(x) : ERR_OK;
}
