// SPDX-License-Identifier: Apache-2.0
// What the worker gives up before the first byte from outside.
#ifndef WEIR_MAIN_SANDBOX_H
#define WEIR_MAIN_SANDBOX_H

#include "base/macros.h"

enum { SANDBOX_USER = 65534 }; // nobody: whom the worker runs as where the supervisor is root

/// No root, no capabilities, no new privileges, not dumpable. False with a sentence on stderr.
bool sandbox_drop_privileges(void);
/// Only files that a worker has business with: not those of the system's configuration, of users and of the kernel, unless they are
/// beneath one of these folders (descriptors of n); and nothing to execute. Where the kernel has Landlock; behind sandbox_drop_privileges.
bool sandbox_limit_files(const int *folders, unsigned n);
/// Only the system calls that serving needs, for all threads to come. Nothing in builds with sanitizers.
bool sandbox_limit_calls(void);
/// The same for the process that gets certificates, which also puts files in the place of others.
bool sandbox_limit_helper_calls(void);

#endif
