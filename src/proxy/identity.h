// SPDX-License-Identifier: Apache-2.0
// What of a client's identity leaves through a forward proxy (`privacy`).
#ifndef WEIR_PROXY_IDENTITY_H
#define WEIR_PROXY_IDENTITY_H

#include "proxy/exchange.h"

/// Changes the request's fields f, which go upstream.
MUST_USE enum err identity_hide(struct exchange *x, struct fields *f);
/// Changes the answer's fields.
MUST_USE enum err identity_hide_answer(struct exchange *x);
/// What goes on of the Via that the client sent; a NULL pointer with ERR_OK where there is none.
MUST_USE enum err identity_via(struct exchange *x, struct span *ret);

#endif
