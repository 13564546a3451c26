// SPDX-License-Identifier: Apache-2.0
// Within the room: what clients cost that ask and do not take the answers. A window that is never opened is lawful, so it is no glitch;
// but what waits for it over all connections of a thread is bounded: whoever has taken nothing for the longest time is ended first.
#ifndef WEIR_SESSION_H2_PRESSURE_H
#define WEIR_SESSION_H2_PRESSURE_H

#include "session/h2_link.h"

/// bytes of content begin (or go on) to wait on a stream; first: none did before. Counts where l->counted.
void h2_pressure_add(struct h2_link *l, size_t bytes, bool first);
/// They do no longer; last: none does.
void h2_pressure_drop(struct h2_link *l, size_t bytes, bool last);
/// Content has gone out: the other side takes it.
void h2_pressure_moved(struct h2_link *l, size_t bytes);
/// Whether too much waits on this thread.
bool h2_pressure_is_high(void);

#endif
