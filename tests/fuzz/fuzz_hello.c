// SPDX-License-Identifier: Apache-2.0
// ClientHellos: what was parsed whole is only a beginning when cut, and says the same when its message comes in other records.
#include "fuzz.h"

#include "tls/hello.h"

static void check_name(const char *name)
{
    size_t n = strlen(name);
    CHECK(n <= TLS_NAME_MAX);
    for (size_t i = 0; i < n; i++)
        CHECK((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') || strchr("-._:", name[i]));
}

// The same message, a byte a record; only of what is one record.
static void check_split(const char *buf, size_t size, const char *name)
{
    static char out[TLS_HELLO_MAX * 6];
    char again[TLS_NAME_MAX + 1];
    size_t len = (size_t)(unsigned char)buf[3] << 8 | (unsigned char)buf[4], n = 0;
    if (len + 5 > size || len > TLS_HELLO_MAX || len < 4)
        return;
    size_t message = (size_t)(unsigned char)buf[6] << 16 | (size_t)(unsigned char)buf[7] << 8 | (unsigned char)buf[8];
    if (len < message + 4)
        return;
    for (size_t i = 0; i < len; i++) {
        const char record[] = {22, 3, 1, 0, 1, buf[5 + i]};
        memcpy(out + n, record, sizeof record);
        n += sizeof record;
    }
    CHECK(tls_hello_parse(span_of(out, n), again) == TLS_HELLO_WHOLE && strcmp(name, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *buf = fuzz_exact(data, size), name[TLS_NAME_MAX + 1], part[TLS_NAME_MAX + 1];
    enum tls_hello h = tls_hello_parse(span_of(buf, size), name);
    if (h == TLS_HELLO_WHOLE) {
        check_name(name);
        check_split(buf, size, name);
    }
    if (h != TLS_HELLO_BAD && size)
        CHECK(tls_hello_parse(span_of(buf, size - 1), part) != TLS_HELLO_BAD);
    free(buf);
    return 0;
}
