// SPDX-License-Identifier: Apache-2.0
// OpenSSL reads straight from the socket into its own record buffer, and writes into a queue of our chunks, which goes out with as
// few calls as possible. So it never waits for room: only who sends does, and a reader never stands in a writer's place.
#include "tls/layer.h"

#include <openssl/err.h>
#include <pthread.h>

#include "base/check.h"
#include "base/mem.h"
#include "tls/early.h"

enum {
    BATCH_BYTES = 128 * 1024,            // encrypted before it is sent
    READS_MAX = 32,                      // in one operation: a peer that sends so much without content floods (key updates, empty records)
    PENDING_MAX_BYTES = 64 * 1024,       // answers that a peer provokes and does not read
    FAIR_OPERATIONS = 64,
};

static BIO_METHOD *method;

// ---- What OpenSSL reads and writes

static int bio_read(BIO *b, char *buf, size_t cap, size_t *ret_n)
{
    struct tls_layer *l = (struct tls_layer *)BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (unlikely(l->early.bytes)) {
        *ret_n = chunkq_peek(&l->early, buf, cap);
        chunkq_skip(&l->early, *ret_n);
        return 1;
    }
    if (l->reads_left == 0) {
        l->in_err = ERR_RESET;
        return 0;
    }
    l->reads_left--;
    enum err e = l->below ? l->below->ops->recv_now(l->below, buf, cap, ret_n) : io_recv_now(&l->t->io, buf, cap, ret_n);
    if (!e)
        return 1;
    if (e == ERR_AGAIN)
        BIO_set_retry_read(b);
    else
        l->in_err = e;
    return 0;
}

static int bio_write(BIO *b, const char *buf, size_t len, size_t *ret_n)
{
    struct tls_layer *l = (struct tls_layer *)BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (chunkq_append_copy(&l->out, buf, len))
        return 0;
    *ret_n = len;
    return 1;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    const struct tls_layer *l = (const struct tls_layer *)BIO_get_data(b);
    (void)num;
    (void)ptr;
    switch (cmd) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return l->in_err != ERR_OK;
    default:
        return 0;
    }
}

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir");
    if (method && BIO_meth_set_read_ex(method, bio_read) && BIO_meth_set_write_ex(method, bio_write) && BIO_meth_set_ctrl(method, bio_ctrl))
        return;
    BIO_meth_free(method);
    method = NULL;
}

static BIO *bio_new(struct tls_layer *l)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    BIO *b = method ? BIO_new(method) : NULL;
    if (b) {
        BIO_set_data(b, l);
        BIO_set_init(b, 1);
    }
    return b;
}

// SSL_get_error looks at the thread's queue of errors, which is empty most of the time.
static void forget_errors(void)
{
    if (unlikely(ERR_peek_error()))
        ERR_clear_error();
}

// Whether a read could bring anything: OpenSSL holds bytes, or the socket may.
static bool may_read(const struct tls_layer *l)
{
    return l->early.bytes || l->has_first || (l->t->io.state & (IO_READABLE | IO_PEER_ENDED | IO_BROKEN)) || SSL_has_pending(l->ssl) ||
           (l->below && l->below->ops->pending(l->below));
}

// ---- Sending

static bool has_unsent(const struct tls_layer *l)
{
    return l->out.bytes || (l->below && ((const struct tls_layer *)l->below->layer)->out.bytes);
}

// As much as goes without a wait.
static enum err push(struct tls_layer *l)
{
    struct iovec iov[16];
    size_t n;
    if (l->below)
        return l->below->ops->send_now(l->below, &l->out);
    enum err e = io_sendv_now(&l->t->io, iov, chunkq_iov(&l->out, iov, ARRAY_LEN(iov)), false, &n);
    if (!e)
        chunkq_skip(&l->out, n);
    return e;
}

static void flush_now(struct tls_layer *l)
{
    while (has_unsent(l) && !l->sending && l->t->io.fd >= 0)
        if (push(l))
            return;
}

// The queue may have grown meanwhile, so what is to be sent is looked up after each wait.
static enum err flush(struct tls_layer *l, uint64_t stall_ms, uint64_t deadline)
{
    enum err e = ERR_OK;
    l->sending = true;
    while (!e && has_unsent(l)) {
        e = push(l);
        if (e == ERR_AGAIN)
            e = io_wait_writable(&l->t->io, stall_ms ? deadline_in(stall_ms) : deadline);
    }
    l->sending = false;
    return e;
}

static void let_others(struct tls_layer *l)
{
    if (++l->busy >= FAIR_OPERATIONS) {
        l->busy = 0;
        fiber_yield();
    }
}

