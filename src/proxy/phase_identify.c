// SPDX-License-Identifier: Apache-2.0
// identify: who is the client, and what does it see as scheme and host?
#include "proxy/exchange.h"
#include "proxy/request_id.h"

static void take_trusted_claims(struct exchange *x)
{
    const struct fields *f = &x->req->fields;
    struct span proto = fields_value(f, FIELD_X_FORWARDED_PROTO), host = fields_value(f, FIELD_X_FORWARDED_HOST),
                id = fields_value(f, FIELD_X_REQUEST_ID);
    x->client_addr = trust_client(&x->gen->trust, &x->conn->peer, f);
    if (span_eq(proto, SPAN("http")) || span_eq(proto, SPAN("https")))
        x->scheme = proto;
    if (host.len)
        x->host = host;
    if (id.len && request_id_is_valid(id))
        x->id = id;
}

enum err phase_identify(struct exchange *x)
{
    x->peer_trusted = trust_peer(&x->gen->trust, &x->conn->peer);
    if (x->peer_trusted)
        take_trusted_claims(x);
    return ERR_OK;
}
