// SPDX-License-Identifier: Apache-2.0
// Within the room: the content of one stream of HTTP/2, both ways. nghttp2 says when it may go and what has come; the fibers of the
// exchange read and write it as if it had a connection of its own.
#ifndef WEIR_SESSION_H2_FLOW_H
#define WEIR_SESSION_H2_FLOW_H

#include "http/message.h"
#include "session/h2_link.h"

struct h2_flow {
    struct h2_link *link;
    int32_t id;
    struct chunkq in, out;
    struct fiber *reader, *writer; // who waits
    struct fields trailers;        // to be sent at the end; n == 0: none
    struct framing declared;       // of what comes in
    uint64_t in_seen;              // bytes of content that came
    uint64_t moved_ms;             // when content went out last, or began to wait
    uint64_t moved_bytes;          // that went since
    enum err error;                // why nothing more comes or goes
    bool in_end;                   // the other side has ended its direction
    bool out_end;                  // what is queued is all
    bool head_out;                 // our (last) head was serialised
    bool end_out;                  // our END_STREAM was
    bool deferred;                 // nghttp2 waits for content
    bool closed;                   // nghttp2 has forgotten the stream
};

void h2_flow_init(struct h2_flow *f, struct h2_link *l, int32_t id);
void h2_flow_fini(struct h2_flow *f);
/// What has come is nobody's any more: the other side may send as much again.
void h2_flow_drop_input(struct h2_flow *f);
/// Whether len more bytes are more than was declared.
static inline bool h2_flow_is_beyond(const struct h2_flow *f, size_t len)
{
    return f->declared.kind == FRAMING_LENGTH && len > f->declared.length - f->in_seen;
}
/// Where content comes from for nghttp2.
nghttp2_data_provider h2_flow_provider(struct h2_flow *f);
/// Appends at least one byte, or gives ERR_EOF at the proper end, f->error, or ERR_TIMEOUT.
MUST_USE enum err h2_flow_read(struct h2_flow *f, struct chunkq *q, size_t want, uint64_t deadline);
/// Whether that would not wait.
bool h2_flow_ready(const struct h2_flow *f);
/// Queues content, and waits while there is much. At its end trailers may be given, whose lines must live as long as the flow. ERR_TIMEOUT where too little moves for stall_ms.
MUST_USE enum err h2_flow_send(struct h2_flow *f, struct chunkq *content, bool end, const struct fields *trailers, uint64_t stall_ms);
/// A piece of content has come, within the bytes that are being fed. False when memory is out.
MUST_USE bool h2_flow_took(struct h2_flow *f, const uint8_t *data, size_t len);
/// Both directions have ended for this reason: whoever waits is told.
void h2_flow_fail(struct h2_flow *f, enum err e);
/// Whoever waits for input looks again.
void h2_flow_wake_reader(struct h2_flow *f);
void h2_flow_reset(struct h2_flow *f, uint32_t code);
/// nghttp2's callback for content that goes out.
int h2_flow_on_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t len, nghttp2_data_source *source, void *arg);

#endif
