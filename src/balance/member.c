// SPDX-License-Identifier: Apache-2.0
#include "balance/member.h"

#include "base/mem.h"

enum { LATENCY_DECAY_MS = 10000 };

void member_set_flags(struct member *m, uint32_t set, uint32_t clear)
{
    if (clear)
        atomic_fetch_and_explicit(&m->flags, ~clear, memory_order_relaxed);
    if (set)
        atomic_fetch_or_explicit(&m->flags, set, memory_order_relaxed);
}

void member_free(struct member *m)
{
    queue_fini(&m->connecting);
    mem_free(m);
}

void member_leave(struct member *m)
{
    if (atomic_fetch_sub_explicit(&m->use, 1, memory_order_acq_rel) == 1)
        member_free(m); // whoever held it has taken it off its server already
}

// ---- Latency

void member_note_latency(struct member *m, uint64_t us, uint64_t now_ms)
{
    uint64_t old = member_latency_us(m, now_ms);
    uint64_t sample = MIN(us, (uint64_t)UINT32_MAX);
    if (sample < old) {
        // Where samples come often each counts for little, whatever their number: the weight is by time.
        uint64_t before = atomic_load_explicit(&m->latency, memory_order_relaxed);
        uint64_t dt = (uint32_t)now_ms - (uint32_t)before;
        uint64_t share = MAX(dt, (uint64_t)20); // at least 20 ms' worth: a single sample is seen
        sample = (old * LATENCY_DECAY_MS + sample * share) / (LATENCY_DECAY_MS + share);
    }
    // Two threads at once: one sample is lost, which a mean can bear.
    atomic_store_explicit(&m->latency, MAX(sample, (uint64_t)1) << 32 | (uint32_t)now_ms, memory_order_relaxed);
}

uint64_t member_latency_us(const struct member *m, uint64_t now_ms)
{
    uint64_t v = atomic_load_explicit(&m->latency, memory_order_relaxed);
    uint32_t dt = (uint32_t)now_ms - (uint32_t)v;
    if (dt > UINT32_MAX / 2)
        dt = 0; // another thread's clock is a turn ahead of ours
    return (v >> 32) * LATENCY_DECAY_MS / (LATENCY_DECAY_MS + dt);
}
