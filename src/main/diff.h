// SPDX-License-Identifier: Apache-2.0
// What a reload changes, statement by statement.
#ifndef WEIR_MAIN_DIFF_H
#define WEIR_MAIN_DIFF_H

#include "conf/conf.h"

/// Lines `+ FILE:LINE: statement` and `- FILE:LINE: statement`, with the blocks that they stand in; "nothing changed" where that is so.
struct span conf_diff(const struct conf *before, const struct conf *after, struct arena *a);

#endif
