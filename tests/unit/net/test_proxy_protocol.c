// SPDX-License-Identifier: Apache-2.0
#include "net_test.h"

#include "net/proxy_protocol.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/// Parses a copy that is exactly as long as it is said to be, so that the sanitizer sees a read beyond it.
static enum proxy_parse_result parse(struct span in, struct proxy_header *h, size_t *len)
{
    static char *copy;
    if (copy)
        test_free(copy);
    copy = NULL;
    if (in.len == 0)
        return proxy_header_parse(in, h, len);
    copy = test_malloc(in.len);
    memcpy(copy, in.ptr, in.len);
    enum proxy_parse_result r = proxy_header_parse(span_of(copy, in.len), h, len);
    char *done = copy;
    copy = NULL;
    if (r == PROXY_PARSED && h->authority.len) // the only thing that tests read from it
        h->authority = span_of(in.ptr + (h->authority.ptr - done), h->authority.len);
    test_free(done);
    return r;
}

/// Every part of a good header is a header so far, and what follows it is not touched.
static void expect_parsed(struct span in, struct proxy_header *h)
{
    size_t len = 0;
    for (size_t n = 0; n < in.len; n++) {
        if (parse(span_first(in, n), h, &len) != PROXY_PARTIAL)
            fail_msg("%zu of %zu bytes", n, in.len);
        size_t need = proxy_header_need(span_first(in, n));
        if (need < 1 || n + need > in.len)
            fail_msg("behind %zu of %zu bytes %zu more are read", n, in.len, need);
    }
    char more[4096];
    memcpy(more, in.ptr, in.len);
    memcpy(more + in.len, "GET / HTTP/1.1\r\n", 16);
    assert_int_equal(parse(span_of(more, in.len + 16), h, &len), PROXY_PARSED);
    assert_int_equal(len, in.len);
    assert_int_equal(parse(in, h, &len), PROXY_PARSED);
    assert_int_equal(len, in.len);
}

