// SPDX-License-Identifier: Apache-2.0
/* relay_epoll.c - the least an epoll proxy can do: a blind two-way relay, one upstream connection per client.
 * No HTTP parsing at all, so this is a floor, not a proxy.
 *
 *   relay_epoll [-e] [-d] [-w] [-x] [-l] [-s] [-k] [-b BUF] [-p PIPE] LISTEN_ADDR LISTEN_PORT ORIGIN_ADDR ORIGIN_PORT
 *     (default)  level-triggered, one recv per event, immediate send
 *     -e         edge-triggered, registered once; a short read counts as drained
 *     -d         with -e: read until EAGAIN after each event (one wasted recv per message)
 *     -w         never write speculatively: arm EPOLLOUT with epoll_ctl and write when told
 *     -x         after a send, at once try a recv on that socket (speculative read)
 *     -l         late sends: first all recvs of a batch, then all sends (what a ring does, with plain syscalls)
 *     -s         splice through a pipe instead of recv/send
 *     -k         an upstream connection outlives its client and serves the next one (last in, first out)
 *     -b BUF     buffer size (16384)      -p PIPE   pipe size (262144)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct end { int fd, dead, up, in_pipe, pipe[2]; uint32_t armed; struct end *peer; size_t off, len; char *hold; int in_ready; };

static int epfd, edge, drain, waitout, spec, late, use_splice, keep;
static struct end *idle[4096]; /* upstream connections without a client (-k) */
static int nidle;
static struct { struct end *to, *from; char *buf; size_t n; } lateq[512];
static int nlate;
static size_t bufsz = 16384, pipesz = 262144;
static char *buf;
static struct end *graveyard[1024];
static int ngrave;
static uint64_t n_wait, n_ev, n_recv, n_send, n_again, n_ctl;

