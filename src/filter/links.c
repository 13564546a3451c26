// SPDX-License-Identifier: Apache-2.0
// What lies in an origin, and what comes in its place.
#include "filter/links.h"

#include "base/ascii.h"
#include "base/num.h"

static uint16_t default_port(bool https)
{
    return https ? 443 : 80;
}

// host[:port] up to the end of the authority. False where it is none that we compare (user information, a bad port).
static bool split_authority(struct span authority, bool https, struct span *ret_host, uint16_t *ret_port)
{
    if (span_find(authority, '@') != authority.len)
        return false;
    size_t colon = span_rfind(authority, ':');
    bool v6_only = authority.len && authority.ptr[authority.len - 1] == ']';
    *ret_host = authority;
    *ret_port = default_port(https);
    if (colon == authority.len || v6_only)
        return authority.len > 0;
    struct span port = span_skip(authority, colon + 1);
    uint64_t n;
    *ret_host = span_first(authority, colon);
    if (!port.len)
        return colon > 0;
    if (!num_parse_dec(port, 65535, &n))
        return false;
    *ret_port = (uint16_t)n;
    return colon > 0;
}

static size_t authority_len(struct span s)
{
    size_t i = 0;
    while (i < s.len && s.ptr[i] != '/' && s.ptr[i] != '?' && s.ptr[i] != '#' && s.ptr[i] != '\\')
        i++;
    return i;
}

bool link_origin_parse(struct span url, struct arena *a, struct link_origin *ret)
{
    struct link_origin o = {.https = span_starts_ci(url, SPAN("https://"))};
    if (!o.https && !span_starts_ci(url, SPAN("http://")))
        return false;
    struct span rest = span_skip(url, o.https ? 8 : 7), host;
    size_t n = authority_len(rest);
    if (!split_authority(span_first(rest, n), o.https, &host, &o.port) || !arena_dup(a, host, &o.host))
        return false;
    char *p = (char *)(uintptr_t)o.host.ptr;
    for (size_t i = 0; i < o.host.len; i++) {
        if (!ascii_is_alnum((unsigned char)p[i]) && !strchr("-._[]:", p[i]))
            return false;
        p[i] = (char)ascii_lower((unsigned char)p[i]);
    }
    o.path = span_skip(rest, n);
    while (o.path.len && o.path.ptr[o.path.len - 1] == '/')
        o.path.len--;
    if (span_find(o.path, '?') != o.path.len || span_find(o.path, '#') != o.path.len)
        return false;
    *ret = o;
    return true;
}

static bool lies_under(struct span url, struct span path)
{
    struct span rest = span_skip(url, path.len);
    return span_starts(url, path) && (!rest.len || rest.ptr[0] == '/' || rest.ptr[0] == '?' || rest.ptr[0] == '#');
}

// A path that begins with the prefix was made by a server that knows where it is mounted; one that begins with an origin's path, which the
// prefix stands for, by one that knows where it is itself.
static bool match_path(const struct link_map *m, struct span url, struct link_change *ret)
{
    *ret = (struct link_change){0};
    if (!m->prefix.len || lies_under(url, m->prefix))
        return false;
    for (unsigned i = 0; i < m->n; i++)
        if (m->v[i].path.len && lies_under(url, m->v[i].path))
            ret->cut = MAX(ret->cut, m->v[i].path.len);
    return true;
}

bool link_match(const struct link_map *m, struct span url, struct link_change *ret)
{
    size_t scheme = 0;
    bool https = false;
    if (!url.len || (url.ptr[0] != '/' && (url.ptr[0] | 0x20) != 'h'))
        return false; // most are of another kind
    if (url.ptr[0] == '/' && (url.len == 1 || url.ptr[1] != '/'))
        return match_path(m, url, ret);
    if (span_starts_ci(url, SPAN("http:")))
        scheme = 5;
    else if (span_starts_ci(url, SPAN("https:")))
        scheme = 6, https = true;
    struct span rest = span_skip(url, scheme);
    if (!span_starts(rest, SPAN("//")))
        return false;
    rest = span_skip(rest, 2);
    size_t n = authority_len(rest);
    struct span path = span_skip(rest, n);
    for (unsigned i = 0; i < m->n; i++) {
        const struct link_origin *o = &m->v[i];
        struct span host;
        uint16_t port;
        if ((scheme && https != o->https) || !split_authority(span_first(rest, n), o->https, &host, &port))
            continue;
        if (port != o->port || !span_eq_ci(host, o->host))
            continue;
        if (!lies_under(path, o->path))
            continue;
        *ret = (struct link_change){scheme + 2 + n + o->path.len, scheme > 0, true};
        return true;
    }
    return false;
}

enum err link_put_change(const struct link_map *m, const struct link_change *c, struct chunkq *out)
{
    const struct span v[] = {c->scheme ? m->scheme : SPAN(""), c->scheme ? SPAN(":") : SPAN(""), c->authority ? SPAN("//") : SPAN(""), c->authority ? m->authority : SPAN(""), m->prefix};
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        enum err e = v[i].len ? chunkq_append_copy(out, v[i].ptr, v[i].len) : ERR_OK;
        if (e)
            return e;
    }
    return ERR_OK;
}

enum err link_put(const struct link_map *m, struct span url, struct chunkq *out)
{
    struct link_change c;
    if (link_match(m, url, &c)) {
        enum err e = link_put_change(m, &c, out);
        if (e)
            return e;
        url = span_skip(url, c.cut);
    }
    return url.len ? chunkq_append_copy(out, url.ptr, url.len) : ERR_OK;
}

struct span link_rewrite(const struct link_map *m, struct span url, struct arena *a)
{
    struct link_change c;
    if (!link_match(m, url, &c))
        return url;
    struct span scheme = c.scheme ? m->scheme : SPAN(""), authority = c.authority ? m->authority : SPAN("");
    return arena_printf(a, "%.*s%s%s%.*s%.*s%.*s", SPAN_ARG(scheme), c.scheme ? ":" : "", c.authority ? "//" : "", SPAN_ARG(authority), SPAN_ARG(m->prefix),
                        SPAN_ARG(span_skip(url, c.cut)));
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

// HTML's rules for the refresh pragma: a time, then `;` or `,`, then perhaps `url =`, then the URL, perhaps in quotes.
bool link_in_refresh(struct span c, size_t *ret_start, size_t *ret_len)
{
    size_t i = 0;
    while (i < c.len && is_space(c.ptr[i]))
        i++;
    while (i < c.len && ((c.ptr[i] >= '0' && c.ptr[i] <= '9') || c.ptr[i] == '.'))
        i++;
    while (i < c.len && is_space(c.ptr[i]))
        i++;
    if (i < c.len && (c.ptr[i] == ';' || c.ptr[i] == ','))
        i++;
    while (i < c.len && is_space(c.ptr[i]))
        i++;
    if (span_starts_ci(span_skip(c, i), SPAN("url"))) {
        size_t k = i + 3;
        while (k < c.len && is_space(c.ptr[k]))
            k++;
        if (k < c.len && c.ptr[k] == '=')
            for (i = k + 1; i < c.len && is_space(c.ptr[i]);)
                i++;
    }
    size_t len = c.len - i;
    if (len && (c.ptr[i] == '"' || c.ptr[i] == '\'')) {
        i++;
        len = span_find(span_skip(c, i), c.ptr[i - 1]);
    }
    *ret_start = i;
    *ret_len = len;
    return len > 0;
}
