// SPDX-License-Identifier: Apache-2.0
#include "proxy/guard.h"

const struct guard *guard_of(const struct exchange *x)
{
    return x->route ? x->route->guard : x->proxy ? x->proxy->guard : NULL;
}

static bool is_method_allowed(const struct guard *g, struct span method)
{
    for (unsigned i = 0; i < g->n_methods; i++)
        if (span_eq(g->methods[i], method))
            return true;
    return !g->methods;
}

enum err guard_check(struct exchange *x, const struct guard *g)
{
    const struct request *r = x->req;
    if (!is_method_allowed(g, r->method_text)) {
        x->allow = g->allow;
        return ERR_METHOD_REFUSED;
    }
    if (g->host_required && !fields_get(&r->fields, FIELD_HOST))
        return ERR_BAD_HOST;
    bool too_large = g->body && r->framing.kind == FRAMING_LENGTH && r->framing.length > g->body;
    return too_large ? ERR_CONTENT_TOO_LARGE : ERR_OK;
}

uint64_t guard_body_limit(const struct exchange *x)
{
    const struct guard *g = guard_of(x);
    return g && g->body ? g->body : x->gen->limits.body;
}

// Without these the content would mean something else, or the answer nothing.
static bool is_needed(enum field_id id)
{
    switch (id) {
    case FIELD_HOST:
    case FIELD_DATE:
    case FIELD_VARY:
    case FIELD_LOCATION:
    case FIELD_CONTENT_TYPE:
    case FIELD_CONTENT_RANGE:
    case FIELD_CONTENT_LENGTH:
    case FIELD_CONTENT_ENCODING:
    case FIELD_WWW_AUTHENTICATE:
        return true;
    default:
        return false;
    }
}

bool guard_keeps(const struct guard_names *names, const struct field *f)
{
    if (is_needed((enum field_id)f->id))
        return true;
    for (unsigned i = 0; i < names->n; i++) {
        struct span name = names->v[i];
        bool open = span_ends(name, SPAN("*"));
        if (open ? span_starts_ci(f->name, span_first(name, name.len - 1)) : span_eq_ci(f->name, name))
            return true;
    }
    return false;
}

void guard_filter(const struct guard_names *names, struct fields *f)
{
    for (uint32_t i = 0; names && i < f->n; i++)
        if (!f->v[i].removed && !guard_keeps(names, &f->v[i]))
            fields_remove_named(f, f->v[i].name);
}

const struct fields *guard_trailers(const struct exchange *x, bool of_response, struct fields *trailers)
{
    const struct guard *g = guard_of(x);
    if (g && trailers->n)
        guard_filter(of_response ? g->keep_response : g->keep_request, trailers);
    return trailers->n ? trailers : NULL;
}
