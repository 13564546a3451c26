// SPDX-License-Identifier: Apache-2.0
#include "policy/auth_request.h"

#include "http/field.h"

enum { TIMEOUT_DEFAULT_MS = 5000, CACHE_MAX_MS = 3600 * 1000 };

static bool read_url(struct condition_context *k, const struct conf_value *v, struct auth_request *r)
{
    struct uri u;
    if (uri_parse_absolute(v->text, k->arena, &u) || !span_eq(u.scheme, SPAN("http"))) {
        conf_error(k->diags, k->conf, &v->pos,
                   "`%.*s` is no address of a service: http://HOST:PORT/PATH is wanted here",
                   SPAN_ARG(v->text));
        return false;
    }
    r->authority = u.authority;
    r->port = u.authority.port ? u.authority.port : 80;
    r->target =
        u.query.ptr ? arena_printf(k->arena, "%.*s?%.*s", SPAN_ARG(u.path), SPAN_ARG(u.query)) : u.path;
    return r->target.ptr != NULL;
}

// Fields that a message needs, or that say who we are, are nobody's to set.
static bool may_be_set(struct span name)
{
    enum field_id id = field_id_of(name);
    return http_is_token(name) && !(field_flags(id) & (FIELD_HOP | FIELD_FRAMING)) && id != FIELD_HOST &&
           id != FIELD_VIA && id != FIELD_EXPECT;
}

static bool read_names(struct condition_context *k, const struct conf_stmt *s, struct auth_request *r)
{
    bool ok = true, first = true;
    for (unsigned i = 0; i < s->n_args; i++) {
        const struct conf_value *v = &s->args[i];
        bool fields = v->option && span_eq(span_str(v->option), SPAN("fields")),
             user = v->option && span_eq(span_str(v->option), SPAN("user"));
        if (!fields && !user)
            continue;
        if (fields && first) { // the option's own word
            first = false;
            continue;
        }
        if (!may_be_set(v->text) || (fields && r->n_fields == AUTH_REQUEST_FIELDS_MAX)) {
            conf_error(k->diags, k->conf, &v->pos, "`%.*s` is no field that can be taken over",
                       SPAN_ARG(v->text));
            ok = false;
        } else if (fields) {
            r->fields[r->n_fields++] = v->text;
        }
    }
    const struct conf_value *user = conf_option(s, "user");
    if (user)
        r->user = user->text;
    return ok;
}

const struct auth_request *auth_request_new(struct condition_context *k, const struct conf_stmt *s)
{
    struct auth_request *r = (struct auth_request *)condition_alloc(k, sizeof *r);
    const struct conf_value *url = s->n_args > 1 && !s->args[1].option ? &s->args[1] : NULL,
                            *timeout = conf_option(s, "timeout"), *cache = conf_option(s, "cache");
    if (!r)
        return NULL;
    if (!url) {
        conf_error(k->diags, k->conf, &s->pos,
                   "`auth request` wants the service's address: auth request http://HOST:PORT/PATH");
        return NULL;
    }
    r->timeout_ms = timeout ? timeout->num : TIMEOUT_DEFAULT_MS;
    r->cache_ms = cache ? cache->num : 0;
    if (!r->timeout_ms || r->cache_ms > CACHE_MAX_MS) {
        conf_error(k->diags, k->conf, r->timeout_ms ? &cache->pos : &timeout->pos,
                   r->timeout_ms ? "a yes may hold for an hour at most" : "a time above zero is wanted here");
        return NULL;
    }
    bool ok = read_url(k, url, r);
    return read_names(k, s, r) && ok ? r : NULL;
}
