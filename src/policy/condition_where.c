// SPDX-License-Identifier: Apache-2.0
// Conditions on who asks and for which host: client, host, domain.
#include "net/prefix.h"
#include "policy/domain.h"

static bool compile_client(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct prefix_set *set = (struct prefix_set *)condition_alloc(k, sizeof *set);
    struct prefix_entry *entries = (struct prefix_entry *)condition_alloc(k, s->n_args * sizeof *entries);
    c->data = set;
    if (!set || !entries)
        return false;
    for (unsigned i = 0; i < s->n_args; i++) {
        const char *why;
        if (!prefix_parse(s->args[i].text, &entries[i].prefix, &why)) {
            conf_error(k->diags, k->conf, &s->args[i].pos, "`%.*s`: %s", SPAN_ARG(s->args[i].text), why);
            return false;
        }
    }
    if (prefix_set_build(set, k->arena, entries, s->n_args))
        return true;
    conf_error(k->diags, NULL, NULL, "out of memory");
    return false;
}

static enum match match_client(const struct condition *c, const struct condition_input *in)
{
    return prefix_set_find((const struct prefix_set *)c->data, in->client, NULL) ? MATCH_YES : MATCH_NO;
}
const struct condition_ops condition_client = {CONF_C_CLIENT, compile_client, match_client, 0};

// A host is compared in the form that authority_parse gives it: without a final dot, an IPv6 address without
// brackets.
static struct conf_value host_as_compared(const struct conf_value *v)
{
    struct conf_value r = *v;
    struct span s = v->text;
    if (s.len && s.ptr[0] == '~')
        return r;
    if (s.len > 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']')
        r.text = span_of(s.ptr + 1, s.len - 2);
    else if (s.len > 1 && s.ptr[s.len - 1] == '.')
        r.text.len--;
    return r;
}

static bool compile_host(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct pattern_list *l = (struct pattern_list *)condition_alloc(k, sizeof *l);
    c->data = l;
    if (!l || !(l->v = (struct pattern **)condition_alloc(k, s->n_args * sizeof *l->v)))
        return false;
    for (; l->n < s->n_args; l->n++) {
        struct conf_value v = host_as_compared(&s->args[l->n]);
        if (!(l->v[l->n] = condition_pattern(k, &v, true)))
            return false;
    }
    return true;
}

static enum match match_host(const struct condition *c, const struct condition_input *in)
{
    return pattern_list_try((const struct pattern_list *)c->data, in->req->authority.host);
}
const struct condition_ops condition_host = {CONF_C_HOST, compile_host, match_host, 0};

struct names {
    unsigned n;
    struct span v[]; // `.x`: x and all below it; without the final dot
};

static bool compile_domain(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct names *d = (struct names *)condition_alloc(k, sizeof *d + s->n_args * sizeof d->v[0]);
    c->data = d;
    for (unsigned i = 0; d && i < s->n_args; i++) {
        if (!domain_read(s->args[i].text, &d->v[d->n++])) {
            domain_report(k, &s->args[i]);
            return false;
        }
    }
    return d != NULL;
}

static enum match match_domain(const struct condition *c, const struct condition_input *in)
{
    const struct names *d = (const struct names *)c->data;
    for (unsigned i = 0; i < d->n; i++)
        if (domain_has(d->v[i], in->req->authority.host))
            return MATCH_YES;
    return MATCH_NO;
}
const struct condition_ops condition_domain = {CONF_C_DOMAIN, compile_domain, match_domain, 0};
