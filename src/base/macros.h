// SPDX-License-Identifier: Apache-2.0
// Compiler attributes and small helpers that every room uses.
#ifndef WEIR_BASE_MACROS_H
#define WEIR_BASE_MACROS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x)                       __builtin_expect(!!(x), 1)
#define unlikely(x)                     __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))
#define MUST_USE                        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a)               __attribute__((format(printf, f, a)))
#define NORETURN                        __attribute__((noreturn))
#define NOINLINE                        __attribute__((noinline))
#define COLD                            __attribute__((cold))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
