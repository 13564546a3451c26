// SPDX-License-Identifier: Apache-2.0
#include "quota/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/span.h"

static int folder = -1;

// A path of ours is `/NAME`; `/` is the folder itself.
static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    return *name ? name : ".";
}

// ---- In place of the calls of libc, which SQLite lets one set by name

static int our_open(const char *path, int flags, int mode)
{
    return openat(folder, name_of(path), flags | O_NOFOLLOW | O_CLOEXEC, mode & 0600);
}

static int our_access(const char *path, int how)
{
    struct stat st;
    (void)how; // the folder is ours, and so is what is in it
    return fstatat(folder, name_of(path), &st, AT_SYMLINK_NOFOLLOW);
}

static int our_stat(const char *path, struct stat *st)
{
    return fstatat(folder, name_of(path), st, AT_SYMLINK_NOFOLLOW);
}

static int our_unlink(const char *path)
{
    return unlinkat(folder, name_of(path), 0);
}

static ssize_t our_readlink(const char *path, char *buf, size_t n)
{
    (void)path, (void)buf, (void)n;
    errno = EINVAL; // nothing here is a link
    return -1;
}

bool quota_files_in(int folder_fd)
{
    static const struct {
        const char *name;
        sqlite3_syscall_ptr call;
    } calls[] = {
        {"open", (sqlite3_syscall_ptr)our_open},     {"access", (sqlite3_syscall_ptr)our_access},
        {"stat", (sqlite3_syscall_ptr)our_stat},     {"lstat", (sqlite3_syscall_ptr)our_stat},
        {"unlink", (sqlite3_syscall_ptr)our_unlink}, {"readlink", (sqlite3_syscall_ptr)our_readlink},
    };
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    folder = folder_fd;
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        if (!vfs || !vfs->xSetSystemCall ||
            vfs->xSetSystemCall(vfs, calls[i].name, calls[i].call) != SQLITE_OK)
            return false;
    return true;
}

// ---- Setting aside

static bool copy(int from, int to, uint64_t limit)
{
    char buf[16384];
    for (uint64_t n = 0; n < limit;) {
        ssize_t r = read(from, buf, sizeof buf);
        if (r <= 0)
            return r == 0;
        if (write(to, buf, (size_t)r) != r)
            return false;
        n += (uint64_t)r;
    }
    return true;
}

bool quota_files_set_aside(int folder_fd, const char *name, const char *aside, uint64_t limit_bytes)
{
    int from = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0)
        return errno == ENOENT;
    int to = openat(folder_fd, aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = to >= 0 && copy(from, to, limit_bytes);
    close(from);
    if (to >= 0)
        close(to);
    // A disk that is full of it is no reason to keep a database that nobody can use.
    return unlinkat(folder_fd, name, 0) == 0 && ok;
}
