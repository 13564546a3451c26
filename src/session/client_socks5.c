// SPDX-License-Identifier: Apache-2.0
#include "session/client_socks5.h"

#include "base/ascii.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/num.h"

enum {
    GREETING_MAX_BYTES = 2 + 255,
    PASSWORD_MAX_BYTES = 1 + 1 + 255 + 1 + 255,
    INPUT_MAX_BYTES = 1024, // no message before the tunnel is longer
    HEAD_BYTES = 2048,      // of the request that we make of it
    METHOD_NONE = 0, METHOD_PASSWORD = 2, METHOD_NONE_FITS = 0xff,
    COMMAND_CONNECT = 1,
    ADDRESS_IPV4 = 1, ADDRESS_NAME = 3, ADDRESS_IPV6 = 4,
};

// RFC 1928 6
enum reply {
    REPLY_SUCCEEDED,
    REPLY_FAILURE,
    REPLY_NOT_ALLOWED,
    REPLY_NETWORK_UNREACHABLE,
    REPLY_HOST_UNREACHABLE,
    REPLY_REFUSED,
    REPLY_TTL_EXPIRED,
    REPLY_COMMAND_UNKNOWN,
    REPLY_ADDRESS_UNKNOWN,
};

struct socks5 {
    struct client_stream stream;
    struct client_conn *conn;
    struct h1_input *input;
    struct arena *arena;
    uint64_t deadline;     // of all that comes before the tunnel
    struct span user, password; // empty pointers: none were told
};

static struct socks5 *socks_of(struct client_stream *s)
{
    return container_of(s, struct socks5, stream);
}

// ---- The stream that the phases see

static enum err send_all(struct socks5 *k, struct chunkq *q)
{
    size_t n = q->bytes;
    enum err e = transport_send_queue(&k->conn->t, q, k->stream.stall_ms);
    k->stream.bytes_out += n - q->bytes;
    if (e) {
        k->stream.broken = true;
        e = e == ERR_TIMEOUT ? ERR_CLIENT_STALLED : e == ERR_RESET || e == ERR_EOF ? ERR_CANCELED : e;
    }
    return e;
}

static enum err send_bytes(struct socks5 *k, const void *bytes, size_t n)
{
    struct chunkq q;
    chunkq_init(&q);
    enum err e = chunkq_append_copy(&q, bytes, n);
    if (!e)
        e = send_all(k, &q);
    chunkq_fini(&q);
    return e;
}

static enum err send_reply(struct socks5 *k, enum reply r)
{
    // The address that we connect from is nobody's business: 0.0.0.0:0.
    const unsigned char bytes[10] = {5, (unsigned char)r, 0, ADDRESS_IPV4};
    return send_bytes(k, bytes, sizeof bytes);
}

static enum err socks_take_buffered(struct client_stream *s, struct chunkq *q)
{
    struct socks5 *k = socks_of(s);
    struct span b = h1_input_span(k->input);
    enum err e = chunkq_append(q, k->input->in, b.ptr, b.len);
    if (!e) {
        s->bytes_in += b.len;
        if (k->input->in)
            k->input->pos = k->input->in->used;
    }
    return e;
}

static enum err socks_read(struct client_stream *s, struct chunkq *q, size_t want, uint64_t deadline)
{
    struct socks5 *k = socks_of(s);
    (void)want;
    if (!s->head_sent)
        return ERR_EOF; // a CONNECT has no content
    if (h1_input_len(k->input) == 0) {
        h1_input_clear(k->input);
        enum err e = h1_input_more(k->input, &k->conn->t, CHUNK_MEDIUM_BYTES, deadline);
        if (e)
            return e;
    }
    return socks_take_buffered(s, q);
}

static enum err socks_send_interim(struct client_stream *s, const struct response *r)
{
    (void)s;
    (void)r;
    return ERR_OK; // the protocol has no such thing
}

static enum reply reply_to(unsigned status)
{
    switch (status) {
    case 200:
        return REPLY_SUCCEEDED;
    case 401:
    case 403:
    case 407:
    case 429:
        return REPLY_NOT_ALLOWED;
    case 502:
        return REPLY_HOST_UNREACHABLE;
    case 504:
        return REPLY_TTL_EXPIRED;
    default:
        return REPLY_FAILURE;
    }
}

static enum err socks_send_head(struct client_stream *s, struct response *r, struct chunkq *content, bool end)
{
    struct socks5 *k = socks_of(s);
    (void)end;
    chunkq_clear(content); // a page has no place here
    s->close = true;
    s->head_sent = true;
    return send_reply(k, reply_to(r->status));
}

