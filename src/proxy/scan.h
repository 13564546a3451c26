// SPDX-License-Identifier: Apache-2.0
// `scan`: content is shown to a service by ICAP (RFC 3507) before it goes on: that of requests before their
// server gets it, that of answers before the client or a cache does. What the service makes of it takes its
// place.
#ifndef WEIR_PROXY_SCAN_H
#define WEIR_PROXY_SCAN_H

#include "icap/message.h"
#include "proxy/build.h"
#include "proxy/exchange.h"

struct member;

struct scan_rule {
    struct icap_url url;
    bool fail_open;      // content passes where the service fails
    bool named;          // the direction was asked for by name: a service that does not offer it fails
    bool refuses_larger; // than max_bytes; else that passes without a look
    uint64_t max_bytes;  // UINT64_MAX: any size
    uint64_t timeout_ms; // without progress
    uint64_t trickle_ms; // 0: nothing goes out before there is a verdict
    unsigned connections;
    struct member *member; // counts them, over all threads
    struct span where;
};
/// What a proxy, site or route has scanned.
struct scanning {
    const struct scan_rule *uploads, *responses; // NULL: not
};

/// The `scan` statements of a block, or what holds outside of it; NULL where there are none.
const struct scanning *build_scan(struct builder *b, const struct conf_stmt *block,
                                  const struct scanning *outer);

static inline const struct scanning *scanning_of(const struct exchange *x)
{
    return x->route ? x->route->scanning : x->proxy ? x->proxy->scanning : NULL;
}

/// Asks for the whole, in codings that scanners know: of x->out, where answers are scanned.
MUST_USE enum err scan_request_fields(struct exchange *x);
/// The request's content, before anything of it goes on. Where it is refused the service's answer is the
/// exchange's.
MUST_USE enum err scan_upload(struct exchange *x);
/// The answer's content: x->upstream and x->resp are what the service makes of them.
MUST_USE enum err scan_response(struct exchange *x);
/// The service's state, by which stored answers are told apart: empty where answers are not scanned.
/// ERR_NO_MEMORY, or the fiber's cancellation.
MUST_USE enum err scan_tag(struct exchange *x, struct span *ret);

// The request's content as it comes from there, where x->scanned is set.
MUST_USE enum err scan_upload_read(struct exchange *x, struct chunkq *q, size_t want);
bool scan_upload_is_ready(const struct exchange *x);
bool scan_upload_is_complete(const struct exchange *x);
/// At the exchange's end.
void scan_upload_end(struct exchange *x);

struct service;
/// Frees what the thread knows of services.
void scan_peers_free(struct service *s);

#endif
