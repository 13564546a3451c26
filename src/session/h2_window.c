// SPDX-License-Identifier: Apache-2.0
#include "session/h2_window.h"

enum {
    THREAD_HELD_BYTES = 64 * 1024 * 1024, // received content that waits, over all connections of a thread: no window grows above this
};

static const uint8_t probe[8] = {'w', 'e', 'i', 'r', 'p', 'a', 't', 'h'};
static _Thread_local uint64_t held;

void h2_window_begin(struct h2_link *l, bool eager)
{
    l->window = H2_WINDOW_BYTES;
    l->eager = eager;
    (void)!nghttp2_session_set_local_window_size(l->ng, NGHTTP2_FLAG_NONE, 0, (int32_t)l->window);
}

static uint32_t of_stream(const struct h2_link *l)
{
    return MIN(l->window / (H2_WINDOW_MAX_BYTES / H2_WINDOW_STREAM_MAX_BYTES), (uint32_t)H2_WINDOW_STREAM_MAX_BYTES);
}

// The thread holds so much that nobody is to send far ahead any more, who has been let to: both windows are what they were at first.
static void shrink(struct h2_link *l, int32_t id)
{
    if (l->window > H2_WINDOW_BYTES) {
        l->window = H2_WINDOW_BYTES;
        (void)!nghttp2_session_set_local_window_size(l->ng, NGHTTP2_FLAG_NONE, 0, (int32_t)l->window);
    }
    if (nghttp2_session_get_stream_effective_local_window_size(l->ng, id) > (int32_t)H2_WINDOW_STREAM_BYTES)
        (void)!nghttp2_session_set_local_window_size(l->ng, NGHTTP2_FLAG_NONE, id, H2_WINDOW_STREAM_BYTES);
}

void h2_window_came(struct h2_link *l, int32_t id, size_t n)
{
    held += n;
    l->in_total += n;
    if (l->eager && nghttp2_session_consume_connection(l->ng, n) == NGHTTP2_ERR_NOMEM)
        h2_link_kill(l);
    if (unlikely(held >= THREAD_HELD_BYTES)) {
        shrink(l, id);
        return;
    }
    uint32_t wanted = of_stream(l);
    if (wanted > (uint32_t)nghttp2_session_get_stream_local_window_size(l->ng, id) &&
        nghttp2_session_get_stream_effective_local_window_size(l->ng, id) < (int32_t)wanted)
        (void)!nghttp2_session_set_local_window_size(l->ng, NGHTTP2_FLAG_NONE, id, (int32_t)wanted);
    // A round trip is measured while much is coming, and only as long as there is something to grow.
    if (!l->ping_out && l->window < H2_WINDOW_MAX_BYTES && l->in_total - l->in_at_ping >= l->window / 2 &&
        !nghttp2_submit_ping(l->ng, NGHTTP2_FLAG_NONE, probe)) {
        l->ping_out = true;
        l->in_at_ping = l->in_total;
    }
}

void h2_window_took(struct h2_link *l, int32_t id, size_t n)
{
    held -= MIN(held, (uint64_t)n);
    if (l->state != H2_OPEN)
        return;
    int r = l->eager ? 0 : nghttp2_session_consume_connection(l->ng, n);
    if (!r && id)
        r = nghttp2_session_consume_stream(l->ng, id, n);
    if (r == NGHTTP2_ERR_NOMEM)
        h2_link_kill(l);
    h2_link_wake(l);
}

bool h2_window_pong(struct h2_link *l, const uint8_t opaque[8])
{
    if (!l->ping_out || memcmp(opaque, probe, sizeof probe) != 0)
        return false;
    l->ping_out = false;
    uint64_t came = l->in_total - l->in_at_ping;
    l->in_at_ping = l->in_total;
    if (held >= THREAD_HELD_BYTES) {
        l->window = H2_WINDOW_BYTES;
    } else if (came * 3 >= (uint64_t)l->window * 2) {
        l->window = MIN(l->window * 2, (uint32_t)H2_WINDOW_MAX_BYTES);
    } else {
        return true;
    }
    (void)!nghttp2_session_set_local_window_size(l->ng, NGHTTP2_FLAG_NONE, 0, (int32_t)l->window);
    return true;
}
