// SPDX-License-Identifier: Apache-2.0
#include "policy/credentials.h"

#include "base/ascii.h"

struct span credentials_of(struct span value, struct span scheme)
{
    if (!span_starts_ci(value, scheme) || value.len <= scheme.len || value.ptr[scheme.len] != ' ')
        return SPAN_NONE;
    struct span rest = span_trim(span_skip(value, scheme.len));
    return rest.ptr ? rest : SPAN("");
}

static int base64_value(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// RFC 4648 4; the padding may be missing, and there is nothing else beside the alphabet. Returns the length, or SIZE_MAX.
static size_t base64_decode(struct span s, char *out, size_t cap)
{
    size_t n = 0, padding = 0;
    while (s.len && s.ptr[s.len - 1] == '=' && padding < 2)
        s.len--, padding++;
    if (s.len % 4 == 1 || (padding && (s.len + padding) % 4))
        return SIZE_MAX;
    uint32_t bits = 0;
    for (size_t i = 0; i < s.len; i++) {
        int v = base64_value((unsigned char)s.ptr[i]);
        if (v < 0)
            return SIZE_MAX;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4 == 0)
            continue;
        if (n == cap)
            return SIZE_MAX;
        out[n++] = (char)(bits >> (6 - 2 * (i % 4)));
    }
    return n;
}

bool basic_parse(struct span token, struct basic_credentials *ret)
{
    char *text = ret->text;
    size_t n = base64_decode(token, text, sizeof ret->text - 1);
    if (n == SIZE_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    size_t colon = span_find(span_of(text, n), ':');
    if (colon == n || colon == 0 || colon > PASSWD_NAME_MAX || n - colon - 1 > PASSWD_PASSWORD_MAX)
        return false;
    text[colon] = text[n] = '\0';
    ret->user = span_of(text, colon);
    ret->password = span_of(text + colon + 1, n - colon - 1);
    return true;
}
