// SPDX-License-Identifier: Apache-2.0
// The control socket: one line with a command, answered by a line with the exit status and then text.
#ifndef WEIR_MAIN_CONTROL_H
#define WEIR_MAIN_CONTROL_H

#include "conf/conf.h"

enum { CONTROL_COMMAND_MAX = 4000 };

/// The path of the `admin` statement, relative ones from the configuration's folder; NULL where there is none.
const char *control_path(const struct conf *c, struct arena *a);
/// Opens the socket (mode 0600; its folder is made); -1 with a sentence on stderr.
int control_listen(const char *path);
/// A connection to the weir behind a socket, or -1.
int control_dial(const char *path);
/// Asks the weir behind a socket and prints its answer, line by line as it comes; gives the exit status (1 where nobody listens).
int control_ask(const char *path, const char *command);
/// The same, but the answer is read in the arena: NULL with a sentence on stderr where nobody listens; *ret_status is the command's.
const char *control_fetch(const char *path, const char *command, struct arena *a, int *ret_status);

enum { CONTROL_NO_STATUS = -1 };
/// Answers a command's connection and closes it. CONTROL_NO_STATUS: the beginning of the answer is written already. Waits at most as
/// long as the socket's own time limit.
void control_answer(int fd, int status, struct span text);

#endif
