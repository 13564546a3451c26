// SPDX-License-Identifier: Apache-2.0
// `intercept-tls`: a CONNECT tunnel whose TLS ends here. The server is connected to and verified first; then
// the client is shown a certificate that the user's own authority signs, and what it sends is a connection of
// clients like any other, whose requests take the same phases, with the proxy's whole policy. The tunnel
// itself goes on around it: its far end is not the server but ourselves, by a pair of sockets, so it does not
// matter what carries it (HTTP/1, HTTP/2, SOCKS, TLS to the proxy).
#ifndef WEIR_PROXY_INSPECT_H
#define WEIR_PROXY_INSPECT_H

#include "policy/list.h"
#include "proxy/build.h"
#include "proxy/exchange.h"
#include "tls/client.h"
#include "tls/mint.h"

/// One `intercept-tls` statement.
struct inspect_rule {
    const struct condition_set *when;
    const struct list **bypass; // whose hosts are left alone
    unsigned n_bypass;
    unsigned needs; // enum condition_needs
    struct tls_mint *mint;
    const struct tls_client *servers; // what their certificates must be
    bool splice_other;                // what is no TLS passes
    bool splice_certificate;          // so does TLS where the server asks for the client's certificate
    struct client_settings settings;  // of the connections inside
    struct span where;
};

/// What is decided about a tunnel by its host.
struct inspect_verdict {
    const struct inspect_rule *rule; // NULL: no statement takes it
    struct span bypass;              // the list that has the host: it is passed on as it is; empty: decrypted
};
struct inspect_verdict inspect_decide(const struct inspect_rules *r, const struct condition_input *in);
/// For log and `explain`: "intercepted by FILE:LINE", "spliced by FILE:LINE, bypass list NAME", "spliced"; a
/// NULL pointer when memory is out.
struct span inspect_words(const struct inspect_verdict *v, struct arena *a);

/// The `intercept-tls` statements of a proxy.
void build_inspects(struct builder *b, const struct conf_stmt *proxy, const struct proxy *p,
                    struct inspect_rules *ret);

/// Whether this CONNECT is to be decrypted (x->inspect); then its host is looked up and held against the
/// egress rules, so that what may not be connected to is refused as it is without interception.
MUST_USE enum err inspect_plan(struct exchange *x);
/// The tunnel of x->inspect, once the client was told that it stands, to its end.
MUST_USE enum err inspect_run(struct exchange *x);
/// Whether a request that came through such a tunnel is for its server; makes its authority complete.
/// ERR_MISDIRECTED, what was wrong with the server, or a refusal.
MUST_USE enum err inspect_admit(struct exchange *x);

/// struct client_settings' secure of what is inside of one.
enum err inspect_accept(struct transport *t, const struct client_settings *s, uint64_t deadline);

/// A decrypted tunnel, for what is inside it. Of one thread.
struct inspection;
struct inspection *inspection_ref(struct inspection *in);
void inspection_unref(struct inspection *in);
const struct client_settings *inspection_settings(const struct inspection *in);
struct span inspection_user(const struct inspection *in);
/// Where the tunnel leads, as the client wrote it; and the address there, once there is one (else of no
/// family).
struct span inspection_host(const struct inspection *in);
uint16_t inspection_port(const struct inspection *in);
const struct addr *inspection_addr(const struct inspection *in);
/// Tells connections to its server from others to the same address.
uint64_t inspection_identity(const struct inspection *in);
/// TLS to its server over a fresh connection. Says in x->message what is wrong with a certificate.
MUST_USE enum err inspection_secure(struct exchange *x, struct transport *t);

/// Whether the request is for a page of ours: the authority's certificate, and how to get it.
bool inspect_page_is_asked(const struct exchange *x);
MUST_USE enum err inspect_page(struct exchange *x);

#endif
