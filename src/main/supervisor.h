// SPDX-License-Identifier: Apache-2.0
// The supervisor: reads configurations, owns the listeners, keeps a worker running. Single-threaded; parses nothing from the network.
#ifndef WEIR_MAIN_SUPERVISOR_H
#define WEIR_MAIN_SUPERVISOR_H

#include "base/span.h"

/// Serves until it is told to end. file: the configuration; or text (file NULL). Exit status.
int supervisor_run(const char *file, struct span text);

#endif
