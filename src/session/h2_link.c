// SPDX-License-Identifier: Apache-2.0
#include "session/h2_link.h"

#include "base/check.h"

enum {
    READ_BYTES = 64 * 1024,     // in one go
    READS_MAX = 4,              // in a turn, so that others have theirs
    OUT_BYTES = 64 * 1024,      // serialised ahead of the socket
    TURN_BYTES = 512 * 1024,    // sent in a turn
    COPY_BYTES = 4096,          // content up to this is copied behind its frame's head: one run is cheaper to send than two
    FRAME_HEAD_BYTES = 9,
    GOAWAY_BYTES = 17,
};

// What is read is parsed at once, so one buffer does for all connections of a thread, unless somebody keeps a part of it.
static _Thread_local struct chunk *input;

struct chunk *h2_link_input(void)
{
    return input;
}

static bool take_input_buffer(void)
{
    if (input && !chunk_is_shared(input)) {
        input->used = 0;
        return true;
    }
    chunk_unref(input);
    return (input = chunk_new(READ_BYTES)) != NULL;
}

// ---- Out

static enum err put(struct h2_link *l, const void *bytes, size_t len)
{
    const char *p = (const char *)bytes;
    while (len) {
        struct chunk *c = l->frames;
        if (!c || c->used == c->cap) {
            chunk_unref(c);
            if (!(c = l->frames = chunk_new(CHUNK_SMALL_BYTES)))
                return ERR_NO_MEMORY;
        }
        size_t n = MIN(len, (size_t)(c->cap - c->used));
        memcpy(c->data + c->used, p, n);
        enum err e = chunkq_append(&l->out, c, c->data + c->used, n);
        if (e)
            return e;
        c->used += (uint32_t)n;
        p += n;
        len -= n;
    }
    return ERR_OK;
}

