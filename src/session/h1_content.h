// SPDX-License-Identifier: Apache-2.0
// The content of an HTTP/1 message as it comes over a connection and as it goes out: what both sides share.
#ifndef WEIR_SESSION_H1_CONTENT_H
#define WEIR_SESSION_H1_CONTENT_H

#include "http/h1.h"
#include "session/transport.h"

/// Bytes read from a connection and not yet consumed: in->data[pos .. in->used).
struct h1_input {
    struct chunk *in; // NULL: nothing buffered
    uint32_t pos;
    uint32_t expect; // bytes that will perhaps come with the next head, by what came last time
};

static inline size_t h1_input_len(const struct h1_input *b)
{
    return b->in ? b->in->used - b->pos : 0;
}
static inline struct span h1_input_span(const struct h1_input *b)
{
    return b->in ? span_of(b->in->data + b->pos, b->in->used - b->pos) : SPAN_NONE;
}
void h1_input_clear(struct h1_input *b);
/// Reads at least one more byte behind what is buffered, keeping the bytes from `pos` on in one run: it moves
/// to a larger chunk where it must (at most max_bytes; ERR_AGAIN never; ERR_FIELDS_TOO_LARGE where they are
/// full).
MUST_USE enum err h1_input_more(struct h1_input *b, struct transport *t, size_t max_bytes, uint64_t deadline);
/// The same without a wait.
MUST_USE enum err h1_input_more_now(struct h1_input *b, struct transport *t, size_t max_bytes);

struct h1_body_in {
    struct framing framing;
    uint64_t left; // FRAMING_LENGTH
    uint64_t seen; // bytes of content so far
    struct h1_chunked chunked;
    struct chunkq trailer_lines;
    bool complete;
};
void h1_body_in_init(struct h1_body_in *c, const struct framing *framing, const struct h1_limits *limits);
void h1_body_in_fini(struct h1_body_in *c);
/// Appends at least one byte of content to q (about want), or ERR_EOF at the proper end (c->complete is set
/// with the last bytes already, where they show it). ERR_RESPONSE_INCOMPLETE stands for an improper end,
/// ERR_BAD_CHUNK for malformed chunks; others as transport_recv.
MUST_USE enum err h1_body_in_read(struct h1_body_in *c, struct h1_input *b, struct transport *t,
                                  struct chunkq *q, size_t want, uint64_t deadline);

enum h1_body_out { H1_OUT_NONE, H1_OUT_LENGTH, H1_OUT_CHUNKED, H1_OUT_CLOSE };
/// Wraps q's content for the framing in place: chunk size lines around it, the last chunk and trailers at the
/// end. The lines live in the arena. te_trailers false drops the trailers.
MUST_USE enum err h1_body_out_wrap(enum h1_body_out kind, struct chunkq *q, bool end,
                                   const struct fields *trailers, struct arena *a);

#endif
