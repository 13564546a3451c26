// SPDX-License-Identifier: Apache-2.0
#include "proxy/upstream_request.h"
#include "proxy/guard.h"
#include "proxy/identity.h"
#include "proxy/transform.h"

#include "base/ascii.h"
#include "base/num.h"

enum { HOPS_MAX = 10 }; // this many weirs in Via are a loop

static const struct span via_name = SPAN_INIT("weir");

// Fields by which a client says who it is, or what it really asks for. An untrusted one's are dropped (INTERFACE 26, 54, 66): some
// server might believe them.
static const bool is_claim[N_FIELDS] = {
    [FIELD_FORWARDED] = true,          [FIELD_X_FORWARDED_FOR] = true,      [FIELD_X_FORWARDED_HOST] = true,
    [FIELD_X_FORWARDED_PORT] = true,   [FIELD_X_FORWARDED_PROTO] = true,    [FIELD_X_FORWARDED_SERVER] = true,
    [FIELD_X_REAL_IP] = true,          [FIELD_X_CLIENT_IP] = true,          [FIELD_TRUE_CLIENT_IP] = true,
    [FIELD_X_HOST] = true,             [FIELD_X_ORIGINAL_HOST] = true,      [FIELD_X_HTTP_HOST_OVERRIDE] = true,
    [FIELD_X_ORIGINAL_URL] = true,     [FIELD_X_REWRITE_URL] = true,        [FIELD_X_HTTP_METHOD_OVERRIDE] = true,
    [FIELD_X_REQUEST_ID] = true,
};

// Claims of any name in the X-Forwarded- family.
static bool is_claim_name(struct span name)
{
    return span_starts_ci(name, SPAN("x-forwarded-")) || span_eq_ci(name, SPAN("x-cluster-client-ip")) ||
           span_eq_ci(name, SPAN("cf-connecting-ip")) || span_eq_ci(name, SPAN("x-method-override")) ||
           span_eq_ci(name, SPAN("x-http-method")) || span_eq_ci(name, SPAN("x-original-uri")) ||
           span_eq_ci(name, SPAN("client-ip")) || span_eq_ci(name, SPAN("x-remote-ip")) ||
           span_eq_ci(name, SPAN("x-remote-addr")) || span_eq_ci(name, SPAN("x-originating-ip"));
}

bool request_has_claims(const struct fields *f)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (!f->v[i].removed && (is_claim[f->v[i].id] || (f->v[i].id == FIELD_OTHER && is_claim_name(f->v[i].name))))
            return true;
    return false;
}

static bool has_dot_segment(struct span path)
{
    while (path.ptr) {
        struct span segment = span_cut(&path, '/');
        if (span_eq(segment, SPAN(".")) || span_eq(segment, SPAN("..")))
            return true;
    }
    return false;
}

// `rewrite`: the path (and query) that the first matching pattern makes of it. What comes out of variables is held to the rules of
// every path, and groups put together cannot climb out of a folder that rules have seen.
static enum err rewrite_path(struct exchange *x, struct span *path, struct span *query)
{
    const struct route *r = x->route;
    struct span groups[PATTERN_GROUPS];
    for (unsigned i = 0; r && i < r->n_rewrites; i++) {
        if (pattern_search(r->rewrites[i].pattern, *path, 0, groups) != MATCH_YES)
            continue;
        struct span to = text_render(&r->rewrites[i].to, x, groups);
        if (!to.ptr)
            return ERR_NO_MEMORY;
        size_t mark = span_find(to, '?');
        if (mark < to.len)
            *query = span_skip(to, mark + 1);
        enum err e = has_dot_segment(span_first(to, mark)) ? ERR_BAD_TARGET : path_normalise(span_first(to, mark), x->arena, path);
        return e || !query->ptr ? e : query_check(*query);
    }
    return ERR_OK;
}

