// SPDX-License-Identifier: Apache-2.0
#include "policy/credentials.h"

#include "base/base64.h"

struct span credentials_of(struct span value, struct span scheme)
{
    if (!span_starts_ci(value, scheme) || value.len <= scheme.len || value.ptr[scheme.len] != ' ')
        return SPAN_NONE;
    struct span rest = span_trim(span_skip(value, scheme.len));
    return rest.ptr ? rest : SPAN("");
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
