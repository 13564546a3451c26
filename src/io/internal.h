// SPDX-License-Identifier: Apache-2.0
// What the files of this room share and nobody else includes.
#ifndef WEIR_IO_INTERNAL_H
#define WEIR_IO_INTERNAL_H

#include <stdatomic.h>

#include "base/sanitize.h"
#include "io/io.h"
#include "io/sys.h"

// ---- Timer wheel (timer.c)

enum { WHEEL_BITS = 6, WHEEL_SLOTS = 1 << WHEEL_BITS, WHEEL_LEVELS = 11 };

/// A timer hangs in the level of the highest base-64 digit in which its time differs from now, in the slot of
/// that digit. Slots are visited in order of time; one of a higher level is spread over the lower ones when
/// its time comes.
struct wheel {
    uint64_t now;
    uint64_t used[WHEEL_LEVELS]; // a bit for each slot that may hold timers
    struct list slot[WHEEL_LEVELS][WHEEL_SLOTS];
    struct list past; // were due when they were set
};
void wheel_init(struct wheel *w, uint64_t now);
void wheel_set(struct wheel *w, struct timer *t, uint64_t due_ms);
/// Moves everything due at `to` or before to the end of out, in order of time.
void wheel_advance(struct wheel *w, uint64_t to, struct list *out);
/// A time at or before the first timer's; UINT64_MAX when none is set. Where it is before, advancing to it
/// brings it nearer.
uint64_t wheel_next(struct wheel *w);

// ---- Stacks (stack.c)

struct fiber_stack {
    char *low; // first usable byte, above the guard
    char *top; // staggered over cache sets; 64-byte aligned
};
enum {
#if defined(WEIR_ASAN) || defined(WEIR_TSAN)
    FIBER_STACK_BYTES = 256 * 1024, // instrumented frames are several times larger
#else
    FIBER_STACK_BYTES = 64 * 1024,
#endif
    FIBER_STACKS_KEPT = 512,
};
struct stack_pool {
    struct stack_free *first; // last in, first out
    unsigned n, next_color;
};
MUST_USE bool stack_take(struct stack_pool *p, struct fiber_stack *ret);
void stack_give(struct stack_pool *p, struct fiber_stack s);
void stack_pool_fini(struct stack_pool *p);

// ---- Fibers (fiber.c, fiber_*.S, fiber_ucontext.c)

#if defined(__x86_64__) || defined(__aarch64__)
#ifndef WEIR_FIBER_UCONTEXT
#define WEIR_FIBER_ASM 1
#endif
#endif

/// Saves the running context in *save and continues `to`.
void fiber_switch(void **save, void *to);
/// A context that calls fiber_main(arg) on the stack [low, top); NULL when memory is out (never in assembly).
void *fiber_context(char *low, char *top, void *arg);
/// Room for the context of the calling thread itself; false when memory is out (never in assembly).
bool fiber_context_here(void **ret);
/// The stack pointer of a context that waits; NULL where it cannot be told (ucontext).
char *fiber_context_stack(void *context);
/// Ends a context that will not run again.
void fiber_context_free(void *context);
NORETURN void fiber_main(void *arg);

enum fiber_state { FIBER_READY, FIBER_RUNNING, FIBER_PARKED, FIBER_WAITING, FIBER_ENDED };

/// Lives at the top of its own stack.
struct fiber {
    void *context;
    struct list node; // in the loop's ready or yielded queue
    struct timer deadline;
    uint8_t state;   // enum fiber_state
    bool token;      // a wake that nobody waited for
    bool cancelable; // the present wait is
    bool joinable;
    bool spared;       // from the simulator's failures
    uint8_t busy;      // operations since it last let others run; while it waits: when it was seen to (trim.c)
    enum err result;   // of the wait
    enum err canceled; // ERR_OK: not
    void (*fn)(void *arg);
    void *arg;
    void (*on_long_wait)(void *arg);
    void *long_wait_arg;
    struct fiber *joiner;
    struct fiber_stack stack;
    void *asan_fake, *tsan;
    unsigned valgrind_id;
};

