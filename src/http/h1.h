// SPDX-License-Identifier: Apache-2.0
// HTTP/1 syntax (RFC 9112), strict: no lenient mode. Pure: the caller owns the bytes, and parsed spans borrow from them.
#ifndef WEIR_HTTP_H1_H
#define WEIR_HTTP_H1_H

#include "base/chunk.h"
#include "http/message.h"

struct h1_limits {
    uint32_t line_bytes;   // request line (or status line) at most
    uint32_t fields;       // field lines at most
    uint32_t fields_bytes; // all field lines together at most
};

/// A head that arrives piece by piece in one buffer that may only grow at its end (and may be moved between calls).
/// Each byte is looked at once; an error shows as soon as its line is complete, and for over-long lines as soon as they are.
struct h1_head {
    uint32_t line_start; // offset of the line that is being read
    uint32_t scanned;    // bytes already searched for its end
    uint32_t n_lines;    // lines complete so far
    uint32_t fields_bytes;
    uint32_t end;        // offset behind the head once complete
};
void h1_head_init(struct h1_head *h);
/// Looks for the end of the head in buf[0..len). ERR_OK: complete, h->end is set. ERR_AGAIN: more is needed. Otherwise the reason.
/// Checks here: CRLF line ends only (bare CR or LF refused), limits. One CRLF before a request line is skipped (RFC 9112 2.2): h->line_start
/// of the first line then begins behind it; is_request says whether that is allowed.
MUST_USE enum err h1_head_scan(struct h1_head *h, const char *buf, size_t len, bool is_request, const struct h1_limits *limits);

/// Parses a complete head of a request, buf[0..h->end). Fields' spans borrow from buf; normalised parts from the arena.
/// listener_scheme: "http" or "https". Refuses everything that RFC 9112 calls invalid, and by our own rule: whitespace around names,
/// obs-fold, control characters and NUL in values, Content-Length with Transfer-Encoding, repeated or list Content-Length even if equal,
/// any Transfer-Encoding but exactly one `chunked` (case-insensitive), Transfer-Encoding in HTTP/1.0, missing, repeated or bad Host (HTTP/1.1), a Host that
/// differs from the authority of an absolute target is overruled by the target (RFC 9112 3.2.2), methods that are not tokens or are longer than 32 octets,
/// versions other than 1.0 and 1.1 (505 for HTTP/x.y well-formed with major above 1), userinfo and fragments in targets. Connection nominating Content-Length, Transfer-Encoding, Host
/// or other end-to-end framing fields does not remove them (they are never forwarded as received anyway).
MUST_USE enum err h1_parse_request(const char *buf, const struct h1_head *h, struct span listener_scheme, struct arena *a,
                                   struct request *ret);
/// Parses a complete head of a response to a request with this method. ERR_BAD_RESPONSE and its kin. framing follows RFC 9112 6.3; for 1xx, 204, 304,
/// answers to HEAD and 2xx to CONNECT no_content is set whatever their fields say.
MUST_USE enum err h1_parse_response(const char *buf, const struct h1_head *h, enum http_method to_method, struct arena *a,
                                    struct response *ret);

/// Chunked content (RFC 9112 7.1), decoded in place. Chunk extensions are checked, bounded and dropped.
struct h1_chunked {
    uint8_t state;
    uint8_t digits;
    uint16_t ext_bytes;
    uint64_t left;           // of the current chunk's data
    uint64_t overhead;       // bytes that were not data, against content in one-byte chunks: bounded relative to data
    uint32_t trailer_bytes, n_trailers;
    struct h1_limits limits; // for the trailer section
};
void h1_chunked_init(struct h1_chunked *c, const struct h1_limits *limits);
/// Consumes a prefix of in[0..len): *ret_used bytes, of which *ret_data is a run of content (maybe empty). Call again with the rest.
/// ERR_OK: go on; ERR_EOF: the content and its trailer section are complete (ret_used counts the last byte); ERR_BAD_CHUNK, ERR_TOO_MANY_FIELDS, ERR_FIELDS_TOO_LARGE.
/// Bytes of trailer field lines are appended (with CRLF) to *trailers when it is not NULL, for h1_parse_trailers; a CRLF alone ends them.
MUST_USE enum err h1_chunked_decode(struct h1_chunked *c, const char *in, size_t len, struct chunkq *trailers, size_t *ret_used,
                                    struct span *ret_data);
/// The trailer section's field lines as fields; those that may not stand there (FIELD_NO_TRAILER, hop-by-hop) are dropped.
MUST_USE enum err h1_parse_trailers(struct span lines, struct arena *a, struct fields *ret);

/// A bounded output buffer for heads.
struct h1_out {
    char *next, *end;
    bool full; // something did not fit
};
void h1_put(struct h1_out *o, struct span s);
void h1_put_dec(struct h1_out *o, uint64_t v);
void h1_put_field(struct h1_out *o, struct span name, struct span value);
/// All fields that are not removed, not hop-by-hop, not framing, and not nominated by a Connection field in them.
void h1_put_fields(struct h1_out *o, const struct fields *f);
/// A response's fields: its lines where it has them, then the other fields.
void h1_put_response_fields(struct h1_out *o, const struct response *r);
size_t h1_response_fields_size(const struct response *r);
/// An upper bound of the bytes that h1_put_fields writes.
size_t h1_fields_size(const struct fields *f);
/// `METHOD SP target SP HTTP/1.1 CRLF`; `HTTP/1.1 SP status SP reason CRLF` (the standard reason for the status where reason is empty).
void h1_put_request_line(struct h1_out *o, struct span method, struct span target);
void h1_put_status_line(struct h1_out *o, unsigned status, struct span reason);

/// Marks as removed what is for this hop alone (RFC 9110 7.6.1): the known hop-by-hop fields and those that Connection nominates, except
/// names that matter end to end or to our own identity (Host, Content-*, Authorization, Via, Forwarded, X-Forwarded-*, Cache-Control, Date, Age, ETag, Vary, Set-Cookie, Cookie):
/// naming these in Connection changes nothing.
void h1_strip_hop_fields(struct fields *f);

/// The standard reason phrase, "" where there is none.
struct span status_reason(unsigned status);

#endif
