// SPDX-License-Identifier: Apache-2.0
/* load.c - closed-loop HTTP/1.1 load generator (plain TCP) for benchmarks.  One thread, epoll.
 *
 *   load [options] ADDR PORT TARGET [Header: value]...
 *     -c N        connections (64)             -d SEC   duration (5)
 *     -n N        requests per connection, then close and reconnect (0 = keep)
 *     -C H:P      send CONNECT H:P first, then the requests inside the tunnel
 *     -H HOST     Host header (default ADDR:PORT)
 *     -z N:S      `%u` in TARGET is one of N keys, by Zipf's law with this exponent (0: each as likely)
 *     -r N        ends after so many requests (or -d SEC)    -s N   seed of the keys
 *     -i          idle mode: open -c connections, one request on each, print "ready",
 *                 hold them until stdin closes
 * Prints one JSON object.  Bodies with Content-Length are discarded in the kernel (MSG_TRUNC),
 * so a bulk transfer costs the generator little.  A latency is from the first byte sent to the
 * last byte received (with a new connection: from connect()).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ST_CONNECTING, ST_TUNNEL, ST_HEAD, ST_BODY, ST_CHUNK, ST_EOF, ST_IDLE };
struct conn { int fd, st, close_after, counted; uint64_t t0; long reqs; size_t have; int64_t left; int cstate; uint64_t csize; char in[16384]; };

static int epfd, idle_mode;
static struct sockaddr_in sa;
static char req[8192], creq[1024];
static size_t reqlen, creqlen;
static long per_conn, max_requests;
static char *tail; /* of the request, behind the key */
static double *zipf; /* how likely a key up to this one is */
static unsigned n_keys;
static uint64_t rng = 1;
static uint64_t done, body_bytes, wire_bytes, errs, non2xx, reconnects, stale, opened;
static uint64_t first_status;
static int stopping;
#define NB 2048
static uint64_t hist[NB];

static uint64_t now_ns(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec; }

static void lat(uint64_t ns)
{
	int b = ns < 1000 ? 0 : (int)(log2((double)ns / 1000.0) * 64.0);
	if (b >= NB) b = NB - 1;
	hist[b]++;
}
static double pct(double p)
{
	uint64_t tot = 0, s = 0;
	for (int i = 0; i < NB; i++) tot += hist[i];
	if (!tot) return 0;
	for (int i = 0; i < NB; i++) { s += hist[i]; if ((double)s >= p * (double)tot) return exp2((i + 0.5) / 64.0); }
	return 0;
}

static void fire(struct conn *c);
static void start(struct conn *c)
{
	int one = 1;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) { perror("socket"); exit(1); }
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	c->reqs = 0, c->have = 0, c->close_after = 0;
	c->t0 = now_ns();
	opened++;
	c->st = ST_CONNECTING;
	if (connect(c->fd, (void *)&sa, sizeof sa) && errno != EINPROGRESS) { perror("connect"); exit(1); }
	struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = c };
	epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev);
}
static void again(struct conn *c)
{
	close(c->fd);
	c->fd = -1;
	if (!stopping && !idle_mode) { reconnects++; start(c); }
}
static void fail(struct conn *c)
{
	if (c->fd < 0) return;
	if (!stopping) errs++;
	if (errs > 100000) { fprintf(stderr, "too many errors\n"); exit(1); }
	again(c);
}

