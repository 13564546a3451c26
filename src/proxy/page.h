// SPDX-License-Identifier: Apache-2.0
// Answers of our own: a small page, or a problem document (RFC 9457) for those who prefer JSON. Nothing about
// the inside: no path, no file, no address.
#ifndef WEIR_PROXY_PAGE_H
#define WEIR_PROXY_PAGE_H

#include "base/chunk.h"
#include "http/message.h"

struct page {
    enum err reason;
    struct span id;      // of the request; may be empty
    struct span message; // words of the rule's writer in place of the reason's own; may be empty
    unsigned retry_after_s; // of a 429 or 503; 0: a second
    struct span form;       // a page of the configuration's in place of ours, filled in; empty: none
    bool own_things;        // it may show what its site has beside it: images, styles
    bool as_json;           // whatever the client prefers
    unsigned status;        // 0: the reason's
    struct span allow;      // methods, for a 405 (RFC 9110 15.5.6); empty: the usual ones
};
/// Fills *ret (its fields must be initialised) and appends the content to *ret_content, borrowed from the
/// arena. An answer to HEAD is the caller's matter. ERR_NO_MEMORY.
MUST_USE enum err page_render(const struct page *p, const struct request *req, struct arena *a,
                              struct response *ret, struct chunkq *ret_content);
/// The status that an answer to this has.
unsigned page_status(const struct page *p);
/// What it says in words.
struct span page_message(const struct page *p);
/// Adds Retry-After, where the number is not 0. ERR_NO_MEMORY.
MUST_USE enum err page_retry_after(unsigned seconds, struct arena *a, struct fields *f);
/// Plain text with a status; the text is borrowed.
MUST_USE enum err page_text(unsigned status, struct span text, struct response *ret,
                            struct chunkq *ret_content);
/// Whether the client would rather have JSON than HTML, by Accept (RFC 9110 12.5.1).
bool page_wants_json(const struct fields *f);

#endif
