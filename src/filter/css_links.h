// SPDX-License-Identifier: Apache-2.0
// url() and @import of CSS, as a tokenizer that HTML's style elements and attributes use too.
#ifndef WEIR_FILTER_CSS_LINKS_H
#define WEIR_FILTER_CSS_LINKS_H

#include "filter/links.h"
#include "filter/tokens.h"

enum css_state { CSS_NORMAL, CSS_COMMENT, CSS_STRING, CSS_LONG_URL };

struct css_links {
    struct tokens t;
    const struct link_map *map;
    enum css_state state;
    char quote;      // of the string
    char before;     // the last byte that was taken
    bool after_import;
    bool in_attribute; // quotes may be written as character references
    size_t seen;     // of a held token: bytes without its end
};

void css_links_init(struct css_links *c, const struct link_map *m);
/// A whole style attribute's value, to the queue.
MUST_USE enum err css_links_attribute(const struct link_map *m, struct span value, struct chunkq *out);

#endif
