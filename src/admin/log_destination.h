// SPDX-License-Identifier: Apache-2.0
// Where the lines of a log go: a stream that takes them as they are (a file, a terminal, a pipe), or a
// collector of the system's that takes one datagram for each: syslog (RFC 5424, over UDP by RFC 5426 or a
// socket of this machine) or journald (its native protocol). The descriptor alone tells which, so that it can
// be handed from process to process.
#ifndef WEIR_ADMIN_LOG_DESTINATION_H
#define WEIR_ADMIN_LOG_DESTINATION_H

#include "base/span.h"

enum { LOG_DESTINATION_ERROR_MAX = 160 };

/// Whether the name is one of the system's: stdout, stderr, journald, syslog, syslog:PATH,
/// syslog:ADDRESS:PORT. Others are files.
bool log_destination_is_known(struct span name);
/// Opens a destination: one of those, or a file's path (made with mode 0640, appended to). Before privileges
/// go. -1 with errno.
int log_destination_open(const char *name);
/// Writes whole lines, each with its newline; gives how many of them were lost. By one thread.
unsigned log_destination_write(int fd, struct span lines);

#endif
