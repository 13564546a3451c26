// SPDX-License-Identifier: Apache-2.0
#include "proxy/request_id.h"

#include <endian.h>

#include "base/hash.h"
#include "http/field.h"
#include "io/loop.h"

static _Thread_local struct {
    struct hash_key key;
    uint64_t n, other; // counted up, from 0 and from where chance will have it
    bool ready;
} state;

// A bijection (the finaliser of splitmix64, Steele et al. 2014): what goes in once comes out once.
static uint64_t scatter(uint64_t v)
{
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

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
        loop_random(&state.key, sizeof state.key);
        loop_random(&state.other, sizeof state.other);
        state.ready = true;
    }
    state.n++;
    state.other++;
    // The first half cannot be guessed; the second one does not come twice on this thread.
    put_hex(p, hash_keyed_with(&state.key, span_of((const char *)&state.n, sizeof state.n)));
    put_hex(p + 16, scatter(state.other));
    return span_of(p, REQUEST_ID_BYTES);
}

bool request_id_is_valid(struct span s)
{
    return s.len <= REQUEST_ID_MAX_BYTES && http_is_token(s);
}
