// SPDX-License-Identifier: Apache-2.0
// Within the room: a conversation with the authority: signed requests, nonces, problems.
#ifndef WEIR_ACME_CLIENT_H
#define WEIR_ACME_CLIENT_H

#include <jansson.h>
#include <openssl/evp.h>

#include "acme/acme.h"
#include "acme/https.h"

struct client {
    const struct acme_plan *plan;
    struct https https;
    int folder;
    struct io channel; // to the supervisor
    EVP_PKEY *account;
    // For one attempt, in its arena
    struct arena *a;
    json_t *directory;
    struct span kid, thumbprint, nonce;
    struct span why;         // what went wrong, for people
    uint64_t retry_after_ms; // the authority's wish; 0: none
};

/// Notes what went wrong and gives false.
bool client_fail(struct client *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/// A signed request; payload with a NULL pointer: POST-as-GET. The answer's JSON (NULL where want_json is not set), to be json_decref'd, or
/// NULL after client_fail. ret may be NULL.
bool client_post(struct client *c, struct span url, struct span payload, struct https_answer *ret, json_t **ret_json);
/// The directory and the account.
bool client_begin(struct client *c);
void client_end(struct client *c);
/// A URL of the answer that can be named in a message; empty otherwise.
struct span client_url(struct client *c, const json_t *object, const char *key);
bool client_is_url(struct span s);

/// Tells the supervisor.
void client_note(struct client *c, struct span text);
/// The same, and waits until the worker has it.
bool client_note_wait(struct client *c, struct span text);

/// Orders a certificate for the site's names and stores it. False: c->why.
bool order_certificate(struct client *c, const struct acme_site *s, bool alpn_first);

#endif
