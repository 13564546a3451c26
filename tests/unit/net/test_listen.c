// SPDX-License-Identifier: Apache-2.0
#include "net_test.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/listen.h"

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void expect_connects(const struct addr *a)
{
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(a, &ss);
    int fd = socket(a->family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
    close(fd);
}

static void test_tcp(void **state)
{
    (void)state;
    struct listen_options o = {.client_speaks = true};
    char error[LISTEN_ERROR_MAX];
    struct addr a = addr_v4(127, 0, 0, 1, 0), got;
    int fd = listen_open(&a, &o, error);
    assert_true(fd >= 0);
    assert_true(listen_address(fd, &got));
    assert_true(addr_eq_ip(&a, &got));
    assert_true(got.port != 0);
    assert_int_equal(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    assert_true(option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) > 0);
    assert_int_equal(option(fd, SOL_SOCKET, SO_REUSEPORT), 0);
    expect_connects(&got);

    assert_int_equal(listen_open(&got, &o, error), -1);
    char want[LISTEN_ERROR_MAX];
    snprintf(want, sizeof(want), "Cannot listen at 127.0.0.1:%u: another program listens there.", got.port);
    assert_string_equal(error, want);
    close(fd);
}

static void test_group(void **state)
{
    (void)state;
    struct listen_options o = {.reuse_port = true, .client_speaks = true};
    char error[LISTEN_ERROR_MAX];
    struct addr a = addr_v4(127, 0, 0, 1, 0), first, second;
    int fds[3], more[3] = {-1, -1, -1};
    assert_true(listen_open_group(&a, &o, fds, 3, error));
    assert_true(listen_address(fds[0], &first));
    assert_true(listen_address(fds[2], &second));
    assert_true(addr_eq(&first, &second));
    // Another program of the same user is not let in beside us, although the kernel would.
    assert_false(listen_open_group(&first, &o, more, 3, error));
    assert_non_null(strstr(error, "another program listens there"));
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    assert_true(listen_open_group(&first, &o, fds, 1, error));
    close(fds[0]);
}

static void test_errors(void **state)
{
    (void)state;
    struct listen_options o = {0};
    char error[LISTEN_ERROR_MAX];
    struct addr not_ours = addr_v4(192, 0, 2, 1, 8181);
    assert_int_equal(listen_open(&not_ours, &o, error), -1);
    assert_string_equal(error, "Cannot listen at 192.0.2.1:8181: this machine has no such address.");
    struct addr none = ADDR_NONE;
    assert_int_equal(listen_open(&none, &o, error), -1);
    struct addr un = {.family = AF_UNIX, .path = "/nowhere-at-all/x.sock"};
    assert_int_equal(listen_open(&un, &o, error), -1);
    assert_string_equal(error, "Cannot listen at unix:/nowhere-at-all/x.sock: the folder is not there.");
}

static void test_ipv6_only(void **state)
{
    (void)state;
    struct listen_options o = {0};
    char error[LISTEN_ERROR_MAX];
    struct addr a = at_port("::1", 0);
    int fd = listen_open(&a, &o, error);
    if (fd < 0) {
        print_message("without IPv6 here: %s\n", error);
        skip();
    }
    assert_int_equal(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    close(fd);
}

static void test_unix(void **state)
{
    (void)state;
    char folder[] = "/tmp/weir-listen-XXXXXX", path[64], file[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/s", folder);
    snprintf(file, sizeof(file), "%s/f", folder);
    struct addr a = {.family = AF_UNIX, .path = path}, in_the_way = {.family = AF_UNIX, .path = file};
    struct listen_options o = {.unix_mode = 0600};
    char error[LISTEN_ERROR_MAX];
    int fd = listen_open(&a, &o, error);
    assert_true(fd >= 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    expect_connects(&a);
    assert_int_equal(listen_open(&a, &o, error), -1);
    assert_non_null(strstr(error, "another program listens there"));
    close(fd);
    fd = listen_open(&a, &o, error); // the file is still there, but nobody listens
    assert_true(fd >= 0);
    close(fd);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(listen_open(&in_the_way, &o, error), -1);
    assert_non_null(strstr(error, "a file that is no socket is in the way"));
    assert_int_equal(stat(file, &st), 0);
    unlink(path);
    unlink(file);
    rmdir(folder);
}

static void test_own_listeners(void **state)
{
    (void)state;
    struct addr own[] = {at_port("127.0.0.1", 80),
                         at_port("0.0.0.0", 81),
                         at_port("::1", 82),
                         {.family = AF_UNIX, .path = "/x"},
                         at_port("192.0.2.9", 83)};
    struct listen_set set = {own, ARRAY_LEN(own)};
    static const struct {
        const char *ip;
        uint16_t port;
        bool ours;
    } rows[] = {
        {"127.0.0.1", 80, true},  {"127.0.0.1", 79, false},
        {"127.0.0.2", 80, false}, {"::ffff:127.0.0.1", 80, true},
        {"0.0.0.0", 80, true},    {"127.9.9.9", 81, true},
        {"0.0.0.0", 81, true},    {"192.0.2.1", 81, false},
        {"::1", 81, false},       {"::1", 82, true},
        {"::", 82, true},         {"::1", 80, false},
        {"192.0.2.9", 83, true},  {"192.0.2.8", 83, false},
        {"0.0.0.0", 83, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct addr a = at_port(rows[i].ip, rows[i].port);
        if (listen_set_reaches(&set, &a) != rows[i].ours)
            fail_msg("%s port %u", rows[i].ip, rows[i].port);
    }
    assert_false(listen_set_reaches(&(struct listen_set){NULL, 0}, &own[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),       cmocka_unit_test(test_group), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_ipv6_only), cmocka_unit_test(test_unix),  cmocka_unit_test(test_own_listeners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