/// Waits until fiber_end_wait, the deadline or (where cancelable) a cancellation. fiber_wake does not end it.
MUST_USE enum err fiber_wait(uint64_t deadline, bool cancelable);
/// Ends f's fiber_wait with e and runs f later in this turn; nothing where f does not wait any more.
void fiber_end_wait(struct fiber *f, enum err e);
/// The same, but runs f now where the loop itself is running. The last thing that a caller does: f may free
/// anything.
void fiber_end_wait_now(struct fiber *f, enum err e);
/// Runs the ready fibers, and those that they make ready.
void fiber_run_ready(struct loop *l);

// ---- The loop (loop.c, helpers.c)

enum { LOOP_EVENTS_MAX = 256, LOOP_RANDOM_BYTES = 4096 };

struct loop { // NOLINT(clang-analyzer-optin.performance.Padding): by use
    // Hot
    uint64_t now_ms;
    struct fiber *current;
    struct list ready, yielded, tasks;
    void *context;   // of the loop itself while a fiber runs
    struct io **ios; // by descriptor
    uint32_t n_ios;
    uint32_t next_gen;
    int poll_fd, wake_fd;
    bool stopping;
    unsigned live_fibers, live_ios;
    _Atomic uint64_t turns;
    _Atomic uint64_t *beat, own_beat; // where fibers that run are counted
    uint64_t wall_ms, wall_turn; // wall_ms was read in turn wall_turn
    struct stack_pool stacks;
    struct io_pipe *pipes;
    unsigned n_pipes;
    struct timer *urgent;
    bool full;           // since loop_queue_ms was asked last more events waited than were handled at once
    bool marked;         // a mark is on its way through the poller's queue
    uint64_t mark_ms, queue_ms; // since when; how long the last one took, where nobody was told yet
    struct timer trim;  // trim.c
    uint32_t trim_at;   // the descriptor that it goes on with
    uint8_t trim_round;
    void *asan_fake, *tsan;
    const void *asan_low;
    size_t asan_size;
    // Touched by other threads, on cache lines of its own
    char apart_before[64];
    _Atomic(struct loop_msg *) posted; // newest first
    _Atomic uint32_t posting;          // threads inside loop_post
    char apart_after[64];
    // Cold
    struct wheel wheel;
    struct epoll_event events[LOOP_EVENTS_MAX];
    unsigned random_left;
    unsigned char random[LOOP_RANDOM_BYTES];
};

extern _Thread_local struct loop *loop_current __attribute__((tls_model("initial-exec")));

// ---- Stacks of those that wait for long (trim.c)

void trim_init(struct loop *l);
/// There are more fibers than there were: from now on those that wait for long are looked for, until there are few.
void trim_begin(struct loop *l);

// ---- Descriptors (io.c, io_bulk.c)

// Further bits of struct io's state.
enum {
    IO_ERRORED = 16,      // broken by an error: the end of the stream is no orderly one
    IO_SHUT = 32,         // we have ended our direction
    IO_NODELAY_SET = 64,  // a listener that had TCP_NODELAY set, which connections inherit from then on
    IO_NODELAY_ALL = 128, // all connections that were waiting before that are accepted
};

static inline void loop_count_beat(struct loop *l)
{
    atomic_store_explicit(l->beat, atomic_load_explicit(l->beat, memory_order_relaxed) + 1, memory_order_relaxed);
}

/// An event of the poller. io may be gone when it returns.
void io_event(struct io *io, uint32_t events);
/// The error for a failed call on io's descriptor; notes in the state what it says about the connection.
enum err io_call_failed(struct io *io, int64_t negative_errno);
/// What the end of the stream means: ERR_EOF, or ERR_RESET where the connection broke.
enum err io_end(struct io *io);
/// Closes the pooled pipes.
void io_pipes_fini(struct loop *l);

/// After many operations that did not wait, lets the others run.
static inline void fiber_fair(void)
{
    enum { OPERATIONS = 64 };
    struct fiber *f = loop_current->current;
    if (unlikely(f && ++f->busy >= OPERATIONS))
        fiber_yield();
}

static inline void list_take_all(struct list *from, struct list *to)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
