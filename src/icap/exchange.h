// SPDX-License-Identifier: Apache-2.0
// One request to an ICAP service and its answer, over a connection that carries one at a time (RFC 3507). One
// fiber may send while another one reads.
#ifndef WEIR_ICAP_EXCHANGE_H
#define WEIR_ICAP_EXCHANGE_H

#include "icap/message.h"
#include "session/h1_content.h"

struct icap_exchange {
    struct transport *t;
    struct h1_input *input;
    struct arena *arena;
    uint64_t stall_ms; // the longest time without progress when sending
    struct h1_body_in body;
    char line[24];   // of the chunk that is being sent
    bool any_byte;   // something of an answer came
    bool sent_all;   // the request is complete
    bool broken;     // something went wrong
    bool answered;   // a final head was read
    bool keep_alive; // by that head
    bool body_open;
};

void icap_begin(struct icap_exchange *x, struct transport *t, struct h1_input *input, struct arena *a,
                uint64_t stall_ms);
/// Gives back what it holds of the answer. True: the connection may carry another request.
bool icap_end(struct icap_exchange *x);

enum icap_part {
    ICAP_MORE,
    ICAP_PREVIEW_END, // of the preview: there is more content
    ICAP_WHOLE,       // the end of content that fit in the preview
    ICAP_END,         // the end of content
};
/// The request's head, with what of its content is sent at once (content's bytes are taken). ERR_EOF or
/// ERR_RESET: the connection is gone; ERR_TIMEOUT, ERR_NO_MEMORY or the fiber's cancellation.
MUST_USE enum err icap_send_head(struct icap_exchange *x, const struct icap_request *r,
                                 struct chunkq *content, enum icap_part part);
/// More of the content. As above.
MUST_USE enum err icap_send(struct icap_exchange *x, struct chunkq *content, enum icap_part part);

/// Waits until something has come. ERR_TIMEOUT or the fiber's cancellation.
MUST_USE enum err icap_wait(struct icap_exchange *x, uint64_t deadline);
/// The head of an answer: `100 Continue` behind a preview, or the final one. ERR_BAD_RESPONSE; ERR_EOF,
/// ERR_RESET: the connection ended
/// (!x->any_byte: without a word); ERR_TIMEOUT and the others.
MUST_USE enum err icap_read_head(struct icap_exchange *x, uint64_t deadline, struct icap_answer *ret);
/// The head of HTTP in an answer that has one of a response; to_method: what the response answers. Errors as
/// above.
MUST_USE enum err icap_read_response(struct icap_exchange *x, const struct icap_answer *answer,
                                     enum http_method to_method, uint64_t deadline, struct response *ret);
/// The same of a request, of which only what it says of its content is of use: its fields.
MUST_USE enum err icap_read_request(struct icap_exchange *x, const struct icap_answer *answer,
                                    uint64_t deadline, struct request *ret);
/// Content of the answer: appends at least one byte (about want), or ERR_EOF at its end. ERR_BAD_RESPONSE and
/// the others.
MUST_USE enum err icap_read(struct icap_exchange *x, struct chunkq *q, size_t want, uint64_t deadline);
/// Whether icap_read would perhaps give something without a wait.
static inline bool icap_ready(const struct icap_exchange *x)
{
    return h1_input_len(x->input) > 0 || !x->body_open || x->body.complete;
}
/// Whether the answer's content has come to its end (or there is none).
static inline bool icap_is_read(const struct icap_exchange *x)
{
    return x->answered && (!x->body_open || x->body.complete);
}

#endif
