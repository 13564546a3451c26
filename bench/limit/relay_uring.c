// SPDX-License-Identifier: Apache-2.0
/* relay_uring.c - the same blind relay on io_uring.  A floor, not a proxy.
 *
 *   relay_uring [options] LISTEN_ADDR LISTEN_PORT ORIGIN_ADDR ORIGIN_PORT
 *     (default)  single-shot recv into the connection's own buffer, then send, all batched;
 *                ring set up with SINGLE_ISSUER | DEFER_TASKRUN; registered ring fd
 *     -m         multishot recv + provided buffer ring
 *     -B         with -m: recv bundles (several buffers per completion)
 *     -f         registered (fixed) files
 *     -P         recv with IORING_RECVSEND_POLL_FIRST
 *     -z         send_zc instead of send (only for messages of at least 4 KiB)
 *     -d         send with the send() system call at once instead of through the ring
 *     -t         COOP_TASKRUN instead of DEFER_TASKRUN
 *     -q         SQPOLL
 *     -W N -U us wait for N completions or until us microseconds after the first (min-wait batching)
 *     -b BUF     buffer size (16384)       -n N   buffers in the ring (1024)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef IORING_RECVSEND_BUNDLE
#define IORING_RECVSEND_BUNDLE (1U << 4)
#endif
#ifndef IORING_RECVSEND_POLL_FIRST
#define IORING_RECVSEND_POLL_FIRST (1U << 0)
#endif
enum { OP_ACCEPT, OP_RECV, OP_SEND };
#define QMAX 4096
#define VMAX 32

/* one direction source: data received on fd goes to peer->fd */
struct end {
	int fd, recv_on, sending, starved;
	struct end *peer;
	char *own;
	/* FIFO of received buffers waiting to be sent to peer (multishot mode) */
	uint16_t qbid[QMAX];
	uint32_t qlen[QMAX], qh, qt, inflight, zc_notes;
	struct iovec iov[VMAX];
	struct msghdr mh;
};

static struct io_uring ring;
static struct io_uring_buf_ring *br;
static char *pool;
static int multishot, bundle, fixed, pollfirst, zc, direct, coop, sqpoll, wait_nr = 1;
static unsigned min_us;
static unsigned bufsz = 16384, nbuf = 1024;
static struct sockaddr_in ua;
static int ls;
static struct end *starved[4096];
static int nstarved;
static uint64_t n_enter, n_cqe, n_direct, n_nobuf, n_freed;
static int closed_pairs;
static unsigned bhead;
static uint64_t n_order, freed_seen;

static struct io_uring_sqe *sqe_get(void)
{
	struct io_uring_sqe *s = io_uring_get_sqe(&ring);
	if (!s) { io_uring_submit(&ring); n_enter++; s = io_uring_get_sqe(&ring); }
	return s;
}
static void tag(struct io_uring_sqe *s, struct end *e, int op) { io_uring_sqe_set_data64(s, (uint64_t)(uintptr_t)e | (uint64_t)op); }

