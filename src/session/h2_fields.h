// SPDX-License-Identifier: Apache-2.0
// Within the room: fields as HTTP/2 writes them (RFC 9113 8.2). nghttp2 is told to leave messages alone: they are judged here, by the
// rules that HTTP/1 is held to.
#ifndef WEIR_SESSION_H2_FIELDS_H
#define WEIR_SESSION_H2_FIELDS_H

#include <nghttp2/nghttp2.h>

#include "http/h1.h"
#include "http/message.h"

enum h2_block_kind { H2_BLOCK_REQUEST, H2_BLOCK_RESPONSE, H2_BLOCK_TRAILERS };

/// A field section that is being decoded, line by line. Memory is the arena's, and bounded by the limits.
struct h2_block {
    struct arena *arena;
    struct fields *fields; // where regular ones go
    struct h1_limits limits;
    enum h2_block_kind kind;
    enum err error; // the first that was found; ERR_BAD_FIELD and its kin: malformed (RFC 9113 8.1.1)
    struct span method, scheme, authority, path, protocol, status; // pseudo-fields; NULL pointers where they are missing
    bool regular;   // one that is no pseudo-field has come
    uint32_t n;     // regular ones, cookies apart
    uint32_t n_cookies;
    uint64_t bytes; // as HTTP/1 would count them
    struct span *cookies;
};

void h2_block_begin(struct h2_block *b, enum h2_block_kind kind, struct fields *fields, const struct h1_limits *limits);
/// The next line. What is wrong is kept in b->error, and what comes behind it is only counted.
void h2_block_line(struct h2_block *b, struct span name, struct span value);
/// Behind the last line: cookies are joined (RFC 9113 8.2.3).
MUST_USE enum err h2_block_end(struct h2_block *b);

/// Names and values for nghttp2 in the arena, with room for extra more in front. Fields that HTTP/2 does not have (Host: it is a pseudo-field) are left out.
/// The values are borrowed until the frame is serialised. NULL when memory is out.
MUST_USE nghttp2_nv *h2_nv(const struct fields *f, struct arena *a, unsigned extra, size_t *ret_n);
nghttp2_nv h2_nv_one(struct span name, struct span value);
/// Queues a trailer section. False where there is nothing in it that may stand there, or memory is out.
bool h2_trailers_submit(nghttp2_session *ng, int32_t id, const struct fields *trailers);

#endif