static void send_all(struct conn *c, const char *p, size_t n)
{
	ssize_t k = send(c->fd, p, n, MSG_NOSIGNAL);
	if (k != (ssize_t)n) fail(c);
}
static unsigned next_key(void)
{
	rng = rng * 6364136223846793005u + 1442695040888963407u;
	double u = (double)(rng >> 11) / 9007199254740992.0 * zipf[n_keys - 1];
	unsigned lo = 0, hi = n_keys - 1;
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		if (zipf[mid] <= u) lo = mid + 1;
		else hi = mid;
	}
	return lo;
}
static void set_zipf(const char *text)
{
	char *end;
	n_keys = (unsigned)strtoul(text, &end, 10);
	double s = *end == ':' ? atof(end + 1) : 0, sum = 0;
	zipf = n_keys ? malloc(n_keys * sizeof *zipf) : NULL;
	if (!zipf) { fprintf(stderr, "bad -z\n"); exit(2); }
	for (unsigned i = 0; i < n_keys; i++) zipf[i] = sum += pow(i + 1.0, -s);
}
static void fire(struct conn *c)
{
	c->st = ST_HEAD;
	c->have = 0;
	if (tail) {
		char one[sizeof req + 16];
		int n = snprintf(one, sizeof one, "%s%u%s", req, next_key(), tail);
		send_all(c, one, (size_t)n);
		return;
	}
	send_all(c, req, reqlen);
}
static void finish(struct conn *c)
{
	done++;
	lat(now_ns() - c->t0);
	c->reqs++;
	if (idle_mode) { c->st = ST_IDLE; return; }
	if (stopping) return;
	if (c->close_after || (per_conn && c->reqs >= per_conn)) { again(c); return; }
	c->t0 = now_ns();
	fire(c);
}
/* chunked decoder over a buffer; returns 1 at the end of the body */
static int chunk(struct conn *c, const char *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		char ch = p[i];
		switch (c->cstate) {
		case 0: /* size */
			if (ch == '\n') { c->cstate = c->csize ? 1 : 3; }
			else if (ch == ';') c->cstate = 4;
			else if (ch != '\r') { int v = ch <= '9' ? ch - '0' : (ch | 32) - 'a' + 10; c->csize = c->csize * 16 + (uint64_t)v; }
			i++;
			break;
		case 4: if (ch == '\n') c->cstate = c->csize ? 1 : 3; i++; break;
		case 1: { /* data */
			size_t k = n - i < c->csize ? n - i : c->csize;
			body_bytes += k;
			c->csize -= k;
			i += k;
			if (!c->csize) c->cstate = 2;
			break; }
		case 2: if (ch == '\n') c->cstate = 0; i++; break;
		case 3: i++; if (ch == '\n') return 1; break; /* last CRLF (no trailers expected) */
		}
	}
	return 0;
}
static char *hdr(struct conn *c, size_t hl, const char *name)
{
	size_t nl = strlen(name);
	for (char *p = memchr(c->in, '\n', hl); p && (size_t)(p - c->in) + 2 + nl < hl; p = memchr(p + 1, '\n', hl - (size_t)(p + 1 - c->in)))
		if (!strncasecmp(p + 1, name, nl)) return p + 1 + nl;
	return NULL;
}
static void readable(struct conn *c)
{
	for (;;) {
		ssize_t n;
		if (c->st == ST_BODY) {
			n = recv(c->fd, c->in, c->left > 1 << 30 ? 1 << 30 : (size_t)c->left, MSG_TRUNC);
			if (n > 0) {
				wire_bytes += (uint64_t)n, body_bytes += (uint64_t)n;
				c->left -= n;
				if (c->left == 0) finish(c);
				return;
			}
		} else {
			n = recv(c->fd, c->in + c->have, sizeof c->in - c->have, 0);
		}
		if (n < 0) { if (errno != EAGAIN && errno != EINTR) fail(c); return; }
		if (n == 0) {
			if (c->st == ST_EOF) { c->close_after = 1; finish(c); }
			else if (c->st == ST_IDLE) { errs++; close(c->fd); c->fd = -1; }
			else if (c->st == ST_HEAD && c->reqs > 0 && !c->have) { stale++; again(c); } /* closed between requests without saying so */
			else fail(c);
			return;
		}
		wire_bytes += (uint64_t)n;
		if (c->st == ST_EOF) { body_bytes += (uint64_t)n; return; }
		if (c->st == ST_CHUNK) { if (chunk(c, c->in, (size_t)n)) finish(c); return; }
		if (c->st == ST_IDLE) return;
		c->have += (size_t)n;
		char *end = memmem(c->in, c->have, "\r\n\r\n", 4);
		if (!end) { if (c->have == sizeof c->in) fail(c); return; }
		size_t hl = (size_t)(end + 4 - c->in);
		int status = c->have > 12 ? atoi(c->in + 9) : 0;
		if (!first_status) first_status = (uint64_t)status;
		if (status < 200 || status > 299) non2xx++;
		if (c->st == ST_TUNNEL) { if (status != 200) { fail(c); return; } fire(c); return; }
		char *v;
		size_t rest = c->have - hl;
		if ((v = hdr(c, hl, "connection:")) && !strncasecmp(v + strspn(v, " "), "close", 5)) c->close_after = 1;
		if (!strncmp(c->in, "HTTP/1.0", 8) && !(v && !strncasecmp(v + strspn(v, " "), "keep-alive", 10))) c->close_after = 1;
		c->have = 0;
		if ((v = hdr(c, hl, "transfer-encoding:"))) {
			c->st = ST_CHUNK, c->cstate = 0, c->csize = 0;
			if (rest && chunk(c, c->in + hl, rest)) finish(c);
			return;
		}
		if ((v = hdr(c, hl, "content-length:"))) {
			c->left = strtoll(v, NULL, 10) - (int64_t)rest;
			body_bytes += rest;
			if (c->left == 0) { finish(c); return; }
			c->st = ST_BODY;
			return;
		}
		body_bytes += rest;
		c->st = ST_EOF;
		return;
	}
}

