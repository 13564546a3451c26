// SPDX-License-Identifier: Apache-2.0
// ICAP services as one thread knows them: what they say of themselves (OPTIONS), and the connections to them,
// which are kept among the thread's others.
#ifndef WEIR_PROXY_SCAN_SERVICE_H
#define WEIR_PROXY_SCAN_SERVICE_H

#include "icap/options.h"
#include "proxy/scan.h"

struct upstream_conn;

struct scan_peer {
    struct scan_peer *next; // of the thread's
    struct span url;
    struct arena arena; // of the options
    struct icap_options options;
    bool known;             // the options were read once
    uint64_t expires_ms;    // of the options
    uint64_t down_until_ms; // it failed: not asked until then
    enum err why;
    bool asking;
    struct list waiting; // fibers that wait for the options
};

/// The service with options that hold. ERR_SCAN_*, ERR_NO_MEMORY or the fiber's cancellation.
MUST_USE enum err scan_peer_get(struct exchange *x, const struct scan_rule *r, struct scan_peer **ret);
/// A connection to it, with *ret->on_finish to be called at the end. fresh: a new one. Errors as above.
MUST_USE enum err scan_connect(struct exchange *x, const struct scan_rule *r, const struct scan_peer *p,
                               bool fresh, struct upstream_conn **ret);
/// An answer's ISTag: another one than known makes the options old.
void scan_note_tag(struct scan_peer *p, const struct fields *f);
/// The service failed: for a moment nobody asks it.
void scan_note_down(struct scan_peer *p, enum err why);

#endif
