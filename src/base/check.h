// SPDX-License-Identifier: Apache-2.0
// CHECK is for our own mistakes, never within reach of a peer's bytes: it ends the process with a message.
// It stays on in release builds; CHECK_SLOW is for debug builds alone.
#ifndef WEIR_BASE_CHECK_H
#define WEIR_BASE_CHECK_H

#include "base/macros.h"

NORETURN COLD void check_failed(const char *expr, const char *file, int line);

#define CHECK(x) (likely(x) ? (void)0 : check_failed(#x, __FILE__, __LINE__))
#ifdef WEIR_DEBUG
#define CHECK_SLOW(x) CHECK(x)
#else
#define CHECK_SLOW(x) ((void)sizeof(x))
#endif

#endif
