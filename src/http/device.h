// SPDX-License-Identifier: Apache-2.0
// What kind of device a client says it is. A coarse class for servers that have one page for each, not a way
// to tell clients apart.
#ifndef WEIR_HTTP_DEVICE_H
#define WEIR_HTTP_DEVICE_H

#include "http/field.h"

enum device_class { DEVICE_DESKTOP, DEVICE_MOBILE, DEVICE_TABLET, DEVICE_BOT };

/// By User-Agent and Sec-CH-UA-Mobile: a bot calls itself one, whatever else it pretends to be; a tablet and
/// a mobile have their words; all else, no User-Agent too, is a desktop. docs/cache.md has the words.
enum device_class device_of(const struct fields *request);
/// `mobile`, `tablet`, `desktop` or `bot`.
struct span device_name(enum device_class c);
/// Whether the class stands for what this request field says: a response that varies by it varies by the
/// class.
bool device_covers(struct span field_name);

#endif
