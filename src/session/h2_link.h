// SPDX-License-Identifier: Apache-2.0
// Within the room: one connection of HTTP/2, whichever side we are on. Everything here runs on the loop or without a wait: what
// arrives is fed to nghttp2 as it comes, what is to be sent is gathered over a turn of the loop and goes out in one call.
#ifndef WEIR_SESSION_H2_LINK_H
#define WEIR_SESSION_H2_LINK_H

#include <nghttp2/nghttp2.h>

#include "session/transport.h"

struct h2_link;

struct h2_link_ops {
    /// Input was fed: what it began may be started now. On the loop.
    void (*received)(struct h2_link *l);
    /// The connection can carry nothing more: h2_link_fail was called, or the other side is gone. Once.
    void (*failed)(struct h2_link *l);
    /// At the end of a turn in which something happened, after the sending. The last thing that is done with the link: it may go.
    void (*settled)(struct h2_link *l);
};

enum h2_link_state {
    H2_OPEN,
    H2_CLOSING, // what is queued goes out, nothing is taken in any more
    H2_DEAD,
};

struct h2_link {
    nghttp2_session *ng;
    struct transport *t;
    const struct h2_link_ops *ops;
    struct chunkq out;    // frames as they go to the transport
    struct chunk *frames; // where small frames are put together
    struct loop_task task;
    uint64_t heard_ms;  // when something came last
    uint64_t moved_ms;  // when content went out last, or began to wait
    size_t moved_bytes; // that went since
    unsigned standing;  // streams of which content waits
    bool counted;       // that costs against the thread's allowance (pressure.c)
    uint64_t sent_ms;   // when the socket took something last, or had nothing to take
    uint64_t glitch_ms; // abuse.c's window
    unsigned glitches, glitches_before;
    uint32_t end_code; // not 0: a callback has refused to go on, with this error
    uint8_t state;     // enum h2_link_state
    bool blocked;      // the socket is full
    bool more_input;   // the transport may have something
    bool input_ended;  // the other side sends no more
    bool feeding;      // nghttp2 takes in, or has just refused to go on
    // Receive windows (window.c)
    uint64_t in_total, in_at_ping;
    uint32_t window; // of the connection; a stream's is at most this
    bool ping_out;
    bool eager; // what has come no longer counts against the connection's window, only against its stream's
};

/// The session is the link's from now on; the owner passes the descriptor's events on to h2_link_event.
void h2_link_init(struct h2_link *l, struct transport *t, const struct h2_link_ops *ops, nghttp2_session *ng);
/// Nothing of it is used afterwards; the transport stays.
void h2_link_fini(struct h2_link *l);
void h2_link_event(struct h2_link *l);
/// Sends, and looks for input, at the end of this turn.
void h2_link_wake(struct h2_link *l);
/// Feeds bytes that were read already.
void h2_link_feed(struct h2_link *l, const char *bytes, size_t len);
/// Serialises frames until the flag is set; for a head whose fields' memory goes away.
void h2_link_push(struct h2_link *l, const bool *until);
/// Ends the connection with this error for the other side: what is queued goes out, then a GOAWAY.
void h2_link_fail(struct h2_link *l, uint32_t code);
/// Nothing goes any more, at once.
void h2_link_kill(struct h2_link *l);
/// Puts content behind a frame's head; nghttp2's send_data_callback.
int h2_link_send_data(struct h2_link *l, const uint8_t *head, struct chunkq *content, size_t len);
/// Whether all that was to be sent has gone.
static inline bool h2_link_is_quiet(const struct h2_link *l)
{
    return !l->out.bytes && !l->blocked;
}
/// Whether nghttp2 has nothing more to do, since one of the sides has said goodbye.
bool h2_link_is_done(const struct h2_link *l);
/// What nghttp2 is to do itself and what not, on either side. NULL when memory is out.
nghttp2_option *h2_link_options(void);
/// The chunk that is being fed: what is kept of its bytes takes a reference of it.
struct chunk *h2_link_input(void);

#endif
