// SPDX-License-Identifier: Apache-2.0
// Several ranges of one representation (RFC 9110 14): which are asked for, and the parts of a multipart/byteranges answer.
#ifndef WEIR_HTTP_RANGES_H
#define WEIR_HTTP_RANGES_H

#include "http/conditional.h"

enum { RANGES_MAX = 16 };
struct byte_range {
    uint64_t first, length;
};
struct ranges {
    enum range_kind kind; // RANGE_NONE: the whole; RANGE_ONE: n of them, one or more
    unsigned n;
    struct byte_range v[RANGES_MAX];
};
/// If-Range obeyed. The whole for more than RANGES_MAX, or for ranges that overlap (RFC 9110 14.2: such requests are broken or an
/// attack). Those that cannot be satisfied are left out; none left: RANGE_UNSATISFIABLE.
void ranges_check(const struct request *req, const struct validators *v, uint64_t size, int64_t now_s, struct ranges *ret);

/// What stands in front of part i of a multipart/byteranges content; behind the last part comes ranges_end. boundary: of
/// RANGES_BOUNDARY_BYTES characters. NULL pointer: out of memory.
enum { RANGES_BOUNDARY_BYTES = 16 };
struct span ranges_part_head(const struct ranges *r, unsigned i, uint64_t size, struct span content_type, struct span boundary, struct arena *a);
struct span ranges_end(struct span boundary, struct arena *a);

/// `bytes FIRST-LAST/SIZE` of a Content-Range. False: malformed, or the size is unknown.
MUST_USE bool content_range_parse(struct span s, struct byte_range *ret, uint64_t *ret_size);

#endif
