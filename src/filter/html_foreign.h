// SPDX-License-Identifier: Apache-2.0
// Whether a tag stands in svg or math, where other rules hold (WHATWG 13.2.6.5). A tree builder knows from its stack; here only those
// elements are kept that change the rules.
#ifndef WEIR_FILTER_HTML_FOREIGN_H
#define WEIR_FILTER_HTML_FOREIGN_H

#include "base/span.h"

enum { HTML_FOREIGN_MAX = 32 }; // nested deeper, all counts as HTML

struct html_foreign {
    unsigned n;
    unsigned char v[HTML_FOREIGN_MAX];
};

/// Foreign rules hold for what comes next.
bool html_foreign_is(const struct html_foreign *f);
/// A tag ended. self_closing: it has no content in foreign elements. colored: it has an attribute color, face or size. Whether it was an
/// element by foreign rules itself.
bool html_foreign_start(struct html_foreign *f, struct span name, bool self_closing, bool colored);
void html_foreign_end(struct html_foreign *f, struct span name);

#endif
