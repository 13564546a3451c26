// SPDX-License-Identifier: Apache-2.0
// A request and a response as every room sees them, whatever version of HTTP carried them.
#ifndef WEIR_HTTP_MESSAGE_H
#define WEIR_HTTP_MESSAGE_H

#include "http/field.h"
#include "http/method.h"
#include "http/uri.h"

enum target_form { TARGET_ORIGIN, TARGET_ABSOLUTE, TARGET_AUTHORITY, TARGET_ASTERISK };
enum http_version { HTTP_1_0 = 10, HTTP_1_1 = 11, HTTP_2 = 20 };

/// How content is delimited (RFC 9112 6.3).
enum framing_kind {
    FRAMING_NONE,    // no content
    FRAMING_LENGTH,  // framing.length bytes (0 is possible)
    FRAMING_CHUNKED, // chunked, or HTTP/2 data until END_STREAM without a length
    FRAMING_CLOSE,   // a response that ends with its connection
};
struct framing {
    enum framing_kind kind;
    uint64_t length;
};

struct request {
    enum http_method method;
    struct span method_text;
    struct span target; // as received
    enum target_form form;
    enum http_version version;
    struct span scheme;         // "http" or "https"; empty for CONNECT
    struct authority authority; // from the target where it has one, else from Host; host empty for HTTP/1.0 without either
    struct span path;           // normalised; empty for CONNECT and "*"
    struct span query;          // without '?'; NULL pointer: none
    struct fields fields;
    struct framing framing;
    bool expect_continue;
    bool keep_alive;      // the client wants the connection kept (RFC 9112 9.3)
    bool upgrade;         // Connection: upgrade with an Upgrade field, HTTP/1.1
    bool upgrade_only;    // it makes no sense without the upgrade (an extended CONNECT, RFC 8441)
    bool te_trailers;     // the client said TE: trailers
    struct span upgrade_token; // the Upgrade field's value where upgrade is set
};

struct response {
    uint16_t status;
    struct span reason;
    enum http_version version;
    struct fields fields;
    struct span lines; // the first n_lines fields as HTTP/1 lines, where they are at hand; whoever changes one of these drops it
    uint32_t n_lines;
    struct framing framing; // of the content; where no_content is set only what the fields say of it
    bool no_content;        // by its nature: 1xx, 204, 304, an answer to HEAD, a 2xx to CONNECT
    bool keep_alive;
    bool upgrade; // a 101: with upgrade_token
    struct span upgrade_token;
};

#endif
