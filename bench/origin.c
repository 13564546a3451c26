// SPDX-License-Identifier: Apache-2.0
/* origin.c - minimal HTTP/1.1 origin for benchmarks.  One thread, epoll, keep-alive.
 *
 *   origin ADDR PORT
 *
 *   /b/SIZE             SIZE bytes, no caching allowed (Cache-Control: no-store)
 *   /c/MAXAGE/SIZE      SIZE bytes, Cache-Control: public, max-age=MAXAGE
 *   /g/SIZE             SIZE bytes of JSON-like text, no-store, application/json
 *   /k/SIZE             SIZE bytes, Transfer-Encoding: chunked (16 KiB chunks)
 *   /u/MAXAGE/SIZE/KEY  as /c, for as many keys as one likes
 *   /z/MAXAGE/KEY       the same, and the size (1 to 256 KiB, each power of two as likely) follows from the key
 *   /served             how many of /u and /z were answered so far
 *   anything else       404
 *
 * Complete responses are built once and kept, so a request costs one recv() and one send(); those with a key are built each time.
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
#include <time.h>
#include <unistd.h>

#define INBUF 16384
#define MAXRESP 128

struct resp { char path[96]; int pathlen; char *data; size_t len; size_t date_off; };
struct conn { int fd, close_after, want_out; size_t have; const char *out; size_t left; const char *body; size_t body_left; char head[512], in[INBUF]; };

static struct resp resps[MAXRESP];
static int nresps, epfd;
static unsigned long served;
static char *pattern; /* of content that is built each time */
enum { KEYED_MAX = 1 << 20 };
static char date[32];
static time_t last_date;

static void die(const char *what) { perror(what); exit(1); }

static void refresh_date(void)
{
	time_t now = time(NULL);
	if (now == last_date) return;
	last_date = now;
	struct tm tm;
	gmtime_r(&now, &tm);
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	for (int i = 0; i < nresps; i++) memcpy(resps[i].data + resps[i].date_off, date, 29);
}

static void fill_text(char *p, size_t n)
{
	static const char *const word[] = { "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel",
		"india", "juliett", "kilo", "lima", "mike", "november", "oscar", "papa" };
	uint32_t s = 12345;
	size_t o = 0;
	while (o < n) {
		char rec[256];
		s = s * 1664525u + 1013904223u;
		uint32_t a = s >> 8;
		s = s * 1664525u + 1013904223u;
		uint32_t b = s >> 8;
		int l = snprintf(rec, sizeof rec,
			"{\"id\":%u,\"name\":\"%s %s\",\"active\":%s,\"score\":%u.%02u,\"tags\":[\"%s\",\"%s\"],\"url\":\"https://example.test/items/%u\"},\n",
			a % 1000000, word[a & 15], word[(a >> 4) & 15], (b & 1) ? "true" : "false", b % 1000, (b >> 10) % 100,
			word[(b >> 4) & 15], word[(b >> 8) & 15], a % 1000000);
		if ((size_t)l > n - o) l = (int)(n - o);
		memcpy(p + o, rec, (size_t)l);
		o += (size_t)l;
	}
}

static struct resp *build(const char *path, int pathlen)
{
	char tmp[96];
	unsigned long maxage = 0, size = 0;
	char kind = 0;
	if (nresps == MAXRESP || pathlen >= (int)sizeof tmp) return NULL;
	memcpy(tmp, path, (size_t)pathlen);
	tmp[pathlen] = 0;
	if (sscanf(tmp, "/c/%lu/%lu", &maxage, &size) == 2) kind = 'c';
	else if (sscanf(tmp, "/b/%lu", &size) == 1) kind = 'b';
	else if (sscanf(tmp, "/g/%lu", &size) == 1) kind = 'g';
	else if (sscanf(tmp, "/k/%lu", &size) == 1) kind = 'k';
	if (size > 1ul << 30) kind = 0;
	if (!kind) size = 10;
	char cc[64] = "no-store", framing[64];
	if (kind == 'c') snprintf(cc, sizeof cc, "public, max-age=%lu", maxage);
	if (kind == 'k') strcpy(framing, "Transfer-Encoding: chunked");
	else snprintf(framing, sizeof framing, "Content-Length: %lu", size);
	struct resp *r = &resps[nresps];
	r->data = malloc(1024 + size + (size / 16384 + 2) * 16);
	if (!r->data) return NULL;
	memcpy(r->path, tmp, (size_t)pathlen + 1);
	r->pathlen = pathlen;
	int h = sprintf(r->data,
		"HTTP/1.1 %s\r\nServer: origin\r\nDate: %s\r\nContent-Type: %s\r\n%s\r\n"
		"Last-Modified: Mon, 06 Jan 2025 10:00:00 GMT\r\nETag: \"w-%lx\"\r\nCache-Control: %s\r\nX-Request-Id: 7f3a9c1e5b\r\n\r\n",
		kind ? "200 OK" : "404 Not Found", date, kind == 'g' ? "application/json" : "application/octet-stream",
		framing, size, cc);
	r->date_off = (size_t)(strstr(r->data, "Date: ") + 6 - r->data);
	char *p = r->data + h;
	if (kind == 'k') {
		for (size_t o = 0; o < size;) {
			size_t n = size - o < 16384 ? size - o : 16384;
			p += sprintf(p, "%zx\r\n", n);
			memset(p, 'k', n);
			p += n;
			*p++ = '\r', *p++ = '\n';
			o += n;
		}
		p += sprintf(p, "0\r\n\r\n");
	} else {
		if (kind == 'g') fill_text(p, size);
		else for (size_t i = 0; i < size; i++) p[i] = (char)("0123456789abcdef"[(i * 7 + (i >> 5)) & 15]);
		p += size;
	}
	r->len = (size_t)(p - r->data);
	nresps++;
	return r;
}