int main(int argc, char **argv)
{
	int o, nconn = 64;
	double dur = 5;
	const char *host = NULL, *tun = NULL;
	while ((o = getopt(argc, argv, "c:d:n:C:H:iz:r:s:")) != -1) switch (o) {
	case 'c': nconn = atoi(optarg); break;
	case 'd': dur = atof(optarg); break;
	case 'n': per_conn = atol(optarg); break;
	case 'C': tun = optarg; break;
	case 'H': host = optarg; break;
	case 'i': idle_mode = 1; break;
	case 'z': set_zipf(optarg); break;
	case 'r': max_requests = atol(optarg); break;
	case 's': rng = strtoull(optarg, NULL, 10); break;
	default: return 2;
	}
	if (argc - optind < 3) { fprintf(stderr, "usage: load [options] ADDR PORT TARGET [Header: value]...\n"); return 2; }
	signal(SIGPIPE, SIG_IGN);
	sa.sin_family = AF_INET;
	sa.sin_port = htons((uint16_t)atoi(argv[optind + 1]));
	if (inet_pton(AF_INET, argv[optind], &sa.sin_addr) != 1) { fprintf(stderr, "bad address\n"); return 2; }
	char hostbuf[128];
	if (!host) { snprintf(hostbuf, sizeof hostbuf, "%s:%s", argv[optind], argv[optind + 1]); host = hostbuf; }
	reqlen = (size_t)snprintf(req, sizeof req, "GET %s HTTP/1.1\r\nHost: %s\r\n", argv[optind + 2], host);
	for (int i = optind + 3; i < argc; i++) reqlen += (size_t)snprintf(req + reqlen, sizeof req - reqlen, "%s\r\n", argv[i]);
	reqlen += (size_t)snprintf(req + reqlen, sizeof req - reqlen, "\r\n");
	if (n_keys) {
		tail = strstr(req, "%u");
		if (!tail) { fprintf(stderr, "no %%u in TARGET\n"); return 2; }
		*tail = 0;
		tail += 2;
	}
	if (tun) creqlen = (size_t)snprintf(creq, sizeof creq, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", tun, tun);
	struct rlimit rl;
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	struct conn *cs = calloc((size_t)nconn, sizeof *cs);
	int started = 0, batch = idle_mode ? 64 : nconn;
	uint64_t t_start = now_ns(), t_end = t_start + (uint64_t)(dur * 1e9), t = t_start, last_done = 0, last_move = t_start;
	for (; started < nconn && started < batch; started++) start(&cs[started]);
	struct epoll_event evs[256];
	while (idle_mode ? done + errs < (uint64_t)nconn : t < t_end && !(max_requests && done >= (uint64_t)max_requests)) {
		int n = epoll_wait(epfd, evs, 256, 100);
		for (int i = 0; i < n; i++) {
			struct conn *c = evs[i].data.ptr;
			if (c->fd < 0) continue;
			if (c->st == ST_CONNECTING) {
				int e = 0;
				socklen_t el = sizeof e;
				getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &el);
				if (e) { fail(c); continue; }
				struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
				epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &ev);
				if (creqlen) { c->st = ST_TUNNEL; send_all(c, creq, creqlen); }
				else fire(c);
				continue;
			}
			readable(c);
		}
		t = now_ns();
		if (done != last_done) last_done = done, last_move = t;
		if (idle_mode) {
			while (started < nconn && (uint64_t)started < done + errs + (uint64_t)batch) start(&cs[started++]);
			if (t - last_move > 10000000000u) break;
		}
	}
	double el = (double)(t - t_start) / 1e9;
	stopping = 1;
	struct rusage ru;
	getrusage(RUSAGE_SELF, &ru);
	if (idle_mode) {
		printf("ready\n");
		fflush(stdout);
		char b;
		while (read(0, &b, 1) > 0) {}
		/* count connections that the server closed while idle */
		for (int i = 0; i < started; i++) if (cs[i].fd >= 0 && recv(cs[i].fd, &b, 1, MSG_DONTWAIT) == 0) errs++;
	}
	printf("{\"requests\":%llu,\"seconds\":%.4f,\"body_bytes\":%llu,\"wire_bytes\":%llu,\"errors\":%llu,\"non2xx\":%llu,"
		"\"opened\":%llu,\"stale\":%llu,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"client_cpu_s\":%.3f}\n",
		(unsigned long long)done, el, (unsigned long long)body_bytes, (unsigned long long)wire_bytes, (unsigned long long)errs,
		(unsigned long long)non2xx, (unsigned long long)opened, (unsigned long long)stale, pct(.5), pct(.9), pct(.99), pct(.999),
		(double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) + (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
	return 0;
}
