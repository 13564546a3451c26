// SPDX-License-Identifier: Apache-2.0
#include "net/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char *reason(int number)
{
    switch (number) {
    case EADDRINUSE:
        return "another program listens there";
    case EACCES:
    case EPERM:
        return "this user may not (a port below 1024 needs root or CAP_NET_BIND_SERVICE)";
    case EADDRNOTAVAIL:
        return "this machine has no such address";
    case EAFNOSUPPORT:
        return "this machine does not have that kind of address";
    case EMFILE:
    case ENFILE:
        return "there are too few file descriptors (see `ulimit -n`)";
    case ENOENT:
    case ENOTDIR:
        return "the folder is not there";
    case EROFS:
        return "the file system is read-only";
    case ENOTSOCK:
        return "a file that is no socket is in the way";
    default:
        return strerror(number);
    }
}

static int failed(const struct addr *a, int number, char error[LISTEN_ERROR_MAX])
{
    char text[ADDR_TEXT_MAX];
    addr_format(a, text);
    snprintf(error, LISTEN_ERROR_MAX, "Cannot listen at %s: %s.", text, reason(number));
    return -1;
}

/// Removes a unix socket that nobody listens at. 0, or an errno.
static int clear_unix(const struct addr *a, const struct sockaddr_storage *ss, socklen_t len)
{
    struct stat st;
    if (lstat(a->path, &st) < 0)
        return errno == ENOENT ? 0 : errno;
    if (!S_ISSOCK(st.st_mode))
        return ENOTSOCK;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    int r = connect(fd, (const struct sockaddr *)ss, len);
    int number = errno;
    close(fd);
    if (r == 0 || number == EAGAIN) // EAGAIN: its backlog is full
        return EADDRINUSE;
    if (number != ECONNREFUSED)
        return number;
    return unlink(a->path) < 0 ? errno : 0;
}

static bool set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static bool prepare(int fd, const struct addr *a, const struct listen_options *o)
{
    if (a->family == AF_UNIX) // before bind, so that it is never open to more
        return fchmod(fd, o->unix_mode ? o->unix_mode : 0660) == 0;
    if (a->family == AF_INET6 && !set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1))
        return false;
    if (o->client_speaks) // only spares wake-ups: not every system has it
        (void)set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, LISTEN_DEFER_ACCEPT_S);
    // Accepted sockets inherit it.
    return set(fd, IPPROTO_TCP, TCP_NODELAY, 1) && set(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
           (!o->reuse_port || set(fd, SOL_SOCKET, SO_REUSEPORT, 1));
}

int listen_open(const struct addr *a, const struct listen_options *o, char error[LISTEN_ERROR_MAX])
{
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(a, &ss);
    if (len == 0)
        return failed(a, EAFNOSUPPORT, error);
    int number = a->family == AF_UNIX ? clear_unix(a, &ss, len) : 0;
    if (number)
        return failed(a, number, error);
    int fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return failed(a, errno, error);
    bool ok = prepare(fd, a, o) && bind(fd, (struct sockaddr *)&ss, len) == 0;
    if (ok && a->family == AF_UNIX) // what the process's umask took away
        ok = chmod(a->path, o->unix_mode ? o->unix_mode : 0660) == 0;
    if (ok && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    number = errno;
    close(fd);
    return failed(a, number, error);
}

/// With SO_REUSEPORT the kernel lets a second program of the same user in, which then takes half of the
/// connections. Without it, binding tells whether anybody is there.
static bool is_free(const struct addr *a)
{
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(a, &ss);
    int fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true; // listen_open will say why
    bool taken = set(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
                 (a->family != AF_INET6 || set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) &&
                 bind(fd, (struct sockaddr *)&ss, len) < 0 && errno == EADDRINUSE;
    close(fd);
    return !taken;
}

bool listen_open_group(const struct addr *a, const struct listen_options *o, int *ret_fds, unsigned n,
                       char error[LISTEN_ERROR_MAX])
{
    if (o->reuse_port && addr_is_ip(a) && !is_free(a)) {
        failed(a, EADDRINUSE, error);
        return false;
    }
    struct addr at = *a;
    for (unsigned i = 0; i < n; i++) {
        ret_fds[i] = listen_open(&at, o, error);
        if (i == 0 && ret_fds[0] >= 0 && addr_is_ip(a) && a->port == 0 && !listen_address(ret_fds[0], &at)) {
            close(ret_fds[0]);
            ret_fds[0] = failed(a, errno, error);
        }
        if (ret_fds[i] >= 0)
            continue;
        while (i > 0)
            close(ret_fds[--i]);
        return false;
    }
    return true;
}

bool listen_address(int fd, struct addr *ret)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    return getsockname(fd, (struct sockaddr *)&ss, &len) == 0 &&
           addr_from_sockaddr((struct sockaddr *)&ss, len, ret);
}

// ---- Our own addresses

/// Whether the address is one of this machine's: only to those can a socket be bound.
static bool is_of_this_machine(const struct addr *a)
{
    if (addr_is_loopback(a) || addr_is_any(a))
        return true;
    struct addr any_port = *a;
    any_port.port = 0;
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(&any_port, &ss);
    int fd = socket(a->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool ours = bind(fd, (struct sockaddr *)&ss, len) == 0;
    close(fd);
    return ours;
}

bool listen_set_reaches(const struct listen_set *s, const struct addr *a)
{
    // Connecting to the wildcard address reaches this machine itself.
    struct addr to = addr_canonical(a);
    bool wildcard = false;
    for (unsigned i = 0; i < s->n; i++) {
        const struct addr *own = &s->addrs[i];
        if (own->family != to.family || own->port != to.port)
            continue;
        if (addr_eq_ip(own, &to) || (addr_is_any(&to) && addr_is_loopback(own)))
            return true;
        wildcard = wildcard || (addr_is_ip(own) && addr_is_any(own));
    }
    return wildcard && is_of_this_machine(&to);
}