enum err upstream_target(struct exchange *x, struct span *ret_path, struct span *ret_query)
{
    *ret_path = x->req->path;
    *ret_query = x->req->query;
    if (x->route && x->route->strip.len) {
        *ret_path = span_skip(*ret_path, x->route->strip.len);
        if (ret_path->len == 0)
            *ret_path = SPAN("/");
    }
    return rewrite_path(x, ret_path, ret_query);
}

static enum err build_target(struct exchange *x)
{
    struct request *o = &x->out;
    if (x->req->form == TARGET_ASTERISK) {
        o->target = SPAN("*");
        return ERR_OK;
    }
    struct span path, query;
    enum err e = upstream_target(x, &path, &query);
    if (e)
        return e;
    o->path = path;
    o->query = query;
    if (!query.ptr)
        o->target = path;
    else if (path.ptr + path.len + 1 == query.ptr && path.ptr[path.len] == '?') // as they came, one behind the other
        o->target = span_of(path.ptr, path.len + 1 + query.len);
    else
        o->target = arena_concat(x->arena, (const struct span[]){path, SPAN("?"), query}, 3);
    return o->target.ptr ? ERR_OK : ERR_NO_MEMORY;
}

enum err via_append(struct fields *f, struct arena *a, enum http_version received)
{
    struct span own = received == HTTP_1_0 ? SPAN("1.0 weir") : received == HTTP_2 ? SPAN("2.0 weir") : SPAN("1.1 weir");
    if (!fields_get(f, FIELD_VIA))
        return fields_add(f, FIELD_VIA, own);
    struct span before = fields_joined(f, FIELD_VIA, a);
    if (!before.ptr)
        return ERR_NO_MEMORY;
    struct span s = arena_concat(a, (const struct span[]){before, SPAN(", "), own}, 3);
    return s.ptr ? fields_set(f, FIELD_VIA, s) : ERR_NO_MEMORY;
}

static enum err check_loop(struct exchange *x)
{
    if (!fields_may_have(&x->req->fields, FIELD_VIA))
        return ERR_OK;
    unsigned hops = 0;
    for (struct field *f = fields_get(&x->req->fields, FIELD_VIA); f; f = fields_next(&x->req->fields, f)) {
        struct span rest = f->value, item;
        while (list_next(&rest, &item))
            hops += span_ends(item, via_name);
    }
    return hops >= HOPS_MAX ? ERR_LOOP : ERR_OK;
}

// Client and host for Forwarded (RFC 7239 4): an IPv6 address and a port need quotes.
static struct span forwarded_element(struct exchange *x, struct span ip, bool v6)
{
    bool port = span_find(x->host, ':') < x->host.len;
    const struct span parts[] = {
        v6 ? SPAN("for=\"[") : SPAN("for="), ip,      v6 ? SPAN("]\"") : SPAN(""), port ? SPAN(";host=\"") : SPAN(";host="), x->host,
        port ? SPAN("\";proto=") : SPAN(";proto="), x->scheme,
    };
    return arena_concat(x->arena, parts, ARRAY_LEN(parts));
}

static enum err append_or_set(struct exchange *x, enum field_id id, struct span own)
{
    struct span before = x->peer_trusted ? fields_joined(&x->req->fields, id, x->arena) : SPAN_NONE;
    if (!before.len)
        return fields_add(&x->out.fields, id, own);
    struct span s = arena_concat(x->arena, (const struct span[]){before, SPAN(", "), own}, 3);
    return s.ptr ? fields_add(&x->out.fields, id, s) : ERR_NO_MEMORY;
}

// What we say of the client to a server of ours.
static enum err add_identity(struct exchange *x)
{
    char ip[ADDR_IP_TEXT_MAX];
    size_t n = addr_format_ip(&x->conn->peer, ip);
    struct span peer;
    if (!arena_dup(x->arena, span_of(ip, n), &peer))
        return ERR_NO_MEMORY;
    struct span fwd = forwarded_element(x, peer, x->conn->peer.family == AF_INET6);
    if (!fwd.ptr)
        return ERR_NO_MEMORY;
    enum err e = append_or_set(x, FIELD_X_FORWARDED_FOR, peer);
    if (!e)
        e = fields_add(&x->out.fields, FIELD_X_FORWARDED_PROTO, x->scheme);
    if (!e && x->host.len)
        e = fields_add(&x->out.fields, FIELD_X_FORWARDED_HOST, x->host);
    if (!e)
        e = append_or_set(x, FIELD_FORWARDED, fwd);
    if (!e)
        e = fields_add(&x->out.fields, FIELD_X_REQUEST_ID, x->id);
    return e;
}