int h2_link_send_data(struct h2_link *l, const uint8_t *head, struct chunkq *content, size_t len)
{
    CHECK(len <= content->bytes);
    enum err e = put(l, head, FRAME_HEAD_BYTES);
    if (len <= COPY_BYTES) {
        char *p = NULL;
        struct chunk *c = l->frames;
        if (!e && len && c->cap - c->used >= len) {
            p = c->data + c->used;
            chunkq_peek(content, p, len);
            e = chunkq_append(&l->out, c, p, len);
            c->used += (uint32_t)len;
            chunkq_skip(content, len);
            len = 0;
        }
    }
    if (!e && len)
        e = chunkq_move(&l->out, content, len);
    return e ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

// One frame, or several small ones. False: nothing more is to be sent now.
static bool serialise(struct h2_link *l)
{
    const uint8_t *p;
    size_t before = l->out.bytes;
    ssize_t n = nghttp2_session_mem_send(l->ng, &p);
    if (n < 0 || (n > 0 && put(l, p, (size_t)n))) {
        h2_link_kill(l);
        return false;
    }
    return n > 0 || l->out.bytes != before;
}

void h2_link_push(struct h2_link *l, const bool *until)
{
    while (!*until && l->state == H2_OPEN && serialise(l)) {
    }
    h2_link_wake(l);
}

static void flush(struct h2_link *l)
{
    size_t sent = 0;
    l->blocked = false;
    while (l->state != H2_DEAD) {
        while (l->state == H2_OPEN && l->out.bytes < OUT_BYTES && serialise(l)) {
        }
        size_t before = l->out.bytes;
        enum err e = l->state == H2_DEAD ? ERR_RESET : transport_send_now(l->t, &l->out);
        sent += before - l->out.bytes;
        if (before != l->out.bytes || !e)
            l->sent_ms = loop_now_ms();
        if (e == ERR_AGAIN) {
            l->blocked = true;
            return;
        }
        if (e) {
            h2_link_kill(l);
            return;
        }
        if (before < OUT_BYTES)
            break; // that was all
        if (sent >= TURN_BYTES) {
            h2_link_wake(l);
            break;
        }
    }
    // An idle connection holds no buffer.
    if (l->frames && !chunk_is_shared(l->frames) && l->out.bytes == 0) {
        chunk_unref(l->frames);
        l->frames = NULL;
    }
}

// ---- In

static uint32_t error_code(int e)
{
    switch (e) {
    case NGHTTP2_ERR_FLOODED:
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
        return NGHTTP2_ENHANCE_YOUR_CALM;
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
        return NGHTTP2_PROTOCOL_ERROR;
    default:
        return NGHTTP2_INTERNAL_ERROR;
    }
}

void h2_link_feed(struct h2_link *l, const char *bytes, size_t len)
{
    if (l->state != H2_OPEN)
        return;
    l->feeding = true;
    l->heard_ms = loop_now_ms();
    ssize_t n = nghttp2_session_mem_recv(l->ng, (const uint8_t *)bytes, len);
    if (n < 0)
        h2_link_fail(l, l->end_code ? l->end_code : error_code((int)n));
    l->feeding = false;
}

// Who does not read what we say is not listened to either.
static bool may_read(const struct h2_link *l)
{
    return l->state == H2_OPEN && !(l->blocked && l->out.bytes >= OUT_BYTES);
}

static void take_input(struct h2_link *l)
{
    for (unsigned i = 0; may_read(l); i++) {
        size_t n;
        if (i == READS_MAX) {
            h2_link_wake(l);
            return;
        }
        if (!take_input_buffer()) {
            h2_link_kill(l);
            return;
        }
        enum err e = transport_recv_now(l->t, input->data, READ_BYTES, &n);
        if (e == ERR_AGAIN) {
            l->more_input = false;
            return;
        }
        if (e == ERR_EOF) {
            l->more_input = false;
            l->input_ended = true;
            return;
        }
        if (e) {
            h2_link_kill(l);
            return;
        }
        input->used = (uint32_t)n;
        h2_link_feed(l, input->data, n);
        // A layer gives all that it has.
        if (n < READ_BYTES && !(l->t->io.state & IO_READABLE)) {
            l->more_input = false;
            return;
        }
    }
}

// ---- Life

static void on_task(struct loop_task *k)
{
    struct h2_link *l = container_of(k, struct h2_link, task);
    if (l->more_input && may_read(l)) {
        take_input(l);
        l->ops->received(l);
    }
    flush(l);
    l->ops->settled(l);
}

void h2_link_event(struct h2_link *l)
{
    uint8_t state = l->t->io.state;
    if (state & IO_BROKEN)
        h2_link_kill(l);
    if (state & (IO_READABLE | IO_PEER_ENDED) && l->state == H2_OPEN) {
        l->more_input = true;
        if (may_read(l)) {
            take_input(l);
            l->ops->received(l);
        }
    }
    h2_link_wake(l);
}

void h2_link_init(struct h2_link *l, struct transport *t, const struct h2_link_ops *ops, nghttp2_session *ng)
{
    *l = (struct h2_link){.ng = ng, .t = t, .ops = ops, .sent_ms = loop_now_ms(), .heard_ms = loop_now_ms(), .more_input = true};
    chunkq_init(&l->out);
    loop_task_init(&l->task, on_task);
}

void h2_link_fini(struct h2_link *l)
{
    loop_task_cancel(&l->task);
    nghttp2_session_del(l->ng);
    chunkq_fini(&l->out);
    chunk_unref(l->frames);
    chunk_unref(input);
    input = NULL;
}

void h2_link_wake(struct h2_link *l)
{
    loop_task_set(&l->task);
}

// nghttp2 may have said that it can do no more, so the frame is our own.
static void put_goaway(struct h2_link *l, uint32_t code)
{
    uint32_t last = (uint32_t)nghttp2_session_get_last_proc_stream_id(l->ng);
    uint8_t f[GOAWAY_BYTES] = {0, 0, 8, NGHTTP2_GOAWAY};
    for (unsigned i = 0; i < 4; i++) {
        f[9 + i] = (uint8_t)(last >> (24 - 8 * i));
        f[13 + i] = (uint8_t)(code >> (24 - 8 * i));
    }
    if (put(l, f, sizeof f))
        h2_link_kill(l);
}

void h2_link_fail(struct h2_link *l, uint32_t code)
{
    if (l->state != H2_OPEN)
        return;
    while (!l->feeding && l->out.bytes < OUT_BYTES && serialise(l)) {
    }
    if (l->state != H2_OPEN)
        return;
    l->state = H2_CLOSING;
    put_goaway(l, code);
    h2_link_wake(l);
    l->ops->failed(l);
}

void h2_link_kill(struct h2_link *l)
{
    if (l->state == H2_DEAD)
        return;
    bool told = l->state == H2_CLOSING;
    l->state = H2_DEAD;
    chunkq_clear(&l->out);
    h2_link_wake(l);
    if (!told)
        l->ops->failed(l);
}

bool h2_link_is_done(const struct h2_link *l)
{
    return !nghttp2_session_want_read(l->ng) && !nghttp2_session_want_write(l->ng);
}

nghttp2_option *h2_link_options(void)
{
    enum { CONTINUATIONS_MAX = 16, ACKS_MAX = 200, SETTINGS_MAX = 32 };
    nghttp2_option *o;
    if (nghttp2_option_new(&o))
        return NULL;
    nghttp2_option_set_no_http_messaging(o, 1); // messages are judged here (h2_fields.c)
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_continuations(o, CONTINUATIONS_MAX);
    nghttp2_option_set_max_outbound_ack(o, ACKS_MAX);
    nghttp2_option_set_max_settings(o, SETTINGS_MAX);
    return o;
}
