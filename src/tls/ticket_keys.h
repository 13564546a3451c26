// SPDX-License-Identifier: Apache-2.0
// Keys of session tickets that are given, in place of our own.
#ifndef WEIR_TLS_TICKET_KEYS_H
#define WEIR_TLS_TICKET_KEYS_H

#include "base/span.h"

enum { TLS_TICKET_KEYS_MAX = 8 };

struct tls_ticket_keys;
/// Lines of base64, one a key: 16 octets of its name, 32 of HMAC-SHA256's, 32 of AES-256's. The first seals,
/// all of them open. NULL and *ret, in secret memory; or why not, as the end of a sentence about the file.
const char *tls_ticket_keys_read(struct span text, struct tls_ticket_keys **ret);
/// NULL is fine.
void tls_ticket_keys_free(struct tls_ticket_keys *k);
/// They are in force from now on, for the whole process; NULL: its own are. Any thread. False when memory is
/// out.
MUST_USE bool tls_ticket_keys_use(const struct tls_ticket_keys *k);

#endif
