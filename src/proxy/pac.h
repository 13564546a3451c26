// SPDX-License-Identifier: Apache-2.0
// Proxy auto-configuration: a script, asked for at the proxy's own address, by which browsers find it (`pac`). Without credentials, since
// a browser has none for it yet; it says nothing that its reader does not know.
#ifndef WEIR_PROXY_PAC_H
#define WEIR_PROXY_PAC_H

#include "proxy/exchange.h"

struct builder;

/// The `pac` statement of a proxy: the part of the script that says what goes around the proxy; a NULL pointer where there is none.
struct span build_pac(struct builder *b, const struct conf_stmt *proxy);
/// Whether the request is for /proxy.pac or /wpad.dat of a proxy that has one.
bool pac_is_asked(const struct exchange *x);
MUST_USE enum err pac_answer(struct exchange *x);

#endif
