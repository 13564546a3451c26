// SPDX-License-Identifier: Apache-2.0
// The name in a ClientHello, without OpenSSL: for connections that are passed on as they are.
#ifndef WEIR_TLS_HELLO_H
#define WEIR_TLS_HELLO_H

#include "base/span.h"

enum {
    TLS_NAME_MAX = 253, // of a host (RFC 1035)
    TLS_HELLO_MAX = 16 * 1024 - 64, // of a ClientHello with its records' headers
};

enum tls_hello { TLS_HELLO_PARTIAL, TLS_HELLO_WHOLE, TLS_HELLO_BAD };

/// Looks at a connection's first bytes, which may be any part of the records that hold a ClientHello. WHOLE: out is the name (lower
/// case, no final dot), empty where the client names none. PARTIAL: more is needed. BAD: it is none, or too large.
enum tls_hello tls_hello_parse(struct span bytes, char out[TLS_NAME_MAX + 1]);

/// The content of a server_name extension (RFC 6066 3). False: malformed.
bool tls_hello_server_name(struct span ext, char out[TLS_NAME_MAX + 1]);

#endif
