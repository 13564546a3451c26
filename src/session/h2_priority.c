// SPDX-License-Identifier: Apache-2.0
// The Priority field (RFC 9218 4): a dictionary of which two members mean something, `u=0..7` and `i`. What cannot be read counts as absent.
#include "session/client_h2.h"

enum { URGENCY_DEFAULT = 3 };

static bool parse(struct span value, nghttp2_extpri *ret)
{
    nghttp2_extpri p = {.urgency = URGENCY_DEFAULT};
    struct span item;
    while (list_next(&value, &item)) {
        struct span member = span_trim(span_first(item, span_find(item, ';')));
        size_t eq = span_find(member, '=');
        struct span key = span_first(member, eq), v = span_skip(member, eq + 1);
        if (!key.len)
            return false;
        if (span_eq(key, SPAN("u")) && v.len == 1 && v.ptr[0] >= '0' && v.ptr[0] <= '7')
            p.urgency = (uint32_t)(v.ptr[0] - '0');
        else if (span_eq(key, SPAN("i")))
            p.inc = eq == member.len || span_eq(v, SPAN("?1"));
    }
    *ret = p;
    return true;
}

void h2_priority_set(nghttp2_session *ng, int32_t id, struct span value, bool from_server)
{
    nghttp2_extpri p;
    if (parse(value, &p))
        (void)!nghttp2_session_change_extpri_stream_priority(ng, id, &p, from_server);
}
