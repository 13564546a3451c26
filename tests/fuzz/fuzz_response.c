// SPDX-License-Identifier: Apache-2.0
// Heads of responses: cut anywhere they parse the same, to every method, and the strict parser of the
// simulations understands the same by them.
#include "fuzz.h"

#include "../simulation/strict.h"
#include "http/h1.h"

static const struct h1_limits limits = {.line_bytes = 8192, .fields = 128, .fields_bytes = 32768};

static void check_strict(const char *buf, size_t n, enum http_method method, const struct response *r)
{
    static struct strict_message m;
    char *content = fuzz_exact(NULL, n);
    const char *name = method == METHOD_HEAD ? "HEAD" : method == METHOD_CONNECT ? "CONNECT" : "GET";
    enum strict s = strict_response(buf, n, true, name, content, &m);
    CHECK(m.head_len > 0 && m.status == r->status);
    CHECK(s != STRICT_BAD || m.framing == STRICT_CHUNKED ||
          r->no_content); // chunks, and framing of nothing, are no matter here
    if (!r->no_content)
        CHECK(m.framing == (r->framing.kind == FRAMING_LENGTH    ? STRICT_LENGTH
                            : r->framing.kind == FRAMING_CHUNKED ? STRICT_CHUNKED
                                                                 : STRICT_UNTIL_END));
    free(content);
}

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
            check_strict(buf, size, method, &r);
        }
        arena_fini(&a);
    }
    free(buf);
    return 0;
}
