// SPDX-License-Identifier: Apache-2.0
// c-ares on our loop. It keeps the retries, the resolvers' turns and TCP; sockets, timer, randomness and the
// reading of answers are ours: the numbers of its queries would be guessable where it cannot open
// /dev/urandom (a worker that has shut itself in). No EDNS: the addresses of a name fit into 512 octets but
// for a few names, for which there is TCP, and a resolver that does not know EDNS is asked once instead of
// twice.
#include "net/dns_ares.h"

#include <ares.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/io.h"
#include "net/dns_message.h"

enum {
    FIRST_TIMEOUT_MS = 1000, // doubled with each round
    ROUNDS = 3,
    SOCKETS_MAX = 2 * DNS_RESOLVERS_MAX, // one of each kind for each resolver
    READS_MAX = 64,                      // in a row, before others have their turn
    CLASS_IN = 1,
    TYPE_A = 1,
    TYPE_AAAA = 28,
    TYPE_SRV = 33,
};

struct dns_ares;

struct ares_sock {
    struct dns_ares *owner;
    ares_socket_t fd; // ARES_SOCKET_BAD: free
    bool registered;  // io has it; otherwise it is not connected yet, or io_open has closed it
    bool lost;        // the latter
    bool is_stream, has_read;
    uint32_t gen;
    struct io io;
};
struct dns_ares {
    struct dns_backend backend;
    ares_channel channel;
    struct timer timer;
    struct ares_sock socks[SOCKETS_MAX];
    uint32_t next_gen;
};

// ---- Sockets

static struct ares_sock *sock_of(struct dns_ares *d, ares_socket_t fd)
{
    for (unsigned i = 0; i < SOCKETS_MAX; i++)
        if (d->socks[i].fd == fd)
            return &d->socks[i];
    return NULL;
}

static ares_socket_t on_socket(int family, int type, int protocol, void *arg)
{
    struct dns_ares *d = (struct dns_ares *)arg;
    struct ares_sock *s = sock_of(d, ARES_SOCKET_BAD);
    if (!s) {
        errno = EMFILE;
        return ARES_SOCKET_BAD;
    }
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return ARES_SOCKET_BAD;
    *s = (struct ares_sock){.owner = d, .fd = fd, .is_stream = type == SOCK_STREAM, .gen = ++d->next_gen};
    return fd;
}

static int on_close(ares_socket_t fd, void *arg)
{
    struct ares_sock *s = sock_of((struct dns_ares *)arg, fd);
    CHECK(s != NULL);
    s->fd = ARES_SOCKET_BAD;
    if (s->registered)
        io_close(&s->io);
    else if (!s->lost)
        close(fd);
    return 0;
}

static void on_event(struct io *io);

static int on_connect(ares_socket_t fd, const struct sockaddr *to, ares_socklen_t len, void *arg)
{
    struct ares_sock *s = sock_of((struct dns_ares *)arg, fd);
    CHECK(s != NULL);
    int r = connect(fd, to, len), number = errno;
    if (r < 0 && number != EINPROGRESS)
        return -1;
    if (io_open(&s->io, fd)) {
        s->lost = true;
        errno = ENOMEM;
        return -1;
    }
    s->registered = true;
    s->io.on_event = on_event;
    if (r < 0)
        s->io.state = 0; // that it becomes writable is the news
    errno = number;
    return r;
}

static ares_ssize_t on_recv(ares_socket_t fd, void *buf, size_t cap, int flags, struct sockaddr *from,
                            ares_socklen_t *from_len, void *arg)
{
    struct ares_sock *s = sock_of((struct dns_ares *)arg, fd);
    CHECK(s != NULL);
    ssize_t n = recvfrom(fd, buf, cap, flags, from, from_len);
    s->has_read = s->has_read || n > 0;
    return n;
}

static ares_ssize_t on_send(ares_socket_t fd, const struct iovec *iov, int n_iov, void *arg)
{
    struct ares_sock *s = sock_of((struct dns_ares *)arg, fd);
    CHECK(s != NULL);
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n_iov};
    ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
    // The error of an earlier datagram, told with this one: c-ares would let the earlier query wait for its
    // timeout. This one will fail too, and then all of them go to the next resolver.
    if (n < 0 && errno == ECONNREFUSED && !s->is_stream)
        n = sendmsg(fd, &m, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN)
        s->io.state &= (uint8_t)~IO_WRITABLE;
    return n;
}

// ---- Turns

