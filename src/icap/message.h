// SPDX-License-Identifier: Apache-2.0
// Heads of ICAP messages (RFC 3507 4.3, 4.4): those of requests are written, those of answers are read,
// strictly. Pure.
#ifndef WEIR_ICAP_MESSAGE_H
#define WEIR_ICAP_MESSAGE_H

#include "http/h1.h"
#include "http/message.h"

enum { ICAP_PORT = 1344 };

/// `icap://HOST[:PORT]/SERVICE`.
struct icap_url {
    struct span text; // the whole, as requests name it
    struct span authority, host;
    uint16_t port;
};
/// False: it is none. Spans are the text's or the arena's.
bool icap_url_parse(struct span text, struct arena *a, struct icap_url *ret);

enum icap_method { ICAP_OPTIONS, ICAP_REQMOD, ICAP_RESPMOD };

struct icap_request {
    enum icap_method method;
    const struct icap_url *url;
    const struct request *req;   // what is asked for; NULL with OPTIONS
    struct span target;          // of req, as an absolute URI
    const struct response *resp; // RESPMOD only
    bool has_content;            // some follows
    bool has_preview;            // of at most preview bytes
    bool allow_204; // the answer may be that nothing is to be changed, after all of the content too
    uint32_t preview;
};
/// Its head and the heads of HTTP in it. Credentials and cookies of the request stay out: nobody needs them
/// to look at content. A NULL pointer when memory is out.
struct span icap_request_head(const struct icap_request *r, struct arena *a);

enum icap_body { ICAP_BODY_UNSAID, ICAP_BODY_NULL, ICAP_BODY_REQ, ICAP_BODY_RES, ICAP_BODY_OPT };

/// What an answer says of what it has in it (RFC 3507 4.4.1).
struct icap_parts {
    bool req_head, res_head; // one at most
    uint32_t head_bytes;
    enum icap_body body;
};

struct icap_answer {
    unsigned status;
    struct fields fields;
    struct icap_parts parts;
    bool keep_alive;
};
/// Reads a head that h1_head_scan has found the end of. Spans borrow from it. ERR_BAD_RESPONSE,
/// ERR_NO_MEMORY.
MUST_USE enum err icap_parse_answer(struct span head, struct arena *a, struct icap_answer *ret);
/// The value of Encapsulated. False: it is malformed, or not of the order and the parts that an answer has.
bool icap_parse_parts(struct span value, uint32_t head_bytes_max, struct icap_parts *ret);

/// What the answer says was found in the content (X-Virus-ID, X-Infection-Found, X-Violations-Found); empty:
/// nothing.
struct span icap_finding(const struct fields *f);

#endif