static enum err socks_send(struct client_stream *s, struct chunkq *content, bool end, const struct fields *trailers)
{
    (void)end;
    (void)trailers;
    return content->bytes ? send_all(socks_of(s), content) : ERR_OK;
}

static struct io *socks_raw(struct client_stream *s)
{
    struct transport *t = &socks_of(s)->conn->t;
    return t->ops ? NULL : &t->io;
}

static void socks_note_raw(struct client_stream *s, uint64_t n, bool end)
{
    (void)end;
    s->bytes_out += n;
}

static bool socks_ready(const struct client_stream *s)
{
    const struct socks5 *k = container_of(s, const struct socks5, stream);
    return !s->head_sent || h1_input_len(k->input) > 0;
}

static void socks_end_write(struct client_stream *s)
{
    transport_end_write(&socks_of(s)->conn->t);
}

static void socks_watch(struct client_stream *s, struct fiber *f)
{
    io_watch(&socks_of(s)->conn->t.io, f);
}

static bool socks_confirm(struct client_stream *s)
{
    return !s->broken;
}

static const struct client_ops socks_ops = {
    .read = socks_read,
    .send_interim = socks_send_interim,
    .send_head = socks_send_head,
    .send = socks_send,
    .raw = socks_raw,
    .note_raw = socks_note_raw,
    .take_buffered = socks_take_buffered,
    .ready = socks_ready,
    .end_write = socks_end_write,
    .watch = socks_watch,
    .confirm = socks_confirm,
};

// ---- Before the tunnel

// The next n bytes, which stay buffered; a NULL pointer where they do not come in time.
static const unsigned char *need(struct socks5 *k, size_t n)
{
    while (h1_input_len(k->input) < n)
        if (h1_input_more(k->input, &k->conn->t, INPUT_MAX_BYTES, k->deadline))
            return NULL;
    return (const unsigned char *)h1_input_span(k->input).ptr;
}

static void took(struct socks5 *k, size_t n)
{
    k->stream.head_bytes_in += n;
    k->input->pos += (uint32_t)n;
}

// A password is told wherever the client offers to: whether one is needed is decided with the request.
static bool agree_on_method(struct socks5 *k, unsigned *ret_method)
{
    const unsigned char *p = need(k, 2);
    size_t n = p ? p[1] : 0;
    if (!p || !(p = need(k, 2 + n)))
        return false;
    unsigned method = METHOD_NONE_FITS;
    for (size_t i = 0; i < n; i++)
        if (p[2 + i] == METHOD_PASSWORD || (p[2 + i] == METHOD_NONE && method != METHOD_PASSWORD))
            method = p[2 + i];
    took(k, 2 + n);
    const unsigned char answer[2] = {5, (unsigned char)method};
    *ret_method = method;
    return send_bytes(k, answer, sizeof answer) == ERR_OK && method != METHOD_NONE_FITS;
}

static bool copy_part(struct socks5 *k, const unsigned char *p, size_t n, struct span *ret)
{
    return arena_dup(k->arena, span_of((const char *)p, n), ret);
}

// Whether user and password are right is told by the answer to the request: nobody learns here which names exist.
static bool read_password(struct socks5 *k)
{
    const unsigned char *p = need(k, 2);
    if (!p || p[0] != 1 || !(p = need(k, 2 + p[1] + 1u)))
        return false;
    size_t user = p[1];
    if (!(p = need(k, 2 + user + 1)) || !(p = need(k, 2 + user + 1 + p[2 + user])))
        return false;
    size_t password = p[2 + user];
    bool ok = copy_part(k, p + 2, user, &k->user) && copy_part(k, p + 3 + user, password, &k->password) &&
              span_find(k->user, ':') == k->user.len; // Basic could not tell where the name ends (RFC 7617 2)
    took(k, 3 + user + password);
    const unsigned char answer[2] = {1, ok ? 0 : 1};
    return send_bytes(k, answer, sizeof answer) == ERR_OK && ok;
}

static size_t put_port(char *out, const unsigned char *p)
{
    out[0] = ':';
    return 1 + num_put_dec(out + 1, (uint64_t)p[0] << 8 | p[1]);
}

// An IPv6 address in its plainest spelling; whoever reads it next makes the canonical one.
static size_t put_ipv6(char *out, const unsigned char *p)
{
    size_t n = 0;
    out[n++] = '[';
    for (unsigned i = 0; i < 8; i++) {
        if (i)
            out[n++] = ':';
        n += num_put_hex(out + n, (uint64_t)p[2 * i] << 8 | p[2 * i + 1]);
    }
    out[n++] = ']';
    return n;
}

