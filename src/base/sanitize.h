// SPDX-License-Identifier: Apache-2.0
// What the sanitizers are to be told, and nothing where they are off.
#ifndef WEIR_BASE_SANITIZE_H
#define WEIR_BASE_SANITIZE_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define WEIR_TSAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define WEIR_ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#define WEIR_TSAN 1
#endif

#ifdef WEIR_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#endif
