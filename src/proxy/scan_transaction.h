// SPDX-License-Identifier: Apache-2.0
// Content on its way through an ICAP service, of a request or of an answer: it is read from where it comes
// from and sent by a fiber of its own, while the service's answer is waited for. Backpressure goes through:
// who does not read what comes out stops what goes in.
//
// What was sent is kept as long as it is little, for two cases: the service says that it wants no change
// (204), or it fails and the rule lets content pass then. What is too much to be kept is sent without `Allow:
// 204`, so that it comes back from the service.
#ifndef WEIR_PROXY_SCAN_TRANSACTION_H
#define WEIR_PROXY_SCAN_TRANSACTION_H

#include "icap/exchange.h"
#include "proxy/scan_service.h"

enum {
    SCAN_HELD_BYTES = 256 * 1024, // of content that is kept until there is a verdict
    SCAN_TRICKLE_BYTES = 256,     // of content that may go out before, and
    SCAN_TRICKLE_SHARE = 16,      // one in so many of those that were sent to the service
};

struct scan;
/// Where content comes from.
struct scan_source {
    /// Appends at least one byte, or ERR_EOF.
    enum err (*read)(struct scan *s, struct chunkq *q, size_t want);
    bool (*ended)(const struct scan *s);
};

enum scan_state {
    SCAN_WAITING, // for the verdict
    SCAN_PASSING, // the content as it came: what was kept, then the rest
    SCAN_ADAPTED, // what the service answers
};

struct scan {
    struct exchange *x;
    const struct scan_rule *rule;
    const struct scan_source *source;
    struct upstream_stream *inner; // of an answer: where it comes from,
    unsigned status;               // and its status
    struct scan_peer *peer;
    struct upstream_conn *conn; // NULL: none (any more)
    struct icap_exchange icap;
    struct icap_request request;
    enum scan_state state;
    bool asked;      // the service was, or is
    bool previewing; // it has a preview, and may want the rest
    bool retried;
    // The content
    struct chunkq kept;
    bool kept_all;
    size_t preview_bytes; // of kept, that were sent as a preview
    struct chunkq begin;  // its first octets, for the trickle
    uint64_t n_read;
    bool eof;
    enum err source_err;
    // The fiber that sends
    struct fiber *sender;
    bool sending, reading, stopping;
    struct fiber *waiter; // who waits for the service, and is to hear of source_err
    uint64_t progress_ms; // when the service took something last
    // The verdict
    struct icap_answer answer;
    struct response resp; // of an answer that the service gives, where it has one
    struct request req;   // or the request
    uint64_t left;        // of its content; UINT64_MAX: not known
    bool blocked;
};

void scan_init(struct scan *s, struct exchange *x, const struct scan_rule *r,
               const struct scan_source *source);
/// Content that was read already. Before scan_begin.
MUST_USE enum err scan_take(struct scan *s, struct chunkq *q);
/// Begins: s->request says what is shown (its preview is chosen here). length: of the content,
/// or UINT64_MAX. The state may be SCAN_PASSING already. An error of the source, or of the service where
/// content may not pass then.
MUST_USE enum err scan_begin(struct scan *s, uint64_t length);
/// Waits until there is a verdict, or until then: ERR_TIMEOUT. Errors as above.
MUST_USE enum err scan_wait(struct scan *s, uint64_t until);
/// Content behind the verdict: at least one byte, or ERR_EOF.
MUST_USE enum err scan_read(struct scan *s, struct chunkq *q, size_t want);
bool scan_is_ready(const struct scan *s);
/// Nothing is left to read.
bool scan_is_complete(const struct scan *s);
/// The request's URL, as services see it. ERR_NO_MEMORY.
MUST_USE enum err scan_url(struct exchange *x, struct span *ret);
/// Ends what is under way.
void scan_end(struct scan *s);

#endif
