// SPDX-License-Identifier: Apache-2.0
// A strict parser of HTTP/1.1 messages, written for the tests from RFC 9112 alone and sharing nothing with
// src/http: what it reads in weir's octets is compared with what weir was to say. It takes only what a
// careful sender writes: no list-valued Content-Length, no chunk extensions, no folds, no bare line feeds.
#ifndef WEIR_TESTS_SIMULATION_STRICT_H
#define WEIR_TESTS_SIMULATION_STRICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STRICT_FIELDS_MAX = 256 };

struct strict_text {
    const char *p;
    size_t n;
};
struct strict_field {
    struct strict_text name, value;
};
enum strict_framing { STRICT_NO_CONTENT, STRICT_LENGTH, STRICT_CHUNKED, STRICT_UNTIL_END };

/// Texts point into the octets that were parsed.
struct strict_message {
    struct strict_text method, target; // of a request
    unsigned status;                   // of a response
    unsigned minor;                    // HTTP/1.minor
    struct strict_field fields[STRICT_FIELDS_MAX], trailers[STRICT_FIELDS_MAX];
    unsigned n_fields, n_trailers;
    enum strict_framing framing;
    size_t head_len;    // 0: the head is not whole yet
    size_t content_len; // decoded so far, into `content`
    size_t len;         // of the whole message
    bool close;         // Connection: close, or HTTP/1.0 without keep-alive
    const char *why;    // what is wrong with it
};
enum strict { STRICT_MORE, STRICT_WHOLE, STRICT_BAD };

/// The message at p[0, n). content takes the decoded content and has room for n octets. STRICT_MORE: what is
/// there may be a message's beginning; where head_len is not 0 the fields and the content so far are known.
enum strict strict_request(const char *p, size_t n, char *content, struct strict_message *m);
/// ended: nothing follows p[0, n) (an orderly end of the connection). method: of the request.
enum strict strict_response(const char *p, size_t n, bool ended, const char *method, char *content,
                            struct strict_message *m);

/// The field's value where it stands exactly once; otherwise p is NULL.
struct strict_text strict_value(const struct strict_message *m, const char *name);
unsigned strict_count(const struct strict_message *m, const char *name);
bool strict_is(struct strict_text t, const char *s);
/// Without regard to letter case.
bool strict_is_ci(struct strict_text t, const char *s);

#endif
