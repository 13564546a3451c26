// SPDX-License-Identifier: Apache-2.0
// JavaScript, JSON, XML and plain text: origins as exact strings.
#include <stdio.h>

#include "base/ascii.h"
#include "base/mem.h"
#include "filter/links.h"
#include "filter/tokens.h"

enum { ORIGIN_TEXT_MAX = 512 };

struct text_links {
    struct filter f;
    struct tokens t;
    const struct link_map *map;
};

// What may stand in a host's name, or would make another one of it.
static bool goes_on(char c)
{
    return ascii_is_alnum((unsigned char)c) || c == '-' || c == '.' || c == '_' || c == ':' || c == '@' || c == '%' || (unsigned char)c >= 0x80;
}

// The text of an origin with its slashes plain or escaped. Returns its length, 0 where it has no room.
static size_t origin_text(const struct link_origin *o, bool escaped, char out[ORIGIN_TEXT_MAX])
{
    char plain[ORIGIN_TEXT_MAX];
    bool standard = o->port == (o->https ? 443 : 80);
    int n = standard ? snprintf(plain, sizeof plain, "%s://%.*s%.*s", o->https ? "https" : "http", SPAN_ARG(o->host), SPAN_ARG(o->path))
                     : snprintf(plain, sizeof plain, "%s://%.*s:%u%.*s", o->https ? "https" : "http", SPAN_ARG(o->host), o->port, SPAN_ARG(o->path));
    size_t k = 0;
    if (n < 0 || (size_t)n >= sizeof plain)
        return 0;
    for (int i = 0; i < n; i++) {
        if (k + 2 >= ORIGIN_TEXT_MAX)
            return 0;
        if (escaped && plain[i] == '/')
            out[k++] = '\\';
        out[k++] = plain[i];
    }
    return k;
}

static void put_proxy(struct text_links *x, bool escaped)
{
    const struct link_map *m = x->map;
    tokens_put(&x->t, m->scheme.ptr, m->scheme.len);
    tokens_put(&x->t, escaped ? ":\\/\\/" : "://", escaped ? 5 : 3);
    tokens_put(&x->t, m->authority.ptr, m->authority.len);
    for (size_t i = 0; i < m->prefix.len; i++) {
        if (escaped && m->prefix.ptr[i] == '/')
            tokens_put(&x->t, "\\", 1);
        tokens_put(&x->t, m->prefix.ptr + i, 1);
    }
}

// At an `h`: the length that is done with, 0 where more is needed.
static size_t origin_at(struct text_links *x, struct span s, bool end)
{
    for (unsigned i = 0; i < x->map->n * 2; i++) {
        char text[ORIGIN_TEXT_MAX];
        bool escaped = i & 1;
        struct span o = span_of(text, origin_text(&x->map->v[i / 2], escaped, text));
        if (!o.len)
            continue;
        if (s.len <= o.len && span_starts(o, s) && !(end && s.len == o.len)) {
            if (!end)
                return 0;
            continue;
        }
        if (!span_starts(s, o) || (s.len > o.len && goes_on(s.ptr[o.len])))
            continue;
        put_proxy(x, escaped);
        return o.len;
    }
    tokens_put(&x->t, s.ptr, 1);
    return 1;
}

static size_t step(struct tokens *t, const char *p, size_t len, bool end)
{
    struct text_links *x = container_of(t, struct text_links, t);
    size_t at = 0;
    while (at < len) {
        struct span s = span_of(p + at, len - at);
        size_t n = span_find(s, 'h');
        if (n)
            tokens_put(t, s.ptr, n);
        else if (s.len > 4 && !span_starts(s, SPAN("http")))
            tokens_put(t, s.ptr, n = 1);
        else if (!(n = origin_at(x, s, end)))
            break;
        at += n;
    }
    return at;
}

static enum err run(struct filter *f, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done)
{
    return tokens_run(&container_of(f, struct text_links, f)->t, in, out, more, ret_done);
}

static void text_free(struct filter *f)
{
    struct text_links *x = container_of(f, struct text_links, f);
    tokens_fini(&x->t);
    mem_free(x);
}

static const struct filter_ops ops = {"rewrite-links text", run, text_free};

struct filter *text_links_new(const struct link_map *m)
{
    struct text_links *x = (struct text_links *)mem_calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->f.ops = &ops;
    x->t.step = step;
    x->map = m;
    return &x->f;
}