static void arm_recv(struct end *e)
{
	if (e->fd < 0 || e->recv_on) return;
	struct io_uring_sqe *s = sqe_get();
	if (multishot) {
		io_uring_prep_recv_multishot(s, e->fd, NULL, 0, 0);
		s->flags |= IOSQE_BUFFER_SELECT;
		s->buf_group = 0;
		if (bundle) s->ioprio |= IORING_RECVSEND_BUNDLE;
	} else {
		if (!e->own) e->own = malloc(bufsz);
		io_uring_prep_recv(s, e->fd, e->own, bufsz, 0);
	}
	if (pollfirst) s->ioprio |= IORING_RECVSEND_POLL_FIRST;
	if (fixed) s->flags |= IOSQE_FIXED_FILE;
	tag(s, e, OP_RECV);
	e->recv_on = 1;
}
static void recycle(uint16_t bid)
{
	io_uring_buf_ring_add(br, pool + (size_t)bid * bufsz, bufsz, bid, io_uring_buf_ring_mask(nbuf), 0);
	io_uring_buf_ring_advance(br, 1);
	n_freed++;
}
static void hangup(struct end *e)
{
	struct end *two[2] = { e, e->peer };
	for (int i = 0; i < 2; i++) if (two[i]->fd >= 0) {
		if (fixed) { int m = -1; int idx = two[i]->fd; io_uring_register_files_update(&ring, (unsigned)idx, &m, 1); }
		shutdown(two[i]->fd, SHUT_RDWR);
		close(two[i]->fd);
		two[i]->fd = -1;
	}
	for (int i = 0; i < 2; i++) if (multishot && !two[i]->sending) while (two[i]->qh != two[i]->qt) recycle(two[i]->qbid[two[i]->qh++ % QMAX]);
	closed_pairs++; /* structures are leaked on purpose: late completions may still point at them */
}
static void do_send(struct end *from)
{
	struct end *to = from->peer;
	if (from->sending || from->qh == from->qt || to->fd < 0) return;
	unsigned k = 0;
	size_t tot = 0;
	for (uint32_t i = from->qh; i != from->qt && k < VMAX; i++, k++) {
		from->iov[k].iov_base = pool + (size_t)from->qbid[i % QMAX] * bufsz;
		from->iov[k].iov_len = from->qlen[i % QMAX];
		tot += from->qlen[i % QMAX];
	}
	from->inflight = k;
	if (direct && k == 1) {
		n_direct++;
		ssize_t n = send(to->fd, from->iov[0].iov_base, tot, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == (ssize_t)tot) { recycle(from->qbid[from->qh++ % QMAX]); return; }
		if (n > 0) {
			from->iov[0].iov_base = (char *)from->iov[0].iov_base + n;
			from->iov[0].iov_len -= (size_t)n;
			tot -= (size_t)n;
		}
	}
	struct io_uring_sqe *s = sqe_get();
	if (k == 1) {
		if (zc && tot >= 4096) io_uring_prep_send_zc(s, to->fd, from->iov[0].iov_base, tot, MSG_NOSIGNAL | MSG_WAITALL, 0);
		else io_uring_prep_send(s, to->fd, from->iov[0].iov_base, tot, MSG_NOSIGNAL | MSG_WAITALL);
	} else {
		from->mh.msg_iov = from->iov;
		from->mh.msg_iovlen = k;
		if (zc) io_uring_prep_sendmsg_zc(s, to->fd, &from->mh, MSG_NOSIGNAL | MSG_WAITALL);
		else io_uring_prep_sendmsg(s, to->fd, &from->mh, MSG_NOSIGNAL | MSG_WAITALL);
	}
	if (fixed) s->flags |= IOSQE_FIXED_FILE;
	tag(s, from, OP_SEND);
	from->sending = 1;
}
static void sent(struct end *from)
{
	for (unsigned i = 0; i < from->inflight; i++) recycle(from->qbid[from->qh++ % QMAX]);
	from->sending = 0;
	if (from->peer->fd < 0) while (from->qh != from->qt) recycle(from->qbid[from->qh++ % QMAX]);
	else do_send(from);
}
static void add_fd(int fd) { if (fixed && io_uring_register_files_update(&ring, (unsigned)fd, &fd, 1) < 0) { perror("files_update"); exit(1); } }