static void set_timer(struct dns_ares *d)
{
    struct timeval tv;
    if (!ares_timeout(d->channel, NULL, &tv)) {
        timer_cancel(&d->timer);
        return;
    }
    timer_set(&d->timer, loop_now_ms() + (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1);
}

/// Events come once for what arrived, and c-ares takes one piece of a stream at a time: so it is asked until
/// it read nothing. False: there may be more.
static bool sock_run(struct ares_sock *s)
{
    struct dns_ares *d = s->owner;
    uint32_t gen = s->gen;
    for (unsigned i = 0; i < READS_MAX; i++) {
        if (s->fd == ARES_SOCKET_BAD || !s->registered || s->gen != gen)
            return true;
        s->has_read = false;
        bool writable = s->is_stream && (s->io.state & IO_WRITABLE);
        ares_process_fd(d->channel, s->fd, writable ? s->fd : ARES_SOCKET_BAD);
        if (!s->has_read)
            return true;
    }
    return false;
}

static void on_event(struct io *io)
{
    struct ares_sock *s = container_of(io, struct ares_sock, io);
    struct dns_ares *d = s->owner;
    if (sock_run(s))
        set_timer(d);
    else
        timer_set(&d->timer, loop_now_ms());
}

static void on_timer(struct timer *t)
{
    struct dns_ares *d = container_of(t, struct dns_ares, timer);
    bool all_read = true;
    ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    for (unsigned i = 0; i < SOCKETS_MAX; i++)
        if (d->socks[i].fd != ARES_SOCKET_BAD && !sock_run(&d->socks[i]))
            all_read = false;
    if (all_read)
        set_timer(d);
    else
        timer_set(&d->timer, loop_now_ms());
}

// ---- Questions

static enum err read_answer(struct dns_question *q, struct span msg, struct dns_records *ret)
{
    return q->srv ? dns_message_read_srv(msg, span_str(q->name), q->srv) : dns_message_read(msg, span_str(q->name), q->family, ret);
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *msg, int len)
{
    struct dns_question *q = (struct dns_question *)arg;
    (void)timeouts;
    if (status == ARES_EDESTRUCTION)
        return;
    struct dns_records r = {.n = 0};
    enum err e;
    switch (status) {
    case ARES_SUCCESS:
        e = read_answer(q, span_of((const char *)msg, (size_t)len), &r);
        break;
    case ARES_ETIMEOUT:
        e = ERR_DNS_TIMEOUT;
        break;
    case ARES_ENOMEM:
        e = ERR_NO_MEMORY;
        break;
    default:
        e = ERR_DNS_FAILED;
    }
    dns_question_done(q, e, r.addrs, r.n, r.ttl_s);
}

static void ares_ask(struct dns_backend *b, struct dns_question *q)
{
    struct dns_ares *d = container_of(b, struct dns_ares, backend);
    unsigned char *packet = NULL;
    int len = 0;
    uint16_t number;
    loop_random(&number, sizeof(number));
    int type = q->srv ? TYPE_SRV : q->family == AF_INET ? TYPE_A : TYPE_AAAA;
    int status = ares_create_query(q->name, CLASS_IN, type, number, 1, &packet, &len, 0);
    if (status != ARES_SUCCESS) {
        dns_question_done(q, status == ARES_ENOMEM ? ERR_NO_MEMORY : ERR_DNS_FAILED, NULL, 0, 0);
        return;
    }
    ares_send(d->channel, packet, len, on_answer, q);
    ares_free_string(packet);
    set_timer(d);
}

static void ares_free(struct dns_backend *b)
{
    struct dns_ares *d = container_of(b, struct dns_ares, backend);
    ares_destroy(d->channel);
    timer_cancel(&d->timer);
    mem_free(d);
}

// ---- Setting up

static int library_status;

static void library_init(void)
{
    library_status = ares_library_init_mem(ARES_LIB_INIT_ALL, mem_alloc, mem_free, mem_realloc);
}

static int set_servers(ares_channel channel, const struct addr *resolvers, unsigned n)
{
    struct ares_addr_port_node nodes[DNS_RESOLVERS_MAX];
    struct ares_addr_port_node *first = NULL;
    for (unsigned i = MIN(n, (unsigned)DNS_RESOLVERS_MAX); i-- > 0;) {
        if (!addr_is_ip(&resolvers[i]))
            continue;
        nodes[i] = (struct ares_addr_port_node){.next = first,
                                                .family = resolvers[i].family,
                                                .udp_port = resolvers[i].port,
                                                .tcp_port = resolvers[i].port};
        memcpy(&nodes[i].addr, resolvers[i].v6, addr_ip_bytes(&resolvers[i]).len);
        first = &nodes[i];
    }
    return ares_set_servers_ports(channel, first);
}

enum err dns_ares_new(const struct addr *resolvers, unsigned n, struct dns_backend **ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const struct dns_backend_ops ops = {ares_ask, ares_free};
    static const struct ares_socket_functions socket_functions = {on_socket, on_close, on_connect, on_recv,
                                                                  on_send};
    pthread_once(&once, library_init);
    if (library_status != ARES_SUCCESS)
        return ERR_IO;
    struct dns_ares *d = (struct dns_ares *)mem_calloc(1, sizeof(*d));
    if (!d)
        return ERR_NO_MEMORY;
    d->backend.ops = &ops;
    timer_init(&d->timer, on_timer);
    for (unsigned i = 0; i < SOCKETS_MAX; i++)
        d->socks[i].fd = ARES_SOCKET_BAD;
    // Everything is given, so that c-ares reads no file and no environment; the server is only there to be
    // replaced.
    struct in_addr nobody = {0};
    char lookups[] = "b";
    struct ares_options o = {.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
                             .timeout = FIRST_TIMEOUT_MS,
                             .tries = ROUNDS,
                             .ndots = 1,
                             .servers = &nobody,
                             .nservers = 1,
                             .lookups = lookups};
    int status = ares_init_options(&d->channel, &o,
                                   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
                                       ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS |
                                       ARES_OPT_SORTLIST | ARES_OPT_NOROTATE);
    if (status != ARES_SUCCESS) {
        mem_free(d);
        return status == ARES_ENOMEM ? ERR_NO_MEMORY : ERR_IO;
    }
    ares_set_socket_functions(d->channel, &socket_functions, d);
    status = set_servers(d->channel, resolvers, n);
    if (status != ARES_SUCCESS) {
        ares_free(&d->backend);
        return status == ARES_ENOMEM ? ERR_NO_MEMORY : ERR_IO;
    }
    *ret = &d->backend;
    return ERR_OK;
}
