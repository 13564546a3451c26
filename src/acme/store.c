// SPDX-License-Identifier: Apache-2.0
#include "acme/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20 };

bool store_read(int folder, struct arena *a, struct span name, struct span *ret)
{
    char *path = arena_cstr(a, name), *p = NULL;
    int fd = path ? openat(folder, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    struct stat st;
    size_t n = 0;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= FILE_MAX)
        p = arena_bytes(a, (size_t)st.st_size + 1);
    while (p && n < (size_t)st.st_size) {
        ssize_t r = read(fd, p + n, (size_t)st.st_size - n);
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    if (fd >= 0)
        close(fd);
    if (p)
        *ret = span_of(p, n);
    return p != NULL;
}

static bool write_all(int fd, struct span s)
{
    while (s.len) {
        ssize_t n = write(fd, s.ptr, s.len);
        if (n <= 0)
            return false;
        s = span_skip(s, (size_t)n);
    }
    return true;
}

bool store_write(int folder, struct arena *a, struct span name, struct span content)
{
    char *path = arena_cstr(a, name), *fresh = arena_cstr(a, arena_printf(a, "%.*s.new", SPAN_ARG(name)));
    if (!path || !fresh)
        return false;
    (void)unlinkat(folder, fresh, 0); // of a process that was ended in the middle
    int fd = openat(folder, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = fd >= 0 && write_all(fd, content) && fdatasync(fd) == 0;
    if (fd >= 0)
        ok &= close(fd) == 0;
    ok = ok && renameat(folder, fresh, folder, path) == 0;
    if (!ok && fd >= 0)
        (void)unlinkat(folder, fresh, 0);
    return ok;
}
