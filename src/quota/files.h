// SPDX-License-Identifier: Apache-2.0
// SQLite's view of the folder: it knows files by paths, while a worker that has shut itself in can only go by
// the folder's descriptor.
#ifndef WEIR_QUOTA_FILES_H
#define WEIR_QUOTA_FILES_H

#include <stdint.h>
#include "base/macros.h"

/// From now on the last parts of the paths that SQLite opens, looks at and removes are names in this folder.
/// Before any database is open.
bool quota_files_in(int folder_fd);
/// Copies a file of the folder to another name there (at most limit_bytes), and removes it. False: it stayed.
bool quota_files_set_aside(int folder_fd, const char *name, const char *aside, uint64_t limit_bytes);

#endif
