// SPDX-License-Identifier: Apache-2.0
// Authorities and paths (RFC 3986, RFC 9110 4.2), normalised once into the one view that policy, routing, cache key and
// upstream share. Pure: no I/O; memory from the arena given.
#ifndef WEIR_HTTP_URI_H
#define WEIR_HTTP_URI_H

#include "base/arena.h"
#include "base/err.h"

enum uri_host_kind { HOST_NAME, HOST_IPV4, HOST_IPV6 };

struct authority {
    struct span text; // as received
    struct span host; // lower case, without brackets, one trailing dot removed; an IPv6 address as inet_ntop writes it
    uint16_t port;    // 0: none was written
    uint8_t kind;     // enum uri_host_kind: HOST_IPV4 only for the strict dotted quad
};

/// `host [":" port]`. ERR_BAD_HOST for: empty host (also ""), userinfo, anything but reg-name letters (RFC 3986 unreserved, plus '_';
/// percent-encoding and sub-delims are refused by our rule), a port that is empty, zero, above 65535 or not decimal, a bad IPv6 literal, a
/// zone id, a name above 253 octets or a label above 63. Non-canonical numbers such as 0177.0.0.1, 127.1 or 2130706433 are names here.
MUST_USE enum err authority_parse(struct span s, struct arena *a, struct authority *ret);

/// A path in one canonical form: percent-encoded unreserved characters decoded, hex digits upper case, dot segments removed (RFC 3986 5.2.4,
/// `%2e` included), characters that may not stand in a path (`"<>^`{|}`) percent-encoded. `%2F` stays `%2F`. ERR_BAD_TARGET for what servers read in
/// different ways: a path not beginning with '/', a malformed percent-encoding, `%00`, a raw control character, space, '#' or octet above 126,
/// backslash (raw and `%5C`), overlong UTF-8 (`%C0%AF`), dot segments that climb above the root, that have parameters (`..;x`), or that border on `%2F`.
/// Empty segments (`//`) are kept as they are. Where the input is already canonical *ret is the input and nothing is allocated.
MUST_USE enum err path_normalise(struct span path, struct arena *a, struct span *ret);
/// The path as the laxest of servers might read it, for rules that deny: parameters (`;x`) of segments dropped, `%2F` a slash, empty segments
/// merged. Of a normalised path; the input itself where there is nothing to do.
MUST_USE enum err path_loose(struct span path, struct arena *a, struct span *ret);
/// Characters of a query are checked (no control, space, '#', quotes and angle brackets are left as they came); it is never changed.
MUST_USE enum err query_check(struct span query);

/// Percent-decodes (for file names); ERR_BAD_TARGET for a malformed encoding or %00.
MUST_USE enum err percent_decode(struct span s, struct arena *a, struct span *ret);

struct uri {
    struct span scheme; // lower case
    struct authority authority;
    struct span path;  // normalised; "/" when empty
    struct span query; // without '?'; ptr NULL when there is none
};
/// An absolute http or https URI (any scheme is returned; the caller decides). Fragment and userinfo are refused.
MUST_USE enum err uri_parse_absolute(struct span s, struct arena *a, struct uri *ret);

#endif
