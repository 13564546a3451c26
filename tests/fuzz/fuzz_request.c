// SPDX-License-Identifier: Apache-2.0
// Heads of requests: cut anywhere they parse the same; what was parsed, written by our serialiser, parses to
// the same again; and the strict parser of the simulations understands the same by them.
#include "fuzz.h"

#include "../simulation/strict.h"
#include "http/h1.h"

static const struct h1_limits limits = {.line_bytes = 8192, .fields = 128, .fields_bytes = 32768};

static enum err scan(struct h1_head *h, const char *buf, size_t len, size_t cut)
{
    h1_head_init(h);
    enum err e = cut < len ? h1_head_scan(h, buf, cut, true, &limits) : ERR_AGAIN;
    return e == ERR_AGAIN ? h1_head_scan(h, buf, len, true, &limits) : e;
}

static void check_written(const struct request *r)
{
    size_t cap = r->method_text.len + r->target.len + h1_fields_size(&r->fields) + 64;
    char *text = fuzz_exact(NULL, cap);
    struct h1_out out = {.next = text, .end = text + cap};
    h1_put_request_line(&out, r->method_text, r->target);
    h1_put_fields(&out, &r->fields);
    h1_put(&out, SPAN("\r\n"));
    CHECK(!out.full);
    size_t n = (size_t)(out.next - text);
    struct h1_head h;
    struct h1_limits wide = {.line_bytes = 1 << 20, .fields = 1 << 16, .fields_bytes = 1 << 20};
    h1_head_init(&h);
    CHECK(h1_head_scan(&h, text, n, true, &wide) == ERR_OK);
    CHECK(h.end == n);
    free(text);
}

// What we take is no less strict than the strict parser, and is framed as it says.
static void check_strict(const char *buf, size_t n, const struct request *r)
{
    static struct strict_message m;
    size_t skip = n >= 2 && memcmp(buf, "\r\n", 2) == 0 ? 2 : 0; // one empty line (RFC 9112 2.2)
    buf += skip;
    n -= skip;
    char *content = fuzz_exact(NULL, n);
    enum strict s = strict_request(buf, n, content, &m);
    CHECK(m.head_len > 0 && (s != STRICT_BAD || m.framing == STRICT_CHUNKED)); // chunks are looked at later
    CHECK(m.framing == (r->framing.kind == FRAMING_LENGTH    ? STRICT_LENGTH
                        : r->framing.kind == FRAMING_CHUNKED ? STRICT_CHUNKED
                                                             : STRICT_NO_CONTENT));
    CHECK(span_eq(span_of(m.method.p, m.method.n), r->method_text));
    if (m.framing == STRICT_LENGTH && s == STRICT_WHOLE)
        CHECK(m.content_len == r->framing.length);
    free(content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t cut = data[0];
    size--;
    char *buf = fuzz_exact(data + 1, size);
    struct h1_head whole, parts;
    enum err e = scan(&whole, buf, size, SIZE_MAX), e2 = scan(&parts, buf, size, cut);
    CHECK(e == e2);
    if (e == ERR_OK) {
        CHECK(whole.end == parts.end && whole.end <= size);
        struct arena a;
        struct request r;
        arena_init(&a, 1 << 20);
        e = h1_parse_request(buf, &whole, SPAN("http"), &a, &r);
        CHECK(e != ERR_AGAIN);
        if (e == ERR_OK) {
            CHECK(http_is_token(r.method_text) && r.target.len > 0);
            CHECK(r.framing.kind == FRAMING_NONE || r.framing.kind == FRAMING_LENGTH ||
                  r.framing.kind == FRAMING_CHUNKED);
            CHECK(!(r.framing.kind == FRAMING_CHUNKED && r.version == HTTP_1_0));
            CHECK(r.path.len == 0 || r.path.ptr[0] == '/');
            check_strict(buf, size, &r);
            h1_strip_hop_fields(&r.fields);
            check_written(&r);
        }
        arena_fini(&a);
    }
    free(buf);
    return 0;
}
