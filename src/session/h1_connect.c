// SPDX-License-Identifier: Apache-2.0
#include "session/h1_connect.h"

#include "base/chunk.h"
#include "http/h1.h"

enum { HEAD_MAX_BYTES = 4096, STALL_MS = 5000 };

static enum err say(struct transport *t, struct span target, struct span authorization)
{
    const struct span parts[] = {SPAN("CONNECT "),
                                 target,
                                 SPAN(" HTTP/1.1\r\nHost: "),
                                 target,
                                 authorization.len ? SPAN("\r\nProxy-Authorization: ") : SPAN(""),
                                 authorization,
                                 SPAN("\r\n\r\n")};
    struct chunkq q;
    enum err e = ERR_OK;
    chunkq_init(&q);
    for (size_t i = 0; i < ARRAY_LEN(parts) && !e; i++)
        e = chunkq_append_copy(&q, parts[i].ptr, parts[i].len);
    if (!e)
        e = transport_send_queue(t, &q, STALL_MS);
    chunkq_fini(&q);
    return e;
}

// Byte by byte: who speaks next is the client, so there is nothing behind the head, and if there were it
// would be no part of it.
static enum err read_head(struct transport *t, char head[HEAD_MAX_BYTES], struct h1_head *h,
                          uint64_t deadline)
{
    static const struct h1_limits limits = {
        .line_bytes = HEAD_MAX_BYTES, .fields_bytes = HEAD_MAX_BYTES, .fields = 64};
    size_t n = 0, got;
    h1_head_init(h);
    for (;;) {
        enum err e = transport_recv(t, head + n, 1, deadline, &got);
        if (e)
            return e;
        n++;
        e = h1_head_scan(h, head, n, false, &limits);
        if (e != ERR_AGAIN)
            return e;
        if (n == HEAD_MAX_BYTES)
            return ERR_PARENT_BAD;
    }
}

enum err h1_connect(struct transport *t, struct span target, struct span authorization, uint64_t deadline)
{
    char head[HEAD_MAX_BYTES];
    struct response r;
    struct h1_head h;
    struct arena a;
    enum err e = say(t, target, authorization);
    arena_init(&a, 0);
    do {
        memset(&r, 0, sizeof r);
        fields_init(&r.fields, &a);
        e = e ? e : read_head(t, head, &h, deadline);
        e = e ? e : h1_parse_response(head, &h, METHOD_CONNECT, &a, &r);
    } while (!e && r.status / 100 == 1);
    unsigned status = r.status;
    arena_fini(&a);
    if (e)
        return e == ERR_TIMEOUT || e == ERR_NO_MEMORY || e == ERR_CANCELED || e == ERR_SHUTDOWN
                   ? e
                   : ERR_PARENT_BAD;
    return status / 100 == 2 ? ERR_OK : ERR_PARENT_REFUSED;
}
