// SPDX-License-Identifier: Apache-2.0
#include "proxy/request_id.h"

#include <endian.h>

#include "base/hash.h"
#include "http/field.h"
#include "io/loop.h"

static _Thread_local struct {
    struct hash_key key[2];
    uint64_t n;
    bool ready;
} state;

// The sixteen digits of v, all at once: each nibble in an octet of its own, then those from ten on moved up
// to the letters.
static void put_hex(char p[16], uint64_t v)
{
    for (unsigned half = 0; half < 2; half++) {
        uint64_t w = v >> (32 - 32 * half) & UINT32_MAX;
        w = (w | w << 16) & UINT64_C(0x0000ffff0000ffff);
        w = (w | w << 8) & UINT64_C(0x00ff00ff00ff00ff);
        w = (w | w << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
        uint64_t letters = (w + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
        w += UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10);
        w = htobe64(w);
        memcpy(p + 8 * half, &w, sizeof w);
    }
}

struct span request_id_make(struct arena *a)
{
    char *p = arena_bytes(a, REQUEST_ID_BYTES);
    if (!p)
        return SPAN_NONE;
    if (!state.ready) {
        loop_random(state.key, sizeof state.key);
        state.ready = true;
    }
    state.n++;
    struct span counter = span_of((const char *)&state.n, sizeof state.n);
    uint64_t v[2] = {hash_keyed_with(&state.key[0], counter), hash_keyed_with(&state.key[1], counter)};
    put_hex(p, v[0]);
    put_hex(p + 16, v[1]);
    return span_of(p, REQUEST_ID_BYTES);
}

bool request_id_is_valid(struct span s)
{
    return s.len <= REQUEST_ID_MAX_BYTES && http_is_token(s);
}
