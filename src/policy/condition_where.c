// SPDX-License-Identifier: Apache-2.0
// Conditions on who asks and for which host: client, host, domain.
#include "net/prefix.h"
#include "policy/condition.h"
#include "policy/pattern.h"

static bool compile_client(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct prefix_set *set = (struct prefix_set *)arena_zalloc(k->arena, sizeof *set);
    struct prefix_entry *entries = (struct prefix_entry *)arena_zalloc(k->arena, s->n_args * sizeof *entries);
    c->data = set;
    for (unsigned i = 0; entries && i < s->n_args; i++) {
        const char *why;
        if (!prefix_parse(s->args[i].text, &entries[i].prefix, &why)) {
            conf_error(k->diags, k->conf, &s->args[i].pos, "`%.*s`: %s", SPAN_ARG(s->args[i].text), why);
            return false;
        }
    }
    return set && entries && prefix_set_build(set, k->arena, entries, s->n_args);
}

static bool match_client(const struct condition *c, const struct condition_input *in)
{
    return prefix_set_find((const struct prefix_set *)c->data, in->client, NULL);
}
const struct condition_ops condition_client = {CONF_C_CLIENT, compile_client, match_client};

static bool compile_host(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct pattern_list *l = (struct pattern_list *)arena_zalloc(k->arena, sizeof *l);
    c->data = l;
    return l && condition_patterns(k, s, 0, true, l);
}

static bool match_host(const struct condition *c, const struct condition_input *in)
{
    return pattern_list_match((const struct pattern_list *)c->data, in->req->authority.host);
}
const struct condition_ops condition_host = {CONF_C_HOST, compile_host, match_host};

struct names {
    unsigned n;
    struct span v[]; // `.x`: x and all below it; without the final dot
};

static bool compile_domain(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct names *d = (struct names *)arena_zalloc(k->arena, sizeof *d + s->n_args * sizeof d->v[0]);
    c->data = d;
    for (unsigned i = 0; d && i < s->n_args; i++) {
        struct span name = s->args[i].text;
        if (span_ends(name, SPAN(".")))
            name.len--;
        d->v[d->n++] = name;
    }
    return d != NULL;
}

static bool match_domain(const struct condition *c, const struct condition_input *in)
{
    const struct names *d = (const struct names *)c->data;
    struct span host = in->req->authority.host;
    for (unsigned i = 0; i < d->n; i++) {
        struct span name = d->v[i];
        if (span_eq_ci(host, name))
            return true;
        if (name.len && name.ptr[0] == '.' && (span_ends_ci(host, name) || span_eq_ci(host, span_skip(name, 1))))
            return true;
    }
    return false;
}
const struct condition_ops condition_domain = {CONF_C_DOMAIN, compile_domain, match_domain};