static void accepted(int c)
{
	int one = 1, u = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(u, (void *)&ua, sizeof ua)) { close(u); close(c); return; }
	setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(u, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	struct end *a = aligned_alloc(64, (sizeof *a + 63) & ~63ul), *b = aligned_alloc(64, (sizeof *b + 63) & ~63ul);
	memset(a, 0, sizeof *a);
	memset(b, 0, sizeof *b);
	a->fd = c, b->fd = u, a->peer = b, b->peer = a;
	add_fd(c), add_fd(u);
	arm_recv(a), arm_recv(b);
}
static void arm_accept(void)
{
	struct io_uring_sqe *s = sqe_get();
	io_uring_prep_multishot_accept(s, ls, NULL, NULL, 0);
	tag(s, NULL, OP_ACCEPT);
}
static void received(struct end *e, int res, unsigned flags)
{
	int more = (flags & IORING_CQE_F_MORE) != 0;
	if (!more) e->recv_on = 0;
	if (res <= 0) {
		if (res == -ENOBUFS) {
			n_nobuf++;
			if (!e->starved && nstarved < 4096) e->starved = 1, starved[nstarved++] = e;
			return;
		}
		if (e->fd >= 0) hangup(e);
		return;
	}
	if (!multishot) {
		struct end *to = e->peer;
		if (to->fd < 0) return;
		if (direct) {
			n_direct++;
			ssize_t n = send(to->fd, e->own, (size_t)res, MSG_NOSIGNAL | MSG_DONTWAIT);
			if (n == res) { arm_recv(e); return; }
			if (n > 0) { memmove(e->own, e->own + n, (size_t)(res - n)); res -= (int)n; }
		}
		struct io_uring_sqe *s = sqe_get();
		if (zc && res >= 4096) { io_uring_prep_send_zc(s, to->fd, e->own, (size_t)res, MSG_NOSIGNAL | MSG_WAITALL, 0); e->zc_notes = 1; }
		else io_uring_prep_send(s, to->fd, e->own, (size_t)res, MSG_NOSIGNAL | MSG_WAITALL);
		if (fixed) s->flags |= IOSQE_FIXED_FILE;
		tag(s, e, OP_SEND);
		return;
	}
	/* buffers are consumed in ring order, so our own head follows the kernel's; a bundle spans consecutive slots */
	unsigned bid = flags >> IORING_CQE_BUFFER_SHIFT, left = (unsigned)res, mask = nbuf - 1;
	if (br->bufs[bhead & mask].bid != bid) { n_order++; for (unsigned i = 0; i < nbuf && br->bufs[bhead & mask].bid != bid; i++) bhead++; }
	while (left) {
		unsigned n = left < bufsz ? left : bufsz;
		e->qbid[e->qt % QMAX] = br->bufs[bhead & mask].bid;
		e->qlen[e->qt % QMAX] = n;
		e->qt++;
		bhead++;
		left -= n;
	}
	if (e->fd < 0) { /* closed meanwhile */
		if (!e->sending) while (e->qh != e->qt) recycle(e->qbid[e->qh++ % QMAX]);
		return;
	}
	do_send(e);
	if (!more) arm_recv(e);
}

static void report(int sig)
{
	(void)sig;
	fprintf(stderr, "io_uring_enter %llu cqe %llu (%.2f/enter) direct send %llu nobuf %llu order %llu\n", (unsigned long long)n_enter,
		(unsigned long long)n_cqe, (double)n_cqe / (double)(n_enter ? n_enter : 1), (unsigned long long)n_direct, (unsigned long long)n_nobuf, (unsigned long long)n_order);
	_exit(0);
}

struct ext_arg { uint64_t sigmask; uint32_t sigmask_sz, min_wait_usec; uint64_t ts; };