// To a client whose handshake has not ended yet goes what may go to anybody who has the session.
static int write_some(struct tls_layer *l, struct span s, size_t *ret_n)
{
    return unlikely(l->early_open) ? SSL_write_early_data(l->ssl, s.ptr, s.len, ret_n) : SSL_write_ex(l->ssl, s.ptr, s.len, ret_n);
}

static enum err encrypt_some(struct tls_layer *l, struct chunkq *q)
{
    static _Thread_local char joined[TLS_RECORD_BYTES]; // used up before another fiber can run
    while (q->bytes && l->out.bytes < BATCH_BYTES) {
        struct span s = span_first(chunkq_first(q), TLS_RECORD_BYTES);
        // Small runs share a record.
        if (s.len < TLS_RECORD_BYTES && s.len < q->bytes)
            s = span_of(joined, chunkq_peek(q, joined, sizeof joined));
        size_t n;
        forget_errors();
        if (l->failed || write_some(l, s, &n) != 1) {
            l->failed = true;
            return ERR_RESET;
        }
        chunkq_skip(q, n);
    }
    return ERR_OK;
}

// Our close_notify, behind what is to be sent.
static void end_ours(struct tls_layer *l)
{
    if (!l->established || l->failed || l->ended || l->early_open)
        return;
    forget_errors();
    (void)SSL_shutdown(l->ssl);
    l->ended = true;
}

static enum err layer_send_queue(struct transport *t, struct chunkq *q, uint64_t stall_ms)
{
    struct tls_layer *l = (struct tls_layer *)t->layer;
    enum err e = ERR_OK;
    let_others(l);
    while (!e && (q->bytes || has_unsent(l))) {
        e = encrypt_some(l, q);
        if (!e && l->last && !q->bytes)
            end_ours(l);
        if (!e)
            e = flush(l, stall_ms, DEADLINE_NONE);
    }
    if (unlikely(l->early_open) && l->last && !e && !tls_early_finish(l)) { // close_notify wants a handshake that has ended
        end_ours(l);
        flush_now(l);
    }
    return e;
}

static void layer_last(struct transport *t)
{
    ((struct tls_layer *)t->layer)->last = true;
}

static enum err layer_send_now(struct transport *t, struct chunkq *q)
{
    struct tls_layer *l = (struct tls_layer *)t->layer;
    do {
        enum err e = encrypt_some(l, q);
        if (e)
            return e;
        flush_now(l);
        if (has_unsent(l))
            return l->t->io.state & IO_BROKEN ? ERR_RESET : ERR_AGAIN;
    } while (q->bytes);
    return ERR_OK;
}

// ---- Receiving

