// SPDX-License-Identifier: Apache-2.0
// Pages of the configuration's own (`error-page`, a policy's `page`), in place of those that weir has.
#ifndef WEIR_PROXY_ERROR_PAGES_H
#define WEIR_PROXY_ERROR_PAGES_H

#include "proxy/exchange.h"

enum { ERROR_PAGE_MAX_BYTES = 64 * 1024 };

struct error_page {
    unsigned from, to; // statuses
    struct text form;
};
struct error_pages {
    const struct error_page *v;
    unsigned n;
};

/// An answer of our own for an error.
MUST_USE enum err error_page_answer(struct exchange *x, enum err e);
/// Whether there is a page for this status; it is the answer then.
MUST_USE bool error_page_take(struct exchange *x, unsigned status, enum err *ret);

#endif
