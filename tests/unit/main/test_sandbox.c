// SPDX-License-Identifier: Apache-2.0
// What a worker that was taken over can not do: each attempt is made in a child that is shut in as a worker is.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "main/sandbox.h"

enum { FINE = 0, NOT_SHUT_IN = 100 };

static int folder = -1; // that the configuration names

// What the attempt gives in a child that is shut in: 0, or its errno.
static int attempt(int (*fn)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(sandbox_drop_privileges() && sandbox_limit_files(&folder, folder >= 0) && sandbox_limit_calls() ? fn() : NOT_SHUT_IN);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), NOT_SHUT_IN);
    return WEXITSTATUS(status);
}

static int outcome(long r)
{
    return r < 0 ? errno : FINE;
}

#define ATTEMPT(name, expression)          \
    static int name(void)                  \
    {                                      \
        return outcome((long)(expression)); \
    }

static char *const no_arguments[] = {NULL};

ATTEMPT(read_shadow, open("/etc/shadow", O_RDONLY))
ATTEMPT(read_passwd, open("/etc/passwd", O_RDONLY))
ATTEMPT(read_environment, open("/proc/self/environ", O_RDONLY))
ATTEMPT(list_root, open("/root", O_RDONLY | O_DIRECTORY))
ATTEMPT(list_processes, open("/proc", O_RDONLY | O_DIRECTORY))
ATTEMPT(write_device, open("/dev/null", O_WRONLY))
ATTEMPT(climb_out, open("/usr/../etc/passwd", O_RDONLY))
ATTEMPT(climb_out_of_folder, openat(folder, "../passwd", O_RDONLY))
ATTEMPT(run_shell, execve("/bin/sh", no_arguments, no_arguments))
ATTEMPT(run_shell_by_descriptor, syscall(SYS_execveat, AT_FDCWD, "/bin/sh", no_arguments, no_arguments, 0))
ATTEMPT(trace_parent, ptrace(PTRACE_ATTACH, getppid(), NULL, NULL))
ATTEMPT(be_traced, ptrace(PTRACE_TRACEME, 0, NULL, NULL))
ATTEMPT(read_parent, syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0))
ATTEMPT(packet_socket, socket(AF_PACKET, SOCK_RAW, 0))
ATTEMPT(netlink_socket, socket(AF_NETLINK, SOCK_RAW, 0))
ATTEMPT(raw_socket, socket(AF_INET, SOCK_RAW, IPPROTO_ICMP))
ATTEMPT(new_process, syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0))
ATTEMPT(kill_parent, kill(getppid(), 0))
ATTEMPT(signal_parent, syscall(SYS_tgkill, getppid(), getppid(), 0))
ATTEMPT(become_root, setuid(0))
ATTEMPT(mount_over, syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL))
ATTEMPT(new_namespace, syscall(SYS_unshare, 0x10000000))
ATTEMPT(load_bpf, syscall(SYS_bpf, 0, NULL, 0))
ATTEMPT(be_dumpable, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
ATTEMPT(ring, syscall(SYS_io_uring_setup, 1, NULL))

static void what_an_intruder_would_do_is_stopped(void **state)
{
    (void)state;
    static int (*const all[])(void) = {read_shadow, run_shell, run_shell_by_descriptor, trace_parent, be_traced, read_parent, packet_socket, netlink_socket,
                                       raw_socket, new_process, kill_parent, signal_parent, become_root, mount_over, new_namespace, load_bpf, be_dumpable, ring};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        int e = attempt(all[i]);
        if (e != EPERM && e != EACCES)
            fail_msg("attempt %zu gave %d", i, e);
    }
}

static void *nothing(void *arg)
{
    return arg;
}

static int a_thread(void)
{
    pthread_t t;
    return pthread_create(&t, NULL, nothing, NULL) || pthread_join(t, NULL) ? EINVAL : FINE;
}

ATTEMPT(tcp_socket, socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0))
ATTEMPT(udp_socket, socket(AF_INET, SOCK_DGRAM, 0))
ATTEMPT(name_itself, prctl(PR_SET_NAME, "weir", 0, 0, 0))
ATTEMPT(map_memory, mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0)

static int is_not_dumpable(void)
{
    return open("/proc/self/mem", O_RDWR) < 0 ? FINE : EINVAL;
}

static void what_serving_needs_is_there(void **state)
{
    (void)state;
    assert_int_equal(attempt(a_thread), FINE);
    assert_int_equal(attempt(udp_socket), FINE);
    assert_int_equal(attempt(name_itself), FINE);
    assert_int_equal(attempt(map_memory), FINE);
    int e = attempt(tcp_socket);
    assert_true(e == FINE || e == EAFNOSUPPORT);
    if (geteuid() == 0) // its files are root's then
        assert_int_equal(attempt(is_not_dumpable), FINE);
}

ATTEMPT(read_library, open("/usr/lib", O_RDONLY | O_DIRECTORY))
ATTEMPT(read_authorities, open("/etc/ssl/certs", O_RDONLY | O_DIRECTORY))
ATTEMPT(read_folder, openat(folder, ".", O_RDONLY | O_DIRECTORY))
ATTEMPT(read_folders_file, openat(folder, "README", O_RDONLY))
ATTEMPT(make_file, open("/tmp", O_TMPFILE | O_RDWR, 0600))

static bool has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* the version */) >= 1;
}

// /etc/passwd may be read by everybody; not by a worker. A folder of the configuration may lie beside it.
static void files_are_out_of_reach(void **state)
{
    (void)state;
    static int (*const closed[])(void) = {read_passwd, read_environment, list_root, list_processes, write_device, climb_out, climb_out_of_folder};
    if (!has_landlock())
        skip();
    folder = open("/etc/init.d", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < ARRAY_LEN(closed); i++) {
        int e = attempt(closed[i]);
        if (e != EACCES && e != EPERM && !(e == EBADF && folder < 0))
            fail_msg("attempt %zu gave %d", i, e);
    }
    assert_int_equal(attempt(read_library), FINE);
    int e = attempt(read_authorities);
    assert_true(e == FINE || e == ENOENT);
    e = attempt(make_file);
    assert_true(e == FINE || e == EOPNOTSUPP);
    if (folder < 0)
        return;
    assert_int_equal(attempt(read_folder), FINE);
    e = attempt(read_folders_file);
    assert_true(e == FINE || e == ENOENT);
    close(folder);
    folder = -1;
    assert_int_equal(attempt(read_passwd), EACCES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_an_intruder_would_do_is_stopped), cmocka_unit_test(what_serving_needs_is_there), cmocka_unit_test(files_are_out_of_reach)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
