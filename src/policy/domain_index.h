// SPDX-License-Identifier: Apache-2.0
// Hundreds of thousands of host names, found by the whole name or by a name above it. The names stay where they were read; an entry is
// 16 bytes and a slot 8.
#ifndef WEIR_POLICY_DOMAIN_INDEX_H
#define WEIR_POLICY_DOMAIN_INDEX_H

#include "base/span.h"

/// Where an entry of a list stands.
struct list_place {
    uint32_t line;
    uint16_t source; // the list's file
};

struct domain_entry {
    const char *name;
    uint32_t line;
    uint16_t source;
    uint8_t len;
    bool below; // names below this one as well
};
struct domain_index {
    struct domain_entry *v;
    uint64_t *slots; // hash's upper half, then entry + 1
    uint32_t n, cap, n_slots;
};

/// All zero is empty. name (at most 255 bytes, of any case, without a final dot) must outlive the index. False when memory is out.
MUST_USE bool domain_index_add(struct domain_index *d, struct span name, bool below, struct list_place at);
/// To be called once, when all are in. Of two equal entries the first one counts.
MUST_USE bool domain_index_finish(struct domain_index *d);
/// host in lower case, without a final dot. is_name: it is no address, so that there are names above it.
bool domain_index_find(const struct domain_index *d, struct span host, bool is_name, struct list_place *ret);
void domain_index_fini(struct domain_index *d);

#endif
