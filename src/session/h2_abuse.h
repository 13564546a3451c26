// SPDX-License-Identifier: Apache-2.0
// Within the room: what a peer does that is lawful once and an attack a thousand times. Each such thing is a glitch; a connection that
// makes too many in a while is ended. A stream that is reset, by the peer or because of what it sent, is one too.
#ifndef WEIR_SESSION_H2_ABUSE_H
#define WEIR_SESSION_H2_ABUSE_H

#include "session/h2_link.h"

enum {
    H2_GLITCHES_MAX = 100, // within
    H2_GLITCH_WINDOW_MS = 10 * 1000,
};

struct h2_abuse {
    uint32_t window_updates, priorities; // allowance left
    uint32_t pings;                      // since content or a head came
};

void h2_abuse_init(struct h2_abuse *a);
/// n glitches. True: the connection is to be ended (l->end_code is set; callbacks of nghttp2 give NGHTTP2_ERR_CALLBACK_FAILURE then).
bool h2_glitch(struct h2_link *l, unsigned n);
/// A frame's head has come. True: as above.
bool h2_abuse_frame(struct h2_link *l, struct h2_abuse *a, const nghttp2_frame_hd *hd);
/// A stream was opened, or a frame of content sent: each allows for some frames about it.
void h2_abuse_stream(struct h2_abuse *a);
void h2_abuse_sent(struct h2_abuse *a);

#endif
