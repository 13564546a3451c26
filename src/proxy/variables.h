// SPDX-License-Identifier: Apache-2.0
// Texts with variables: `{host}`, `{header:NAME}`, `{1}` for what a pattern's first group stands for.
#ifndef WEIR_PROXY_VARIABLES_H
#define WEIR_PROXY_VARIABLES_H

#include "policy/pattern.h"

struct builder;
struct conf_value;
struct exchange;
struct text_part;

/// A text of the configuration, compiled. Zeroed: the empty text.
struct text {
    const struct text_part *v;
    unsigned n; // 0: the literal alone
    struct span literal;
    bool in_field; // what variables hold comes without anything that could end the field
};

/// Where a text stands, which decides what may be in it.
enum text_place {
    TEXT_PLAIN,  // any; braces around an unknown word are text
    TEXT_FIELD,  // a field's value: nothing that could end it
    TEXT_GROUPS, // the same, behind a pattern: `{1}` to `{9}` too
    TEXT_PAGE,   // HTML: as TEXT_PLAIN, with the words of a page
};

/// What a page says that is no variable of the request's: `{message}`, `{title}`, `{reason}`, `{id}`.
struct page_words {
    struct span message, title, reason, id;
};

/// Compiles; an unknown variable is a diagnostic. Braces with anything but a lower-case word in them are text.
struct text text_build(struct builder *b, const struct conf_value *v, enum text_place place);
/// In the exchange's arena (the literal itself where there is no variable); a NULL pointer when memory is
/// out. groups may be NULL: all are empty.
struct span text_render(const struct text *t, const struct exchange *x,
                        const struct span groups[PATTERN_GROUPS]);
/// A page; what comes from variables is text in it, never markup.
struct span text_render_page(const struct text *t, const struct exchange *x, const struct page_words *words);
/// Whether the text asks for this variable.
bool text_has(const struct text *t, struct span name);
/// Whether two requests with the same cache key have the same text: it asks for nothing else of them. by_device: the device's class is
/// in the key.
bool text_is_keyed(const struct text *t, bool by_device);

#endif