static size_t put_ipv4(char *out, const unsigned char *p)
{
    size_t n = 0;
    for (unsigned i = 0; i < 4; i++) {
        if (i)
            out[n++] = '.';
        n += num_put_dec(out + n, p[i]);
    }
    return n;
}

// The target of the client's CONNECT as HTTP writes it, into out. REPLY_SUCCEEDED, or what to refuse it with.
static bool read_command(struct socks5 *k, char out[300], size_t *ret_len, enum reply *ret)
{
    const unsigned char *p = need(k, 5);
    if (!p || p[0] != 5 || p[2] != 0)
        return false;
    unsigned command = p[1], kind = p[3];
    size_t address = kind == ADDRESS_IPV4 ? 4 : kind == ADDRESS_IPV6 ? 16 : kind == ADDRESS_NAME ? 1u + p[4] : 0;
    *ret = command != COMMAND_CONNECT ? REPLY_COMMAND_UNKNOWN : address == 0 ? REPLY_ADDRESS_UNKNOWN : REPLY_SUCCEEDED;
    if (*ret)
        return true;
    if (!(p = need(k, 4 + address + 2)))
        return false;
    size_t n;
    if (kind == ADDRESS_IPV4) {
        n = put_ipv4(out, p + 4);
    } else if (kind == ADDRESS_IPV6) {
        n = put_ipv6(out, p + 4);
    } else {
        n = address - 1;
        memcpy(out, p + 5, n);
        for (size_t i = 0; i < n; i++) // a name of letters, digits, hyphens, dots: anything else is no name, or part of a head
            if (!ascii_is_alnum((unsigned char)out[i]) && out[i] != '-' && out[i] != '.' && out[i] != '_')
                *ret = REPLY_ADDRESS_UNKNOWN;
        if (n == 0)
            *ret = REPLY_ADDRESS_UNKNOWN;
    }
    n += put_port(out + n, p + 4 + address);
    took(k, 4 + address + 2);
    *ret_len = n;
    return true;
}

// The request that HTTP's CONNECT would be, read by the one parser there is.
static enum err make_request(struct socks5 *k, struct span target, struct request *ret)
{
    char *head = arena_bytes(k->arena, HEAD_BYTES);
    if (!head)
        return ERR_NO_MEMORY;
    struct h1_out o = {head, head + HEAD_BYTES, false};
    h1_put_request_line(&o, SPAN("CONNECT"), target);
    h1_put_field(&o, SPAN("Host"), target);
    if (k->user.ptr) {
        char credentials[700];
        struct span plain = arena_concat(k->arena, (const struct span[]){k->user, SPAN(":"), k->password}, 3);
        if (!plain.ptr)
            return ERR_NO_MEMORY;
        size_t n = base64_encode(plain, credentials);
        h1_put(&o, SPAN("Proxy-Authorization: Basic "));
        h1_put(&o, span_of(credentials, n));
        h1_put(&o, SPAN("\r\n"));
    }
    h1_put(&o, SPAN("\r\n"));
    CHECK(!o.full); // names have 255 octets, credentials 684
    struct h1_head h;
    const struct h1_limits limits = {.line_bytes = HEAD_BYTES, .fields_bytes = HEAD_BYTES, .fields = 4};
    h1_head_init(&h);
    enum err e = h1_head_scan(&h, head, (size_t)(o.next - head), true, &limits);
    return e ? e : h1_parse_request(head, &h, k->conn->settings->scheme, k->arena, ret);
}

static void serve(struct socks5 *k, struct span target)
{
    struct request req;
    memset(&req, 0, sizeof req);
    fields_init(&req.fields, k->arena);
    req.version = HTTP_1_1;
    k->stream.req = &req;
    k->stream.request_complete = true;
    k->stream.protocol = SPAN("SOCKS5");
    k->conn->n_requests++;
    enum err e = make_request(k, target, &req);
    if (e)
        k->conn->hooks->refuse(k->conn, &k->stream, &req, k->arena, e);
    else
        k->conn->hooks->serve(k->conn, &k->stream, &req, k->arena);
}

NOINLINE void client_socks5_serve(struct client_conn *c, struct h1_input *in, struct arena *a)
{
    struct socks5 k = {.stream = {.ops = &socks_ops, .stall_ms = c->settings->between_ms}, .conn = c, .input = in, .arena = a,
                       .deadline = deadline_in(c->settings->header_ms)};
    char target[300];
    size_t n = 0;
    unsigned method;
    enum reply refused;
    if (!agree_on_method(&k, &method) || (method == METHOD_PASSWORD && !read_password(&k)) || !read_command(&k, target, &n, &refused))
        return;
    if (refused)
        (void)send_reply(&k, refused);
    else
        serve(&k, span_of(target, n));
}
