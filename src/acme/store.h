// SPDX-License-Identifier: Apache-2.0
// Within the room: files of the folder, each whole or not there, mode 0600.
#ifndef WEIR_ACME_STORE_H
#define WEIR_ACME_STORE_H

#include "base/arena.h"

/// False where it cannot be read.
bool store_read(int folder, struct arena *a, struct span name, struct span *ret);
bool store_write(int folder, struct arena *a, struct span name, struct span content);

#endif
