// SPDX-License-Identifier: Apache-2.0
#include "main/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sanitize.h"

enum { NOBODY = 65534 };

static bool failed(const char *what)
{
    fprintf(stderr, "weir: the worker cannot shut itself in: %s: %s\n", what, strerror(errno));
    return false;
}

bool sandbox_drop_privileges(void)
{
    if (geteuid() == 0) {
        if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
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

#if defined(WEIR_ASAN) || defined(WEIR_TSAN)
bool sandbox_limit_calls(void)
{
    return true; // the sanitizers need more than a proxy may have
}
#else

static const int allowed[] = {
    // waiting and sockets
    SYS_epoll_create1, SYS_epoll_pwait, SYS_epoll_ctl, SYS_eventfd2, SYS_recvfrom, SYS_sendto, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg,
    SYS_recvmmsg, SYS_accept4, SYS_socket, SYS_bind, SYS_connect, SYS_shutdown, SYS_close, SYS_getsockopt, SYS_setsockopt, SYS_getsockname,
    SYS_getpeername, SYS_pipe2, SYS_fcntl, SYS_splice, SYS_sendfile, SYS_ppoll, SYS_ioctl,
    // files
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_preadv2, SYS_lseek, SYS_openat, SYS_openat2, SYS_fstat, SYS_newfstatat,
    SYS_statx, SYS_getdents64, SYS_dup, SYS_dup3, SYS_faccessat, SYS_readlinkat,
    // memory, threads, time
    SYS_mmap, SYS_munmap, SYS_mprotect, SYS_madvise, SYS_mremap, SYS_brk, SYS_futex, SYS_sched_yield, SYS_sched_getaffinity, SYS_getrandom,
    SYS_clock_gettime, SYS_clock_nanosleep, SYS_nanosleep, SYS_clone, SYS_clone3, SYS_set_robust_list, SYS_rseq, SYS_set_tid_address,
    SYS_exit, SYS_exit_group, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_restart_syscall, SYS_gettimeofday,
    SYS_getpid, SYS_gettid, SYS_tgkill, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_prctl, SYS_uname, SYS_sysinfo, SYS_getrusage,
    SYS_prlimit64, SYS_membarrier, SYS_memfd_create,
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

bool sandbox_limit_calls(void)
{
    enum { N = ARRAY_LEN(allowed), HEAD = 4 };
    struct sock_filter f[HEAD + N * 2 + 1] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    size_t n = HEAD;
    for (size_t i = 0; i < N; i++) {
        f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
        f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    struct sock_fprog p = {.len = (unsigned short)n, .filter = f};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &p))
        return failed("limiting system calls");
    return true;
}
#endif
