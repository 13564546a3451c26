// SPDX-License-Identifier: Apache-2.0
#include "proxy/authenticate.h"

#include "base/secret.h"
#include "policy/auth_memory.h"
#include "policy/credentials.h"
#include "proxy/auth_service.h"

const struct auth *authenticate_by(const struct exchange *x)
{
    return x->proxy ? x->proxy->auth : x->route ? x->route->auth : NULL;
}

enum err authenticate_challenge(const struct exchange *x, struct fields *f)
{
    const struct auth *a = authenticate_by(x);
    enum err e = ERR_OK;
    for (unsigned i = 0; a && i < a->n && !e; i++)
        if (a->v[i].challenge.len)
            e = fields_add(f, x->proxy ? FIELD_PROXY_AUTHENTICATE : FIELD_WWW_AUTHENTICATE, a->v[i].challenge);
    return e;
}

// ---- Basic

struct check {
    const char *hash, *password;
    enum err err;
    bool fits;
};

static void run_check(void *arg)
{
    struct check *c = (struct check *)arg;
    c->err = passwd_verify(c->hash, c->password, &c->fits);
}

// Unknown users cost as much as known ones, and are no other case to whoever watches.
static enum err check_password(struct exchange *x, const struct auth_method *m, struct auth_memory *memory, const struct basic_credentials *b)
{
    unsigned char proof[AUTH_PROOF_BYTES];
    bool known;
    const char *hash = passwd_hash_of(m->passwords, b->user, &known);
    auth_memory_proof(memory, span_str(hash), b->user, b->password, proof);
    if (auth_memory_knows(memory, proof, loop_now_ms()))
        return ERR_OK;
    if (!auth_memory_attempt(memory, &x->client_addr, b->user, loop_now_ms()))
        return ERR_CREDENTIALS_LOCKED;
    if (!auth_memory_enter(memory)) {
        auth_memory_forgive(memory, &x->client_addr, b->user, loop_now_ms());
        return ERR_AUTH_BUSY;
    }
    struct check c = {.hash = hash, .password = b->password.ptr};
    enum err e = loop_offload(run_check, &c);
    auth_memory_leave(memory);
    if (!e)
        e = c.err;
    if (e || (c.fits && known))
        auth_memory_forgive(memory, &x->client_addr, b->user, loop_now_ms());
    if (e)
        return e;
    if (!c.fits || !known)
        return known ? ERR_CREDENTIALS_WRONG : ERR_CREDENTIALS_UNKNOWN;
    auth_memory_add(memory, proof, loop_now_ms());
    return ERR_OK;
}

static enum err try_basic(struct exchange *x, const struct auth_method *m, struct span token)
{
    struct basic_credentials b;
    struct auth_memory *memory = auth_memory_shared();
    enum err e = !memory ? ERR_NO_MEMORY : basic_parse(token, &b) ? check_password(x, m, memory, &b) : ERR_CREDENTIALS_MALFORMED;
    if (!e && !arena_dup(x->arena, b.user, &x->user))
        e = ERR_NO_MEMORY;
    secret_wipe(&b, sizeof b);
    return e;
}

// ---- Certificates

// The common name of a subject as RFC 2253 writes it; the whole subject where there is none that is plain.
static struct span common_name(struct span subject)
{
    for (struct span rest = subject; rest.ptr;) {
        struct span part = span_trim(span_cut(&rest, ','));
        if (span_starts_ci(part, SPAN("CN=")) && part.len > 3 && span_find(part, '\\') == part.len)
            return span_skip(part, 3);
    }
    return subject;
}

static enum err try_certificate(struct exchange *x)
{
    const struct transport_info *i = x->conn->t.info;
    if (!i || !i->client_verified)
        return ERR_CREDENTIALS_MISSING;
    return arena_dup(x->arena, common_name(i->client_subject), &x->user) ? ERR_OK : ERR_NO_MEMORY;
}

// ---- All methods

static bool is_our_fault(enum err e)
{
    return err_info(e)->status != 401;
}

// ERR_CREDENTIALS_MISSING where the method finds nothing that it could look at.
static enum err try_method(struct exchange *x, const struct auth_method *m)
{
    struct span value = fields_value(&x->req->fields, x->proxy ? FIELD_PROXY_AUTHORIZATION : FIELD_AUTHORIZATION);
    struct span token;
    switch (m->kind) {
    case AUTH_BASIC:
        token = credentials_of(value, SPAN("Basic"));
        return token.ptr ? try_basic(x, m, token) : ERR_CREDENTIALS_MISSING;
    case AUTH_BEARER:
        token = credentials_of(value, SPAN("Bearer"));
        return token.ptr ? token_check(m->tokens, token, (int64_t)(loop_wall_ms() / 1000), x->arena, &x->user) : ERR_CREDENTIALS_MISSING;
    case AUTH_CLIENT_CERT:
        return try_certificate(x);
    case AUTH_REQUEST:
        return auth_service_ask(x, m);
    }
    return ERR_INTERNAL;
}

// What exactly was wrong is for the log.
static enum err refuse(struct exchange *x, enum err why)
{
    if (is_our_fault(why))
        return why;
    x->log_reason = why;
    return x->proxy ? ERR_PROXY_AUTH_REQUIRED : ERR_AUTH_REQUIRED;
}

enum err authenticate(struct exchange *x)
{
    const struct auth *a = authenticate_by(x);
    enum err e;
    if (likely(!a) || x->inside) // who opened the tunnel has shown it
        return ERR_OK;
    enum err why = ERR_CREDENTIALS_MISSING;
    for (unsigned i = 0; i < a->n; i++) {
        e = try_method(x, &a->v[i]);
        if (!e)
            return ERR_OK;
        if (is_our_fault(e))
            return e;
        if (e != ERR_CREDENTIALS_MISSING)
            why = e;
    }
    x->rule = a->v[0].where;
    return refuse(x, why);
}
