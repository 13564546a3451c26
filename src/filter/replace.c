// SPDX-License-Identifier: Apache-2.0
#include "filter/replace.h"

#include "base/mem.h"
#include "filter/tokens.h"

struct replace {
    struct filter f;
    struct tokens t;
    const struct replacement *v;
    unsigned n;
    bool first[256]; // bytes with which one begins
};

// At a byte with which one may begin: how many are done with, 0 where more is needed to tell.
static size_t replace_at(struct replace *r, struct span s, bool end)
{
    for (unsigned i = 0; i < r->n; i++) {
        const struct replacement *p = &r->v[i];
        if (span_starts(s, p->from)) {
            tokens_put(&r->t, p->to.ptr, p->to.len);
            return p->from.len;
        }
        if (!end && s.len < p->from.len && span_starts(p->from, s))
            return 0;
    }
    tokens_put(&r->t, s.ptr, 1);
    return 1;
}

static size_t step(struct tokens *t, const char *p, size_t len, bool end)
{
    struct replace *r = container_of(t, struct replace, t);
    size_t at = 0;
    while (at < len) {
        size_t n = 0;
        while (at + n < len && !r->first[(unsigned char)p[at + n]])
            n++;
        tokens_put(t, p + at, n);
        at += n;
        if (at == len)
            break;
        n = replace_at(r, span_of(p + at, len - at), end);
        if (!n)
            break;
        at += n;
    }
    return at;
}

static enum err run(struct filter *f, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done)
{
    return tokens_run(&container_of(f, struct replace, f)->t, in, out, more, ret_done);
}

static void replace_free(struct filter *f)
{
    struct replace *r = container_of(f, struct replace, f);
    tokens_fini(&r->t);
    mem_free(r);
}

static const struct filter_ops ops = {"replace", run, replace_free};

struct filter *replace_new(const struct replacement *v, unsigned n)
{
    struct replace *r = (struct replace *)mem_calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->f.ops = &ops;
    r->t.step = step;
    r->v = v;
    r->n = n;
    for (unsigned i = 0; i < n; i++)
        r->first[(unsigned char)v[i].from.ptr[0]] = true;
    return &r->f;
}
