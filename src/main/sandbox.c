// SPDX-License-Identifier: Apache-2.0
#include "main/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sanitize.h"

static bool failed(const char *what)
{
    fprintf(stderr, "weir: the worker cannot shut itself in: %s: %s\n", what, strerror(errno));
    return false;
}

bool sandbox_drop_privileges(void)
{
    if (geteuid() == 0) {
        if (setgroups(0, NULL) || setresgid(SANDBOX_USER, SANDBOX_USER, SANDBOX_USER) || setresuid(SANDBOX_USER, SANDBOX_USER, SANDBOX_USER))
            return failed("changing the user");
    }
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {{0, 0, 0}, {0, 0, 0}};
    if (syscall(SYS_capset, &h, d))
        return failed("giving up capabilities");
    // The kernel forgets this one whenever a process changes its user: again, then.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
        return failed("ending with the supervisor");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return failed("no new privileges");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        return failed("not dumpable");
    return true;
}

#if defined(WEIR_ASAN) || defined(WEIR_TSAN) || defined(WEIR_VALGRIND)
bool sandbox_limit_calls(void)
{
    return true; // the sanitizers and valgrind need more than a proxy may have
}

bool sandbox_limit_helper_calls(void)
{
    return true;
}
#else

static const int allowed[] = {
    // waiting and sockets (socket itself: below)
    SYS_epoll_create1, SYS_epoll_pwait, SYS_epoll_ctl, SYS_eventfd2, SYS_recvfrom, SYS_sendto, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg,
    SYS_recvmmsg, SYS_accept4, SYS_bind, SYS_connect, SYS_shutdown, SYS_close, SYS_getsockopt, SYS_setsockopt, SYS_getsockname,
    SYS_getpeername, SYS_socketpair, SYS_pipe2, SYS_fcntl, SYS_splice, SYS_sendfile, SYS_ppoll, SYS_ioctl,
    // files
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_preadv2, SYS_lseek, SYS_openat, SYS_openat2, SYS_fstat, SYS_newfstatat, SYS_fstatfs,
    SYS_statx, SYS_getdents64, SYS_dup, SYS_dup3, SYS_faccessat, SYS_readlinkat,
    // of the cache's folder, and of the quotas'
    SYS_pwritev, SYS_ftruncate, SYS_unlinkat, SYS_fdatasync, SYS_pwrite64, SYS_fsync,
    // memory, threads, time
    SYS_mmap, SYS_munmap, SYS_mprotect, SYS_madvise, SYS_mremap, SYS_brk, SYS_futex, SYS_sched_yield, SYS_sched_getaffinity, SYS_getrandom,
    SYS_clock_gettime, SYS_clock_nanosleep, SYS_nanosleep, SYS_set_robust_list, SYS_rseq, SYS_set_tid_address,
    SYS_exit, SYS_exit_group, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_restart_syscall, SYS_gettimeofday,
    SYS_getpid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_uname, SYS_sysinfo, SYS_getrusage,
    SYS_prlimit64, SYS_membarrier, SYS_memfd_create, SYS_mlock, SYS_munlock,
#ifdef __x86_64__
    SYS_epoll_wait, SYS_poll, SYS_open, SYS_stat, SYS_access, SYS_time,
#endif
};

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define OUR_ARCH AUDIT_ARCH_RISCV64
#else
#error "sandbox.c does not know how the kernel calls this architecture (linux/audit.h)"
#endif

// Calls that are fine with some arguments only.
struct limited_call {
    int number;
    unsigned argument;
    uint32_t mask;      // of the argument's low word; what is beyond is not looked at
    uint32_t values[3]; // one of these; the last one again where there are fewer
};

static const int of_helper[] = {
    SYS_renameat2,
#ifdef SYS_renameat
    SYS_renameat,
#endif
};

enum { N_ALLOWED = ARRAY_LEN(allowed), N_HELPER = ARRAY_LEN(of_helper), N_LIMITED = 5, HEAD_STEPS = 4, ALLOWED_STEPS = 2, LIMITED_STEPS = 8, PROGRAM_MAX = HEAD_STEPS + (N_ALLOWED + N_HELPER) * ALLOWED_STEPS + N_LIMITED * LIMITED_STEPS + 4 };

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW_WORD 0
#else
#define LOW_WORD 4
#endif
#define RETURN(what)        ((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what))
#define LOAD(offset)        ((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset))
#define IF(value, yes, no)  ((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), yes, no))

static size_t limit_argument(struct sock_filter *f, const struct limited_call *c)
{
    size_t n = 0;
    f[n++] = IF(c->number, 0, LIMITED_STEPS - 1);
    f[n++] = LOAD((uint32_t)(offsetof(struct seccomp_data, args) + c->argument * sizeof(uint64_t) + LOW_WORD));
    f[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, c->mask);
    f[n++] = IF(c->values[0], 3, 0);
    f[n++] = IF(c->values[1], 2, 0);
    f[n++] = IF(c->values[2], 1, 0);
    f[n++] = RETURN(SECCOMP_RET_ERRNO | EPERM);
    f[n++] = RETURN(SECCOMP_RET_ALLOW);
    return n;
}

static bool limit_calls(bool helper)
{
    uint32_t self = (uint32_t)getpid();
    const struct limited_call limited[N_LIMITED] = {
        {SYS_socket, 0, UINT32_MAX, {AF_INET, AF_INET6, AF_UNIX}},
        {SYS_socketpair, 0, UINT32_MAX, {AF_UNIX, AF_UNIX, AF_UNIX}}, // for answers of the supervisor
        {SYS_clone, 0, CLONE_THREAD, {CLONE_THREAD, CLONE_THREAD, CLONE_THREAD}}, // threads, no processes
        {SYS_prctl, 0, UINT32_MAX, {PR_SET_NAME, PR_GET_NAME, PR_GET_NAME}},
        {SYS_tgkill, 0, UINT32_MAX, {self, self, self}}, // abort()
    };
    struct sock_filter f[PROGRAM_MAX] = {
        LOAD(offsetof(struct seccomp_data, arch)),
        IF(OUR_ARCH, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(offsetof(struct seccomp_data, nr)),
    };
    size_t n = HEAD_STEPS;
    for (size_t i = 0; i < N_ALLOWED; i++) {
        f[n++] = IF(allowed[i], 0, 1);
        f[n++] = RETURN(SECCOMP_RET_ALLOW);
    }
    for (size_t i = 0; helper && i < N_HELPER; i++) {
        f[n++] = IF(of_helper[i], 0, 1);
        f[n++] = RETURN(SECCOMP_RET_ALLOW);
    }
    for (size_t i = 0; i < N_LIMITED; i++)
        n += limit_argument(f + n, &limited[i]);
    // Its flags are in memory, where no filter can look: libc falls back to clone.
    f[n++] = IF(SYS_clone3, 0, 1);
    f[n++] = RETURN(SECCOMP_RET_ERRNO | ENOSYS);
    f[n++] = RETURN(SECCOMP_RET_ERRNO | EPERM);
    struct sock_fprog p = {.len = (unsigned short)n, .filter = f};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &p))
        return failed("limiting system calls");
    return true;
}

bool sandbox_limit_calls(void)
{
    return limit_calls(false);
}

bool sandbox_limit_helper_calls(void)
{
    return limit_calls(true);
}
#endif
