// SPDX-License-Identifier: Apache-2.0
#include "proxy/link_fields.h"

#include "net/addr.h"

// A text under way in the arena; a NULL pointer in it means that memory was out.
struct build {
    struct arena *a;
    struct span s;
};

static void put(struct build *b, struct span part)
{
    if (b->s.ptr && part.len)
        b->s = arena_join(b->a, b->s, part);
}

static struct span rewrite_refresh(const struct link_map *m, struct span v, struct arena *a)
{
    size_t start, len;
    if (!link_in_refresh(v, &start, &len))
        return v;
    struct build b = {a, span_first(v, start)};
    struct span url = link_rewrite(m, span_of(v.ptr + start, len), a);
    if (!url.ptr)
        return url;
    put(&b, url);
    put(&b, span_skip(v, start + len));
    return b.s;
}

// `<URL>; rel=x, <URL>` (RFC 8288): what stands between the angle brackets outside of quotes.
static struct span rewrite_link(const struct link_map *m, struct span v, struct arena *a)
{
    struct build b = {a, SPAN("")};
    bool quoted = false;
    size_t from = 0;
    for (size_t i = 0; i < v.len && b.s.ptr; i++) {
        char c = v.ptr[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        if (quoted || c != '<')
            continue;
        struct span url = span_first(span_skip(v, i + 1), span_find(span_skip(v, i + 1), '>'));
        put(&b, span_of(v.ptr + from, i + 1 - from));
        put(&b, link_rewrite(m, url, a));
        i += url.len;
        from = i + 1;
    }
    put(&b, span_skip(v, from));
    return b.s;
}

// A source of a policy that is a host without its scheme (CSP 3, 2.3.1).
static bool is_our_host(const struct link_map *m, struct span source)
{
    for (unsigned i = 0; i < m->n; i++) {
        const struct link_origin *o = &m->v[i];
        struct span rest = span_skip(source, o->host.len);
        if (span_starts_ci(source, o->host) && (!rest.len || rest.ptr[0] == ':' || rest.ptr[0] == '/'))
            return true;
    }
    return false;
}

static struct span rewrite_csp(const struct link_map *m, struct span v, struct arena *a)
{
    struct build b = {a, SPAN("")};
    while (v.len && b.s.ptr) {
        size_t n = 0;
        while (n < v.len && v.ptr[n] != ' ' && v.ptr[n] != ';' && v.ptr[n] != ',')
            n++;
        struct span source = span_first(v, n);
        put(&b, is_our_host(m, source) ? m->authority : link_rewrite(m, source, a));
        put(&b, span_of(v.ptr + n, n < v.len));
        v = span_skip(v, MIN(n + 1, v.len));
    }
    return b.s;
}

static bool is_backend_domain(const struct link_map *m, struct span domain)
{
    domain = span_starts(domain, SPAN(".")) ? span_skip(domain, 1) : domain;
    for (unsigned i = 0; i < m->n; i++)
        if (span_eq_ci(domain, m->v[i].host) || (m->v[i].host.len > domain.len && span_ends_ci(m->v[i].host, domain) &&
                                                 m->v[i].host.ptr[m->v[i].host.len - domain.len - 1] == '.'))
            return true;
    return false;
}

static bool may_be_domain(struct span host)
{
    struct addr ip;
    return span_find(host, '.') < host.len && host.ptr[0] != '[' && !addr_parse_ip(host, &ip);
}

// One attribute with its semicolon. The domain of a backend becomes the site's name, or goes where that is none that cookies know.
static void put_cookie_attribute(struct build *b, const struct link_map *m, struct span attr, struct span host, bool *secure)
{
    size_t eq = span_find(attr, '=');
    struct span name = span_trim(span_first(attr, eq)), value = span_trim(span_skip(attr, MIN(eq + 1, attr.len)));
    *secure |= span_eq_ci(name, SPAN("secure"));
    if (span_eq_ci(name, SPAN("domain")) && is_backend_domain(m, value)) {
        if (may_be_domain(host)) {
            put(b, SPAN("; Domain="));
            put(b, host);
        }
    } else if (span_eq_ci(name, SPAN("path")) && m->prefix.len && span_starts(value, SPAN("/"))) {
        struct span path = link_rewrite(m, value, b->a);
        put(b, SPAN("; Path="));
        put(b, path.ptr && path.len > 1 && span_eq(span_skip(path, m->prefix.len), SPAN("/")) ? m->prefix : path);
    } else {
        put(b, SPAN(";"));
        put(b, attr);
    }
}

static struct span rewrite_cookie(const struct link_map *m, struct span v, struct span host, struct arena *a)
{
    size_t n = span_find(v, ';');
    struct build b = {a, span_first(v, n)};
    bool secure = false;
    for (v = span_skip(v, n); v.len && b.s.ptr; v = span_skip(v, n)) {
        v = span_skip(v, 1);
        n = span_find(v, ';');
        put_cookie_attribute(&b, m, span_first(v, n), host, &secure);
    }
    // A server that is asked in plain text cannot know that its client came through TLS.
    if (!secure && span_eq(m->scheme, SPAN("https")))
        put(&b, SPAN("; Secure"));
    return b.s;
}

static struct span rewrite(const struct link_map *m, const struct field *f, struct span host, struct arena *a)
{
    struct link_map origin_only = *m;
    switch (f->id) {
    case FIELD_LOCATION:
    case FIELD_CONTENT_LOCATION:
        return link_rewrite(m, f->value, a);
    case FIELD_REFRESH:
        return rewrite_refresh(m, f->value, a);
    case FIELD_LINK:
        return rewrite_link(m, f->value, a);
    case FIELD_ACCESS_CONTROL_ALLOW_ORIGIN:
        origin_only.prefix = SPAN("");
        return link_rewrite(&origin_only, f->value, a);
    case FIELD_CONTENT_SECURITY_POLICY:
        return rewrite_csp(m, f->value, a);
    case FIELD_SET_COOKIE:
        return rewrite_cookie(m, f->value, host, a);
    default:
        return span_eq_ci(f->name, SPAN("Content-Security-Policy-Report-Only")) ? rewrite_csp(m, f->value, a) : f->value;
    }
}

enum err link_fields(const struct link_map *m, struct fields *fields, struct span host, struct arena *a)
{
    for (uint32_t i = 0; i < fields->n; i++) {
        struct field *f = &fields->v[i];
        if (f->removed)
            continue;
        f->value = rewrite(m, f, host, a);
        if (!f->value.ptr)
            return ERR_NO_MEMORY;
    }
    fields_remove(fields, FIELD_ALT_SVC);
    return ERR_OK;
}
