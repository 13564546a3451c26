// SPDX-License-Identifier: Apache-2.0
// Authorities, paths and absolute URIs: what is normalised once stays as it is when normalised again.
#include "fuzz.h"

#include "http/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *buf = fuzz_exact(data, size);
    struct span s = span_of(buf, size), path, again, decoded;
    struct arena a;
    struct authority authority;
    struct uri uri;
    arena_init(&a, 1 << 22);
    if (path_normalise(s, &a, &path) == ERR_OK) {
        CHECK(path.len > 0 && path.ptr[0] == '/');
        CHECK(path_normalise(path, &a, &again) == ERR_OK && span_eq(path, again));
        CHECK(span_find_span(path, SPAN("/../")) > path.len && span_find_span(path, SPAN("/./")) > path.len);
        CHECK(!span_ends(path, SPAN("/..")) && !span_ends(path, SPAN("/.")));
        CHECK(percent_decode(path, &a, &decoded) == ERR_OK);
        CHECK(span_find(decoded, '\0') == decoded.len);
    }
    if (authority_parse(s, &a, &authority) == ERR_OK) {
        CHECK(authority.host.len > 0);
        for (size_t i = 0; i < authority.host.len; i++)
            CHECK((unsigned char)authority.host.ptr[i] > ' ' && !strchr("@/?#\\%", authority.host.ptr[i]));
    }
    if (query_check(s) == ERR_OK)
        CHECK(span_find(s, '#') == s.len && span_find(s, ' ') == s.len);
    if (uri_parse_absolute(s, &a, &uri) == ERR_OK)
        CHECK(uri.scheme.len > 0 && uri.path.len > 0 && uri.path.ptr[0] == '/');
    arena_fini(&a);
    free(buf);
    return 0;
}
