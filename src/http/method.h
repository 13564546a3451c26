// SPDX-License-Identifier: Apache-2.0
// Request methods (RFC 9110 9, RFC 5789). Names are case-sensitive.
#ifndef WEIR_HTTP_METHOD_H
#define WEIR_HTTP_METHOD_H

#include "base/span.h"

enum http_method {
    METHOD_OTHER, // a well-formed token that we give no meaning to
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_CONNECT,
    METHOD_OPTIONS,
    METHOD_TRACE,
    METHOD_PATCH,
    METHOD_PURGE,
    N_METHODS
};

enum http_method method_parse(struct span name);
/// The name of a known method.
struct span method_name(enum http_method m);
bool method_is_safe(enum http_method m);       // RFC 9110 9.2.1: GET HEAD OPTIONS TRACE
bool method_is_idempotent(enum http_method m); // RFC 9110 9.2.2: the safe ones, PUT, DELETE

#endif
