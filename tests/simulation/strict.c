// SPDX-License-Identifier: Apache-2.0
#include "strict.h"

#include <string.h>
#include <strings.h>

static bool is_tchar(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool strict_is(struct strict_text t, const char *s)
{
    return t.p && t.n == strlen(s) && memcmp(t.p, s, t.n) == 0;
}

bool strict_is_ci(struct strict_text t, const char *s)
{
    return t.p && t.n == strlen(s) && strncasecmp(t.p, s, t.n) == 0;
}

unsigned strict_count(const struct strict_message *m, const char *name)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->n_fields; i++)
        n += strict_is_ci(m->fields[i].name, name);
    return n;
}

struct strict_text strict_value(const struct strict_message *m, const char *name)
{
    struct strict_text none = {NULL, 0};
    if (strict_count(m, name) != 1)
        return none;
    for (unsigned i = 0;; i++)
        if (strict_is_ci(m->fields[i].name, name))
            return m->fields[i].value;
}

static enum strict bad(struct strict_message *m, const char *why)
{
    m->why = why;
    return STRICT_BAD;
}

// A line up to its CRLF, from *at on. False: not whole. A CR or LF by itself makes it bad.
static enum strict line(struct strict_message *m, const char *p, size_t n, size_t *at,
                        struct strict_text *ret)
{
    for (size_t i = *at; i < n; i++) {
        if (p[i] == '\n')
            return bad(m, "a bare LF");
        if (p[i] != '\r')
            continue;
        if (i + 1 == n)
            return STRICT_MORE;
        if (p[i + 1] != '\n')
            return bad(m, "a bare CR");
        *ret = (struct strict_text){p + *at, i - *at};
        *at = i + 2;
        return STRICT_WHOLE;
    }
    return STRICT_MORE;
}

// RFC 9112 5: field-name ":" OWS field-value OWS.
static enum strict field(struct strict_message *m, struct strict_text l, struct strict_field *v, unsigned *n)
{
    size_t colon = 0;
    while (colon < l.n && is_tchar((unsigned char)l.p[colon]))
        colon++;
    if (colon == 0 || colon == l.n || l.p[colon] != ':')
        return bad(m, "a field line without name and colon");
    size_t from = colon + 1, to = l.n;
    while (from < to && (l.p[from] == ' ' || l.p[from] == '\t'))
        from++;
    while (to > from && (l.p[to - 1] == ' ' || l.p[to - 1] == '\t'))
        to--;
    for (size_t i = from; i < to; i++) {
        unsigned char c = (unsigned char)l.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return bad(m, "a control character in a field value");
    }
    if (*n == STRICT_FIELDS_MAX)
        return bad(m, "too many fields");
    v[(*n)++] = (struct strict_field){{l.p, colon}, {l.p + from, to - from}};
    return STRICT_WHOLE;
}

static enum strict fields(struct strict_message *m, const char *p, size_t n, size_t *at,
                          struct strict_field *v, unsigned *n_v)
{
    for (;;) {
        struct strict_text l;
        enum strict s = line(m, p, n, at, &l);
        if (s != STRICT_WHOLE || l.n == 0)
            return s;
        if ((s = field(m, l, v, n_v)) != STRICT_WHOLE)
            return s;
    }
}

static bool version(struct strict_message *m, struct strict_text t)
{
    if (t.n != 8 || memcmp(t.p, "HTTP/1.", 7) != 0 || t.p[7] < '0' || t.p[7] > '9')
        return false;
    m->minor = t.p[7] > '0'; // a higher one is understood as the highest that we know (RFC 9110 2.5)
    return true;
}

static enum strict request_line(struct strict_message *m, struct strict_text l)
{
    const char *a = memchr(l.p, ' ', l.n), *end = l.p + l.n;
    const char *b = a ? memchr(a + 1, ' ', (size_t)(end - a - 1)) : NULL;
    if (!b || !version(m, (struct strict_text){b + 1, (size_t)(end - b - 1)}))
        return bad(m, "no request line");
    m->method = (struct strict_text){l.p, (size_t)(a - l.p)};
    m->target = (struct strict_text){a + 1, (size_t)(b - a - 1)};
    if (!m->method.n || !m->target.n)
        return bad(m, "no method or no target");
    for (size_t i = 0; i < m->method.n; i++)
        if (!is_tchar((unsigned char)m->method.p[i]))
            return bad(m, "the method is no token");
    for (size_t i = 0; i < m->target.n; i++)
        if (m->target.p[i] <= ' ' || m->target.p[i] > '~' || m->target.p[i] == '#')
            return bad(m, "a character of the target that no URI has");
    return STRICT_WHOLE;
}

static enum strict status_line(struct strict_message *m, struct strict_text l)
{
    // The space behind the status is often left out where no reason follows.
    if (l.n < 12 || !version(m, (struct strict_text){l.p, 8}) || l.p[8] != ' ' || (l.n > 12 && l.p[12] != ' '))
        return bad(m, "no status line");
    for (unsigned i = 9; i < 12; i++) {
        if (l.p[i] < '0' || l.p[i] > '9')
            return bad(m, "the status is no number");
        m->status = m->status * 10 + (unsigned)(l.p[i] - '0');
    }
    for (size_t i = 13; i < l.n; i++)
        if (((unsigned char)l.p[i] < ' ' && l.p[i] != '\t') || l.p[i] == 0x7f)
            return bad(m, "a control character in the reason phrase");
    return m->status >= 100 ? STRICT_WHOLE : bad(m, "no status");
}

