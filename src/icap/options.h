// SPDX-License-Identifier: Apache-2.0
// What a service says of itself (RFC 3507 4.10.2), read from the answer to OPTIONS.
#ifndef WEIR_ICAP_OPTIONS_H
#define WEIR_ICAP_OPTIONS_H

#include "icap/message.h"

enum { ICAP_TAG_MAX_BYTES = 64, ICAP_PREVIEW_MAX_BYTES = 65536 };

/// The state of a service, as it names it: content that was judged under another one may be judged otherwise
/// now.
struct icap_tag {
    uint8_t len;
    char text[ICAP_TAG_MAX_BYTES];
};
/// Without its quotes. A text that is too long is cut.
void icap_tag_of(const struct fields *f, struct icap_tag *ret);
bool icap_tag_eq(const struct icap_tag *a, const struct icap_tag *b);

enum icap_transfer { ICAP_TRANSFER_PREVIEW, ICAP_TRANSFER_COMPLETE, ICAP_TRANSFER_IGNORE, N_ICAP_TRANSFERS };

struct icap_options {
    bool reqmod, respmod;
    bool allow_204;
    bool has_preview;
    uint32_t preview;         // bytes
    uint32_t max_connections; // 0: none is said
    uint64_t ttl_s;           // how long this holds
    struct icap_tag tag;
    struct span
        transfer[N_ICAP_TRANSFERS]; // lists of file name extensions, one of them with `*`; in the arena
};
/// Reads them. ERR_BAD_RESPONSE: it is no answer that a service may give; ERR_NO_MEMORY.
MUST_USE enum err icap_options_parse(const struct icap_answer *answer, struct arena *a,
                                     struct icap_options *ret);
/// What the service wants of content with a URL's path: a preview first, all of it, or nothing.
enum icap_transfer icap_transfer_of(const struct icap_options *o, struct span path);

#endif
