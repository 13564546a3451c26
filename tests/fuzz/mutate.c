// SPDX-License-Identifier: Apache-2.0
// A mutator that knows what HTTP/1 is made of: lines, fields, chunk sizes. Half of the time it changes the
// structure, the other half libFuzzer changes octets as it likes.
#include <string.h>

#include "fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static const char *const pieces[] = {
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding : chunked\r\n",
    "transfer-encoding:chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding:\tchunked \r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: 18446744073709551616\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Connection: Transfer-Encoding\r\n",
    "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "Expect: 100-continue\r\n",
    "TE: trailers\r\nConnection: TE\r\n",
    "Host: a.test\r\n",
    "X: 1\r\n 2\r\n",
    "X: a\nY: b\r\n",
    "\r\n",
    "\n",
    "\r",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "5;x=\"\r\n\"\r\nhello\r\n",
    "0\r\nContent-Length: 5\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
    "HEAD /x HTTP/1.0\r\nHost: a.test\r\n\r\n",
    "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.0 200 OK\r\n\r\n",
};

static unsigned roll(unsigned *seed, size_t below)
{
    *seed = *seed * 1103515245u + 12345u;
    return below ? (unsigned)((*seed >> 8) % below) : 0;
}

// A line around a place: [*from, *to) with its end.
static void line_at(const uint8_t *data, size_t size, size_t at, size_t *from, size_t *to)
{
    *from = at;
    while (*from > 0 && data[*from - 1] != '\n')
        --*from;
    *to = at;
    while (*to < size && data[*to] != '\n')
        ++*to;
    *to += *to < size;
}

static size_t insert(uint8_t *data, size_t size, size_t max, size_t at, const void *what, size_t n)
{
    if (size + n > max)
        return size;
    memmove(data + at + n, data + at, size - at);
    memcpy(data + at, what, n);
    return size + n;
}

static size_t remove_run(uint8_t *data, size_t size, size_t from, size_t to)
{
    memmove(data + from, data + to, size - to);
    return size - (to - from);
}

static size_t change(uint8_t *data, size_t size, size_t max, unsigned *seed)
{
    size_t from, to, at = roll(seed, size + 1);
    const char *piece = pieces[roll(seed, ARRAY_LEN(pieces))];
    uint8_t copy[512];
    line_at(data, size, MIN(at, size ? size - 1 : 0), &from, &to);
    size_t n = MIN(to - from, sizeof copy);
    if (n)
        memcpy(copy, data + from, n);
    switch (roll(seed, 6)) {
    case 0:
        return insert(data, size, max, from, piece, strlen(piece));
    case 1:
        return insert(data, size, max, to, copy, n); // a line twice
    case 2:
        return remove_run(data, size, from, to);
    case 3: // to another place
        size = remove_run(data, size, from, from + n);
        line_at(data, size, roll(seed, size), &from, &to);
        return insert(data, size, max, from, copy, n);
    case 4:
        return insert(data, size, max, at, piece, strlen(piece));
    default: // its end becomes another one
        if (to - from >= 2 && data[to - 2] == '\r')
            return remove_run(data, size, to - 2, to - 1);
        return insert(data, size, max, to ? to - (to > from) : 0, "\r", 1);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size == 0 || seed % 2)
        return LLVMFuzzerMutate(data, size, max_size);
    for (unsigned n = 1 + roll(&seed, 3); n; n--)
        size = change(data, size, max_size, &seed);
    return size;
}
