// SPDX-License-Identifier: Apache-2.0
// Within the room: one request over TLS, each on a connection of its own: there are a dozen in a quarter of a year.
#ifndef WEIR_ACME_HTTPS_H
#define WEIR_ACME_HTTPS_H

#include "http/message.h"
#include "net/dns.h"
#include "tls/client.h"

struct https {
    struct dns *dns;
    const struct tls_client *tls; // of https; NULL: only http is spoken
};
struct https_answer {
    struct response head;
    struct span content;
};
/// What is in *ret lives in the arena. type: of the content; both empty for a request without. Redirects are answers like others.
MUST_USE enum err https_ask(const struct https *h, struct arena *a, enum http_method method, struct span url, struct span type, struct span content,
                            struct https_answer *ret);

#endif
