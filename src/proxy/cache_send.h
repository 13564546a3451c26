// SPDX-License-Identifier: Apache-2.0
// Content that is on disk, on its way to a client: by sendfile where it may, by checked blocks otherwise.
#ifndef WEIR_PROXY_CACHE_SEND_H
#define WEIR_PROXY_CACHE_SEND_H

#include "proxy/cached.h"

/// For an answer with one run of content from the cached object's body, which is on disk: opens it and looks at the beginning of the run, so
/// that what is damaged there is found out before there is a head. ERR_AGAIN: it is, and the index knows it no more. ERR_NO_MEMORY.
MUST_USE enum err cache_send_prepare(struct exchange *x);
/// The head and the run.
MUST_USE enum err cache_send(struct exchange *x);
/// Gives back what it holds.
void cache_send_end(struct cached *c);

#endif
