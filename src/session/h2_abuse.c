// SPDX-License-Identifier: Apache-2.0
#include "session/h2_abuse.h"

enum {
    WINDOW_UPDATES = 64,        // allowed from the start,
    WINDOW_UPDATES_STREAM = 4,  // for each stream,
    WINDOW_UPDATES_SENT = 3,    // and for each frame of content that we send
    WINDOW_UPDATES_MAX = 8192,
    PRIORITIES = 32,            // the same for PRIORITY and PRIORITY_UPDATE
    PRIORITIES_STREAM = 8,
    PRIORITIES_MAX = 1024,
    PINGS = 4,                  // with nothing else between them
};

void h2_abuse_init(struct h2_abuse *a)
{
    *a = (struct h2_abuse){.window_updates = WINDOW_UPDATES, .priorities = PRIORITIES};
}

// Over a sliding window, estimated from this one and the one before.
bool h2_glitch(struct h2_link *l, unsigned n)
{
    uint64_t now = loop_now_ms(), past = now - l->glitch_ms;
    if (past >= H2_GLITCH_WINDOW_MS) {
        l->glitches_before = past >= 2 * (uint64_t)H2_GLITCH_WINDOW_MS ? 0 : l->glitches;
        l->glitches = 0;
        l->glitch_ms = past >= 2 * (uint64_t)H2_GLITCH_WINDOW_MS ? now : l->glitch_ms + H2_GLITCH_WINDOW_MS;
        past = now - l->glitch_ms;
    }
    l->glitches += n;
    uint64_t score = l->glitches + l->glitches_before * (H2_GLITCH_WINDOW_MS - past) / H2_GLITCH_WINDOW_MS;
    if (score > H2_GLITCHES_MAX && !l->end_code)
        l->end_code = NGHTTP2_ENHANCE_YOUR_CALM;
    return l->end_code != 0;
}

static bool spend(struct h2_link *l, uint32_t *allowance)
{
    if (*allowance) {
        (*allowance)--;
        return false;
    }
    return h2_glitch(l, 1);
}

bool h2_abuse_frame(struct h2_link *l, struct h2_abuse *a, const nghttp2_frame_hd *hd)
{
    switch (hd->type) {
    case NGHTTP2_DATA:
        a->pings = 0;
        return hd->length == 0 && !(hd->flags & NGHTTP2_FLAG_END_STREAM) && h2_glitch(l, 1);
    case NGHTTP2_HEADERS:
        a->pings = 0;
        return false;
    case NGHTTP2_CONTINUATION:
        return hd->length == 0 && h2_glitch(l, 1);
    case NGHTTP2_PING:
        return !(hd->flags & NGHTTP2_FLAG_ACK) && ++a->pings > PINGS && h2_glitch(l, 1);
    case NGHTTP2_WINDOW_UPDATE:
        return spend(l, &a->window_updates);
    case NGHTTP2_PRIORITY:
        if (hd->stream_id == 0) // nghttp2 does not look at these any more (RFC 9113 6.3)
            l->end_code = NGHTTP2_PROTOCOL_ERROR;
        return hd->stream_id == 0 || spend(l, &a->priorities);
    case NGHTTP2_PRIORITY_UPDATE:
        return spend(l, &a->priorities);
    case NGHTTP2_SETTINGS:
        return !(hd->flags & NGHTTP2_FLAG_ACK) && h2_glitch(l, 1);
    case NGHTTP2_RST_STREAM:
        return h2_glitch(l, 1);
    default:
        return false; // of a kind that nobody knows: skipped without a trace
    }
}

void h2_abuse_stream(struct h2_abuse *a)
{
    a->window_updates = MIN(a->window_updates + WINDOW_UPDATES_STREAM, (uint32_t)WINDOW_UPDATES_MAX);
    a->priorities = MIN(a->priorities + PRIORITIES_STREAM, (uint32_t)PRIORITIES_MAX);
}

void h2_abuse_sent(struct h2_abuse *a)
{
    a->window_updates = MIN(a->window_updates + WINDOW_UPDATES_SENT, (uint32_t)WINDOW_UPDATES_MAX);
}
