// SPDX-License-Identifier: Apache-2.0
#include "http/query.h"

enum err query_without(struct span query, bool (*goes)(void *arg, struct span param), void *arg,
                       struct arena *a, struct span *ret)
{
    char *out = NULL; // once one is gone
    size_t n = 0;
    *ret = query;
    for (struct span rest = query; rest.ptr;) {
        size_t before = (size_t)(rest.ptr - query.ptr);
        struct span param = span_cut(&rest, '&');
        bool gone = goes(arg, param);
        if (gone && !out) {
            out = arena_bytes(a, query.len);
            if (!out)
                return ERR_NO_MEMORY;
            n = before ? before - 1 : 0; // without the `&`
            memcpy(out, query.ptr, n);
        } else if (!gone && out) {
            if (n)
                out[n++] = '&';
            memcpy(out + n, param.ptr, param.len);
            n += param.len;
        }
    }
    if (out)
        *ret = n ? span_of(out, n) : SPAN_NONE;
    return ERR_OK;
}
