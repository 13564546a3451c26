// SPDX-License-Identifier: Apache-2.0
// c-ares on our loop. It keeps the retries, the resolvers' turns and TCP; sockets, timer, randomness and the
// reading of answers are ours: the numbers of its queries would be guessable where it cannot open
// /dev/urandom (a worker that has shut itself in).
//
// Who is not on the way to a resolver can answer in its name if he guesses enough. To the number of a query
// come the port, another one for each time that something is asked (c-ares closes a socket when nothing is
// under way on it), and the case of the name's letters, drawn at random (draft-vixie-dnsext-dns0x20): an
// answer that does not bring it back is not believed, and the question goes by TCP. EDNS (RFC 6891) says that
// more than 512 octets are welcome, as far as no packet needs to be cut; a resolver that does not know it is
// asked without. A resolver on this machine is out of such reach, and is asked plainly.
#include "net/dns_ares.h"

#include <ares.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ascii.h"
#include "base/check.h"
#include "base/mem.h"
#include "io/io.h"
#include "net/dns_message.h"

enum {
    FIRST_TIMEOUT_MS = 1000, // doubled with each round
    ROUNDS = 3,
    SOCKETS_MAX = 3 * DNS_RESOLVERS_MAX, // of either channel, one of each kind for each resolver
    READS_MAX = 64,                      // in a row, before others have their turn
    EDNS_BYTES = 1232,                   // as agreed on for the DNS flag day 2020
    QUESTION_AT = 12,
    RCODE_FORMAT = 1,
    CLASS_IN = 1,
    TYPE_A = 1,
    TYPE_AAAA = 28,
    TYPE_SRV = 33,
};

struct dns_ares;

/// Datagrams first, or streams only.
enum { BY_ANY, BY_STREAM, N_CHANNELS };
struct channel {
    struct dns_ares *owner;
    ares_channel ares; // NULL: not needed so far
};

struct ares_sock {
    struct dns_ares *owner;
    ares_channel ares;
    ares_socket_t fd; // ARES_SOCKET_BAD: free
    bool registered;  // io has it; otherwise it is not connected yet, or io_open has closed it
    bool lost;        // the latter
    bool is_stream, has_read;
    uint32_t gen;
    struct io io;
};
struct dns_ares {
    struct dns_backend backend;
    struct channel channels[N_CHANNELS];
    struct timer timer;
    struct ares_sock socks[SOCKETS_MAX];
    uint32_t next_gen;
    struct addr resolvers[DNS_RESOLVERS_MAX];
    unsigned n_resolvers;
    bool guarded; // letters at random, EDNS
    bool no_edns; // a resolver has said that it does not know it
};
/// A question while it is under way.
struct asking {
    struct dns_ares *owner;
    struct dns_question *question;
    unsigned channel;
    bool edns;
    size_t n_sent;
    unsigned char sent[DNS_NAME_MAX + 2]; // its name, as it stands in the query
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
    struct channel *c = (struct channel *)arg;
    struct dns_ares *d = c->owner;
    struct ares_sock *s = sock_of(d, ARES_SOCKET_BAD);
    if (!s) {
        errno = EMFILE;
        return ARES_SOCKET_BAD;
    }
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return ARES_SOCKET_BAD;
    *s = (struct ares_sock){
        .owner = d, .ares = c->ares, .fd = fd, .is_stream = type == SOCK_STREAM, .gen = ++d->next_gen};
    return fd;
}

static int on_close(ares_socket_t fd, void *arg)
{
    struct ares_sock *s = sock_of(((struct channel *)arg)->owner, fd);
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
    struct ares_sock *s = sock_of(((struct channel *)arg)->owner, fd);
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
    struct ares_sock *s = sock_of(((struct channel *)arg)->owner, fd);
    CHECK(s != NULL);
    ssize_t n = recvfrom(fd, buf, cap, flags, from, from_len);
    s->has_read = s->has_read || n > 0;
    return n;
}

