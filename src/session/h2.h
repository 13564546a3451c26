// SPDX-License-Identifier: Apache-2.0
// HTTP/2, as the session's owner sees it: what a thread keeps for it.
#ifndef WEIR_SESSION_H2_H
#define WEIR_SESSION_H2_H

/// Frees what this thread keeps for reuse (when no connection of HTTP/2 is left on it).
void h2_thread_fini(void);

#endif
