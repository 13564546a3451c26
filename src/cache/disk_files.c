// SPDX-License-Identifier: Apache-2.0
#include "cache/disk_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

// Repeats a call that a signal interrupted and turns -1 into the negative errno.
#define ANSWER(call)                                                                                         \
    ({                                                                                                       \
        int64_t answer_;                                                                                     \
        do {                                                                                                 \
            answer_ = (call);                                                                                \
        } while (answer_ < 0 && errno == EINTR);                                                             \
        answer_ < 0 ? -(int64_t)errno : answer_;                                                             \
    })

// The descriptor is the lock: it goes with the process, however that ends.
static int system_lock(void *arg, int folder_fd)
{
    (void)arg;
    int fd = (int)ANSWER(openat(folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd < 0)
        return fd;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int r = (int)ANSWER(fcntl(fd, F_OFD_SETLK, &whole));
    if (r >= 0)
        return fd;
    close(fd);
    return r == -EACCES ? -EAGAIN : r;
}

static int system_list(void *arg, int folder_fd, void (*fn)(void *fn_arg, const char *name), void *fn_arg)
{
    (void)arg;
    int fd = (int)ANSWER(openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd < 0)
        return fd;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return -ENOMEM;
    }
    for (struct dirent *e; (e = readdir(dir));)
        fn(fn_arg, e->d_name);
    closedir(dir);
    return 0;
}

static int system_open(void *arg, int folder_fd, const char *name, bool create)
{
    (void)arg;
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (create ? O_CREAT | O_EXCL : 0);
    int fd = (int)ANSWER(openat(folder_fd, name, flags, 0600));
    struct stat st;
    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
        return fd;
    close(fd);
    return -EINVAL;
}

static int system_remove(void *arg, int folder_fd, const char *name)
{
    (void)arg;
    return (int)ANSWER(unlinkat(folder_fd, name, 0));
}

static void system_close(void *arg, int fd)
{
    (void)arg;
    close(fd);
}

static int64_t system_size(void *arg, int fd)
{
    struct stat st;
    (void)arg;
    return fstat(fd, &st) ? -(int64_t)errno : st.st_size;
}

static int64_t system_stamp(void *arg, int fd)
{
    struct stat st;
    (void)arg;
    if (fstat(fd, &st))
        return -(int64_t)errno;
    // The change time cannot be set back by a program as the modification time can.
    return (int64_t)(((uint64_t)st.st_ctim.tv_sec << 30 ^ (uint64_t)st.st_ctim.tv_nsec ^ (uint64_t)st.st_size << 40) & INT64_MAX);
}

static int64_t system_read(void *arg, int fd, void *buf, size_t n, uint64_t offset)
{
    (void)arg;
    return ANSWER(pread(fd, buf, n, (off_t)offset));
}

// A file system that is memory knows no RWF_NOWAIT, but there is nothing to wait for either.
static bool is_memory(int fd)
{
    struct statfs s;
    return fstatfs(fd, &s) == 0 && (s.f_type == TMPFS_MAGIC || s.f_type == RAMFS_MAGIC);
}

static int64_t system_read_now(void *arg, int fd, void *buf, size_t n, uint64_t offset)
{
    struct iovec v = {buf, n};
    int64_t r = ANSWER(preadv2(fd, &v, 1, (off_t)offset, RWF_NOWAIT));
    if (r == -EOPNOTSUPP && is_memory(fd))
        return system_read(arg, fd, buf, n, offset);
    return r == -EOPNOTSUPP || r == -ENOSYS || r == -EINVAL ? -EAGAIN : r;
}

static int64_t system_write(void *arg, int fd, const struct iovec *iov, unsigned n_iov, uint64_t offset)
{
    (void)arg;
    return ANSWER(pwritev(fd, iov, (int)n_iov, (off_t)offset));
}

static int system_truncate(void *arg, int fd, uint64_t size)
{
    (void)arg;
    return (int)ANSWER(ftruncate(fd, (off_t)size));
}

static int system_sync(void *arg, int fd)
{
    (void)arg;
    return (int)ANSWER(fdatasync(fd));
}

const struct disk_files disk_files_system = {
    .lock = system_lock,
    .list = system_list,
    .open = system_open,
    .remove = system_remove,
    .close = system_close,
    .size = system_size,
    .stamp = system_stamp,
    .read = system_read,
    .read_now = system_read_now,
    .write = system_write,
    .truncate = system_truncate,
    .sync = system_sync,
    .sendable = true,
};