static ares_ssize_t on_send(ares_socket_t fd, const struct iovec *iov, int n_iov, void *arg)
{
    struct ares_sock *s = sock_of(((struct channel *)arg)->owner, fd);
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
    uint64_t in_ms = UINT64_MAX;
    for (unsigned i = 0; i < N_CHANNELS; i++) {
        struct timeval tv;
        if (d->channels[i].ares && ares_timeout(d->channels[i].ares, NULL, &tv))
            in_ms = MIN(in_ms, (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1);
    }
    if (in_ms == UINT64_MAX)
        timer_cancel(&d->timer);
    else
        timer_set(&d->timer, loop_now_ms() + in_ms);
}

/// Events come once for what arrived, and c-ares takes one piece of a stream at a time: so it is asked until
/// it read nothing. False: there may be more.
static bool sock_run(struct ares_sock *s)
{
    uint32_t gen = s->gen;
    for (unsigned i = 0; i < READS_MAX; i++) {
        if (s->fd == ARES_SOCKET_BAD || !s->registered || s->gen != gen)
            return true;
        s->has_read = false;
        bool writable = s->is_stream && (s->io.state & IO_WRITABLE);
        ares_process_fd(s->ares, s->fd, writable ? s->fd : ARES_SOCKET_BAD);
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
    for (unsigned i = 0; i < N_CHANNELS; i++)
        if (d->channels[i].ares)
            ares_process_fd(d->channels[i].ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
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
    return q->srv ? dns_message_read_srv(msg, span_str(q->name), q->srv)
                  : dns_message_read(msg, span_str(q->name), q->family, ret);
}

static void ask(struct asking *a);

/// For what an answer has shown. a is gone or under way again.
static void finish(struct asking *a, enum err e, const struct dns_records *r)
{
    struct dns_question *q = a->question;
    mem_free(a);
    dns_question_done(q, e, r->addrs, r->n, r->ttl_s);
}

static bool is_echo(const struct asking *a, const unsigned char *msg, size_t len)
{
    return len >= QUESTION_AT + a->n_sent && memcmp(msg + QUESTION_AT, a->sent, a->n_sent) == 0;
}

static void on_message(struct asking *a, const unsigned char *msg, size_t len)
{
    if (a->edns && len >= QUESTION_AT && (msg[3] & 15) == RCODE_FORMAT) {
        a->owner->no_edns = true;
        ask(a);
        return;
    }
    if (a->owner->guarded && a->channel != BY_STREAM && !is_echo(a, msg, len)) {
        a->channel = BY_STREAM;
        ask(a);
        return;
    }
    struct dns_records r = {.n = 0};
    enum err e = read_answer(a->question, span_of((const char *)msg, len), &r);
    finish(a, e, &r);
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *msg, int len)
{
    struct asking *a = (struct asking *)arg;
    static const struct dns_records none;
    (void)timeouts;
    if (status == ARES_EDESTRUCTION)
        mem_free(a);
    else if (status == ARES_SUCCESS)
        on_message(a, msg, (size_t)len);
    else
        finish(a,
               status == ARES_ETIMEOUT ? ERR_DNS_TIMEOUT
               : status == ARES_ENOMEM ? ERR_NO_MEMORY
                                       : ERR_DNS_FAILED,
               &none);
}

static void mix_case(char *name)
{
    uint8_t bits[(DNS_NAME_MAX + 8) / 8];
    loop_random(bits, sizeof bits);
    for (size_t i = 0; name[i]; i++)
        if (ascii_is_alpha((unsigned char)name[i]) && bits[i / 8] >> i % 8 & 1)
            name[i] ^= 0x20;
}

static enum err channel_open(struct dns_ares *d, unsigned i);

static int send_query(struct asking *a)
{
    struct dns_ares *d = a->owner;
    struct dns_question *q = a->question;
    unsigned char *packet = NULL;
    int len = 0, type = q->srv ? TYPE_SRV : q->family == AF_INET ? TYPE_A : TYPE_AAAA;
    uint16_t number;
    char name[DNS_NAME_MAX + 1];
    memcpy(name, q->name, sizeof name);
    if (d->guarded)
        mix_case(name);
    a->edns = d->guarded && !d->no_edns;
    loop_random(&number, sizeof(number));
    int status = ares_create_query(name, CLASS_IN, type, number, 1, &packet, &len, a->edns ? EDNS_BYTES : 0);
    if (status != ARES_SUCCESS)
        return status;
    a->n_sent =
        strlen(name) + 2; // a label's length stands for each dot, and there is one more, and the root's
    memcpy(a->sent, packet + QUESTION_AT, a->n_sent);
    ares_send(d->channels[a->channel].ares, packet, len, on_answer, a);
    ares_free_string(packet);
    return ARES_SUCCESS;
}

static void ask(struct asking *a)
{
    struct dns_ares *d = a->owner;
    static const struct dns_records none;
    enum err e = d->channels[a->channel].ares ? ERR_OK : channel_open(d, a->channel);
    int status = e ? ARES_SUCCESS : send_query(a);
    if (status != ARES_SUCCESS)
        e = status == ARES_ENOMEM ? ERR_NO_MEMORY : ERR_DNS_FAILED;
    if (e)
        finish(a, e, &none);
    set_timer(d);
}

static void ares_ask(struct dns_backend *b, struct dns_question *q)
{
    struct asking *a = (struct asking *)mem_calloc(1, sizeof *a);
    if (!a) {
        dns_question_done(q, ERR_NO_MEMORY, NULL, 0, 0);
        return;
    }
    a->owner = container_of(b, struct dns_ares, backend);
    a->question = q;
    ask(a);
}

static void ares_free(struct dns_backend *b)
{
    struct dns_ares *d = container_of(b, struct dns_ares, backend);
    for (unsigned i = 0; i < N_CHANNELS; i++)
        if (d->channels[i].ares)
            ares_destroy(d->channels[i].ares);
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
    for (unsigned i = n; i-- > 0;) {
        nodes[i] = (struct ares_addr_port_node){.next = first,
                                                .family = resolvers[i].family,
                                                .udp_port = resolvers[i].port,
                                                .tcp_port = resolvers[i].port};
        memcpy(&nodes[i].addr, resolvers[i].v6, addr_ip_bytes(&resolvers[i]).len);
        first = &nodes[i];
    }
    return ares_set_servers_ports(channel, first);
}

static enum err channel_open(struct dns_ares *d, unsigned i)
{
    static const struct ares_socket_functions socket_functions = {on_socket, on_close, on_connect, on_recv,
                                                                  on_send};
    struct channel *c = &d->channels[i];
    c->owner = d;
    // Everything is given, so that c-ares reads no file and no environment; the server is only there to be
    // replaced.
    struct in_addr nobody = {0};
    char lookups[] = "b";
    struct ares_options o = {.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES |
                                      (d->guarded ? ARES_FLAG_EDNS : 0) |
                                      (i == BY_STREAM ? ARES_FLAG_USEVC : 0),
                             .timeout = FIRST_TIMEOUT_MS,
                             .tries = ROUNDS,
                             .ndots = 1,
                             .servers = &nobody,
                             .nservers = 1,
                             .ednspsz = EDNS_BYTES,
                             .lookups = lookups};
    int status = ares_init_options(&c->ares, &o,
                                   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
                                       ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS |
                                       ARES_OPT_SORTLIST | ARES_OPT_EDNSPSZ | ARES_OPT_NOROTATE);
    if (status != ARES_SUCCESS) {
        c->ares = NULL;
        return status == ARES_ENOMEM ? ERR_NO_MEMORY : ERR_IO;
    }
    ares_set_socket_functions(c->ares, &socket_functions, c);
    status = set_servers(c->ares, d->resolvers, d->n_resolvers);
    if (status == ARES_SUCCESS)
        return ERR_OK;
    ares_destroy(c->ares);
    c->ares = NULL;
    return status == ARES_ENOMEM ? ERR_NO_MEMORY : ERR_IO;
}

enum err dns_ares_new(const struct addr *resolvers, unsigned n, bool guarded, struct dns_backend **ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const struct dns_backend_ops ops = {ares_ask, ares_free};
    pthread_once(&once, library_init);
    if (library_status != ARES_SUCCESS)
        return ERR_IO;
    struct dns_ares *d = (struct dns_ares *)mem_calloc(1, sizeof(*d));
    if (!d)
        return ERR_NO_MEMORY;
    d->backend.ops = &ops;
    d->guarded = guarded;
    timer_init(&d->timer, on_timer);
    for (unsigned i = 0; i < SOCKETS_MAX; i++)
        d->socks[i].fd = ARES_SOCKET_BAD;
    for (unsigned i = 0; i < n && d->n_resolvers < DNS_RESOLVERS_MAX; i++)
        if (addr_is_ip(&resolvers[i]))
            d->resolvers[d->n_resolvers++] = resolvers[i];
    enum err e = channel_open(d, BY_ANY);
    if (e) {
        ares_free(&d->backend);
        return e;
    }
    *ret = &d->backend;
    return ERR_OK;
}
