// SPDX-License-Identifier: Apache-2.0
// URL prefixes, found by the longest that a URL begins with. A URL is written HOST[:PORT]/PATH[?QUERY] here, without a scheme.
#ifndef WEIR_POLICY_URL_INDEX_H
#define WEIR_POLICY_URL_INDEX_H

#include "policy/domain_index.h"

struct url_entry {
    const char *url;
    uint32_t len, line;
    uint32_t shorter; // 1 + the entry that is the longest proper prefix of this one, or 0
    uint16_t source;
};
struct url_index {
    struct url_entry *v;
    uint32_t n, cap;
};

/// All zero is empty. url must outlive the index. False when memory is out.
MUST_USE bool url_index_add(struct url_index *u, struct span url, struct list_place at);
/// To be called once, when all are in.
void url_index_finish(struct url_index *u);
/// O(log n).
bool url_index_find(const struct url_index *u, struct span url, struct list_place *ret);
void url_index_fini(struct url_index *u);

#endif
