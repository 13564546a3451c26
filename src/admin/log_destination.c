// SPDX-License-Identifier: Apache-2.0
#include "admin/log_destination.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define SYSLOG_SOCKET  "/dev/log"

enum {
    PRIORITY = 16 * 8 + 6, // local0, informational (RFC 5424 6.2.1)
    HEAD_MAX = 256,
    HOST_NAME_MAX_BYTES = 64,
};

union any_address {
    struct sockaddr any;
    struct sockaddr_un local;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static const struct span syslog_prefix = SPAN_INIT("syslog:");

bool log_destination_is_known(struct span name)
{
    return span_eq(name, SPAN("stdout")) || span_eq(name, SPAN("stderr")) ||
           span_eq(name, SPAN("journald")) || span_eq(name, SPAN("syslog")) ||
           span_starts(name, syslog_prefix);
}

// ---- Opening

static int connected(const union any_address *a, socklen_t len)
{
    int fd = socket(a->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, &a->any, len)) {
        int e = errno;
        close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

static int connected_here(const char *path)
{
    union any_address a = {.local.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n >= sizeof a.local.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(a.local.sun_path, path, n);
    return connected(&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1));
}

// "192.0.2.1:514", "[2001:db8::1]:514"
static int connected_there(const char *text)
{
    union any_address a;
    char host[INET6_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    uint64_t port;
    memset(&a, 0, sizeof a);
    bool v6 = text[0] == '[' && colon && colon > text && colon[-1] == ']';
    size_t n = colon ? (size_t)(colon - text) - (v6 ? 2 : 0) : 0;
    errno = EINVAL;
    if (!colon || n >= sizeof host || !num_parse_dec(span_str(colon + 1), UINT16_MAX, &port) || port == 0)
        return -1;
    memcpy(host, text + (v6 ? 1 : 0), n);
    host[n] = '\0';
    a.any.sa_family = v6 ? AF_INET6 : AF_INET;
    *(v6 ? &a.v6.sin6_port : &a.v4.sin_port) = htons((uint16_t)port);
    if (inet_pton(a.any.sa_family, host, v6 ? (void *)&a.v6.sin6_addr : (void *)&a.v4.sin_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    return connected(&a, v6 ? sizeof a.v6 : sizeof a.v4);
}

int log_destination_open(const char *name)
{
    if (strcmp(name, "stdout") == 0)
        return dup(STDOUT_FILENO);
    if (strcmp(name, "stderr") == 0)
        return dup(STDERR_FILENO);
    if (strcmp(name, "journald") == 0)
        return connected_here(JOURNAL_SOCKET);
    if (strcmp(name, "syslog") == 0)
        return connected_here(SYSLOG_SOCKET);
    if (strncmp(name, syslog_prefix.ptr, syslog_prefix.len) == 0) {
        const char *where = name + syslog_prefix.len;
        return where[0] == '/' ? connected_here(where) : connected_there(where);
    }
    return open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
}

// ---- Streams

// Returns how much of it went: where nobody reads, or the disk is full, the rest is lost, but the service is
// not.
static size_t write_all(int fd, const char *p, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t r = write(fd, p + done, n - done);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            break;
        done += (size_t)r;
    }
    return done;
}

// One that was torn is ended before the next, which would be lost with it otherwise.
static unsigned write_stream(int fd, struct span s)
{
    static bool torn; // by the writer's thread alone
    if (torn && write_all(fd, "\n", 1) == 1)
        torn = false;
    size_t done = torn ? 0 : write_all(fd, s.ptr, s.len);
    torn |= done < s.len && done > 0 && s.ptr[done - 1] != '\n';
    unsigned lost = 0;
    for (; done < s.len; done++)
        lost += s.ptr[done] == '\n';
    return lost;
}

// ---- Datagrams

// The collector's address; false: the descriptor is a stream. A socket forgets whose peer has gone, so it is
// kept here.
static bool collector_of(int fd, union any_address *ret, socklen_t *ret_len)
{
    static struct {
        int fd;
        union any_address address;
        socklen_t len;
    } last = {.fd = -1}; // the writer's thread alone
    int type = 0;
    socklen_t n = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) || type != SOCK_DGRAM)
        return false;
    *ret_len = sizeof *ret;
    if (getpeername(fd, &ret->any, ret_len) == 0) {
        last.fd = fd;
        last.address = *ret;
        last.len = *ret_len;
        return true;
    }
    *ret = last.address;
    *ret_len = last.len;
    return last.fd == fd;
}

// What stands before each line.
static struct span head_of(const union any_address *to, char buffer[HEAD_MAX])
{
    if (to->any.sa_family == AF_UNIX && strcmp(to->local.sun_path, JOURNAL_SOCKET) == 0)
        return SPAN("SYSLOG_IDENTIFIER=weir\nSYSLOG_FACILITY=16\nPRIORITY=6\nMESSAGE=");
    struct timespec now;
    struct tm t;
    char time[32], host[HOST_NAME_MAX_BYTES + 1] = "-";
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &t);
    strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &t);
    if (gethostname(host, sizeof host - 1) || !host[0])
        memcpy(host, "-", 2);
    int n = snprintf(buffer, HEAD_MAX, "<%d>1 %s.%03ldZ %s weir %d access - ", PRIORITY, time,
                     now.tv_nsec / 1000000, host, (int)getpid());
    return span_of(buffer, (size_t)n);
}

static bool send_line(int fd, struct span head, struct span line)
{
    struct iovec v[2] = {{(void *)(uintptr_t)head.ptr, head.len}, {(void *)(uintptr_t)line.ptr, line.len}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
    ssize_t n;
    do
        n = sendmsg(fd, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n >= 0;
}

// A collector that was started anew has another socket at the same address. Over UDP an error is about an
// earlier line.
static unsigned send_lines(int fd, struct span s, const union any_address *to, socklen_t len)
{
    char buffer[HEAD_MAX];
    struct span head = head_of(to, buffer);
    bool tried = false;
    unsigned lost = 0;
    while (s.len) {
        struct span line = span_cut(&s, '\n');
        bool gone = send_line(fd, head, line);
        if (!gone && !tried) {
            tried = true;
            gone = connect(fd, &to->any, len) == 0 && send_line(fd, head, line);
        }
        lost += !gone;
    }
    return lost;
}

unsigned log_destination_write(int fd, struct span lines)
{
    union any_address to;
    socklen_t len;
    memset(&to, 0, sizeof to);
    return collector_of(fd, &to, &len) ? send_lines(fd, lines, &to, len) : write_stream(fd, lines);
}
