// SPDX-License-Identifier: Apache-2.0
// Structured fields (RFC 9651, which includes RFC 8941): a pull parser over borrowed bytes, without memory of its own. A field
// counts only where all of it parses, so whoever reads walks it to its end first (sf_dict_is_valid, sf_list_is_valid).
#ifndef WEIR_HTTP_STRUCTURED_H
#define WEIR_HTTP_STRUCTURED_H

#include "base/span.h"

enum sf_type {
    SF_INTEGER, // num
    SF_DECIMAL, // num: thousandths
    SF_STRING,  // text: what stands between the quotes, escapes not undone
    SF_TOKEN,   // text
    SF_BYTES,   // text: the base64 between the colons
    SF_BOOLEAN, // num: 0 or 1
    SF_DATE,    // num: seconds since 1970
    SF_DISPLAY, // text: between the quotes, percent-encoded
    SF_INNER_LIST, // text: between the parentheses; sf_inner_next walks it
};

struct sf_item {
    enum sf_type type;
    int64_t num;
    struct span text;
    struct span params; // `;a=b;c`, for sf_param_next
};
struct sf_member {
    struct span key;
    struct sf_item item;
};

enum sf_step { SF_NEXT, SF_END, SF_BROKEN };
/// The next member of a dictionary or list; *rest is the field's value at first, several lines joined with commas. A key may come
/// again: the last one counts.
enum sf_step sf_dict_next(struct span *rest, struct sf_member *ret);
enum sf_step sf_list_next(struct span *rest, struct sf_item *ret);
/// Of a member's params; and of an inner list's text.
enum sf_step sf_param_next(struct span *rest, struct sf_member *ret);
enum sf_step sf_inner_next(struct span *rest, struct sf_item *ret);
/// Whether the whole value parses (an empty one does).
bool sf_dict_is_valid(struct span value);
bool sf_list_is_valid(struct span value);
/// One item, the whole value.
MUST_USE bool sf_item_parse(struct span value, struct sf_item *ret);

#endif
