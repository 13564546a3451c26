// SPDX-License-Identifier: Apache-2.0
#include "balance/budget.h"

static struct budget_slot *slot_now(struct budget *b, uint64_t now_ms)
{
    uint64_t second = now_ms / 1000 + 1; // 0: never used
    struct budget_slot *s = &b->slots[second % BUDGET_SLOTS];
    uint64_t seen = atomic_load_explicit(&s->second, memory_order_relaxed);
    // Whoever turns the slot over empties it; a request that another thread counts meanwhile may be lost.
    if (seen != second && atomic_compare_exchange_strong_explicit(&s->second, &seen, second, memory_order_relaxed, memory_order_relaxed)) {
        atomic_store_explicit(&s->requests, 0, memory_order_relaxed);
        atomic_store_explicit(&s->retries, 0, memory_order_relaxed);
    }
    return s;
}

void budget_note_request(struct budget *b, uint64_t now_ms)
{
    atomic_fetch_add_explicit(&slot_now(b, now_ms)->requests, 1, memory_order_relaxed);
}

bool budget_take(struct budget *b, unsigned share, uint64_t now_ms)
{
    struct budget_slot *now = slot_now(b, now_ms);
    uint64_t second = now_ms / 1000 + 1, requests = 0, retries = 1;
    for (unsigned i = 0; i < BUDGET_SLOTS; i++) {
        const struct budget_slot *s = &b->slots[i];
        uint64_t of = atomic_load_explicit(&s->second, memory_order_relaxed);
        if (of + BUDGET_SLOTS <= second || of > second)
            continue;
        requests += atomic_load_explicit(&s->requests, memory_order_relaxed);
        retries += atomic_load_explicit(&s->retries, memory_order_relaxed);
    }
    if (retries > BUDGET_START && retries * 10000 > requests * share)
        return false;
    atomic_fetch_add_explicit(&now->retries, 1, memory_order_relaxed);
    return true;
}
