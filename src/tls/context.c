// SPDX-License-Identifier: Apache-2.0
#include "tls/context.h"

#include <openssl/err.h>
#include <stdatomic.h>

#include "tls/server.h"

#define CIPHERS_12                                                                                                                     \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"          \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS     "X25519:P-256:P-384"

enum { SESSION_SECONDS = 12 * 3600, TICKETS = 1 };

static void (*_Atomic keys_log)(const char *line);

void tls_keys_log(void (*fn)(const char *line))
{
    atomic_store(&keys_log, fn);
}

static void on_keys(const SSL *ssl, const char *line)
{
    void (*fn)(const char *) = atomic_load(&keys_log);
    (void)ssl;
    if (fn)
        fn(line);
}

SSL_CTX *tls_context_new(bool server)
{
    SSL_CTX *c = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (!c)
        return NULL;
    // What an end without close_notify means is the layer's to say: OpenSSL would answer nobody any more.
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF | (server ? SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA : 0));
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(c, 1);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(c, SESSION_SECONDS);
    if (unlikely(atomic_load(&keys_log)))
        SSL_CTX_set_keylog_callback(c, on_keys);
    if (SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) && SSL_CTX_set_cipher_list(c, CIPHERS_12) && SSL_CTX_set_ciphersuites(c, CIPHERS_13) &&
        SSL_CTX_set1_groups_list(c, GROUPS) && SSL_CTX_set_num_tickets(c, TICKETS))
        return c;
    SSL_CTX_free(c);
    return NULL;
}

const char *tls_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return text ? text : "no reason is known";
}
