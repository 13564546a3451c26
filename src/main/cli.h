// SPDX-License-Identifier: Apache-2.0
// The command line.
#ifndef WEIR_MAIN_CLI_H
#define WEIR_MAIN_CLI_H

/// Exit status: 0 fine, 1 a run-time failure, 2 bad usage or configuration.
int cli_main(int argc, char **argv);

#endif
