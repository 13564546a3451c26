// SPDX-License-Identifier: Apache-2.0
// Logs that never hold a loop up: threads queue lines, one writer thread writes them. What does not fit is
// dropped and counted.
#ifndef WEIR_ADMIN_LOG_H
#define WEIR_ADMIN_LOG_H

#include "base/span.h"

enum { LOG_LINE_MAX = 16 * 1024, LOG_QUEUE_MAX_BYTES = 4 << 20 };

/// Starts the writer thread for the access log on this descriptor (it stays the caller's). False when that
/// failed.
bool log_start(int access_fd);
/// Writes what is queued and ends the thread.
void log_stop(void);
/// Queues one line (with its newline). Any thread.
void log_access(struct span line);
/// From now on lines go to this descriptor (a file opened anew).
void log_set_fd(int access_fd);

/// Test seam: lines go to sink at once and nowhere else; NULL: to the writer again. Set it before threads
/// start.
void log_sink_set(void (*sink)(void *arg, struct span line), void *arg);

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
void log_set_level(enum log_level level);
/// One line on stderr, at once; for rare things.
void log_error(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
