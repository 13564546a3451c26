// SPDX-License-Identifier: Apache-2.0
// Conditions on the client's connection: tls-version, client-cert.
#include "policy/condition.h"

static bool compile_version(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    static const char *const versions[] = {"1.2", "1.3", "none"};
    for (unsigned i = 0; i < s->n_args; i++) {
        bool known = false;
        for (unsigned v = 0; v < ARRAY_LEN(versions); v++)
            known |= span_eq(s->args[i].text, span_str(versions[v]));
        if (!known) {
            conf_error(k->diags, k->conf, &s->args[i].pos, "`%.*s` is no version: 1.2, 1.3, or `none` for a connection without TLS", SPAN_ARG(s->args[i].text));
            return false;
        }
    }
    c->data = (void *)(uintptr_t)s;
    return true;
}

static enum match match_version(const struct condition *c, const struct condition_input *in)
{
    const struct conf_stmt *s = (const struct conf_stmt *)c->data;
    struct span version = in->tls_version.len ? in->tls_version : SPAN("none");
    if (span_starts(version, SPAN("TLSv")))
        version = span_skip(version, 4);
    for (unsigned i = 0; i < s->n_args; i++)
        if (span_eq(s->args[i].text, version))
            return MATCH_YES;
    return MATCH_NO;
}
const struct condition_ops condition_tls_version = {CONF_C_TLS_VERSION, compile_version, match_version, 0};

static bool compile_client_cert(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct pattern_list *l = (struct pattern_list *)condition_alloc(k, sizeof *l);
    c->data = l;
    return l && condition_patterns(k, s, 0, false, l);
}

static enum match match_client_cert(const struct condition *c, const struct condition_input *in)
{
    const struct pattern_list *l = (const struct pattern_list *)c->data;
    if (!in->client_cert)
        return MATCH_NO;
    return l->n ? pattern_list_try(l, in->client_subject) : MATCH_YES;
}
const struct condition_ops condition_client_cert = {CONF_C_CLIENT_CERT, compile_client_cert, match_client_cert, 0};
