// SPDX-License-Identifier: Apache-2.0
// Who may ask. A browser on this machine is everybody's who has a page open in it: so neither the address
// that asks nor anything that a browser sends by itself is enough to change something, and names that lead
// here are not believed to be ours.
#include <openssl/sha.h>

#include "policy/credentials.h"
#include "proxy/api.h"

// A page whose name was made to lead here (DNS rebinding) says that name. Who says none is no browser.
static bool is_our_name(const struct exchange *x)
{
    const struct authority *a = &x->req->authority;
    const struct dashboard *d = x->gen->dashboard;
    if (!a->host.len || a->kind != HOST_NAME || span_eq(a->host, SPAN("localhost")))
        return true;
    for (unsigned i = 0; i < d->n_hosts; i++)
        if (span_eq(d->hosts[i], a->host))
            return true;
    return false;
}

// What browsers say of the page that asks (Fetch 3.2, Fetch Metadata). No page of another site may ask
// anything.
static bool is_our_page(const struct exchange *x)
{
    const struct field *site = fields_find(&x->req->fields, SPAN("Sec-Fetch-Site"));
    struct span origin = fields_value(&x->req->fields, FIELD_ORIGIN);
    if (site && !span_eq(site->value, SPAN("same-origin")) && !span_eq(site->value, SPAN("none")))
        return false;
    if (!origin.ptr)
        return true;
    struct span host = origin;
    if (span_starts(host, SPAN("http://")))
        host = span_skip(host, 7);
    else if (span_starts(host, SPAN("https://")))
        host = span_skip(host, 8);
    return host.len != origin.len && span_eq_ci(host, x->req->authority.text);
}

enum err api_guard(struct exchange *x)
{
    if (!is_our_name(x))
        return ERR_API_HOST;
    return is_our_page(x) ? ERR_OK : ERR_API_CROSS_SITE;
}

// ---- Tokens

// All are looked at, each whole: how long it takes says nothing.
static const struct api_token *find(const struct api_tokens *t, const unsigned char hash[API_TOKEN_BYTES])
{
    const struct api_token *found = NULL;
    for (unsigned i = 0; i < t->n; i++) {
        unsigned char differs = 0;
        for (size_t k = 0; k < API_TOKEN_BYTES; k++)
            differs |= t->v[i].hash[k] ^ hash[k];
        if (!differs)
            found = &t->v[i];
    }
    return found;
}

static const struct api_token *token_of(const struct exchange *x, enum api_access wanted)
{
    const struct dashboard *d = x->gen->dashboard;
    unsigned char hash[SHA256_DIGEST_LENGTH];
    struct span token = credentials_of(fields_value(&x->req->fields, FIELD_AUTHORIZATION), SPAN("Bearer"));
    if (!token.ptr)
        return NULL;
    SHA256((const unsigned char *)token.ptr, token.len, hash);
    const struct api_token *w = find(&d->write, hash), *r = find(&d->read, hash);
    return w ? w : wanted == API_READ ? r : NULL;
}

bool api_may_configure(const struct generation *g, struct span token)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    if (!g->dashboard || !g->dashboard->configures || !token.len)
        return false;
    SHA256((const unsigned char *)token.ptr, token.len, hash);
    return find(&g->dashboard->write, hash) != NULL;
}

enum err api_authorize(struct exchange *x, enum api_access wanted)
{
    const struct dashboard *d = x->gen->dashboard;
    const struct api_token *t = token_of(x, wanted);
    if (t) {
        x->user = t->name;
        return ERR_OK;
    }
    if (wanted == API_WRITE)
        return d->write.given ? ERR_API_TOKEN : ERR_API_READ_ONLY;
    return d->write.given || d->read.given ? ERR_API_TOKEN : ERR_OK;
}
