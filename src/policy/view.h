// SPDX-License-Identifier: Apache-2.0
// What lists need to know of a request beyond its parts: made when the first one asks, kept for the others.
#ifndef WEIR_POLICY_VIEW_H
#define WEIR_POLICY_VIEW_H

#include "policy/condition.h"

/// The kinds of resources that rules of lists tell apart, one bit each.
enum resource_type {
    RESOURCE_OTHER = 1 << 0,
    RESOURCE_SCRIPT = 1 << 1,
    RESOURCE_IMAGE = 1 << 2,
    RESOURCE_STYLESHEET = 1 << 3,
    RESOURCE_OBJECT = 1 << 4,
    RESOURCE_XHR = 1 << 5,
    RESOURCE_SUBDOCUMENT = 1 << 6,
    RESOURCE_PING = 1 << 7,
    RESOURCE_WEBSOCKET = 1 << 8,
    RESOURCE_DOCUMENT = 1 << 9,
    RESOURCE_MEDIA = 1 << 10,
    RESOURCE_FONT = 1 << 11,
    RESOURCE_ANY = (1 << 12) - 1,
};

enum party { PARTY_NOT_ASKED, PARTY_UNKNOWN, PARTY_FIRST, PARTY_THIRD };

struct request_view {
    struct span url;    // SCHEME://HOST[:PORT]PATH[?QUERY], the port where it is not the scheme's own
    struct span folded; // the same in lower case
    struct span bare;   // behind `://`
    size_t host_at, host_len; // in url
    unsigned type;      // one enum resource_type, or 0: it does not show
    struct span page;   // host of the page that asks, by Referer or Origin; empty: unknown
    enum party party;   // request_party
    uint32_t *tokens, *token_at; // hashes of the runs of letters and digits in folded, and where these begin
    unsigned n_tokens;
};

/// The request's view; NULL when memory is out. Lives in the request's arena.
struct request_view *request_view(const struct condition_input *in);
/// Whether what is asked for belongs to the page that asks; not PARTY_NOT_ASKED.
enum party request_party(struct request_view *v, const struct condition_input *in);
/// Whether two hosts belong to one registrable domain (by the public suffix list); addresses only to themselves.
bool same_party(struct span host, struct span other);
/// The hash under which a token is found.
uint32_t token_hash(struct span token);

#endif
