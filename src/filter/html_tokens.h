// SPDX-License-Identifier: Apache-2.0
// The states of the WHATWG's HTML tokenizer (13.2.5) as far as they decide where a tag begins and ends and where its attributes lie;
// no tree. What the tree builder would say to the tokenizer (raw text, foreign content) is told from the tags alone.
#ifndef WEIR_FILTER_HTML_TOKENS_H
#define WEIR_FILTER_HTML_TOKENS_H

#include "filter/html_foreign.h"
#include "filter/tokens.h"

enum html_state {
    HTML_DATA,
    HTML_TAG,      // in a tag, held until its end
    HTML_LONG_TAG, // the same, too long to be held: passes unchanged
    HTML_COMMENT,
    HTML_BOGUS,    // <!x, <?x, </3: to the next `>`
    HTML_CDATA,    // within svg and math
    HTML_RAW,      // to the end tag of `raw`
    HTML_SCRIPT,   // with the escapes of scripts
    HTML_PLAINTEXT,
};

enum html_tag_state { TAG_NAME, TAG_BEFORE, TAG_ATTR, TAG_AFTER, TAG_VALUE, TAG_DOUBLE, TAG_SINGLE, TAG_UNQUOTED };

enum html_comment_state { COMMENT_START, COMMENT_START_DASH, COMMENT_TEXT, COMMENT_DASH, COMMENT_DASHES, COMMENT_BANG };

enum { HTML_ATTRS_MAX = 128, HTML_NAME_MAX_BYTES = 16 };

/// Offsets from the tag's `<`.
struct html_attr {
    uint32_t name, name_len, value, value_len;
};

struct html_tokens {
    struct tokens t;
    /// Called for each whole tag, which passes as it is but for what is put in the place of parts of it (tokens_pass).
    void (*tag)(struct html_tokens *h, const char *tag, uint32_t len);
    /// The text of a style element, in pieces; puts it out. end: it ends here.
    void (*style)(struct html_tokens *h, const char *p, size_t n, bool end);
    enum html_state state;
    // The tag under way
    enum html_tag_state tag_state;
    uint32_t at; // where the scan goes on
    uint32_t name_len;
    bool end_tag, self_closing;
    unsigned n_attrs; // further ones than there is room for are counted and not kept
    // Comments, scripts
    enum html_comment_state comment;
    unsigned dashes; // `-` of a script, `]` of CDATA that came last
    unsigned escape; // of a script: 0, 1 escaped, 2 doubly
    // Raw text
    char raw[HTML_NAME_MAX_BYTES];
    size_t raw_len;
    bool in_style;
    bool xml; // XHTML: the rules of foreign content hold everywhere
    struct html_foreign foreign;
    struct html_attr attrs[HTML_ATTRS_MAX];
};

void html_tokens_init(struct html_tokens *h, void (*tag)(struct html_tokens *h, const char *tag, uint32_t len),
                      void (*style)(struct html_tokens *h, const char *p, size_t n, bool end));
/// How many attributes were kept.
static inline unsigned html_attrs(const struct html_tokens *h)
{
    return MIN(h->n_attrs, (unsigned)HTML_ATTRS_MAX);
}

#endif
