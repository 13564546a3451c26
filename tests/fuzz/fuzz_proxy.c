// SPDX-License-Identifier: Apache-2.0
// The PROXY protocol: what was parsed whole is only a beginning when cut, and comes back the same when
// written again.
#include "fuzz.h"

#include "net/proxy_protocol.h"

static void expect_same(const struct proxy_header *h,
                        size_t (*write)(char *, const struct addr *, const struct addr *))
{
    char out[PROXY_HEADER_OUT_MAX];
    struct proxy_header again;
    size_t len, n = write(out, &h->src, &h->dst);
    CHECK(n <= sizeof(out));
    CHECK(proxy_header_parse(span_of(out, n), &again, &len) == PROXY_PARSED && len == n);
    CHECK(again.local == h->local && addr_eq(&again.src, &h->src) && addr_eq(&again.dst, &h->dst));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *buf = fuzz_exact(data, size);
    struct proxy_header h;
    size_t len;
    if (proxy_header_parse(span_of(buf, size), &h, &len) == PROXY_PARSED) {
        CHECK(len > 0 && len <= size && len <= PROXY_V2_MAX);
        CHECK(h.local || (addr_is_ip(&h.src) && h.src.family == h.dst.family));
        CHECK(!h.tlvs.len || (h.tlvs.ptr > buf && h.tlvs.ptr + h.tlvs.len == buf + len));
        CHECK(!h.authority.len ||
              (h.authority.ptr > h.tlvs.ptr && h.authority.ptr + h.authority.len <= buf + len));
        struct proxy_header part;
        size_t ignored;
        CHECK(proxy_header_parse(span_of(buf, len - 1), &part, &ignored) == PROXY_PARTIAL);
        expect_same(&h, proxy_header_write_v1);
        expect_same(&h, proxy_header_write_v2);
    }
    free(buf);
    return 0;
}
