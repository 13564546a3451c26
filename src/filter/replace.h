// SPDX-License-Identifier: Apache-2.0
// Exact texts in content that become other texts.
#ifndef WEIR_FILTER_REPLACE_H
#define WEIR_FILTER_REPLACE_H

#include "filter/filter.h"

enum { REPLACE_TEXT_MAX = 4096 }; // bytes of one text that is looked for

struct replacement {
    struct span from; // 1 to REPLACE_TEXT_MAX bytes
    struct span to;
};

/// What is put in is not looked at again; where several fit at one place the first of v counts. v is borrowed. NULL when memory is
/// out.
struct filter *replace_new(const struct replacement *v, unsigned n);

#endif
