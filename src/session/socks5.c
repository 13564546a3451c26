// SPDX-License-Identifier: Apache-2.0
#include "session/socks5.h"

#include <arpa/inet.h>

#include "base/chunk.h"

enum {
    TEXT_MAX = 255, // of names and passwords
    STALL_MS = 5000,
    METHOD_NONE = 0, METHOD_PASSWORD = 2,
    ADDRESS_IPV4 = 1, ADDRESS_NAME = 3, ADDRESS_IPV6 = 4,
};

static enum err send_bytes(struct transport *t, const void *p, size_t n)
{
    struct chunkq q;
    chunkq_init(&q);
    enum err e = chunkq_append_copy(&q, p, n);
    if (!e)
        e = transport_send_queue(t, &q, STALL_MS);
    chunkq_fini(&q);
    return e;
}

// Exactly n bytes: what is behind them is the tunnel's.
static enum err take(struct transport *t, unsigned char *p, size_t n, uint64_t deadline)
{
    while (n) {
        size_t got;
        enum err e = transport_recv(t, p, n, deadline, &got);
        if (e)
            return e == ERR_EOF || e == ERR_RESET ? ERR_PARENT_BAD : e;
        p += got;
        n -= got;
    }
    return ERR_OK;
}

static size_t put_text(unsigned char *out, struct span s)
{
    out[0] = (unsigned char)s.len;
    if (s.len)
        memcpy(out + 1, s.ptr, s.len);
    return 1 + s.len;
}

static enum err authenticate(struct transport *t, const struct socks5_target *to, uint64_t deadline)
{
    unsigned char message[3 + 2 * TEXT_MAX], answer[2];
    size_t n = 0;
    message[n++] = 1;
    n += put_text(message + n, to->user);
    n += put_text(message + n, to->password);
    enum err e = send_bytes(t, message, n);
    if (!e)
        e = take(t, answer, sizeof answer, deadline);
    return e ? e : answer[1] == 0 ? ERR_OK : ERR_PARENT_REFUSED;
}

static enum err greet(struct transport *t, const struct socks5_target *to, uint64_t deadline)
{
    const unsigned char plain[] = {5, 1, METHOD_NONE}, known[] = {5, 2, METHOD_NONE, METHOD_PASSWORD};
    unsigned char answer[2];
    enum err e = to->user.ptr ? send_bytes(t, known, sizeof known) : send_bytes(t, plain, sizeof plain);
    if (!e)
        e = take(t, answer, sizeof answer, deadline);
    if (e)
        return e;
    if (answer[0] != 5)
        return ERR_PARENT_BAD;
    if (answer[1] == METHOD_PASSWORD && to->user.ptr)
        return authenticate(t, to, deadline);
    return answer[1] == METHOD_NONE ? ERR_OK : ERR_PARENT_REFUSED;
}

static size_t put_target(unsigned char *out, const struct socks5_target *to)
{
    char text[TEXT_MAX + 1];
    struct span host = to->host;
    if (host.len > 2 && host.ptr[0] == '[')
        host = span_of(host.ptr + 1, host.len - 2);
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    size_t n;
    if (inet_pton(AF_INET, text, out + 1) == 1) {
        out[0] = ADDRESS_IPV4;
        n = 1 + 4;
    } else if (inet_pton(AF_INET6, text, out + 1) == 1) {
        out[0] = ADDRESS_IPV6;
        n = 1 + 16;
    } else {
        out[0] = ADDRESS_NAME;
        n = 1 + put_text(out + 1, host);
    }
    out[n++] = (unsigned char)(to->port >> 8);
    out[n++] = (unsigned char)to->port;
    return n;
}

enum err socks5_connect(struct transport *t, const struct socks5_target *to, uint64_t deadline)
{
    if (to->host.len == 0 || to->host.len > TEXT_MAX || to->user.len > TEXT_MAX || to->password.len > TEXT_MAX)
        return ERR_PARENT_REFUSED;
    unsigned char message[3 + 2 + TEXT_MAX + 2] = {5, 1, 0}, answer[4], rest[TEXT_MAX + 2];
    enum err e = greet(t, to, deadline);
    if (!e)
        e = send_bytes(t, message, 3 + put_target(message + 3, to));
    if (!e)
        e = take(t, answer, sizeof answer, deadline);
    if (e)
        return e;
    if (answer[0] != 5)
        return ERR_PARENT_BAD;
    if (answer[1]) // network, host or port of the target, or its rules
        return answer[1] >= 3 && answer[1] <= 6 ? ERR_PARENT_UNREACHED : ERR_PARENT_REFUSED;
    // The address that it connects from, which is of no use here.
    size_t left = answer[3] == ADDRESS_IPV4 ? 4 + 2 : answer[3] == ADDRESS_IPV6 ? 16 + 2 : 0;
    if (answer[3] == ADDRESS_NAME) {
        e = take(t, rest, 1, deadline);
        left = e ? 0 : rest[0] + 2u;
    }
    return e ? e : left ? take(t, rest, left, deadline) : ERR_PARENT_BAD;
}
