// SPDX-License-Identifier: Apache-2.0
// The event loop of one thread: its clock, its timers, messages from other threads, and the turn that runs
// fibers.
#ifndef WEIR_IO_LOOP_H
#define WEIR_IO_LOOP_H

#include <stdatomic.h>

#include "base/err.h"
#include "base/list.h"

struct loop;
struct timer;

/// Makes the calling thread's loop; loop_self() is it from now on.
MUST_USE enum err loop_new(struct loop **ret);
/// Ends the thread's loop; no descriptor may be registered and no fiber alive. Frees the thread's stacks,
/// chunks and arena blocks too.
void loop_free(struct loop *l);
struct loop *loop_self(void);
/// Runs turns until loop_stop (from this thread). A turn: events (whose fibers run at once), due timers,
/// posted messages, ready fibers. Events go first, so that what arrived in time is no timeout. In the
/// simulator it also ends when nothing can ever happen again. SIGPIPE is ignored from loop_new on.
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/// Runs turns until pred(arg) is true or nothing can ever happen again (only the simulator can know that;
/// false then).
bool loop_run_until(struct loop *l, bool (*pred)(void *arg), void *arg);

/// Monotonic time of this turn in milliseconds; deadlines are in it. Read once a turn.
uint64_t loop_now_ms(void);
/// The same in microseconds, and read afresh (for phase timings).
uint64_t loop_clock_us(void);
/// Processor time that the calling thread has had, in microseconds.
uint64_t loop_cpu_us(void);
/// Wall time of this turn: milliseconds since 1970.
uint64_t loop_wall_ms(void);
/// n random bytes from the kernel (the simulator's seed there).
void loop_random(void *out, size_t n);
/// Turns so far, readable from any thread: a watchdog's heartbeat.
uint64_t loop_turns(const struct loop *l);

/// How long what is handled now has waited in the poller's queue, in milliseconds, where more waits there than a turn takes; 0 where
/// all is handled as it comes. Found by a mark that goes through the queue: ask at regular times.
uint64_t loop_queue_ms(void);

/// This timer also fires between the events of a turn that takes long (NULL: none does); others wait for its end, since what arrived in
/// time is no timeout.
void loop_set_urgent(struct timer *t);

/// Counts up at *beat with every fiber that runs, so that a loop with much to do is not taken for one that hangs; for a quiet one
/// the owner calls loop_beat now and then. *beat must outlive the loop.
void loop_beat_at(struct loop *l, _Atomic uint64_t *beat);
void loop_beat(struct loop *l);

#define DEADLINE_NONE UINT64_MAX
/// ms from now; UINT64_MAX or 0 ms mean no deadline.
static inline uint64_t deadline_in(uint64_t ms)
{
    return ms == 0 || ms == UINT64_MAX ? DEADLINE_NONE : loop_now_ms() + ms;
}

/// A one-shot timer, embedded in what it belongs to. Setting and cancelling are O(1).
struct timer {
    struct list node;
    uint64_t due_ms;
    void (*fn)(struct timer *t); // on the loop, not on a fiber
};
void timer_init(struct timer *t, void (*fn)(struct timer *t));
/// Sets or moves it. A time in the past fires in the next turn.
void timer_set(struct timer *t, uint64_t due_ms);
/// Does nothing to a timer that is not set.
void timer_cancel(struct timer *t);
static inline bool timer_is_set(const struct timer *t)
{
    return !list_empty(&t->node);
}

/// Something to do once this turn's events and fibers have run (to send what they produced in one go), embedded in what it belongs to.
/// fn runs on the loop, not on a fiber, and may free the task or set it again.
struct loop_task {
    struct list node;
    void (*fn)(struct loop_task *k);
};
static inline void loop_task_init(struct loop_task *k, void (*fn)(struct loop_task *k))
{
    list_init(&k->node);
    k->fn = fn;
}
/// Nothing where it is set already. From the loop's thread.
void loop_task_set(struct loop_task *k);
static inline void loop_task_cancel(struct loop_task *k)
{
    list_remove(&k->node);
}
static inline bool loop_task_is_set(const struct loop_task *k)
{
    return !list_empty(&k->node);
}

/// A message to a loop, from any thread; owned by the sender until fn runs on the receiving loop.
struct loop_msg {
    struct loop_msg *next;
    void (*fn)(struct loop_msg *m);
};
void loop_post(struct loop *l, struct loop_msg *m);

/// Runs fn(arg) on a helper thread and waits for its end (not cancelable, so arg may be on the stack). For
/// what blocks: files, password hashes. ERR_NO_MEMORY where it cannot be queued, or no helper thread was
/// started. In the simulator fn runs inline after a simulated delay.
MUST_USE enum err loop_offload(void (*fn)(void *arg), void *arg);
/// Starts n helper threads for all loops of the process (idempotent), and ends them.
MUST_USE enum err loop_helpers_start(unsigned n);
void loop_helpers_stop(void);

#endif
