// SPDX-License-Identifier: Apache-2.0
#include "policy/view.h"

#include <libpsl.h>

#include "base/ascii.h"
#include "base/hash.h"
#include "base/num.h"
#include "http/uri.h"

// ---- The URL

static bool is_ipv6(const struct authority *a)
{
    return a->kind == HOST_IPV6;
}

// A CONNECT asks for a host: what is done there is not to be seen.
static struct span make_url(const struct condition_input *in, size_t *ret_host_at)
{
    const struct request *r = in->req;
    bool tunnel = r->method == METHOD_CONNECT;
    struct span scheme = tunnel ? SPAN("https") : r->scheme.len ? r->scheme : SPAN("http");
    uint16_t own = span_eq(scheme, SPAN("https")) ? 443 : 80, port = r->authority.port == own ? 0 : r->authority.port;
    bool v6 = is_ipv6(&r->authority);
    struct span path = tunnel || !in->path.len ? SPAN("/") : in->path, query = tunnel ? SPAN_NONE : r->query;
    char colon_port[21] = ":";
    size_t n = port ? 1 + num_put_dec(colon_port + 1, port) : 0;
    const struct span parts[] = {scheme, v6 ? SPAN("://[") : SPAN("://"), r->authority.host, v6 ? SPAN("]") : SPAN(""), span_of(colon_port, n), path,
                                 query.ptr ? SPAN("?") : SPAN(""), query};
    *ret_host_at = scheme.len + parts[1].len;
    return arena_concat(in->arena, parts, ARRAY_LEN(parts));
}

uint32_t token_hash(struct span token)
{
    return (uint32_t)hash_fast(token);
}

// What a URL's octet is in lower case where it is a letter or a digit; 0: it is none.
static const unsigned char folded_alnum[256] = {
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9',
#define LETTER(upper, lower) [upper] = (lower), [lower] = (lower)
    LETTER('A', 'a'), LETTER('B', 'b'), LETTER('C', 'c'), LETTER('D', 'd'), LETTER('E', 'e'), LETTER('F', 'f'), LETTER('G', 'g'),
    LETTER('H', 'h'), LETTER('I', 'i'), LETTER('J', 'j'), LETTER('K', 'k'), LETTER('L', 'l'), LETTER('M', 'm'), LETTER('N', 'n'),
    LETTER('O', 'o'), LETTER('P', 'p'), LETTER('Q', 'q'), LETTER('R', 'r'), LETTER('S', 's'), LETTER('T', 't'), LETTER('U', 'u'),
    LETTER('V', 'v'), LETTER('W', 'w'), LETTER('X', 'x'), LETTER('Y', 'y'), LETTER('Z', 'z'),
#undef LETTER
};

// One pass: the URL in lower case, and where its runs of letters and digits are.
static bool fold(struct request_view *v, struct arena *a)
{
    size_t n = v->url.len, max = n / 2 + 1, first = 0, i;
    char *p = arena_bytes(a, n);
    v->tokens = (uint32_t *)arena_alloc(a, max * 2 * sizeof *v->tokens);
    if (!p || !v->tokens)
        return false;
    v->token_at = v->tokens + max;
    v->folded = span_of(p, n);
    for (i = 0; i <= n; i++) {
        unsigned char c = i < n ? folded_alnum[(unsigned char)v->url.ptr[i]] : 0;
        if (likely(c)) {
            p[i] = (char)c;
            continue;
        }
        if (i < n)
            p[i] = v->url.ptr[i];
        if (i > first + 1) {
            v->token_at[v->n_tokens] = (uint32_t)first;
            v->tokens[v->n_tokens++] = token_hash(span_of(p + first, i - first));
        }
        first = i + 1;
    }
    return true;
}

// ---- What asks

