// SPDX-License-Identifier: Apache-2.0
// The access log's writer: lines reach their file whole and in order, and what cannot be written is counted
// and holds nobody up.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/log.h"
#include "admin/log_destination.h"
#include "admin/metrics.h"

static int temp_file(void)
{
    char path[] = "/tmp/weir-log-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

static void expect_content(int fd, const char *wanted)
{
    char got[256];
    ssize_t n = pread(fd, got, sizeof got - 1, 0);
    assert_true(n >= 0);
    got[n] = '\0';
    assert_string_equal(got, wanted);
}

static void lines_in_order(void **state)
{
    (void)state;
    int fd = temp_file();
    assert_true(log_start(fd));
    log_access(SPAN("one\n"));
    log_access(SPAN("two\n"));
    log_stop();
    expect_content(fd, "one\ntwo\n");
    close(fd);
    assert_int_equal(metrics_total(METRIC_LOG_DROPPED), 0);
}

static void a_full_disk(void **state)
{
    (void)state;
    int64_t before = metrics_total(METRIC_LOG_DROPPED);
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(log_start(fd));
    log_access(SPAN("one\n"));
    log_access(SPAN("two\n"));
    log_access(SPAN("three\n"));
    log_stop();
    close(fd);
    assert_int_equal(metrics_total(METRIC_LOG_DROPPED), before + 3);
}

// The disk becomes full in the middle of a line, and has room again later.
static void a_torn_line(void **state)
{
    (void)state;
    int64_t before = metrics_total(METRIC_LOG_DROPPED);
    struct rlimit old, small;
    int fd = temp_file();
    assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){6, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_true(log_start(fd));
    log_access(SPAN("one\ntwo\n"));
    log_stop();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(log_start(fd));
    log_access(SPAN("three\n"));
    log_stop();
    expect_content(fd, "one\ntw\nthree\n");
    assert_int_equal(metrics_total(METRIC_LOG_DROPPED), before + 1);
    close(fd);
}

static void nobody_reads(void **state)
{
    (void)state;
    int64_t before = metrics_total(METRIC_LOG_DROPPED);
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    close(fd[0]);
    signal(SIGPIPE, SIG_IGN);
    assert_true(log_start(fd[1]));
    log_access(SPAN("lost\n"));
    log_stop();
    close(fd[1]);
    assert_int_equal(metrics_total(METRIC_LOG_DROPPED), before + 1);
}

// ---- Collectors

static int collector(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0);
    return fd;
}

// What came, without the part that differs each time.
static void expect_syslog(int fd, const char *message)
{
    char got[512];
    ssize_t n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
    assert_true(n > 0);
    got[n] = '\0';
    assert_int_equal(strncmp(got, "<134>1 20", 9), 0);
    const char *name = strstr(got, " weir ");
    assert_non_null(name);
    assert_string_equal(strstr(name, " access - "), message);
}

static void a_datagram_for_each_line(void **state)
{
    (void)state;
    char folder[] = "/tmp/weir-syslog-XXXXXX", name[64];
    assert_non_null(mkdtemp(folder));
    snprintf(name, sizeof name, "syslog:%s/log", folder);
    int fd = collector(name + 7), log = log_destination_open(name);
    assert_true(log >= 0);
    assert_int_equal(log_destination_write(log, SPAN("one\ntwo\n")), 0);
    expect_syslog(fd, " access - one");
    expect_syslog(fd, " access - two");
    // It goes away, and comes back.
    close(fd);
    assert_int_equal(log_destination_write(log, SPAN("three\nfour\n")), 2);
    unlink(name + 7);
    fd = collector(name + 7);
    assert_int_equal(log_destination_write(log, SPAN("five\n")), 0);
    expect_syslog(fd, " access - five");
    close(log);
    close(fd);
    unlink(name + 7);
    rmdir(folder);
}

static void what_is_no_address(void **state)
{
    (void)state;
    static const char *const wrong[] = {"syslog:", "syslog:127.0.0.1", "syslog:127.0.0.1:0", "syslog:127.0.0.1:65536", "syslog:host:514",
                                        "syslog:[::1", "syslog:[::1]", "syslog:/nowhere/at/all"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(log_destination_open(wrong[i]), -1);
    assert_true(log_destination_is_known(SPAN("syslog:127.0.0.1:514")));
    assert_false(log_destination_is_known(SPAN("syslog.log")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines_in_order), cmocka_unit_test(a_full_disk),
                                       cmocka_unit_test(a_torn_line), cmocka_unit_test(nobody_reads),
                                       cmocka_unit_test(a_datagram_for_each_line), cmocka_unit_test(what_is_no_address)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