// RFC 9112 6.3, for a message that may have content. *ret_length is that of STRICT_LENGTH.
static enum strict framing(struct strict_message *m, bool is_response, uint64_t *ret_length)
{
    unsigned n_te = strict_count(m, "transfer-encoding"), n_cl = strict_count(m, "content-length");
    if (n_te && n_cl)
        return bad(m, "Transfer-Encoding and Content-Length");
    if (n_te > 1 || n_cl > 1)
        return bad(m, "framing said twice");
    if (n_te && (!strict_is_ci(strict_value(m, "transfer-encoding"), "chunked") || m->minor == 0))
        return bad(m, "a transfer coding that is not just chunked");
    m->framing = n_te          ? STRICT_CHUNKED
                 : n_cl        ? STRICT_LENGTH
                 : is_response ? STRICT_UNTIL_END
                               : STRICT_NO_CONTENT;
    if (!n_cl)
        return STRICT_WHOLE;
    struct strict_text v = strict_value(m, "content-length");
    *ret_length = 0;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9' || *ret_length > UINT64_MAX / 10 - 1)
            return bad(m, "a Content-Length that is no number");
        *ret_length = *ret_length * 10 + (uint64_t)(v.p[i] - '0');
    }
    return v.n ? STRICT_WHOLE : bad(m, "an empty Content-Length");
}

static enum strict chunk_size(struct strict_message *m, struct strict_text l, size_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < l.n; i++) {
        const char *digits = "0123456789abcdef", *d = l.p[i] ? strchr(digits, l.p[i] | 0x20) : NULL;
        if (!d || (l.p[i] < '0') || i >= 8)
            return bad(m, "no chunk size");
        *ret = *ret * 16 + (size_t)(d - digits);
    }
    return l.n ? STRICT_WHOLE : bad(m, "an empty chunk size");
}

static enum strict chunked(struct strict_message *m, const char *p, size_t n, size_t at, char *content)
{
    for (;;) {
        struct strict_text l;
        size_t size;
        enum strict s = line(m, p, n, &at, &l);
        if (s != STRICT_WHOLE || (s = chunk_size(m, l, &size)) != STRICT_WHOLE)
            return s;
        if (size == 0)
            break;
        size_t here = n - at < size ? n - at : size;
        memcpy(content + m->content_len, p + at, here);
        m->content_len += here;
        if (n - at < size + 2)
            return n - at > size && p[at + size] != '\r' ? bad(m, "no CRLF behind a chunk") : STRICT_MORE;
        if (p[at + size] != '\r' || p[at + size + 1] != '\n')
            return bad(m, "no CRLF behind a chunk");
        at += size + 2;
    }
    enum strict s = fields(m, p, n, &at, m->trailers, &m->n_trailers);
    m->len = at;
    return s;
}

static enum strict content_of(struct strict_message *m, const char *p, size_t n, bool ended, uint64_t length,
                              char *content)
{
    size_t there = n - m->head_len;
    if (m->framing == STRICT_CHUNKED)
        return chunked(m, p, n, m->head_len, content);
    if (m->framing == STRICT_NO_CONTENT)
        length = 0;
    if (m->framing != STRICT_UNTIL_END && there > length)
        there = (size_t)length;
    memcpy(content, p + m->head_len, there);
    m->content_len = there;
    m->len = m->head_len + there;
    return (m->framing == STRICT_UNTIL_END ? ended : there == length) ? STRICT_WHOLE : STRICT_MORE;
}

static void note_connection(struct strict_message *m)
{
    bool keep = false;
    for (unsigned i = 0; i < m->n_fields; i++) {
        if (!strict_is_ci(m->fields[i].name, "connection"))
            continue;
        keep |= strict_is_ci(m->fields[i].value, "keep-alive");
        m->close |= strict_is_ci(m->fields[i].value, "close");
    }
    m->close |= m->minor == 0 && !keep;
}

enum strict strict_request(const char *p, size_t n, char *content, struct strict_message *m)
{
    size_t at = 0;
    struct strict_text l;
    uint64_t length = 0;
    memset(m, 0, sizeof *m);
    enum strict s = line(m, p, n, &at, &l);
    if (s != STRICT_WHOLE || (s = request_line(m, l)) != STRICT_WHOLE ||
        (s = fields(m, p, n, &at, m->fields, &m->n_fields)) != STRICT_WHOLE)
        return s;
    m->head_len = at;
    if (strict_count(m, "host") > 1 || (strict_count(m, "host") == 0 && m->minor == 1))
        return bad(m, "not just one Host");
    note_connection(m);
    s = framing(m, false, &length);
    return s != STRICT_WHOLE ? s : content_of(m, p, n, false, length, content);
}

enum strict strict_response(const char *p, size_t n, bool ended, const char *method, char *content,
                            struct strict_message *m)
{
    size_t at = 0;
    struct strict_text l;
    uint64_t length = 0;
    memset(m, 0, sizeof *m);
    enum strict s = line(m, p, n, &at, &l);
    if (s != STRICT_WHOLE || (s = status_line(m, l)) != STRICT_WHOLE ||
        (s = fields(m, p, n, &at, m->fields, &m->n_fields)) != STRICT_WHOLE)
        return s;
    m->head_len = at;
    note_connection(m);
    bool to_connect = strcmp(method, "CONNECT") == 0 && m->status / 100 == 2;
    s = framing(m, true, &length);
    if (s != STRICT_WHOLE)
        return s;
    if ((m->status < 200 || m->status == 204 || to_connect) &&
        (m->framing == STRICT_CHUNKED || m->framing == STRICT_LENGTH))
        return bad(m, "framing where there is no content (RFC 9112 6.1, RFC 9110 8.6)");
    if (m->status < 200 || m->status == 204 || m->status == 304 || to_connect || strcmp(method, "HEAD") == 0)
        m->framing = STRICT_NO_CONTENT;
    return content_of(m, p, n, ended, length, content);
}
