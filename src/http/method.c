// SPDX-License-Identifier: Apache-2.0
#include "http/method.h"

static const struct span names[N_METHODS] = {
    [METHOD_OTHER] = SPAN_INIT(""),         [METHOD_GET] = SPAN_INIT("GET"),         [METHOD_HEAD] = SPAN_INIT("HEAD"),
    [METHOD_POST] = SPAN_INIT("POST"),      [METHOD_PUT] = SPAN_INIT("PUT"),         [METHOD_DELETE] = SPAN_INIT("DELETE"),
    [METHOD_CONNECT] = SPAN_INIT("CONNECT"), [METHOD_OPTIONS] = SPAN_INIT("OPTIONS"), [METHOD_TRACE] = SPAN_INIT("TRACE"),
    [METHOD_PATCH] = SPAN_INIT("PATCH"),    [METHOD_PURGE] = SPAN_INIT("PURGE"),
};

enum http_method method_parse(struct span name)
{
    for (unsigned m = METHOD_GET; m < N_METHODS; m++)
        if (span_eq(name, names[m]))
            return (enum http_method)m;
    return METHOD_OTHER;
}

struct span method_name(enum http_method m)
{
    return names[m];
}

bool method_is_safe(enum http_method m)
{
    return m == METHOD_GET || m == METHOD_HEAD || m == METHOD_OPTIONS || m == METHOD_TRACE;
}

bool method_is_idempotent(enum http_method m)
{
    return method_is_safe(m) || m == METHOD_PUT || m == METHOD_DELETE;
}
