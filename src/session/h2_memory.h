// SPDX-License-Identifier: Apache-2.0
// Within the room: where nghttp2 gets its memory from. A request costs it some ten small blocks, so the thread keeps those for reuse.
#ifndef WEIR_SESSION_H2_MEMORY_H
#define WEIR_SESSION_H2_MEMORY_H

#include <nghttp2/nghttp2.h>

/// For nghttp2_session_server_new3 and its kin. What a session has must be freed on the thread that it belongs to.
nghttp2_mem *h2_memory(void);

#endif
