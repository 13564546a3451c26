// SPDX-License-Identifier: Apache-2.0
// One exchange's way to its client, and one to its upstream, whatever version of HTTP carries them. The
// proxy's phases know only this; HTTP/1 (client_h1.c, upstream_h1.c) and HTTP/2 (client_h2.c) implement it. All
// operations run on a fiber and may wait.
#ifndef WEIR_SESSION_STREAM_H
#define WEIR_SESSION_STREAM_H

#include "http/message.h"
#include "io/io.h"

struct client_stream;
struct upstream_stream;

/// Content to read: the request's from a client, the response's from an upstream.
/// read appends at least one byte to q (about want at most) or gives ERR_EOF at the proper end; an improper
/// end is another error.
struct client_ops {
    enum err (*read)(struct client_stream *s, struct chunkq *q, size_t want, uint64_t deadline);
    /// A 1xx other than 101.
    enum err (*send_interim)(struct client_stream *s, const struct response *r);
    /// The final head (or 101), with content that is at hand and, where end is set, nothing after it. Takes
    /// content's bytes. r->framing says what is known of the length; the stream chooses the framing that its
    /// client understands.
    enum err (*send_head)(struct client_stream *s, struct response *r, struct chunkq *content, bool end);
    /// More content; at the end (end set) trailers may be given (NULL: none). stall_ms: the longest time
    /// without progress.
    enum err (*send)(struct client_stream *s, struct chunkq *content, bool end,
                     const struct fields *trailers);
    /// For splice and tunnels: the bare connection, or NULL where there is none. After send_head of a
    /// FRAMING_LENGTH response its remaining content may be written there directly; *ret_left then is counted
    /// down by note_raw.
    struct io *(*raw)(struct client_stream *s);
    /// n bytes of content went (or, for a tunnel, will go) over raw.
    void (*note_raw)(struct client_stream *s, uint64_t n, bool end);
    /// Bytes that the connection has already read beyond the request head (for a tunnel): moved to q.
    enum err (*take_buffered)(struct client_stream *s, struct chunkq *q);
    /// Whether read would give something (content or its end) without a wait.
    bool (*ready)(const struct client_stream *s);
    /// In a tunnel: nothing more will be sent.
    void (*end_write)(struct client_stream *s);
    /// While set, ERR_CANCELED is sent to f as soon as the client has given the exchange up, or has already. NULL ends it, which must
    /// happen before f ends.
    void (*watch)(struct client_stream *s, struct fiber *f);
    /// After the answer went out: whether it surely reached a client that could also have left. False: it is gone.
    bool (*confirm)(struct client_stream *s);
};

struct client_stream {
    const struct client_ops *ops;
    const struct request *req;
    struct span protocol;                        // as a log calls it, where it is none of HTTP's; else empty
    uint64_t stall_ms;                           // longest time without progress when sending
    uint64_t head_bytes_in, bytes_in, bytes_out; // on this exchange
    bool request_complete;                       // its content was read to the end
    bool head_sent;                              // a final head went out
    bool close;                                  // the connection ends after this exchange (HTTP/1)
    bool shared;                                 // the connection carries others at the same time
    bool broken;                                 // nothing more can be sent
    bool reset;                                  // the connection is to end by a reset: what was sent is not all
    bool stalled;                                // it is broken because the client does not read
    struct fields trailers; // of the request, valid after read gave ERR_EOF; n == 0: none
};

struct upstream_ops {
    /// The request's head with content at hand; end: that is all.
    enum err (*send_head)(struct upstream_stream *s, const struct request *r, struct chunkq *content,
                          bool end);
    enum err (*send)(struct upstream_stream *s, struct chunkq *content, bool end,
                     const struct fields *trailers);
    /// Waits for a head: a 1xx or the final one. deadline for its first byte and its whole.
    enum err (*read_head)(struct upstream_stream *s, struct arena *a, uint64_t deadline,
                          struct response *ret);
    enum err (*read)(struct upstream_stream *s, struct chunkq *q, size_t want, uint64_t deadline);
    /// The bare connection for splice of the rest of a FRAMING_LENGTH content; NULL where there is none or
    /// bytes are buffered.
    struct io *(*raw)(struct upstream_stream *s);
    void (*note_raw)(struct upstream_stream *s, uint64_t n);
    enum err (*take_buffered)(struct upstream_stream *s, struct chunkq *q);
    /// Whether read would give something (content or its end) without a wait.
    bool (*ready)(const struct upstream_stream *s);
    /// Waits until a byte of the response has come (or its end): ERR_OK or ERR_TIMEOUT, or the fiber's
    /// cancellation.
    enum err (*wait)(struct upstream_stream *s, uint64_t deadline);
    /// In a tunnel: nothing more will be sent.
    void (*end_write)(struct upstream_stream *s);
    /// What holds the fields of the head that was read last; NULL: the arena does.
    struct chunk *(*head_chunk)(const struct upstream_stream *s);
    /// Lets a buffer go that holds nothing; nobody may be reading. NULL: there is none.
    void (*drop_buffer)(struct upstream_stream *s);
    /// Ends the exchange: the connection goes back to its pool when it was provably clean, otherwise it is
    /// closed.
    void (*finish)(struct upstream_stream *s);
};

struct upstream_stream {
    const struct upstream_ops *ops;
    uint64_t stall_ms;
    bool reused;            // the connection carried an exchange before
    bool response_complete; // its content was read to the end
    bool request_complete;  // the whole request was sent
    bool any_byte;          // a byte of a response arrived
    bool reset;             // the connection is to end by a reset: what was sent is not all
    uint32_t head_end;      // where in head_chunk's data the head ends that was read last
    struct fields trailers; // of the response
    uint64_t bytes_in, bytes_out;
};

#endif
