// SPDX-License-Identifier: Apache-2.0
// Chunked content (RFC 9112 7.1), strict: CRLF only, sizes of at most sixteen digits, extensions checked, bounded and dropped.
#include "base/ascii.h"
#include "http/h1.h"

enum {
    EXT_MAX_BYTES = 256,    // of one chunk
    OVERHEAD_FREE = 16384,  // bytes that are not content, before they must be matched by content
    OVERHEAD_PER_BYTE = 16, // `1 CRLF x CRLF` is 5 to 1
};

enum {
    SIZE_FIRST, // expects the first digit
    SIZE,
    EXT_BWS,    // white space, which only may stand before ';'
    EXT,
    EXT_QUOTED,
    EXT_ESCAPE,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START, // at the start of a trailer line, or the last CRLF
    TRAILER,
    TRAILER_LF,
    LAST_LF,
    DONE,
};

void h1_chunked_init(struct h1_chunked *c, const struct h1_limits *limits)
{
    *c = (struct h1_chunked){.limits = *limits};
}

static enum err size_done(struct h1_chunked *c)
{
    c->digits = 0;
    c->ext_bytes = 0;
    c->state = c->left ? DATA : TRAILER_START;
    return ERR_OK;
}

static enum err extension(struct h1_chunked *c, unsigned char b)
{
    if (++c->ext_bytes > EXT_MAX_BYTES)
        return ERR_BAD_CHUNK;
    switch (c->state) {
    case EXT_QUOTED:
        if (b == '"')
            c->state = EXT;
        else if (b == '\\')
            c->state = EXT_ESCAPE;
        break;
    case EXT_ESCAPE:
        c->state = EXT_QUOTED;
        break;
    case EXT:
        if (b == '"')
            c->state = EXT_QUOTED;
        else if (b == '\r')
            c->state = SIZE_LF;
        else if (b != ' ' && b != '\t' && b != ';' && b != '=' && !http_is_tchar(b))
            return ERR_BAD_CHUNK;
        break;
    default: // EXT_BWS
        if (b == ';')
            c->state = EXT;
        else if (b != ' ' && b != '\t')
            return ERR_BAD_CHUNK;
    }
    if (c->state != SIZE_LF && ((b < 0x20 && b != '\t') || b == 0x7f))
        return ERR_BAD_CHUNK;
    return ERR_OK;
}

static enum err size_byte(struct h1_chunked *c, unsigned char b)
{
    int d = ascii_hex(b);
    if (d >= 0) {
        if (++c->digits > 16 || c->left >> 59)
            return ERR_BAD_CHUNK;
        c->left = c->left << 4 | (unsigned)d;
        c->state = SIZE;
        return ERR_OK;
    }
    if (c->state == SIZE_FIRST)
        return ERR_BAD_CHUNK;
    if (b == '\r')
        c->state = SIZE_LF;
    else if (b == ';')
        c->state = EXT;
    else if (b == ' ' || b == '\t')
        c->state = EXT_BWS;
    else
        return ERR_BAD_CHUNK;
    return ERR_OK;
}

static enum err trailer_byte(struct h1_chunked *c, unsigned char b, const char *p, struct chunkq *trailers)
{
    if (c->state == TRAILER_START) {
        if (b == '\r') {
            c->state = LAST_LF;
            return ERR_OK;
        }
        if (!http_is_tchar(b))
            return ERR_BAD_CHUNK;
        if (++c->n_trailers > c->limits.fields)
            return ERR_TOO_MANY_FIELDS;
        c->state = TRAILER;
    } else if (c->state == TRAILER) {
        if (b == '\r')
            c->state = TRAILER_LF;
        else if ((b < 0x20 && b != '\t') || b == 0x7f)
            return ERR_BAD_CHUNK;
    } else { // TRAILER_LF
        if (b != '\n')
            return ERR_BAD_CHUNK;
        c->state = TRAILER_START;
    }
    if (++c->trailer_bytes > c->limits.fields_bytes)
        return ERR_FIELDS_TOO_LARGE;
    return trailers ? chunkq_append_copy(trailers, p, 1) : ERR_OK;
}

static enum err step(struct h1_chunked *c, const char *p, struct chunkq *trailers)
{
    unsigned char b = (unsigned char)*p;
    switch (c->state) {
    case SIZE_FIRST:
    case SIZE:
        return size_byte(c, b);
    case EXT_BWS:
    case EXT:
    case EXT_QUOTED:
    case EXT_ESCAPE:
        return extension(c, b);
    case SIZE_LF:
        return b == '\n' ? size_done(c) : ERR_BAD_CHUNK;
    case DATA_CR:
        c->state = DATA_LF;
        return b == '\r' ? ERR_OK : ERR_BAD_CHUNK;
    case DATA_LF:
        c->state = SIZE_FIRST;
        return b == '\n' ? ERR_OK : ERR_BAD_CHUNK;
    case LAST_LF:
        c->state = DONE;
        return b == '\n' ? ERR_EOF : ERR_BAD_CHUNK;
    default:
        return trailer_byte(c, b, p, trailers);
    }
}

enum err h1_chunked_decode(struct h1_chunked *c, const char *in, size_t len, struct chunkq *trailers, size_t *ret_used,
                           struct span *ret_data)
{
    size_t i = 0;
    for (; i < len; i++) {
        if (c->state == DONE) {
            *ret_used = i;
            *ret_data = SPAN_NONE;
            return ERR_EOF;
        }
        if (c->state == DATA) {
            size_t n = (size_t)MIN((uint64_t)(len - i), c->left);
            c->left -= n;
            c->overhead -= MIN(c->overhead, (uint64_t)n * OVERHEAD_PER_BYTE);
            if (c->left == 0)
                c->state = DATA_CR;
            *ret_data = span_of(in + i, n);
            *ret_used = i + n;
            return ERR_OK;
        }
        enum err e = step(c, in + i, trailers);
        if (!e && ++c->overhead > OVERHEAD_FREE && c->state < TRAILER_START)
            e = ERR_BAD_CHUNK;
        if (e) {
            *ret_used = i + 1;
            *ret_data = SPAN_NONE;
            return e;
        }
    }
    *ret_used = i;
    *ret_data = SPAN_NONE;
    return ERR_OK;
}