static unsigned type_by_destination(struct span dest)
{
    static const struct {
        struct span word;
        unsigned type;
    } rows[] = {
        {SPAN_INIT("audio"), RESOURCE_MEDIA},        {SPAN_INIT("audioworklet"), RESOURCE_SCRIPT}, {SPAN_INIT("document"), RESOURCE_DOCUMENT},
        {SPAN_INIT("embed"), RESOURCE_OBJECT},       {SPAN_INIT("empty"), RESOURCE_XHR},           {SPAN_INIT("font"), RESOURCE_FONT},
        {SPAN_INIT("frame"), RESOURCE_SUBDOCUMENT},  {SPAN_INIT("iframe"), RESOURCE_SUBDOCUMENT},  {SPAN_INIT("fencedframe"), RESOURCE_SUBDOCUMENT},
        {SPAN_INIT("image"), RESOURCE_IMAGE},        {SPAN_INIT("object"), RESOURCE_OBJECT},       {SPAN_INIT("paintworklet"), RESOURCE_SCRIPT},
        {SPAN_INIT("report"), RESOURCE_PING},        {SPAN_INIT("script"), RESOURCE_SCRIPT},       {SPAN_INIT("serviceworker"), RESOURCE_SCRIPT},
        {SPAN_INIT("sharedworker"), RESOURCE_SCRIPT}, {SPAN_INIT("style"), RESOURCE_STYLESHEET},   {SPAN_INIT("track"), RESOURCE_MEDIA},
        {SPAN_INIT("video"), RESOURCE_MEDIA},        {SPAN_INIT("worker"), RESOURCE_SCRIPT},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (span_eq_ci(rows[i].word, dest))
            return rows[i].type;
    return RESOURCE_OTHER;
}

// Older clients say in Accept what they are looking for, in what stands first.
static unsigned type_by_accept(struct span accept)
{
    struct span rest = accept, first = span_trim(span_cut(&rest, ',')), type = span_trim(span_cut(&first, ';'));
    if (span_starts_ci(type, SPAN("image/")))
        return RESOURCE_IMAGE;
    if (span_starts_ci(type, SPAN("video/")) || span_starts_ci(type, SPAN("audio/")))
        return RESOURCE_MEDIA;
    if (span_starts_ci(type, SPAN("font/")))
        return RESOURCE_FONT;
    if (span_eq_ci(type, SPAN("text/css")))
        return RESOURCE_STYLESHEET;
    if (span_eq_ci(type, SPAN("text/html")) || span_eq_ci(type, SPAN("application/xhtml+xml")))
        return RESOURCE_DOCUMENT;
    if (span_starts_ci(type, SPAN("application/javascript")) || span_starts_ci(type, SPAN("text/javascript")))
        return RESOURCE_SCRIPT;
    return 0;
}

static unsigned type_of(const struct request *r)
{
    if (r->method == METHOD_CONNECT)
        return 0;
    if (r->upgrade && span_eq_ci(r->upgrade_token, SPAN("websocket")))
        return RESOURCE_WEBSOCKET;
    if (fields_find(&r->fields, SPAN("Ping-To")))
        return RESOURCE_PING;
    struct span dest = fields_value(&r->fields, FIELD_SEC_FETCH_DEST);
    return dest.len ? type_by_destination(dest) : type_by_accept(fields_value(&r->fields, FIELD_ACCEPT));
}

static struct span host_in(struct span url, struct arena *a)
{
    struct uri u;
    struct span page = span_first(url, span_find(url, '#'));
    return page.len && !uri_parse_absolute(page, a, &u) ? u.authority.host : SPAN_NONE;
}

static bool is_address(struct span host)
{
    return host.len && (span_find(host, ':') < host.len || ascii_is_digit((unsigned char)host.ptr[host.len - 1]));
}

// The public suffix list as libpsl has it built in; both hosts are lower case.
static struct span registrable(struct span host)
{
    char name[256];
    if (host.len >= sizeof name || is_address(host))
        return host;
    memcpy(name, host.ptr, host.len);
    name[host.len] = '\0';
    const char *r = psl_registrable_domain(psl_builtin(), name);
    return r ? span_skip(host, (size_t)(r - name)) : host;
}

bool same_party(struct span host, struct span other)
{
    return span_eq(host, other) || span_eq(registrable(host), registrable(other));
}

static enum party party_of(const struct condition_input *in, struct span page)
{
    struct span site = fields_value(&in->req->fields, FIELD_SEC_FETCH_SITE);
    if (span_eq_ci(site, SPAN("cross-site")))
        return PARTY_THIRD;
    if (span_eq_ci(site, SPAN("same-origin")) || span_eq_ci(site, SPAN("same-site")) || span_eq_ci(site, SPAN("none")))
        return PARTY_FIRST;
    if (!page.len)
        return PARTY_UNKNOWN;
    return same_party(in->req->authority.host, page) ? PARTY_FIRST : PARTY_THIRD;
}

enum party request_party(struct request_view *v, const struct condition_input *in)
{
    if (!v->party)
        v->party = party_of(in, v->page);
    return v->party;
}

struct request_view *request_view(const struct condition_input *in)
{
    if (in->view && *in->view)
        return *in->view;
    struct request_view *v = in->arena ? (struct request_view *)arena_zalloc(in->arena, sizeof *v) : NULL;
    if (!v)
        return NULL;
    const struct fields *f = &in->req->fields;
    v->url = make_url(in, &v->host_at);
    if (!v->url.ptr || !fold(v, in->arena))
        return NULL;
    v->host_len = in->req->authority.host.len;
    v->bare = span_skip(v->url, span_find_span(v->url, SPAN("://")) + 3);
    v->type = type_of(in->req);
    v->page = host_in(fields_value(f, FIELD_REFERER), in->arena);
    if (!v->page.len)
        v->page = host_in(fields_value(f, FIELD_ORIGIN), in->arena);
    if (in->view)
        *in->view = v;
    return v;
}
