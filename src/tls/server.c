// SPDX-License-Identifier: Apache-2.0
// The handshake with a client. A connection begins on a context of the process's own, without certificates; the ClientHello's name
// chooses the site, whose context takes its place before OpenSSL looks at anything else.
#include "tls/server.h"

#include <openssl/err.h>
#include <pthread.h>

#include "base/mem.h"
#include "tls/context.h"
#include "tls/early.h"
#include "tls/hello.h"
#include "tls/layer.h"
#include "tls/server_site.h"

enum {
    HANDSHAKES_A_TURN = 4, // of the loop: a flood of them leaves the established connections their share
};

// TLS-ALPN-01 (RFC 8737): the authority offers this protocol and no other, and wants a certificate of one kind.
static const unsigned char challenge_protocol[] = "\x0a" "acme-tls/1";
enum { CHALLENGE_PROTOCOL_LEN = sizeof challenge_protocol - 1 };

static bool is_challenge(SSL *ssl)
{
    const unsigned char *ext;
    size_t len;
    return SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &ext, &len) && len == CHALLENGE_PROTOCOL_LEN + 2 &&
           memcmp(ext + 2, challenge_protocol, CHALLENGE_PROTOCOL_LEN) == 0;
}

// False: no challenge for this name is under way.
static bool answer_challenge(SSL *ssl, struct tls_layer *l)
{
    SSL_CTX *ctx = tls_challenge_context(span_str(l->name));
    bool ok = ctx && SSL_set_SSL_CTX(ssl, ctx);
    SSL_CTX_free(ctx);
    if (ok) {
        SSL_set_options(ssl, SSL_OP_NO_TICKET);
        SSL_set_num_tickets(ssl, 0);
        l->info.alpn = span_of((const char *)challenge_protocol, CHALLENGE_PROTOCOL_LEN);
        l->challenge = true;
    }
    return ok;
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
    struct tls_layer *l = tls_layer_of(ssl);
    const struct tls_listener *listener = (const struct tls_listener *)l->owner;
    const unsigned char *ext;
    size_t len;
    const struct tls_site *site = listener->fallback;
    (void)arg;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &len)) {
        if (!tls_hello_server_name(span_of((const char *)ext, len), l->name)) {
            *alert = SSL_AD_DECODE_ERROR;
            return SSL_CLIENT_HELLO_ERROR;
        }
        site = listener->find ? listener->find(listener->arg, span_str(l->name)) : listener->fallback;
    }
    if (unlikely(is_challenge(ssl)) && answer_challenge(ssl, l))
        return SSL_CLIENT_HELLO_SUCCESS;
    SSL_CTX *ctx = site ? tls_site_context(site, span_str(l->name)) : NULL;
    if (!ctx || !SSL_set_SSL_CTX(ssl, ctx)) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_CLIENT_HELLO_ERROR;
    }
    l->info.client_policy = site->client_policy;
    SSL_set_verify(ssl, site->verify_mode, NULL);
    if (site->no_tickets) {
        SSL_set_options(ssl, SSL_OP_NO_TICKET);
        SSL_set_num_tickets(ssl, 0);
    }
    if (unlikely(site->early_data) && listener->early_data)
        tls_early_allow(ssl);
    return SSL_CLIENT_HELLO_SUCCESS;
}

// The name was dealt with; this has OpenSSL say so to the client.
static int on_name(SSL *ssl, int *alert, void *arg)
{
    (void)ssl;
    (void)alert;
    (void)arg;
    return SSL_TLSEXT_ERR_OK;
}

// ---- The protocol (RFC 7301): the first of ours that the client has too

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len, void *arg)
{
    const struct span *ours = &tls_layer_of(ssl)->info.alpn;
    (void)arg;
    if (ours->len == 0)
        return SSL_TLSEXT_ERR_NOACK;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, (const unsigned char *)ours->ptr, (unsigned)ours->len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

void tls_server_callbacks(SSL_CTX *ctx)
{
    SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    tls_tickets_use(ctx);
}

static SSL_CTX *base;

static void make_base(void)
{
    base = tls_context_new(true);
    if (!base)
        return;
    tls_server_callbacks(base);
    SSL_CTX_set_client_hello_cb(base, on_hello, NULL);
}

// ---- The handshake

// What signs costs tenths of a millisecond, so only some do in a turn of the loop.
enum err tls_wait_turn(uint64_t deadline)
{
    static _Thread_local uint64_t turn;
    static _Thread_local unsigned n;
    for (;;) {
        uint64_t now = loop_turns(loop_self());
        if (turn != now) {
            turn = now;
            n = 0;
        }
        if (n++ < HANDSHAKES_A_TURN)
            return ERR_OK;
        if (loop_now_ms() >= deadline)
            return ERR_TIMEOUT;
        if (fiber_canceled(fiber_self()))
            return fiber_canceled(fiber_self());
        fiber_yield();
    }
}

enum err tls_accept_early(struct transport *t, const struct client_settings *s, struct chunk *early, uint64_t deadline)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct tls_layer *l;
    pthread_once(&once, make_base);
    if (!base)
        return ERR_NO_MEMORY;
    enum err e = tls_wait_turn(deadline);
    if (!e)
        e = tls_layer_new(t, base, &l);
    if (e)
        return e;
    l->owner = s->secure_arg;
    l->info.alpn = s->alpn;
    SSL_set_accept_state(l->ssl);
    if (early)
        e = chunkq_append(&l->early, early, early->data, early->used);
    if (!e)
        e = unlikely(((const struct tls_listener *)l->owner)->early_data) ? tls_early_accept(l, deadline) : tls_layer_handshake(l, deadline);
    if (!e)
        e = tls_peer_note(l);
    if (e) {
        tls_layer_free(l);
        return e;
    }
    tls_layer_stand(l);
    if (unlikely(l->challenge))
        return ERR_EOF; // it has seen what it wanted
    return ERR_OK;
}

enum err tls_accept(struct transport *t, const struct client_settings *s, uint64_t deadline)
{
    // Nobody costs us more than a descriptor before the first byte is there. That it may be is a guess on a fresh connection, where
    // the poller has yet to tell; behind an introduction it has told already.
    if (!s->introduce)
        t->io.state &= (uint8_t)~IO_READABLE;
    enum err e = io_wait_readable(&t->io, deadline);
    return e ? e : tls_accept_early(t, s, NULL, deadline);
}
