// SPDX-License-Identifier: Apache-2.0
// Certificates from an authority that speaks ACME (RFC 8555), had and renewed by a process of its own, which has nothing but a folder,
// the network and a channel to the supervisor. Challenges are answered by the worker (tls/acme_challenge.h): it is told of them first.
#ifndef WEIR_ACME_ACME_H
#define WEIR_ACME_ACME_H

#include "net/dns.h"
#include "tls/client.h"

enum { ACME_NAMES_MAX = 100, ACME_NOTE_MAX = 2048 };

enum acme_challenge { ACME_ANY, ACME_HTTP_01, ACME_TLS_ALPN_01 };

struct acme_site {
    const struct span *names; // exact, lower case
    unsigned n_names;
    struct span file; // of key and chain, in the folder
};

/// A certificate with its issuer's, whose authority's word (OCSP) is to be kept in a file of the folder.
struct acme_staple {
    struct span name; // of the site
    struct span pem;
    struct span file;
};

struct acme_plan {
    struct span directory; // URL
    struct span email;     // empty: none
    int folder; // its descriptor; -1: nobody may write there
    uint64_t retry_ms; // the first pause after a failure; it trebles with each further one
    enum acme_challenge challenge;
    const struct tls_client *tls; // toward the authority
    const struct acme_site *sites;
    unsigned n_sites;
    const struct acme_staple *staples;
    unsigned n_staples;
    uint64_t identity; // two plans that are the same share it
};

/// Whether it can be a directory's URL.
bool acme_is_url(struct span s);
/// Runs until the process is ended; in the helper process, shut in. channel: a SOCK_SEQPACKET socket to the supervisor, for notes, each
/// one line: `set NAME TOKEN KEY-AUTHORISATION` and `clear NAME TOKEN`, which are echoed once the worker has them; `state NAME TEXT`.
int acme_run(const struct acme_plan *p, const struct dns_config *dns, int folder, int channel);

#endif