int main(int argc, char **argv)
{
	int o, one = 1;
	while ((o = getopt(argc, argv, "mBfPzdtqW:U:b:n:")) != -1) switch (o) {
	case 'm': multishot = 1; break;
	case 'B': bundle = 1; break;
	case 'f': fixed = 1; break;
	case 'P': pollfirst = 1; break;
	case 'z': zc = 1; break;
	case 'd': direct = 1; break;
	case 't': coop = 1; break;
	case 'q': sqpoll = 1; break;
	case 'W': wait_nr = atoi(optarg); break;
	case 'U': min_us = (unsigned)atoi(optarg); break;
	case 'b': bufsz = (unsigned)strtoul(optarg, NULL, 0); break;
	case 'n': nbuf = (unsigned)strtoul(optarg, NULL, 0); break;
	default: return 2;
	}
	if (argc - optind != 4) { fprintf(stderr, "usage: relay_uring [options] LADDR LPORT OADDR OPORT\n"); return 2; }
	if (fixed && direct) { fprintf(stderr, "-f with -d is not supported\n"); return 2; }
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, report);
	struct sockaddr_in la = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[optind + 1])) };
	ua = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[optind + 3])) };
	inet_pton(AF_INET, argv[optind], &la.sin_addr);
	inet_pton(AF_INET, argv[optind + 2], &ua.sin_addr);
	ls = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(ls, (void *)&la, sizeof la) || listen(ls, 4096)) { perror("listen"); return 1; }

	struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP, .cq_entries = 16384 };
	p.flags |= coop ? IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG : sqpoll ? IORING_SETUP_SQPOLL : IORING_SETUP_DEFER_TASKRUN;
	if (sqpoll) p.sq_thread_idle = 50;
	int r = io_uring_queue_init_params(4096, &ring, &p);
	if (r < 0) { fprintf(stderr, "io_uring: %s\n", strerror(-r)); return 1; }
	io_uring_register_ring_fd(&ring);
	if (fixed && (r = io_uring_register_files_sparse(&ring, 20000)) < 0) { fprintf(stderr, "files: %s\n", strerror(-r)); return 1; }
	if (multishot) {
		size_t rs = sizeof(struct io_uring_buf) * nbuf;
		br = mmap(NULL, rs, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
		struct io_uring_buf_reg reg = { .ring_addr = (uint64_t)(uintptr_t)br, .ring_entries = nbuf, .bgid = 0 };
		if ((r = io_uring_register_buf_ring(&ring, &reg, 0)) < 0) { fprintf(stderr, "buf_ring: %s\n", strerror(-r)); return 1; }
		pool = mmap(NULL, (size_t)nbuf * bufsz, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
		io_uring_buf_ring_init(br);
		for (unsigned i = 0; i < nbuf; i++) io_uring_buf_ring_add(br, pool + (size_t)i * bufsz, bufsz, (unsigned short)i, io_uring_buf_ring_mask(nbuf), (int)i);
		io_uring_buf_ring_advance(br, (int)nbuf);
	}
	arm_accept();
	for (;;) {
		if (min_us) {
			io_uring_submit(&ring);
			struct ext_arg a = { .min_wait_usec = min_us };
			syscall(SYS_io_uring_enter, ring.ring_fd, 0, wait_nr, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &a, sizeof a);
			n_enter += 2;
		} else {
			io_uring_submit_and_wait(&ring, (unsigned)wait_nr);
			n_enter++;
		}
		struct io_uring_cqe *cqe;
		unsigned head, cnt = 0;
		io_uring_for_each_cqe(&ring, head, cqe) {
			cnt++;
			struct end *e = (struct end *)(uintptr_t)(cqe->user_data & ~7ull);
			switch (cqe->user_data & 7) {
			case OP_ACCEPT:
				if (cqe->res >= 0) accepted(cqe->res);
				if (!(cqe->flags & IORING_CQE_F_MORE)) arm_accept();
				break;
			case OP_RECV: received(e, cqe->res, cqe->flags); break;
			case OP_SEND:
				if (cqe->flags & IORING_CQE_F_NOTIF) { /* zero copy: buffer is free now */
					if (multishot) sent(e); else arm_recv(e);
					break;
				}
				if (cqe->res <= 0) {
					if (e->fd >= 0) hangup(e);
					if (multishot && !(cqe->flags & IORING_CQE_F_MORE)) sent(e);
					break;
				}
				if (cqe->flags & IORING_CQE_F_MORE) break; /* wait for the notification */
				if (multishot) sent(e); else arm_recv(e);
				break;
			}
		}
		io_uring_cq_advance(&ring, cnt);
		n_cqe += cnt;
		if (nstarved && n_freed != freed_seen) { /* only when buffers have come back, or this would spin */
			freed_seen = n_freed;
			int k = nstarved;
			nstarved = 0;
			for (int i = 0; i < k; i++) { starved[i]->starved = 0; arm_recv(starved[i]); }
		}
	}
}
