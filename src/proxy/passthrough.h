// SPDX-License-Identifier: Apache-2.0
// `route * -> tls-passthrough`: connections that go to a server as they are, by the name in their ClientHello. We hold no key for them.
#ifndef WEIR_PROXY_PASSTHROUGH_H
#define WEIR_PROXY_PASSTHROUGH_H

#include "session/client.h"

/// struct client_settings' secure of a listener where such a site stands: what is for it has been served to its end when this returns
/// ERR_EOF; all others get a TLS layer.
enum err passthrough_accept(struct transport *t, const struct client_settings *s, uint64_t deadline);

#endif