// What a call that did not succeed means. An end without close_notify may have been made by anybody, so from a server it is no
// orderly one: it could shorten an answer. A client's requests say themselves where they end.
static enum err call_failed(struct tls_layer *l, int r)
{
    switch (SSL_get_error(l->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        flush_now(l);
        if (l->out.bytes <= PENDING_MAX_BYTES)
            return ERR_AGAIN;
        break;
    case SSL_ERROR_ZERO_RETURN:
        if (l->in_err != ERR_RESET)
            return l->in_err && !SSL_is_server(l->ssl) ? ERR_RESET : ERR_EOF;
        break;
    default:
        break;
    }
    l->failed = true;
    flush_now(l); // the alert
    return ERR_RESET;
}

static enum err layer_recv_now(struct transport *t, void *buf, size_t cap, size_t *ret_n)
{
    struct tls_layer *l = (struct tls_layer *)t->layer;
    char *p = (char *)buf;
    size_t got = 0, n;
    if (l->failed)
        return ERR_RESET;
    if (!may_read(l)) {
        flush_now(l);
        return ERR_AGAIN;
    }
    l->reads_left = READS_MAX;
    forget_errors();
    while (got < cap && (!got || may_read(l))) {
        int r = unlikely(l->early_open) ? tls_early_read(l, p + got, cap - got, &n) : SSL_read_ex(l->ssl, p + got, cap - got, &n);
        if (r != 1) {
            enum err e = call_failed(l, r);
            if (!got)
                return e;
            break; // an end is found again
        }
        got += n;
    }
    if (unlikely(l->out.bytes)) { // an answer that the peer provoked
        flush_now(l);
        l->failed |= l->out.bytes > PENDING_MAX_BYTES;
    }
    *ret_n = got;
    return ERR_OK;
}

static enum err layer_recv(struct transport *t, void *buf, size_t cap, uint64_t deadline, size_t *ret_n)
{
    let_others((struct tls_layer *)t->layer);
    for (;;) {
        enum err e = layer_recv_now(t, buf, cap, ret_n);
        if (e != ERR_AGAIN)
            return e;
        e = io_wait_readable(&t->io, deadline);
        if (e)
            return e;
    }
}

static enum err layer_wait_readable(struct transport *t, uint64_t deadline)
{
    struct tls_layer *l = (struct tls_layer *)t->layer;
    if (l->failed || t->ops->pending(t))
        return ERR_OK;
    flush_now(l);
    return io_wait_readable(&t->io, deadline);
}

static bool layer_pending(const struct transport *t)
{
    const struct tls_layer *l = (const struct tls_layer *)t->layer;
    return !l->failed && (l->has_first || SSL_has_pending(l->ssl) || (l->below && l->below->ops->pending(l->below)));
}

// ---- The end

static void say_end(struct tls_layer *l)
{
    end_ours(l);
    flush_now(l);
}

static void layer_end_write(struct transport *t)
{
    struct tls_layer *l = (struct tls_layer *)t->layer;
    say_end(l);
    if (l->below)
        l->below->ops->end_write(l->below);
    else
        io_shutdown_write(&l->t->io);
}

static void layer_end(struct transport *t)
{
    struct tls_layer *l = (struct tls_layer *)t->layer;
    if (l->t->io.fd >= 0)
        say_end(l);
    if (l->below)
        l->below->ops->end(l->below);
    tls_layer_free(l);
}

static const struct transport_ops layer_ops = {
    .recv = layer_recv,
    .recv_now = layer_recv_now,
    .send_queue = layer_send_queue,
    .send_now = layer_send_now,
    .last = layer_last,
    .wait_readable = layer_wait_readable,
    .pending = layer_pending,
    .end_write = layer_end_write,
    .end = layer_end,
};

// ---- Life

enum err tls_layer_new(struct transport *t, SSL_CTX *ctx, struct tls_layer **ret)
{
    struct tls_layer *l = (struct tls_layer *)mem_calloc(1, sizeof *l);
    if (!l)
        return ERR_NO_MEMORY;
    chunkq_init(&l->early);
    chunkq_init(&l->out);
    l->t = t;
    if (unlikely(t->ops != NULL) && (l->below = (struct transport *)mem_alloc(sizeof *l->below)))
        *l->below = (struct transport){.io.fd = -1, .ops = t->ops, .layer = t->layer, .info = t->info};
    l->ssl = t->ops && !l->below ? NULL : SSL_new(ctx);
    BIO *b = l->ssl ? bio_new(l) : NULL;
    if (!b) {
        tls_layer_free(l);
        return ERR_NO_MEMORY;
    }
    SSL_set_bio(l->ssl, b, b);
    SSL_set_app_data(l->ssl, l);
    *ret = l;
    return ERR_OK;
}

void tls_layer_free(struct tls_layer *l)
{
    SSL_free(l->ssl);
    chunkq_fini(&l->early);
    chunkq_fini(&l->out);
    mem_free(l->peer);
    mem_free(l->below);
    mem_free(l);
}

struct tls_layer *tls_layer_of(const SSL *ssl)
{
    return (struct tls_layer *)SSL_get_app_data(ssl);
}

void tls_layer_operation(struct tls_layer *l)
{
    l->reads_left = READS_MAX;
    ERR_clear_error();
}

enum err tls_layer_await(struct tls_layer *l, int r, uint64_t deadline)
{
    if (SSL_get_error(l->ssl, r) != SSL_ERROR_WANT_READ) {
        l->failed = true;
        flush_now(l); // the alert
        return l->in_err ? ERR_RESET : ERR_TLS_FAILED;
    }
    enum err e = flush(l, 0, deadline);
    return e ? e : io_wait_readable(&l->t->io, deadline);
}

enum err tls_layer_handshake(struct tls_layer *l, uint64_t deadline)
{
    for (;;) {
        tls_layer_operation(l);
        int r = SSL_do_handshake(l->ssl);
        if (r == 1)
            return ERR_OK;
        enum err e = tls_layer_await(l, r, deadline);
        if (e)
            return e;
    }
}

void tls_layer_stand(struct tls_layer *l)
{
    const unsigned char *alpn;
    unsigned alpn_len;
    SSL_get0_alpn_selected(l->ssl, &alpn, &alpn_len);
    l->established = true;
    l->owner = NULL;
    l->info.version = span_str(SSL_get_version(l->ssl));
    l->info.cipher = span_str(SSL_get_cipher_name(l->ssl));
    l->info.alpn = alpn_len ? span_of((const char *)alpn, alpn_len) : SPAN_NONE;
    l->info.resumed = SSL_session_reused(l->ssl) != 0;
    l->info.name = l->name[0] ? span_str(l->name) : SPAN_NONE;
    l->t->layer = l;
    l->t->info = &l->info;
    l->t->ops = &layer_ops;
}