// Some servers read `X_Forwarded_For` and `X.Real.IP` as the names with hyphens. Toward our own servers no such name passes; a forward
// proxy keeps back those that would be read as a claim, or as framing.
static bool is_alias(const struct exchange *x, struct span name)
{
    char plain[64];
    if (span_find(name, '_') == name.len && span_find(name, '.') == name.len)
        return false;
    if (!x->proxy || name.len > sizeof plain)
        return true;
    for (size_t i = 0; i < name.len; i++)
        plain[i] = name.ptr[i] == '_' || name.ptr[i] == '.' ? '-' : name.ptr[i];
    enum field_id id = field_id_of(span_of(plain, name.len));
    return is_claim[id] || is_claim_name(span_of(plain, name.len)) || field_flags(id) & (FIELD_HOP | FIELD_FRAMING);
}

static bool passes(const struct exchange *x, const struct field *f)
{
    if (f->removed || (f->id == FIELD_OTHER && is_alias(x, f->name)))
        return false;
    if (f->id == FIELD_OTHER)
        return (x->proxy && x->proxy->privacy == PRIVACY_OFF) || !is_claim_name(f->name);
    if (f->id == FIELD_HOST || f->id == FIELD_VIA || f->id == FIELD_MAX_FORWARDS)
        return false;
    if (field_flags((enum field_id)f->id) & (FIELD_HOP | FIELD_FRAMING))
        return false;
    if (!is_claim[f->id])
        return true;
    return x->proxy && x->proxy->privacy == PRIVACY_OFF;
}

static enum err copy_fields(struct exchange *x)
{
    const struct fields *in = &x->req->fields;
    const struct guard *g = guard_of(x);
    const struct guard_names *keep = g ? g->keep_request : NULL;
    for (uint32_t i = 0; i < in->n; i++) {
        const struct field *f = &in->v[i];
        if (!passes(x, f) || (keep && !guard_keeps(keep, f)))
            continue;
        enum err e = f->id == FIELD_OTHER ? fields_add_named(&x->out.fields, f->name, f->value)
                                          : fields_add(&x->out.fields, (enum field_id)f->id, f->value);
        if (e)
            return e;
    }
    return ERR_OK;
}

static bool upgrade_allowed(const struct exchange *x, struct span token)
{
    if (!x->route)
        return span_eq_ci(token, SPAN("websocket"));
    for (unsigned i = 0; i < x->route->n_upgrades; i++)
        if (span_eq_ci(token, x->route->upgrades[i]))
            return true;
    return false;
}

// Of the protocols that the client offers, those that may pass; none: the request goes on without the upgrade (RFC 9110 7.8).
static enum err choose_upgrade(struct exchange *x)
{
    struct request *o = &x->out;
    if (!o->upgrade)
        return ERR_OK;
    struct span rest = x->req->upgrade_token, item;
    o->upgrade = false;
    while (list_next(&rest, &item)) {
        if (upgrade_allowed(x, item) && o->framing.kind == FRAMING_NONE) {
            o->upgrade = true;
            o->upgrade_token = item;
            return ERR_OK;
        }
    }
    return x->req->upgrade_only ? ERR_UPGRADE_REFUSED : ERR_OK;
}

static enum err put_max_forwards(struct exchange *x)
{
    struct field *f = fields_get(&x->req->fields, FIELD_MAX_FORWARDS);
    uint64_t hops;
    if (!f || x->req->method != METHOD_OPTIONS || !num_parse_dec(f->value, 100000, &hops) || hops == 0)
        return ERR_OK;
    struct span s = arena_printf(x->arena, "%u", (unsigned)hops - 1);
    return s.ptr ? fields_add(&x->out.fields, FIELD_MAX_FORWARDS, s) : ERR_NO_MEMORY;
}

