// SPDX-License-Identifier: Apache-2.0
#include "proxy/upload.h"

#include "proxy/attempt.h"
#include "proxy/guard.h"
#include "proxy/pace.h"

enum { UPLOAD_WANT_BYTES = 64 * 1024 };

// The client's side failed: the exchange cannot go on. The server's side failed: perhaps it has answered already, so its
// answer is read and what the client still sends stays unread.
static enum err pump(struct exchange *x, struct chunkq *q)
{
    for (;;) {
        enum err e = upload_read(x, q, pace_piece(x, UPLOAD_WANT_BYTES));
        if (e && e != ERR_EOF) {
            if (fiber_canceled(fiber_self()))
                return e; // upload_stop: the answer came first, and the client may go on behind it
            x->upload_err = e;
            fiber_cancel(x->fiber, e);
            return e;
        }
        bool end = e == ERR_EOF || upload_is_complete(x);
        size_t n = q->bytes;
        attempt_keep(x, q, 0);
        x->uploaded += n;
        if (x->body_limit && x->uploaded > x->body_limit) {
            x->upload_err = ERR_CONTENT_TOO_LARGE;
            fiber_cancel(x->fiber, ERR_CONTENT_TOO_LARGE);
            return ERR_CONTENT_TOO_LARGE;
        }
        if ((e = pace_check(x))) {
            x->upload_err = e;
            fiber_cancel(x->fiber, e);
            return e;
        }
        const struct fields *trailers = end ? guard_trailers(x, false, &x->client->trailers) : NULL;
        e = x->upstream->ops->send(x->upstream, q, end, trailers);
        if (!e && pace_is_set(x))
            e = pace_up(x, n);
        if (e || end)
            return e;
    }
}

static void upload_fiber(void *arg)
{
    struct exchange *x = (struct exchange *)arg;
    struct chunkq q;
    chunkq_init(&q);
    (void)pump(x, &q);
    chunkq_fini(&q);
    x->uploading = false;
}

enum err upload_start(struct exchange *x)
{
    x->uploading = true;
    enum err e = fiber_start(upload_fiber, x, &x->uploader);
    if (e) {
        x->uploading = false;
        x->uploader = NULL;
    }
    return e;
}

void upload_stop(struct exchange *x)
{
    if (!x->uploader)
        return;
    if (x->uploading)
        fiber_cancel(x->uploader, ERR_CANCELED);
    fiber_join(x->uploader);
    x->uploader = NULL;
}
