// SPDX-License-Identifier: Apache-2.0
// Landlock: which files the worker may touch, whatever their permissions say.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sanitize.h"
#include "main/sandbox.h"

#if defined(WEIR_ASAN) || defined(WEIR_TSAN)
bool sandbox_limit_files(const int *folders, unsigned n)
{
    (void)folders;
    (void)n;
    return true; // the sanitizers read /proc at their end
}
#else

// Rights that came with later kernels than the headers that we may be built with.
#define ACCESS_REFER     (UINT64_C(1) << 13)
#define ACCESS_TRUNCATE  (UINT64_C(1) << 14)
#define ACCESS_IOCTL_DEV (UINT64_C(1) << 15)

static const uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t never = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | ACCESS_IOCTL_DEV;

// What a worker has no business with. (A folder that the configuration names may lie there all the same.)
static bool is_closed(const char *name)
{
    static const char *const closed[] = {"etc", "root", "home", "proc", "sys", "dev", "run", "boot", "lost+found"};
    for (size_t i = 0; i < ARRAY_LEN(closed); i++)
        if (strcmp(name, closed[i]) == 0)
            return true;
    return false;
}

static uint64_t rights_of(long version)
{
    uint64_t all = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1; // the first version's are the bits up to this one
    return all | (version >= 2 ? ACCESS_REFER : 0) | (version >= 3 ? ACCESS_TRUNCATE : 0) | (version >= 5 ? ACCESS_IOCTL_DEV : 0);
}

static bool open_beneath(int rules, int folder, uint64_t rights)
{
    struct landlock_path_beneath_attr a = {.allowed_access = rights, .parent_fd = folder};
    return folder >= 0 && syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &a, 0) == 0;
}

static void open_path(int rules, int at, const char *path, uint64_t rights)
{
    int fd = openat(at, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    (void)open_beneath(rules, fd, rights); // what cannot be opened now stays closed
    if (fd >= 0)
        close(fd);
}

static bool open_the_rest(int rules, uint64_t rights)
{
    DIR *root = opendir("/");
    if (!root)
        return false;
    for (struct dirent *e; (e = readdir(root));)
        if (e->d_name[0] != '.' && !is_closed(e->d_name))
            open_path(rules, dirfd(root), e->d_name, rights);
    closedir(root);
    open_path(rules, AT_FDCWD, "/etc/ssl", rights & reading); // the system's certificate authorities
    open_path(rules, AT_FDCWD, "/etc/pki", rights & reading);
    return true;
}

bool sandbox_limit_files(const int *folders, unsigned n)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return true; // a kernel without: what files permit is what is left
    uint64_t all = rights_of(version), some = all & ~never;
    struct landlock_ruleset_attr attr = {.handled_access_fs = all};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    bool ok = rules >= 0 && open_the_rest(rules, some);
    for (unsigned i = 0; ok && i < n; i++)
        ok = open_beneath(rules, folders[i], some);
    ok = ok && syscall(SYS_landlock_restrict_self, rules, 0) == 0;
    if (!ok)
        fprintf(stderr, "weir: the worker cannot shut itself in: Landlock: %s\n", strerror(errno));
    if (rules >= 0)
        close(rules);
    return ok;
}
#endif
