// SPDX-License-Identifier: Apache-2.0
// Stackful fibers of one thread. A fiber runs straight-line code; where it must wait it calls an operation
// with a deadline and the loop runs others meanwhile. Fibers never move between threads. 64 KiB stacks with a
// guard page, pooled last in first out. x86-64 and aarch64 in assembly, ucontext elsewhere; annotated for
// AddressSanitizer and ThreadSanitizer.
#ifndef WEIR_IO_FIBER_H
#define WEIR_IO_FIBER_H

#include "base/err.h"

struct fiber;

/// Starts fn(arg) on a new fiber. From the loop it runs at once, until its first wait; from another fiber it
/// is queued and runs in the same turn of the loop. ret_fiber NULL: detached, its memory goes when fn
/// returns. Otherwise the caller must fiber_join it. ERR_NO_MEMORY when no stack can be had (fn is not called
/// then).
MUST_USE enum err fiber_start(void (*fn)(void *arg), void *arg, struct fiber **ret_fiber);
/// The fiber that runs now, or NULL on the loop itself.
struct fiber *fiber_self(void);
/// Waits (without deadline, not cancelable) until f has ended, then frees its memory.
void fiber_join(struct fiber *f);
/// Every wait of f, the current one and those to come, fails with e (for instance ERR_CANCELED). Calling it
/// again, or on an ended fiber that is not joined yet, does nothing.
void fiber_cancel(struct fiber *f, enum err e);
/// What f was canceled with, or ERR_OK.
enum err fiber_canceled(const struct fiber *f);
/// Takes back a cancellation of the calling fiber, for a cleanup that must wait.
void fiber_uncancel(void);
/// Waits until fiber_wake, the deadline (ERR_TIMEOUT) or cancellation (its error). A wake that came before
/// the park counts (one is remembered).
MUST_USE enum err fiber_park(uint64_t deadline);
/// Makes a parked fiber ready; same thread only. It runs later in this turn of the loop.
void fiber_wake(struct fiber *f);
/// While set, fn(arg) runs on the loop once in each wait of the calling fiber that lasts for seconds, where there are many fibers: it
/// may give memory back that nobody needs meanwhile. NULL ends it.
void fiber_on_long_wait(void (*fn)(void *arg), void *arg);
/// Lets every other ready fiber and the due events run first.
void fiber_yield(void);
/// Fibers of this thread that have not ended (leak tests, metrics).
unsigned fiber_live_count(void);
/// Waits ms milliseconds of the loop's clock; a cancellation ends it early with its error.
MUST_USE enum err fiber_sleep(uint64_t ms);

#endif
