// SPDX-License-Identifier: Apache-2.0
// Within the room: how much the other side may send ahead of us. A window begins small, and grows while what arrives within a round
// trip fills most of it; where the thread holds much already, it begins and stays small.
#ifndef WEIR_SESSION_H2_WINDOW_H
#define WEIR_SESSION_H2_WINDOW_H

#include "session/h2_link.h"

enum {
    H2_WINDOW_STREAM_BYTES = 64 * 1024,       // of a stream at first
    H2_WINDOW_BYTES = 256 * 1024,             // of the connection at first
    H2_WINDOW_STREAM_MAX_BYTES = 1024 * 1024, // where it has grown
    H2_WINDOW_MAX_BYTES = 4 * 1024 * 1024,
};

/// Sets the connection's window; once, with the first SETTINGS. eager: one stream whose content nobody takes must not hold up the others.
void h2_window_begin(struct h2_link *l, bool eager);
/// n bytes of content have come and wait for a reader.
void h2_window_came(struct h2_link *l, int32_t id, size_t n);
/// n bytes that came are no longer kept (id 0: their stream is gone).
void h2_window_took(struct h2_link *l, int32_t id, size_t n);
/// The answer to a PING of ours. False: it is none of this file's.
bool h2_window_pong(struct h2_link *l, const uint8_t opaque[8]);

#endif
