// SPDX-License-Identifier: Apache-2.0
// The PROXY protocol, versions 1 and 2 (the header that a proxy in front sends before anything else). Pure.
#ifndef WEIR_NET_PROXY_PROTOCOL_H
#define WEIR_NET_PROXY_PROTOCOL_H

#include "net/addr.h"

enum {
    PROXY_V1_MAX = 107,         // with CR LF
    PROXY_V2_MAX = 16 + 2048,   // we take no more than this of TLVs
    PROXY_HEADER_OUT_MAX = 108, // what the writers write
};
enum proxy_parse_result {
    PROXY_PARSED,  // *ret_len bytes were the header
    PROXY_PARTIAL, // a header so far
    PROXY_BAD,     // no header, or a malformed one: close
};
struct proxy_header {
    uint8_t version; // 1 or 2
    bool local;      // LOCAL, UNKNOWN or a family without addresses: the connection's own addresses count
    struct addr src, dst;
    struct span tlvs;      // version 2, within the input; checked to be well formed
    struct span authority; // TLV 0x02 (at most 255 bytes), within the input
};
enum proxy_parse_result proxy_header_parse(struct span in, struct proxy_header *ret, size_t *ret_len);
/// How many more bytes surely belong to a header of which in is the beginning (PROXY_PARTIAL): so many may be read without taking
/// what stands behind it. At least 1, and never beyond PROXY_V2_MAX in all.
size_t proxy_header_need(struct span in);
/// Return the number of bytes. Addresses of different or no IP families become UNKNOWN and LOCAL.
size_t proxy_header_write_v1(char out[PROXY_HEADER_OUT_MAX], const struct addr *src, const struct addr *dst);
size_t proxy_header_write_v2(char out[PROXY_HEADER_OUT_MAX], const struct addr *src, const struct addr *dst);

#endif
