// SPDX-License-Identifier: Apache-2.0
#include "session/h2_flow.h"

#include "base/check.h"
#include "session/h2_fields.h"
#include "session/h2_pressure.h"
#include "session/h2_window.h"

enum {
    OUT_LOW_BYTES = 64 * 1024,  // a writer may go on while less than this waits
    OUT_KEPT_BYTES = 64 * 1024, // an end with less than this before it needs nobody to wait for it
    MOVED_MIN_BYTES = 1024,     // less than this within the deadline is no progress: a reader that takes a byte now and then reads nothing
    SHARE = 4,                  // a piece that is at least this part of what was read is kept in place, a smaller one is copied
};

void h2_flow_init(struct h2_flow *f, struct h2_link *l, int32_t id)
{
    *f = (struct h2_flow){.link = l, .id = id, .moved_ms = loop_now_ms()};
    chunkq_init(&f->in);
    chunkq_init(&f->out);
}

void h2_flow_fini(struct h2_flow *f)
{
    CHECK(!f->reader && !f->writer);
    h2_pressure_drop(f->link, f->out.bytes, f->out.bytes > 0);
    if (f->in.bytes)
        h2_window_took(f->link, 0, f->in.bytes);
    chunkq_fini(&f->in);
    chunkq_fini(&f->out);
}

void h2_flow_drop_input(struct h2_flow *f)
{
    if (!f->in.bytes)
        return;
    h2_window_took(f->link, f->closed ? 0 : f->id, f->in.bytes);
    chunkq_clear(&f->in);
}

static void wake(struct fiber **waiting)
{
    struct fiber *f = *waiting;
    *waiting = NULL;
    if (f)
        fiber_wake(f);
}

static enum err wait(struct fiber **place, uint64_t deadline)
{
    CHECK(*place == NULL); // one reader and one writer
    *place = fiber_self();
    enum err e = fiber_park(deadline);
    *place = NULL;
    return e;
}

// ---- In

void h2_flow_wake_reader(struct h2_flow *f)
{
    wake(&f->reader);
}

bool h2_flow_took(struct h2_flow *f, const uint8_t *data, size_t len)
{
    struct chunk *c = h2_link_input();
    const char *p = (const char *)data;
    bool inside = c && p >= c->data && p + len <= c->data + c->used;
    f->in_seen += len;
    enum err e = inside && len >= c->used / SHARE ? chunkq_append(&f->in, c, p, len) : chunkq_append_copy(&f->in, data, len);
    wake(&f->reader);
    return !e;
}

// The last octet of content whose length was declared is given out only when the end has been seen: content that turns out longer must
// not have been taken for whole.
static size_t available(const struct h2_flow *f)
{
    size_t n = f->in.bytes;
    if (n && !f->in_end && f->declared.kind == FRAMING_LENGTH && f->in_seen == f->declared.length)
        n--;
    return n;
}

bool h2_flow_ready(const struct h2_flow *f)
{
    return f->error || available(f) > 0 || (f->in_end && f->in.bytes == 0);
}

enum err h2_flow_read(struct h2_flow *f, struct chunkq *q, size_t want, uint64_t deadline)
{
    for (;;) {
        size_t n = MIN(available(f), MAX(want, (size_t)1));
        if (n) {
            enum err e = chunkq_move(q, &f->in, n);
            if (!e)
                h2_window_took(f->link, f->closed ? 0 : f->id, n);
            return e;
        }
        if (f->error)
            return f->error;
        if (f->in_end)
            return ERR_EOF;
        enum err e = wait(&f->reader, deadline);
        if (e)
            return e;
    }
}

// ---- Out

static ssize_t on_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t len, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct h2_flow *f = (struct h2_flow *)source->ptr;
    (void)buf, (void)arg;
    if (f->error || (f->out.bytes == 0 && !f->out_end)) {
        f->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    len = MIN(len, f->out.bytes);
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (f->out_end && len == f->out.bytes) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (f->trailers.n && h2_trailers_submit(ng, id, &f->trailers))
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    return (ssize_t)len;
}

nghttp2_data_provider h2_flow_provider(struct h2_flow *f)
{
    return (nghttp2_data_provider){.source.ptr = f, .read_callback = on_read};
}

int h2_flow_on_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t len, nghttp2_data_source *source, void *arg)
{
    struct h2_flow *f = (struct h2_flow *)source->ptr;
    (void)ng, (void)frame, (void)arg;
    size_t before = f->out.bytes;
    int r = h2_link_send_data(f->link, head, &f->out, len);
    h2_pressure_drop(f->link, before - f->out.bytes, before && !f->out.bytes);
    h2_pressure_moved(f->link, len);
    f->moved_bytes += len;
    if (f->out.bytes <= OUT_LOW_BYTES || f->moved_bytes >= MOVED_MIN_BYTES) {
        f->moved_ms = loop_now_ms();
        f->moved_bytes = 0;
    }
    if (f->out.bytes <= OUT_LOW_BYTES)
        wake(&f->writer);
    return r;
}

enum err h2_flow_send(struct h2_flow *f, struct chunkq *content, bool end, const struct fields *trailers, uint64_t stall_ms)
{
    if (f->error)
        return f->error;
    if (f->out.bytes == 0) {
        f->moved_ms = loop_now_ms();
        f->moved_bytes = 0;
    }
    size_t before = f->out.bytes;
    enum err e = chunkq_move(&f->out, content, SIZE_MAX);
    h2_pressure_add(f->link, f->out.bytes - before, !before && f->out.bytes);
    if (e)
        return e;
    if (end) {
        f->out_end = true;
        if (trailers)
            f->trailers = *trailers;
    }
    if (f->deferred) {
        f->deferred = false;
        if (nghttp2_session_resume_data(f->link->ng, f->id) == NGHTTP2_ERR_NOMEM)
            return ERR_NO_MEMORY;
    }
    h2_link_wake(f->link);
    size_t low = end ? OUT_KEPT_BYTES : OUT_LOW_BYTES;
    while (!f->error && f->out.bytes > low) {
        uint64_t deadline = stall_ms ? f->moved_ms + stall_ms : DEADLINE_NONE;
        e = wait(&f->writer, deadline);
        if (e == ERR_TIMEOUT && loop_now_ms() < f->moved_ms + stall_ms)
            continue;
        if (e)
            return e;
    }
    return f->error;
}

// ---- The end

void h2_flow_fail(struct h2_flow *f, enum err e)
{
    if (f->error)
        return;
    f->error = e;
    h2_pressure_drop(f->link, f->out.bytes, f->out.bytes > 0);
    chunkq_clear(&f->out);
    wake(&f->reader);
    wake(&f->writer);
}

void h2_flow_reset(struct h2_flow *f, uint32_t code)
{
    if (f->closed || f->link->state != H2_OPEN)
        return;
    if (nghttp2_submit_rst_stream(f->link->ng, NGHTTP2_FLAG_NONE, f->id, code))
        h2_link_kill(f->link);
    h2_link_wake(f->link);
}