static void arm(struct end *e, uint32_t ev)
{
	if (e->armed == ev) return;
	struct epoll_event x = { .events = ev, .data.ptr = e };
	n_ctl++;
	epoll_ctl(epfd, e->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, e->fd, &x);
	e->armed = ev;
}
static void bury1(struct end *x)
{
	x->dead = 1;
	close(x->fd);
	if (use_splice) close(x->pipe[0]), close(x->pipe[1]);
	free(x->hold);
	if (ngrave < 1024) graveyard[ngrave++] = x;
}
static void bury(struct end *e)
{
	if (e->dead) return;
	if (e->peer) bury1(e->peer);
	else for (int i = 0; i < nidle; i++) if (idle[i] == e) { idle[i] = idle[--nidle]; break; }
	bury1(e);
}
/* end of file from e: with -k a client goes alone, provided that nothing is left on its way in either direction */
static void leave(struct end *e)
{
	struct end *u = e->peer;
	if (!keep || e->up || e->in_pipe || e->off < e->len || u->in_pipe || u->off < u->len || nidle == 4096) { bury(e); return; }
	bury1(e);
	u->peer = NULL;
	idle[nidle++] = u;
}
/* data pending toward `to` is in to->hold[off..len) (copy mode) or to->in_pipe bytes of to->pipe (splice) */
static int push(struct end *to)
{
	while (use_splice ? to->in_pipe > 0 : to->off < to->len) {
		ssize_t n = use_splice ? splice(to->pipe[0], NULL, to->fd, NULL, (size_t)to->in_pipe, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
				       : send(to->fd, to->hold + to->off, to->len - to->off, MSG_NOSIGNAL);
		n_send++;
		if (n < 0) {
			if (errno == EAGAIN) { n_again++; if (!edge) arm(to, EPOLLOUT); return 0; }
			bury(to);
			return -1;
		}
		if (use_splice) to->in_pipe -= (int)n; else to->off += (size_t)n;
	}
	to->off = to->len = 0;
	return 1;
}
static void pull(struct end *from)
{
	struct end *to = from->peer;
	if (!to) { bury(from); return; } /* idle, so this is its end (or bytes that nobody asked for) */
	for (;;) {
		if (use_splice ? to->in_pipe > 0 : to->off < to->len) { from->in_ready = 1; return; }
		ssize_t n;
		n_recv++;
		if (use_splice) n = splice(from->fd, NULL, to->pipe[1], NULL, pipesz, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		else n = recv(from->fd, late ? lateq[nlate].buf : buf, bufsz, 0);
		if (n == 0) { leave(from); return; }
		if (n < 0) {
			if (errno == EAGAIN) { n_again++; from->in_ready = 0; return; }
			bury(from);
			return;
		}
		if (use_splice) {
			to->in_pipe = (int)n;
			int r = push(to);
			if (r < 0) return;
			if (r == 0) { from->in_ready = 1; if (!edge) arm(from, 0x10000000u /* nothing but errors */); return; }
		} else {
			ssize_t k = 0;
			if (late && (size_t)n < bufsz && nlate < 511) { /* a full read is bulk: sent at once */
				lateq[nlate].to = to, lateq[nlate].from = from, lateq[nlate].n = (size_t)n;
				nlate++;
				return;
			}
			if (late) memcpy(buf, lateq[nlate].buf, (size_t)n);
			if (!waitout) {
				n_send++;
				k = send(to->fd, buf, (size_t)n, MSG_NOSIGNAL);
				if (k < 0 && errno != EAGAIN) { bury(from); return; }
				if (k < 0) k = 0;
			}
			if (k < n) {
				if (!to->hold) to->hold = malloc(bufsz);
				memcpy(to->hold, buf + k, (size_t)(n - k));
				to->off = 0, to->len = (size_t)(n - k);
				from->in_ready = 1;
				if (!edge) { arm(to, EPOLLOUT); if (!waitout) arm(from, 0x10000000u); }
				return;
			}
		}
		if (spec && !drain) { /* try the other side at once */
			ssize_t s;
			n_recv++;
			s = recv(to->fd, buf, bufsz, MSG_DONTWAIT);
			if (s < 0) n_again++;
			else if (s > 0) { n_send++; if (send(from->fd, buf, (size_t)s, MSG_NOSIGNAL) != s) { bury(from); return; } }
		}
		if (!edge) return;
		if (!drain && !use_splice && (size_t)n < bufsz) { from->in_ready = 0; return; }
	}
}

static struct end *new_end(int fd, int up)
{
	int one = 1;
	struct end *e = calloc(1, sizeof *e);
	e->fd = fd, e->up = up;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (use_splice) {
		if (pipe2(e->pipe, O_NONBLOCK)) { perror("pipe"); exit(1); }
		fcntl(e->pipe[1], F_SETPIPE_SZ, (int)pipesz);
	}
	return e;
}

static void report(int sig)
{
	(void)sig;
	fprintf(stderr, "epoll_wait %llu events %llu (%.2f/wait) recv %llu send %llu EAGAIN %llu epoll_ctl %llu\n", (unsigned long long)n_wait,
		(unsigned long long)n_ev, (double)n_ev / (double)(n_wait ? n_wait : 1), (unsigned long long)n_recv,
		(unsigned long long)n_send, (unsigned long long)n_again, (unsigned long long)n_ctl);
	_exit(0);
}

int main(int argc, char **argv)
{
	int o, one = 1;
	while ((o = getopt(argc, argv, "edwxlskb:p:")) != -1) switch (o) {
	case 'e': edge = 1; break;
	case 'd': drain = 1; break;
	case 'w': waitout = 1; break;
	case 'x': spec = 1; break;
	case 'l': late = 1; break;
	case 's': use_splice = 1; break;
	case 'k': keep = 1; break;
	case 'b': bufsz = strtoul(optarg, NULL, 0); break;
	case 'p': pipesz = strtoul(optarg, NULL, 0); break;
	default: return 2;
	}
	if (argc - optind != 4) { fprintf(stderr, "usage: relay_epoll [options] LADDR LPORT OADDR OPORT\n"); return 2; }
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, report);
	struct sockaddr_in la = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[optind + 1])) };
	struct sockaddr_in ua = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[optind + 3])) };
	inet_pton(AF_INET, argv[optind], &la.sin_addr);
	inet_pton(AF_INET, argv[optind + 2], &ua.sin_addr);
	int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(ls, (void *)&la, sizeof la) || listen(ls, 4096)) { perror("listen"); return 1; }
	epfd = epoll_create1(0);
	buf = malloc(bufsz);
	if (late) for (int i = 0; i < 512; i++) lateq[i].buf = malloc(bufsz);
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL }, evs[512];
	epoll_ctl(epfd, EPOLL_CTL_ADD, ls, &ev);
	for (;;) {
		int n = epoll_wait(epfd, evs, 512, -1);
		if (n < 0) continue;
		n_wait++, n_ev += (uint64_t)n;
		for (int i = 0; i < n; i++) {
			struct end *e = evs[i].data.ptr;
			if (!e) {
				int c;
				while ((c = accept4(ls, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
					struct end *b = nidle ? idle[--nidle] : NULL;
					if (!b) {
						int u = socket(AF_INET, SOCK_STREAM, 0);
						if (connect(u, (void *)&ua, sizeof ua)) { close(u); close(c); continue; }
						fcntl(u, F_SETFL, O_NONBLOCK);
						b = new_end(u, 1);
					}
					struct end *a = new_end(c, 0);
					a->peer = b, b->peer = a;
					uint32_t m = edge ? EPOLLIN | EPOLLOUT | EPOLLET : EPOLLIN;
					arm(a, m), arm(b, m);
				}
				continue;
			}
			if (e->dead) continue;
			uint32_t x = evs[i].events;
			int pending = use_splice ? e->in_pipe > 0 : e->off < e->len;
			if ((x & EPOLLOUT) && pending) {
				int r = push(e);
				if (r < 0) continue;
				if (r > 0) {
					if (!edge) { arm(e, EPOLLIN); if (!e->peer->dead) arm(e->peer, EPOLLIN); }
					else if (e->peer->in_ready) { pull(e->peer); if (e->dead) continue; }
				}
			}
			if (x & (EPOLLIN | EPOLLHUP | EPOLLERR)) pull(e);
		}
		for (int i = 0; i < nlate; i++) {
			struct end *to = lateq[i].to;
			if (to->dead) continue;
			n_send++;
			ssize_t k = send(to->fd, lateq[i].buf, lateq[i].n, MSG_NOSIGNAL);
			if (k < 0 && errno != EAGAIN) { bury(to); continue; }
			if (k < 0) k = 0;
			if ((size_t)k < lateq[i].n) {
				if (!to->hold) to->hold = malloc(bufsz);
				memcpy(to->hold, lateq[i].buf + k, lateq[i].n - (size_t)k);
				to->off = 0, to->len = lateq[i].n - (size_t)k;
				lateq[i].from->in_ready = 1;
				if (!edge) { arm(to, EPOLLOUT); arm(lateq[i].from, 0x10000000u); }
			}
		}
		nlate = 0;
		for (int i = 0; i < ngrave; i++) free(graveyard[i]);
		ngrave = 0;
	}
}
