// SPDX-License-Identifier: Apache-2.0
/* storm.c - open-loop HTTP/1.1 load generator: new connections at a rate, whatever becomes of them.  One thread, epoll.
 *
 *   storm -r RATE [-w SEC] [-d SEC] [-p PATIENCE_MS] ADDR PORT TARGET [Header: value]...
 *
 * Each connection sends one request (Connection: close) and reads to its end.  A time counts from when the connection was due, so a
 * generator that is late does not flatter the server.  The first SEC of -w are not counted.  Prints one JSON object: good are answers of 200 within the patience, late those
 * after it, refused other statuses, failed what broke or never came.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNS_MAX = 18000, DRAIN_S = 10 };

struct conn {
    int fd;
    int sent, status;
    size_t have;
    uint64_t due;
    char head[16];
    struct conn *next; // free
};

static struct conn conns[CONNS_MAX], *spare;
static struct sockaddr_in to;
static char ask[4096];
static size_t ask_len;
static int poll_fd;
static unsigned long begun, good, late, refused, failed, open_now, most_open;
static uint64_t patience_ns, count_from;
static double *times;
static unsigned long n_times, times_cap;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void end(struct conn *c, int whole)
{
    uint64_t took = now_ns() - c->due;
    close(c->fd);
    c->fd = -1;
    c->next = spare;
    spare = c;
    open_now--;
    if (c->due < count_from)
        return;
    if (!whole || !c->status)
        failed++;
    else if (c->status != 200)
        refused++;
    else if (took > patience_ns)
        late++;
    else {
        good++;
        if (n_times < times_cap)
            times[n_times++] = (double)took / 1e6;
    }
}

static void begin(uint64_t due)
{
    struct conn *c = spare;
    begun += due >= count_from;
    if (!c) {
        failed += due >= count_from;
        return;
    }
    spare = c->next;
    *c = (struct conn){.due = due};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (++open_now > most_open)
        most_open = open_now;
    struct epoll_event ev = {.events = EPOLLOUT, .data.ptr = c};
    if (c->fd < 0 || (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) || epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &ev))
        end(c, 0);
}

static void on_event(struct conn *c)
{
    static char sink[1 << 16];
    if (!c->sent) {
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
        c->sent = 1;
        if (send(c->fd, ask, ask_len, MSG_NOSIGNAL) != (ssize_t)ask_len || epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &ev))
            end(c, 0);
        return;
    }
    ssize_t n = recv(c->fd, sink, sizeof sink, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            end(c, n == 0);
        return;
    }
    for (ssize_t i = 0; i < n && c->have < sizeof c->head - 1; i++)
        c->head[c->have++] = sink[i];
    if (!c->status && c->have >= 12)
        c->status = atoi(c->head + 9);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void turn(int wait_ms)
{
    struct epoll_event events[256];
    int n = epoll_wait(poll_fd, events, 256, wait_ms);
    for (int i = 0; i < n; i++)
        on_event((struct conn *)events[i].data.ptr);
}

int main(int argc, char **argv)
{
    int o;
    double rate = 0, seconds = 5, warm = 0, patience_ms = 1000;
    while ((o = getopt(argc, argv, "r:w:d:p:")) != -1) {
        if (o == 'r')
            rate = atof(optarg);
        else if (o == 'w')
            warm = atof(optarg);
        else if (o == 'd')
            seconds = atof(optarg);
        else if (o == 'p')
            patience_ms = atof(optarg);
        else
            return 2;
    }
    if (argc - optind < 3 || rate <= 0) {
        fprintf(stderr, "usage: storm -r RATE [-w SEC] [-d SEC] [-p PATIENCE_MS] ADDR PORT TARGET [Header: value]...\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[optind + 1]))};
    inet_pton(AF_INET, argv[optind], &to.sin_addr);
    ask_len = (size_t)snprintf(ask, sizeof ask, "GET %s HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n", argv[optind + 2]);
    for (int i = optind + 3; i < argc; i++)
        ask_len += (size_t)snprintf(ask + ask_len, sizeof ask - ask_len, "%s\r\n", argv[i]);
    ask_len += (size_t)snprintf(ask + ask_len, sizeof ask - ask_len, "\r\n");
    patience_ns = (uint64_t)(patience_ms * 1e6);
    times_cap = (unsigned long)(rate * seconds) + 1;
    times = (double *)calloc(times_cap, sizeof *times);
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = CONNS_MAX - 1; i >= 0; i--)
        conns[i].fd = -1, conns[i].next = spare, spare = &conns[i];
    uint64_t start = now_ns(), stop = start + (uint64_t)((warm + seconds) * 1e9), step = (uint64_t)(1e9 / rate), due = start, t;
    count_from = start + (uint64_t)(warm * 1e9);
    while ((t = now_ns()) < stop) {
        for (int n = 0; due <= t && n < 256; n++, due += step)
            begin(due);
        turn(due <= now_ns() ? 0 : 1);
    }
    double took = (double)(now_ns() - count_from) / 1e9;
    for (uint64_t last = now_ns() + DRAIN_S * 1000000000ull; open_now && now_ns() < last;)
        turn(10);
    failed += open_now;
    qsort(times, n_times, sizeof *times, by_size);
    printf("{\"seconds\": %.3f, \"offered\": %.1f, \"goodput\": %.1f, \"good\": %lu, \"late\": %lu, \"refused\": %lu, \"failed\": %lu, \"most_open\": %lu, "
           "\"p50_ms\": %.1f, \"p99_ms\": %.1f}\n",
           took, (double)begun / took, (double)good / took, good, late, refused, failed, most_open, n_times ? times[n_times / 2] : 0.0,
           n_times ? times[n_times * 99 / 100] : 0.0);
    return 0;
}
