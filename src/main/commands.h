// SPDX-License-Identifier: Apache-2.0
// The commands of the program (commands.tbl).
#ifndef WEIR_MAIN_COMMANDS_H
#define WEIR_MAIN_COMMANDS_H

#include "base/macros.h"

enum exit_status { EXIT_FINE = 0, EXIT_RUN_TIME = 1, EXIT_USAGE = 2 };

/// The program: argv[1] is the command. Returns the exit status.
int commands_main(int argc, char **argv);

// argv: what stands behind the command.
#define COMMAND(id, name, arguments, summary, more) int command_##id(int argc, char **argv);
#include "main/commands.tbl"
#undef COMMAND

#endif
