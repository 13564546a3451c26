// SPDX-License-Identifier: Apache-2.0
// An order (RFC 8555 7.4): its names are proved one by one, then the certificate is had and stored with its key.
#include "acme/client.h"
#include "acme/jose.h"
#include "acme/store.h"

enum {
    POLL_MS = 1000,             // between looks, where the authority wishes nothing else
    POLLS_MAX = 60,
    POLL_MAX_MS = 30 * 1000,
    TOKEN_MAX = 200,
};

struct challenge {
    const char *type;
    struct span token, url, proof;
};

static const char *status_of(const json_t *j)
{
    const char *s = json_string_value(json_object_get(j, "status"));
    return s ? s : "";
}

static bool is(const char *a, const char *b)
{
    return span_eq(span_str(a), span_str(b));
}

// Looks at a resource until it is neither pending nor processing.
static bool poll(struct client *c, struct span url, const char *until, json_t **ret)
{
    for (unsigned i = 0; i < POLLS_MAX; i++) {
        json_t *j;
        if (!client_post(c, url, SPAN_NONE, NULL, &j))
            return false;
        const char *s = status_of(j);
        if (is(s, until) || (!is(s, "pending") && !is(s, "processing") && !is(s, "ready"))) {
            *ret = j;
            return true;
        }
        json_decref(j);
        uint64_t wait = c->retry_after_ms ? MIN(c->retry_after_ms, (uint64_t)POLL_MAX_MS) : POLL_MS;
        if (fiber_sleep(wait))
            return client_fail(c, "it was ended");
    }
    return client_fail(c, "%.*s does not come to an end", SPAN_ARG(url));
}

// ---- Authorizations

static bool is_token(const char *t)
{
    size_t n = 0;
    for (; t[n]; n++)
        if (!((t[n] >= 'a' && t[n] <= 'z') || (t[n] >= 'A' && t[n] <= 'Z') || (t[n] >= '0' && t[n] <= '9') || t[n] == '-' || t[n] == '_'))
            return false;
    return n > 0 && n <= TOKEN_MAX;
}

static bool take_challenge(struct client *c, const json_t *authorization, const char *type, struct challenge *ret)
{
    size_t i;
    json_t *x;
    json_array_foreach(json_object_get(authorization, "challenges"), i, x) {
        const char *t = json_string_value(json_object_get(x, "type")), *token = json_string_value(json_object_get(x, "token"));
        if (!t || !is(t, type) || !token || !is_token(token))
            continue;
        ret->type = type;
        ret->url = client_url(c, x, "url");
        ret->token = arena_printf(c->a, "%s", token);
        ret->proof = arena_printf(c->a, "%s.%.*s", token, SPAN_ARG(c->thumbprint));
        return ret->url.len && ret->token.ptr && ret->proof.ptr;
    }
    return false;
}

static bool choose(struct client *c, const json_t *authorization, bool alpn_first, struct challenge *ret)
{
    static const char *const types[] = {"http-01", "tls-alpn-01"};
    enum acme_challenge only = c->plan->challenge;
    unsigned first = only == ACME_TLS_ALPN_01 || (only == ACME_ANY && alpn_first);
    return take_challenge(c, authorization, types[first], ret) || (only == ACME_ANY && take_challenge(c, authorization, types[!first], ret)) ||
           client_fail(c, "the authority offers no challenge that we can meet");
}

// What the authority found wrong with a challenge.
static bool refused(struct client *c, const json_t *authorization, struct span name)
{
    size_t i;
    json_t *x;
    json_array_foreach(json_object_get(authorization, "challenges"), i, x) {
        const char *detail = json_string_value(json_object_get(json_object_get(x, "error"), "detail"));
        if (detail)
            return client_fail(c, "the authority does not believe that %.*s is ours: %.300s", SPAN_ARG(name), detail);
    }
    return client_fail(c, "the authority does not believe that %.*s is ours: %s", SPAN_ARG(name), status_of(authorization));
}

static bool prove(struct client *c, struct span url, struct span name, const struct challenge *h)
{
    json_t *j;
    struct span set = arena_printf(c->a, "set %.*s %.*s %.*s", SPAN_ARG(name), SPAN_ARG(h->token), SPAN_ARG(h->proof));
    struct span clear = arena_printf(c->a, "clear %.*s %.*s", SPAN_ARG(name), SPAN_ARG(h->token));
    if (!set.ptr || !clear.ptr)
        return client_fail(c, "out of memory");
    bool ok = client_note_wait(c, set) && client_post(c, h->url, SPAN("{}"), NULL, NULL) && poll(c, url, "valid", &j);
    client_note(c, clear);
    if (!ok)
        return false;
    ok = is(status_of(j), "valid") || refused(c, j, name);
    json_decref(j);
    return ok;
}

