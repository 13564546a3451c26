// SPDX-License-Identifier: Apache-2.0
// The dashboard's page, at the address of `dashboard`: a few files that are part of the program
// (src/proxy/dashboard/).
#ifndef WEIR_PROXY_DASHBOARD_H
#define WEIR_PROXY_DASHBOARD_H

#include "base/err.h"
#include "base/span.h"

struct exchange;

struct dashboard_file {
    struct span path, type, etag, content;
};
extern const struct dashboard_file dashboard_files[];
extern const unsigned dashboard_n_files;

/// Whether the path is one of theirs; then *ret is what answering came to.
bool dashboard_answer(struct exchange *x, enum err *ret);

#endif
