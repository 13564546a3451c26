// SPDX-License-Identifier: Apache-2.0
// The stack of a worker that crashes, or that the watchdog ends, in the log: its addresses, for `addr2line -e weir`.
#ifndef WEIR_MAIN_CRASH_H
#define WEIR_MAIN_CRASH_H

#include "base/macros.h"

/// Loads what walking a stack needs; before the process is shut in.
void crash_prepare(void);
/// From now on a fatal signal writes the stack of the thread that it hits to stderr, then ends the process as it would have.
void crash_catch(void);
/// A stack for the calling thread's handler, since its own may be what overflowed. NULL: the handler has to do with the thread's.
void *crash_stack_new(void);
/// Before the thread ends.
void crash_stack_free(void *stack);

#endif
