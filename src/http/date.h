// SPDX-License-Identifier: Apache-2.0
// HTTP dates (RFC 9110 5.6.7): the three formats in, IMF-fixdate out.
#ifndef WEIR_HTTP_DATE_H
#define WEIR_HTTP_DATE_H

#include "base/span.h"

enum { HTTP_DATE_BYTES = 29 };
/// Seconds since 1970. now_s decides the century of two-digit years (RFC 850 form). False for anything malformed.
MUST_USE bool http_date_parse(struct span s, int64_t now_s, int64_t *ret);
/// Writes HTTP_DATE_BYTES characters, no terminator.
void http_date_format(int64_t s, char out[HTTP_DATE_BYTES]);

#endif
