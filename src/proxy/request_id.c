// SPDX-License-Identifier: Apache-2.0
#include "proxy/request_id.h"

#include "base/hash.h"
#include "http/field.h"
#include "io/loop.h"

static _Thread_local struct {
    struct hash_key key[2];
    uint64_t n;
    bool ready;
} state;

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
    for (unsigned i = 0; i < REQUEST_ID_BYTES; i++)
        p[i] = "0123456789abcdef"[v[i / 16] >> (i % 16 * 4) & 15];
    return span_of(p, REQUEST_ID_BYTES);
}

bool request_id_is_valid(struct span s)
{
    return s.len <= REQUEST_ID_MAX_BYTES && http_is_token(s);
}
