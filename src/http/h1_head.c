// SPDX-License-Identifier: Apache-2.0
// Heads of HTTP/1 messages: finding their end, and reading the lines (RFC 9112 2 to 5).
#include "http/h1_lines.h"
#include "http/h1_scan.h"

#include "base/ascii.h"
#include "base/num.h"

enum { METHOD_MAX_BYTES = 32 };

void h1_head_init(struct h1_head *h)
{
    *h = (struct h1_head){0};
}

// ---- Finding the end

static enum err line_complete(struct h1_head *h, size_t line_len, bool is_request, const struct h1_limits *limits)
{
    if (h->n_lines == 0) {
        if (line_len == 0) { // one empty line before a request is tolerated
            if (!is_request || h->line_start != 0)
                return ERR_BAD_REQUEST_LINE;
            return ERR_AGAIN;
        }
        h->n_lines = 1;
        return line_len > limits->line_bytes ? ERR_TARGET_TOO_LONG : ERR_AGAIN;
    }
    if (line_len == 0)
        return ERR_OK;
    h->n_lines++;
    h->fields_bytes += (uint32_t)line_len;
    if (h->n_lines - 1 > limits->fields)
        return ERR_TOO_MANY_FIELDS;
    return h->fields_bytes > limits->fields_bytes ? ERR_FIELDS_TOO_LARGE : ERR_AGAIN;
}

// A line that has not ended yet, already too long.
static enum err line_incomplete(const struct h1_head *h, size_t line_len, const struct h1_limits *limits)
{
    if (h->n_lines == 0)
        return line_len > (size_t)limits->line_bytes + 1 ? ERR_TARGET_TOO_LONG : ERR_AGAIN;
    return h->fields_bytes + line_len > (size_t)limits->fields_bytes + 1 ? ERR_FIELDS_TOO_LARGE : ERR_AGAIN;
}

// The lines that have come to their end. ERR_AGAIN: the head is not among them.
static enum err scan_lines(struct h1_head *h, const char *buf, size_t len, bool is_request, const struct h1_limits *limits)
{
    struct scan_lines lines = scan_lines_of(buf + h->scanned, buf + len);
    const char *lf;
    while ((lf = scan_lines_next(&lines))) {
        size_t eol = (size_t)(lf - buf);
        if (eol == h->line_start || buf[eol - 1] != '\r')
            return h->n_lines ? ERR_BAD_FIELD : ERR_BAD_REQUEST_LINE;
        enum err e = line_complete(h, eol - 1 - h->line_start, is_request, limits);
        h->line_start = (uint32_t)eol + 1;
        if (e != ERR_AGAIN)
            return e;
    }
    h->scanned = (uint32_t)len;
    return ERR_AGAIN;
}

enum err h1_head_scan(struct h1_head *h, const char *buf, size_t len, bool is_request, const struct h1_limits *limits)
{
    // What is no HTTP at all (a TLS hello, say) is told by its first byte.
    if (h->scanned == 0 && len && buf[0] != '\r' && !http_is_tchar((unsigned char)buf[0]))
        return ERR_BAD_REQUEST_LINE;
    struct h1_head now = *h; // in registers while lines go by
    enum err e = scan_lines(&now, buf, len, is_request, limits);
    if (e == ERR_OK)
        now.end = now.line_start;
    *h = now;
    return e == ERR_AGAIN ? line_incomplete(h, len - h->line_start, limits) : e;
}

// ---- Lines

// What the table knows has been compared octet for octet, so it is a token.
static bool is_name(enum field_id id, struct span name)
{
    return id != FIELD_OTHER || http_is_token(name);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

enum err h1_lines_parse(struct span lines, struct fields *ret)
{
    const char *p = lines.ptr, *end = p + lines.len;
    while (p < end && *p != '\r') {
        const char *colon = scan_near(p, end, ':');
        if (!colon)
            return ERR_BAD_FIELD;
        struct span name = span_of(p, (size_t)(colon - p));
        enum field_id id = field_id_of(name);
        if (!is_name(id, name))
            return ERR_BAD_FIELD; // also obs-fold, white space before the colon, and a line without one
        const char *value = colon + 1;
        while (value < end && is_blank(*value))
            value++;
        p = scan_value(lines.ptr, value, end);
        if (end - p < 2 || p[0] != '\r' || p[1] != '\n')
            return ERR_BAD_FIELD;
        const char *value_end = p;
        while (value_end > value && is_blank(value_end[-1]))
            value_end--;
        enum err e = fields_add_as(ret, id, name, span_of(value, (size_t)(value_end - value)));
        if (e)
            return e;
        p += 2;
    }
    if (p < end && end - p != 2)
        return ERR_BAD_FIELD; // a CR that begins a line and does not end the head
    return ERR_OK;
}

// HTTP/1.x at the end of a request line; at the beginning of a status line.
static enum err parse_version(struct span s, enum http_version *ret)
{
    if (s.len != 8 || !span_starts(s, SPAN("HTTP/")) || !ascii_is_digit((unsigned char)s.ptr[5]) || s.ptr[6] != '.' ||
        !ascii_is_digit((unsigned char)s.ptr[7]))
        return ERR_BAD_VERSION;
    if (s.ptr[5] != '1')
        return s.ptr[5] == '0' ? ERR_BAD_VERSION : ERR_VERSION_UNSUPPORTED;
    // A later minor version speaks what we speak (RFC 9112 2.5).
    *ret = s.ptr[7] == '0' ? HTTP_1_0 : HTTP_1_1;
    return ERR_OK;
}

enum err h1_request_line(struct span line, struct span *ret_method, struct span *ret_target, enum http_version *ret_version)
{
    size_t i = 0;
    while (i < line.len && http_is_tchar((unsigned char)line.ptr[i]))
        i++;
    if (i == 0 || i == line.len || line.ptr[i] != ' ')
        return ERR_BAD_REQUEST_LINE;
    if (i > METHOD_MAX_BYTES)
        return ERR_BAD_METHOD;
    *ret_method = span_first(line, i);
    size_t t = i + 1, j = t;
    while (j < line.len && (unsigned char)line.ptr[j] > 0x20 && (unsigned char)line.ptr[j] < 0x7f)
        j++;
    if (j == t || j == line.len || line.ptr[j] != ' ')
        return ERR_BAD_REQUEST_LINE;
    *ret_target = span_of(line.ptr + t, j - t);
    return parse_version(span_skip(line, j + 1), ret_version);
}

enum err h1_status_line(struct span line, enum http_version *ret_version, unsigned *ret_status, struct span *ret_reason)
{
    uint64_t status;
    enum err e = parse_version(span_first(line, 8), ret_version);
    if (e)
        return ERR_BAD_RESPONSE;
    if (line.len < 12 || line.ptr[8] != ' ' || !num_parse_dec(span_of(line.ptr + 9, 3), 999, &status) || status < 100 || status > 599)
        return ERR_BAD_RESPONSE;
    if (line.len > 12 && line.ptr[12] != ' ')
        return ERR_BAD_RESPONSE;
    struct span reason = span_skip(line, 13);
    for (size_t i = 0; i < reason.len; i++) {
        unsigned char c = (unsigned char)reason.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return ERR_BAD_RESPONSE;
    }
    *ret_status = (unsigned)status;
    *ret_reason = reason;
    return ERR_OK;
}