static void test_v1(void **state)
{
    (void)state;
    struct proxy_header h;
    struct addr src = at_port("192.0.2.1", 56324), dst = at_port("198.51.100.2", 443);
    expect_parsed(SPAN("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"), &h);
    assert_int_equal(h.version, 1);
    assert_false(h.local);
    assert_true(addr_eq(&h.src, &src));
    assert_true(addr_eq(&h.dst, &dst));
    src = at_port("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
    expect_parsed(SPAN("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
                  &h);
    assert_true(addr_eq(&h.src, &src));
    expect_parsed(SPAN("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), &h);
    expect_parsed(SPAN("PROXY UNKNOWN\r\n"), &h);
    assert_true(h.local);
    expect_parsed(SPAN("PROXY UNKNOWN ff::1 ff::2 70000 what ever\r\n"), &h);
    assert_true(h.local);
    assert_int_equal(h.src.family, AF_UNSPEC);
}

static void test_v1_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n",
        "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2\r1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 ::2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXYTCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "\n",
        "\r\n\r\nGET",
    };
    struct proxy_header h;
    size_t len;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (parse(span_str(bad[i]), &h, &len) != PROXY_BAD)
            fail_msg("%s", bad[i]);
    // 107 bytes with the line's end are a line, 108 are none.
    char line[PROXY_V1_MAX + 1] = "PROXY UNKNOWN ";
    memset(line + 14, 'x', sizeof(line) - 14);
    assert_int_equal(parse(span_of(line, PROXY_V1_MAX - 1), &h, &len), PROXY_PARTIAL);
    assert_int_equal(parse(span_of(line, PROXY_V1_MAX), &h, &len), PROXY_BAD);
    memcpy(line + PROXY_V1_MAX - 1, "\r\n", 2);
    assert_int_equal(parse(span_of(line, PROXY_V1_MAX + 1), &h, &len), PROXY_BAD);
    memcpy(line + PROXY_V1_MAX - 2, "\r\n", 2);
    assert_int_equal(parse(span_of(line, PROXY_V1_MAX), &h, &len), PROXY_PARSED);
}

static void test_v2(void **state)
{
    (void)state;
    struct proxy_header h;
    struct addr src = at_port("192.0.2.1", 258), dst = at_port("192.0.2.2", 443);
    expect_parsed(SPAN(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\1\2\1\xbb"), &h);
    assert_int_equal(h.version, 2);
    assert_false(h.local);
    assert_true(addr_eq(&h.src, &src));
    assert_true(addr_eq(&h.dst, &dst));
    assert_int_equal(h.tlvs.len, 0);
    src = at_port("2001:db8::1", 1), dst = at_port("2001:db8::2", 2);
    expect_parsed(SPAN(SIGNATURE "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
                                 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\0\1\0\2"),
                  &h);
    assert_true(addr_eq(&h.src, &src));
    assert_true(addr_eq(&h.dst, &dst));
    expect_parsed(SPAN(SIGNATURE "\x20\0\0\0"), &h); // LOCAL
    assert_true(h.local);
    expect_parsed(SPAN(SIGNATURE "\x20\x11\0\3abc"), &h); // and whatever comes with it
    assert_true(h.local);
    expect_parsed(SPAN(SIGNATURE "\x21\0\0\0"), &h); // of an unspecified family
    assert_true(h.local);
    char un[16 + 216] = SIGNATURE "\x21\x31\0\xd8/a"; // unix
    expect_parsed(span_of(un, sizeof(un)), &h);
    assert_true(h.local);
    // With an authority and something unknown.
    expect_parsed(SPAN(SIGNATURE "\x21\x11\0\x1c\xc0\0\2\1\xc0\0\2\2\1\2\1\xbb\2\0\6a.test\xe0\0\4wxyz"), &h);
    assert_int_equal(h.tlvs.len, 16);
    assert_true(span_eq(h.authority, SPAN("a.test")));
}

static void test_v2_bad(void **state)
{
    (void)state;
    static const struct span bad[] = {
        SPAN_INIT(SIGNATURE "\x11\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\1\2\1\xbb"), // version 1
        SPAN_INIT(SIGNATURE "\x31"),
        SPAN_INIT(SIGNATURE "\x22"),                                         // a command that is none
        SPAN_INIT(SIGNATURE "\x21\x11\0\x0b\xc0\0\2\1\xc0\0\2\2\1\2\1\xbb"), // too short for its family
        SPAN_INIT(SIGNATURE "\x21\x41\0\0"),
        SPAN_INIT(SIGNATURE "\x21\x13\0\x0c\xc0\0\2\1\xc0\0\2\2\1\2\1\xbb"),
        SPAN_INIT(SIGNATURE "\x21\x11\xff\xff"),                                 // more than we take
        SPAN_INIT(SIGNATURE "\x21\x11\0\x0e\xc0\0\2\1\xc0\0\2\2\1\2\1\xbb\2\0"), // half a TLV
        SPAN_INIT(SIGNATURE "\x21\x11\0\x10\xc0\0\2\1\xc0\0\2\2\1\2\1\xbb\2\0\2x"),
        SPAN_INIT(SIGNATURE "\x21\x11\0\x12\xc0\0\2\1\xc0\0\2\2\1\2\1\xbb\3\0\3xxx"), // a short checksum
        SPAN_INIT("\r\n\r\n\0\r\nQUIX"),
    };
    struct proxy_header h;
    size_t len;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (parse(bad[i], &h, &len) != PROXY_BAD)
            fail_msg("row %zu", i);
    // An authority of 255 bytes is the longest.
    for (unsigned n = 255; n <= 256; n++) {
        char in[16 + 12 + 3 + 256] = SIGNATURE "\x21\x11";
        unsigned body = 12 + 3 + n;
        in[14] = (char)(body >> 8), in[15] = (char)body;
        in[28] = 2, in[29] = (char)(n >> 8), in[30] = (char)n;
        assert_int_equal(parse(span_of(in, 16 + body), &h, &len), n == 255 ? PROXY_PARSED : PROXY_BAD);
    }
}

static void test_checksum(void **state)
{
    (void)state;
    // The checksum was computed bit by bit from the polynomial 0x1edc6f41 by a program of its own.
    char in[] = SIGNATURE "\x21\x11\0\x13\xc0\0\2\1\xc0\0\2\2\1\2\1\xbb\3\0\4CRC!";
    size_t n = sizeof(in) - 1, len;
    memcpy(in + n - 4, "\xc2\xd6\xab\x1e", 4);
    struct proxy_header h;
    expect_parsed(span_of(in, n), &h);
    for (size_t i = 16; i < n; i++) {
        in[i] ^= 1;
        bool head_of_tlv = i >= 28 && i < 31; // then it is another TLV
        if (!head_of_tlv)
            assert_int_equal(parse(span_of(in, n), &h, &len), PROXY_BAD);
        in[i] ^= 1;
    }
}

static void test_written(void **state)
{
    (void)state;
    struct addr v4 = at_port("192.0.2.1", 1), other4 = at_port("192.0.2.255", 65535),
                un = {.family = AF_UNIX}, v6 = at_port("1111:1111:1111:1111:1111:1111:1111:1111", 65535);
    const struct addr *const pairs[][2] = {{&v4, &other4}, {&v6, &v6}, {&v4, &v6}, {&un, &un}, {&v6, &un}};
    size_t (*const writers[])(char *, const struct addr *, const struct addr *) = {proxy_header_write_v1,
                                                                                   proxy_header_write_v2};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        for (unsigned v = 0; v < 2; v++) {
            char out[PROXY_HEADER_OUT_MAX];
            struct proxy_header h;
            expect_parsed(span_of(out, writers[v](out, pairs[i][0], pairs[i][1])), &h);
            assert_int_equal(h.version, v + 1);
            assert_int_equal(h.local, i >= 2);
            assert_true(h.local || (addr_eq(&h.src, pairs[i][0]) && addr_eq(&h.dst, pairs[i][1])));
        }
    }
    char out[PROXY_HEADER_OUT_MAX];
    size_t n = proxy_header_write_v1(out, &v4, &other4);
    assert_true(span_eq(span_of(out, n), SPAN("PROXY TCP4 192.0.2.1 192.0.2.255 1 65535\r\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v1),     cmocka_unit_test(test_v1_bad),   cmocka_unit_test(test_v2),
        cmocka_unit_test(test_v2_bad), cmocka_unit_test(test_checksum), cmocka_unit_test(test_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