static struct resp *lookup(const char *path, int len)
{
	for (int i = 0; i < nresps; i++)
		if (resps[i].pathlen == len && !memcmp(resps[i].path, path, (size_t)len)) return &resps[i];
	return build(path, len);
}

/* Responses with a key. 0: it is none of these. */
static int keyed(struct conn *c, const char *path, int len)
{
	char tmp[96], text[32] = "";
	unsigned long maxage = 0, size = 0, key = 0;
	if (len >= (int)sizeof tmp) return 0;
	memcpy(tmp, path, (size_t)len);
	tmp[len] = 0;
	c->body = pattern;
	if (sscanf(tmp, "/z/%lu/%lu", &maxage, &key) == 2) {
		uint64_t h = (key + 1) * 0x9e3779b97f4a7c15u;
		h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
		size = 1024ul << (h >> 61);
		size += (h >> 20) % size;
	} else if (!strcmp(tmp, "/served")) {
		size = (size_t)sprintf(text, "%lu", served--);
	} else if (sscanf(tmp, "/u/%lu/%lu/%lu", &maxage, &size, &key) != 3 || size > KEYED_MAX) {
		return 0;
	}
	served++;
	c->body_left = text[0] ? 0 : size;
	c->out = c->head;
	c->left = (size_t)snprintf(c->head, sizeof c->head, "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: %s\r\nContent-Type: application/octet-stream\r\n"
		"Content-Length: %lu\r\nLast-Modified: Mon, 06 Jan 2025 10:00:00 GMT\r\nETag: \"w-%lx-%lx\"\r\nCache-Control: %s%lu\r\nX-Request-Id: 7f3a9c1e5b\r\n\r\n%s",
		date, size, size, key, text[0] ? "no-store, max-age=" : "public, max-age=", maxage, text);
	return 1;
}

static void drop(struct conn *c) { close(c->fd); free(c); }

/* returns 0 when the connection is gone */
static int flush_out(struct conn *c)
{
	for (;;) {
		if (!c->left) {
			if (!c->body_left) break;
			c->out = c->body, c->left = c->body_left, c->body_left = 0;
		}
		ssize_t n = send(c->fd, c->out, c->left, MSG_NOSIGNAL | (c->body_left ? MSG_MORE : 0));
		if (n < 0) {
			if (errno == EINTR) continue;
			if (errno != EAGAIN) { drop(c); return 0; }
			if (!c->want_out) {
				c->want_out = 1;
				struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = c };
				epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &ev);
			}
			return 1;
		}
		c->out += n;
		c->left -= (size_t)n;
	}
	if (c->close_after) { drop(c); return 0; }
	if (c->want_out) {
		c->want_out = 0;
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
		epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &ev);
	}
	return 1;
}

/* answers every complete request already read; returns 0 when the connection is gone */
static int answer(struct conn *c)
{
	while (c->have && !c->left) {
		char *end = memmem(c->in, c->have, "\r\n\r\n", 4);
		if (!end) {
			if (c->have < INBUF) return 1;
			drop(c);
			return 0;
		}
		size_t hl = (size_t)(end + 4 - c->in);
		char *sp = memchr(c->in, ' ', hl), *sp2 = sp ? memchr(sp + 1, ' ', hl - (size_t)(sp + 1 - c->in)) : NULL;
		int with_key = sp2 && keyed(c, sp + 1, (int)(sp2 - sp - 1));
		struct resp *r = sp2 && !with_key ? lookup(sp + 1, (int)(sp2 - sp - 1)) : NULL;
		if (!r && !with_key) { drop(c); return 0; }
		if (memmem(c->in, hl, "onnection: close", 16) || !memcmp(sp2 + 1, "HTTP/1.0", 8)) c->close_after = 1;
		if (r) c->out = r->data, c->left = r->len;
		c->have -= hl;
		if (c->have) memmove(c->in, c->in + hl, c->have);
		if (!flush_out(c)) return 0;
	}
	return 1;
}

/* one recv per readiness (level-triggered): what is left is reported again */
static void serve(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->have, INBUF - c->have, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) { drop(c); return; }
	if (n < 0) return;
	c->have += (size_t)n;
	answer(c);
}

int main(int argc, char **argv)
{
	if (argc != 3) { fprintf(stderr, "usage: origin ADDR PORT\n"); return 2; }
	signal(SIGPIPE, SIG_IGN);
	refresh_date();
	pattern = malloc(KEYED_MAX);
	if (!pattern) die("memory");
	for (size_t i = 0; i < KEYED_MAX; i++) pattern[i] = (char)("0123456789abcdef"[(i * 7 + (i >> 5)) & 15]);
	int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2])) };
	if (inet_pton(AF_INET, argv[1], &sa.sin_addr) != 1) die("address");
	setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(ls, (void *)&sa, sizeof sa) || listen(ls, 4096)) die("bind/listen");
	epfd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL }, evs[256];
	epoll_ctl(epfd, EPOLL_CTL_ADD, ls, &ev);
	for (;;) {
		int n = epoll_wait(epfd, evs, 256, 500);
		refresh_date();
		for (int i = 0; i < n; i++) {
			struct conn *c = evs[i].data.ptr;
			if (c) {
				if (evs[i].events & EPOLLOUT) {
					if (flush_out(c) && !c->left) answer(c);
				} else {
					serve(c);
				}
				continue;
			}
			for (;;) {
				int fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
				if (fd < 0) break;
				setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
				c = malloc(sizeof *c);
				c->fd = fd, c->close_after = 0, c->want_out = 0, c->have = 0, c->left = 0, c->body_left = 0;
				struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
				epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e);
			}
		}
	}
}
