// SPDX-License-Identifier: Apache-2.0
#include "http/websocket.h"

#include "base/base64.h"

// ---- SHA-1 (RFC 3174), of short texts. It proves nothing here but that the other side speaks WebSocket.

enum { BLOCK_BYTES = 64, DIGEST_BYTES = 20 };

static uint32_t rotate(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

static void sha1_block(uint32_t h[5], const unsigned char *p)
{
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (unsigned i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (unsigned i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (unsigned i = 0; i < 80; i++) {
        uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                     : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                     : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                              : (b ^ c ^ d) + 0xca62c1d6;
        uint32_t t = rotate(a, 5) + f + e + w[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = t;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

// Of at most two blocks: 119 bytes.
static void sha1(struct span s, unsigned char out[DIGEST_BYTES])
{
    unsigned char block[2 * BLOCK_BYTES] = {0};
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    size_t total = s.len + 9 <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    memcpy(block, s.ptr, s.len);
    block[s.len] = 0x80;
    block[total - 2] = (unsigned char)(s.len * 8 >> 8);
    block[total - 1] = (unsigned char)(s.len * 8);
    for (size_t i = 0; i < total; i += BLOCK_BYTES)
        sha1_block(h, block + i);
    for (unsigned i = 0; i < DIGEST_BYTES; i++)
        out[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

struct span websocket_key(const unsigned char nonce[WEBSOCKET_NONCE_BYTES], char *out)
{
    return span_of(out, base64_encode(span_of((const char *)nonce, WEBSOCKET_NONCE_BYTES), out));
}

struct span websocket_accept(struct span key, char *out)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[WEBSOCKET_KEY_BYTES + sizeof guid];
    unsigned char digest[DIGEST_BYTES];
    if (key.len > WEBSOCKET_KEY_BYTES || key.len == 0)
        return SPAN_NONE;
    memcpy(text, key.ptr, key.len);
    memcpy(text + key.len, guid, sizeof guid - 1);
    sha1(span_of(text, key.len + sizeof guid - 1), digest);
    return span_of(out, base64_encode(span_of((const char *)digest, sizeof digest), out));
}
