// SPDX-License-Identifier: Apache-2.0
#include "session/h2_pressure.h"

enum {
    ALLOWANCE_BYTES = 48 * 1024 * 1024, // of a thread
    STREAM_BYTES = 24 * 1024,           // what a stream holds beside its content: an arena, a chunk that is not full, perhaps a stack
    MOVED_MIN_BYTES = 1024,             // less than this is no taking: a window that is opened by an octet now and then stays shut
};

static _Thread_local uint64_t waiting;

void h2_pressure_add(struct h2_link *l, size_t bytes, bool first)
{
    if (!l->counted)
        return;
    waiting += bytes + (first ? STREAM_BYTES : 0);
    if (first && l->standing++ == 0) {
        l->moved_ms = loop_now_ms();
        l->moved_bytes = 0;
    }
}

void h2_pressure_drop(struct h2_link *l, size_t bytes, bool last)
{
    if (!l->counted)
        return;
    uint64_t n = bytes + (last ? STREAM_BYTES : 0);
    waiting -= MIN(waiting, n);
    if (last)
        l->standing--;
}

void h2_pressure_moved(struct h2_link *l, size_t bytes)
{
    l->moved_bytes += bytes;
    if (l->moved_bytes >= MOVED_MIN_BYTES) {
        l->moved_ms = loop_now_ms();
        l->moved_bytes = 0;
    }
}

bool h2_pressure_is_high(void)
{
    return waiting > ALLOWANCE_BYTES;
}
