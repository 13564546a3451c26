// SPDX-License-Identifier: Apache-2.0
// Heads of responses: cut anywhere they parse the same, to every method.
#include "fuzz.h"

#include "http/h1.h"

static const struct h1_limits limits = {.line_bytes = 8192, .fields = 128, .fields_bytes = 32768};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t cut = data[0];
    enum http_method method = (enum http_method)(data[0] % N_METHODS);
    size--;
    char *buf = fuzz_exact(data + 1, size);
    struct h1_head whole, parts;
    h1_head_init(&whole);
    h1_head_init(&parts);
    enum err e = h1_head_scan(&whole, buf, size, false, &limits);
    enum err e2 = cut < size ? h1_head_scan(&parts, buf, cut, false, &limits) : ERR_AGAIN;
    if (e2 == ERR_AGAIN)
        e2 = h1_head_scan(&parts, buf, size, false, &limits);
    CHECK(e == e2);
    if (e == ERR_OK) {
        CHECK(whole.end == parts.end && whole.end <= size);
        struct arena a;
        struct response r;
        arena_init(&a, 1 << 20);
        e = h1_parse_response(buf, &whole, method, &a, &r);
        CHECK(e != ERR_AGAIN);
        if (e == ERR_OK) {
            CHECK(r.status >= 100 && r.status <= 999);
            bool bodiless = r.status < 200 || r.status == 204 || r.status == 304 || method == METHOD_HEAD ||
                            (method == METHOD_CONNECT && r.status < 300);
            CHECK(r.no_content == bodiless);
        }
        arena_fini(&a);
    }
    free(buf);
    return 0;
}