enum { REPLACEMENTS_MAX = 100 }; // in one value

// Each match in the value becomes the text; one that is empty (`~$`) once.
static enum err replace_in(const struct exchange *x, const struct field_op *op, struct field *f)
{
    struct span groups[PATTERN_GROUPS], v = f->value, out = SPAN("");
    size_t from = 0;
    bool more = true;
    for (unsigned n = 0; more && n < REPLACEMENTS_MAX && pattern_search(op->pattern, v, from, groups) == MATCH_YES; n++) {
        size_t at = v.len ? (size_t)(groups[0].ptr - v.ptr) : 0;
        struct span text = text_render(&op->value, x, groups);
        out = arena_join(x->arena, out, span_of(v.ptr + from, at - from));
        out = out.ptr && text.ptr ? arena_join(x->arena, out, text) : SPAN_NONE;
        if (!out.ptr)
            return ERR_NO_MEMORY;
        from = at + groups[0].len;
        more = groups[0].len > 0;
        f->value = out;
    }
    if (f->value.ptr != v.ptr || f->value.len != v.len)
        f->value = arena_join(x->arena, out, span_skip(v, from));
    return f->value.ptr ? ERR_OK : ERR_NO_MEMORY;
}

static enum err replace_all(const struct exchange *x, const struct field_op *op, struct fields *f)
{
    enum err e = ERR_OK;
    for (struct field *v = fields_find(f, op->name); v && !e; v = fields_find_next(f, v))
        e = replace_in(x, op, v);
    return e;
}

enum err field_ops_run(const struct exchange *x, const struct field_ops *ops, bool on_response, struct fields *f)
{
    enum err e = ERR_OK;
    for (unsigned i = 0; i < ops->n && !e; i++) {
        const struct field_op *op = &ops->v[i];
        if (op->on_response != on_response)
            continue;
        if (op->kind == FIELD_OP_REMOVE) {
            fields_remove_named(f, op->name);
        } else if (op->kind == FIELD_OP_REPLACE) {
            e = replace_all(x, op, f);
        } else {
            struct span value = text_render(&op->value, x, NULL);
            if (!value.ptr)
                e = ERR_NO_MEMORY;
            else
                e = op->kind == FIELD_OP_SET ? fields_set_named(f, op->name, value) : fields_add_named(f, op->name, value);
        }
    }
    return e;
}

enum err upstream_request_build(struct exchange *x)
{
    enum err e = check_loop(x);
    if (e)
        return e;
    x->out = *x->req;
    fields_init(&x->out.fields, x->arena);
    h1_strip_hop_fields(&x->req->fields);
    e = build_target(x);
    if (!e) // empty where a client of HTTP/1.0 named none (RFC 9112 3.2)
        e = fields_add(&x->out.fields, FIELD_HOST, x->req->authority.text);
    if (!e)
        e = copy_fields(x);
    if (!e)
        e = identity_hide(x, &x->out.fields);
    if (!e)
        e = transform_request_fields(x, &x->out.fields);
    if (!e)
        e = put_max_forwards(x);
    if (!e)
        e = choose_upgrade(x);
    if (!e && !x->proxy)
        e = add_identity(x);
    if (!e && unlikely(exchange_is_early(x)))
        e = fields_set_named(&x->out.fields, SPAN("Early-Data"), SPAN("1"));
    if (!e) {
        struct span via;
        e = identity_via(x, &via);
        if (!e && via.len)
            e = fields_add(&x->out.fields, FIELD_VIA, via);
        if (!e)
            e = via_append(&x->out.fields, x->arena, x->req->version);
    }
    if (!e && x->site)
        e = field_ops_apply(x, &x->site->fields, false, &x->out.fields);
    if (!e && x->route)
        e = field_ops_apply(x, &x->route->fields, false, &x->out.fields);
    return e;
}
