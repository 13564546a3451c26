// SPDX-License-Identifier: Apache-2.0
// Answers of our own: a small page, or a problem document (RFC 9457) for those who prefer JSON. Nothing about the inside.
#ifndef WEIR_PROXY_PAGE_H
#define WEIR_PROXY_PAGE_H

#include "base/chunk.h"
#include "http/message.h"

/// Fills *ret (its fields must be initialised) and appends the content to *ret_content. message: words of the rule's writer, or empty.
MUST_USE enum err page_render(enum err reason, const struct request *req, struct span id, struct span message, struct arena *a,
                              struct response *ret, struct chunkq *ret_content);
/// Plain text with a status.
MUST_USE enum err page_text(unsigned status, struct span text, struct response *ret, struct chunkq *ret_content);

#endif
