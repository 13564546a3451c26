// SPDX-License-Identifier: Apache-2.0
#include "tls/hello.h"

#include "base/ascii.h"

enum {
    RECORD_HEADER = 5,
    RECORD_MAX = 16384,
    RECORD_HANDSHAKE = 22,
    MESSAGE_HEADER = 4,
    CLIENT_HELLO = 1,
    EXT_SERVER_NAME = 0,
    KIND_HOST = 0,
};

static bool take(struct span *s, unsigned bytes, size_t *ret)
{
    size_t v = 0;
    if (s->len < bytes)
        return false;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | (unsigned char)s->ptr[i];
    *s = span_skip(*s, bytes);
    *ret = v;
    return true;
}

// A run of bytes behind its length, which has so many bytes.
static bool take_run(struct span *s, unsigned bytes, struct span *ret)
{
    size_t n;
    if (!take(s, bytes, &n) || n > s->len)
        return false;
    *ret = span_first(*s, n);
    *s = span_skip(*s, n);
    return true;
}

// One name of the kind host_name is all that a list may hold.
bool tls_hello_server_name(struct span ext, char out[TLS_NAME_MAX + 1])
{
    struct span list, name;
    size_t kind;
    if (!take_run(&ext, 2, &list) || ext.len || !take(&list, 1, &kind) || kind != KIND_HOST || !take_run(&list, 2, &name) || list.len)
        return false;
    if (name.len && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len > TLS_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (!ascii_is_alnum(c) && c != '-' && c != '.' && c != '_' && c != ':')
            return false;
        out[i] = (char)ascii_lower(c);
    }
    out[name.len] = '\0';
    return true;
}

// RFC 8446 4.1.2
static enum tls_hello parse_body(struct span body, char out[TLS_NAME_MAX + 1])
{
    struct span session, ciphers, compression, extensions = SPAN_NONE, ext;
    size_t version, type;
    bool named = false;
    if (!take(&body, 2, &version) || version >> 8 != 3 || body.len < 32)
        return TLS_HELLO_BAD;
    body = span_skip(body, 32); // random
    if (!take_run(&body, 1, &session) || session.len > 32 || !take_run(&body, 2, &ciphers) || !take_run(&body, 1, &compression))
        return TLS_HELLO_BAD;
    if (body.len && (!take_run(&body, 2, &extensions) || body.len))
        return TLS_HELLO_BAD;
    out[0] = '\0';
    while (extensions.len) {
        if (!take(&extensions, 2, &type) || !take_run(&extensions, 2, &ext))
            return TLS_HELLO_BAD;
        if (type != EXT_SERVER_NAME)
            continue;
        if (named || !tls_hello_server_name(ext, out)) // two are forbidden, and who reads which nobody knows
            return TLS_HELLO_BAD;
        named = true;
    }
    return TLS_HELLO_WHOLE;
}

enum tls_hello tls_hello_parse(struct span bytes, char out[TLS_NAME_MAX + 1])
{
    static _Thread_local char message[TLS_HELLO_MAX]; // put together from its records; nothing here lets another fiber run
    size_t have = 0, type, version, len = MESSAGE_HEADER;
    while (have < len) {
        size_t n;
        if (bytes.len == 0)
            return TLS_HELLO_PARTIAL;
        if ((unsigned char)bytes.ptr[0] != RECORD_HANDSHAKE || (bytes.len > 1 && bytes.ptr[1] != 3))
            return TLS_HELLO_BAD;
        if (bytes.len < RECORD_HEADER)
            return TLS_HELLO_PARTIAL;
        if (!take(&bytes, 1, &type) || !take(&bytes, 2, &version) || !take(&bytes, 2, &n) || n == 0 || n > RECORD_MAX)
            return TLS_HELLO_BAD;
        size_t part = n < bytes.len ? n : bytes.len;
        if (part > sizeof message - have)
            return TLS_HELLO_BAD;
        memcpy(message + have, bytes.ptr, part);
        bool cut = part < n;
        bytes = span_skip(bytes, part);
        have += part;
        if (have >= 1 && message[0] != CLIENT_HELLO)
            return TLS_HELLO_BAD;
        if (have >= MESSAGE_HEADER) {
            struct span header = span_of(message + 1, 3);
            take(&header, 3, &len);
            len += MESSAGE_HEADER;
            if (len > sizeof message)
                return TLS_HELLO_BAD;
        }
        if (cut && have < len)
            return TLS_HELLO_PARTIAL;
    }
    return parse_body(span_of(message + MESSAGE_HEADER, len - MESSAGE_HEADER), out);
}