static bool authorize(struct client *c, struct span url, bool alpn_first)
{
    json_t *j;
    struct challenge h;
    if (!client_post(c, url, SPAN_NONE, NULL, &j))
        return false;
    const char *value = json_string_value(json_object_get(json_object_get(j, "identifier"), "value"));
    struct span name = value ? arena_printf(c->a, "%s", value) : SPAN_NONE;
    bool done = is(status_of(j), "valid"), ok = done;
    if (!done && !name.len)
        client_fail(c, "an authorization has no name");
    else if (!done && !is(status_of(j), "pending"))
        refused(c, j, name);
    else if (!done)
        ok = choose(c, j, alpn_first, &h);
    json_decref(j);
    return ok && (done || prove(c, url, name, &h));
}

// ---- The order

static struct span order_payload(struct client *c, const struct acme_site *s)
{
    struct span list = SPAN("");
    for (unsigned i = 0; i < s->n_names && list.ptr; i++)
        list = arena_printf(c->a, "%.*s%s{\"type\":\"dns\",\"value\":\"%.*s\"}", SPAN_ARG(list), i ? "," : "", SPAN_ARG(s->names[i]));
    return list.ptr ? arena_printf(c->a, "{\"identifiers\":[%.*s]}", SPAN_ARG(list)) : SPAN_NONE;
}

static bool authorize_all(struct client *c, const json_t *order, bool alpn_first)
{
    const json_t *list = json_object_get(order, "authorizations");
    size_t n = json_array_size(list);
    if (n == 0 || n > ACME_NAMES_MAX)
        return client_fail(c, "the order has no authorizations");
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        struct span url;
        if (!text || !client_is_url(span_str(text)) || !arena_dup(c->a, span_str(text), &url))
            return client_fail(c, "an authorization of the order has no URL");
        if (!authorize(c, url, alpn_first))
            return false;
    }
    return true;
}

static bool finalize(struct client *c, const struct acme_site *s, EVP_PKEY *key, struct span order_url, struct span finalize_url, json_t **ret)
{
    struct span csr = jose_csr(c->a, key, s->names, s->n_names);
    struct span payload = csr.ptr ? arena_printf(c->a, "{\"csr\":\"%.*s\"}", SPAN_ARG(csr)) : SPAN_NONE;
    if (!payload.ptr)
        return client_fail(c, "the request for a certificate cannot be made");
    if (!client_post(c, finalize_url, payload, NULL, NULL) || !poll(c, order_url, "valid", ret))
        return false;
    if (is(status_of(*ret), "valid"))
        return true;
    client_fail(c, "the order ended as %s", status_of(*ret));
    json_decref(*ret);
    return false;
}

static bool fetch(struct client *c, const struct acme_site *s, EVP_PKEY *key, struct span url)
{
    struct https_answer r;
    struct jose_dates dates;
    if (!url.len)
        return client_fail(c, "the order names no certificate");
    if (!client_post(c, url, SPAN_NONE, &r, NULL))
        return false;
    struct span pem = jose_key_pem(c->a, key);
    struct span file = pem.ptr ? arena_join(c->a, pem, r.content) : SPAN_NONE;
    if (!file.ptr || !jose_certificate(file, s->names, s->n_names, &dates))
        return client_fail(c, "what the authority sent is no certificate for these names");
    return store_write(c->folder, c->a, s->file, file) || client_fail(c, "%.*s cannot be written", SPAN_ARG(s->file));
}

static bool place(struct client *c, const struct acme_site *s, json_t **ret, struct span *ret_url)
{
    struct https_answer r;
    struct span url = client_url(c, c->directory, "newOrder"), payload = order_payload(c, s);
    if (!url.len || !payload.ptr)
        return client_fail(c, "the directory names no newOrder");
    if (!client_post(c, url, payload, &r, ret))
        return false;
    const struct field *f = fields_get(&r.head.fields, FIELD_LOCATION);
    *ret_url = f && client_is_url(f->value) ? f->value : SPAN_NONE;
    if (ret_url->len)
        return true;
    json_decref(*ret);
    return client_fail(c, "the order has no URL");
}

bool order_certificate(struct client *c, const struct acme_site *s, bool alpn_first)
{
    json_t *order, *done;
    struct span url;
    if (!place(c, s, &order, &url))
        return false;
    EVP_PKEY *key = jose_key_new(); // a new one each time
    struct span finalize_url = client_url(c, order, "finalize");
    bool ok = key && authorize_all(c, order, alpn_first) && (finalize_url.len || client_fail(c, "the order names no finalize")) &&
              finalize(c, s, key, url, finalize_url, &done);
    if (ok) {
        struct span cert_url = client_url(c, done, "certificate");
        json_decref(done);
        ok = fetch(c, s, key, cert_url);
    }
    json_decref(order);
    EVP_PKEY_free(key);
    return ok;
}
