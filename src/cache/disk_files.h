// SPDX-License-Identifier: Apache-2.0
// The calls that the disk tier makes on its folder, and the seam at which tests cut, fill and damage it. They answer like the
// kernel's: 0 or more, or a negative errno (never EINTR). Called from any thread.
#ifndef WEIR_CACHE_DISK_FILES_H
#define WEIR_CACHE_DISK_FILES_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/macros.h"

enum { DISK_FILE_NAME_MAX = 32 };

struct disk_files {
    /// Makes this process the folder's only user, until it ends or unlock; -EAGAIN while another one is.
    int (*lock)(void *arg, int folder_fd);
    /// Calls fn with each name in the folder.
    int (*list)(void *arg, int folder_fd, void (*fn)(void *fn_arg, const char *name), void *fn_arg);
    /// For reading and writing; create: it must not exist yet.
    int (*open)(void *arg, int folder_fd, const char *name, bool create);
    int (*remove)(void *arg, int folder_fd, const char *name);
    void (*close)(void *arg, int fd);
    int64_t (*size)(void *arg, int fd);
    /// Changes whenever the file's bytes may have changed.
    int64_t (*stamp)(void *arg, int fd);
    int64_t (*read)(void *arg, int fd, void *buf, size_t n, uint64_t offset);
    /// Only what needs no wait for the disk; -EAGAIN otherwise.
    int64_t (*read_now)(void *arg, int fd, void *buf, size_t n, uint64_t offset);
    int64_t (*write)(void *arg, int fd, const struct iovec *iov, unsigned n_iov, uint64_t offset);
    int (*truncate)(void *arg, int fd, uint64_t size);
    int (*sync)(void *arg, int fd);
    bool sendable; // its descriptors are the system's, so that sendfile may have them
};
extern const struct disk_files disk_files_system;

#endif
