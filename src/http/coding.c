// SPDX-License-Identifier: Apache-2.0
#include "http/coding.h"

#include "base/ascii.h"

static const struct span names[] = {
    [CODING_IDENTITY] = SPAN_INIT("identity"), [CODING_GZIP] = SPAN_INIT("gzip"), [CODING_DEFLATE] = SPAN_INIT("deflate"),
    [CODING_BR] = SPAN_INIT("br"),             [CODING_ZSTD] = SPAN_INIT("zstd"),
};

enum coding coding_of(struct span name)
{
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (span_eq_ci(name, names[i]))
            return (enum coding)i;
    return span_eq_ci(name, SPAN("x-gzip")) ? CODING_GZIP : CODING_UNKNOWN;
}

struct span coding_name(enum coding c)
{
    return c > CODING_IDENTITY && c < CODING_UNKNOWN ? names[c] : SPAN("");
}

// qvalue: 0[.ddd] or 1[.000].
static unsigned qvalue(struct span s)
{
    if (!s.len || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1') || (s.len > 1 && s.ptr[1] != '.'))
        return 0;
    unsigned q = 0, unit = 100;
    for (size_t i = 2; i < s.len; i++, unit /= 10) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return 0;
        q += (unsigned)(s.ptr[i] - '0') * unit;
    }
    if (s.ptr[0] == '1')
        return q == 0 ? 1000 : 0;
    return q;
}

unsigned weight_parse(struct span parameters)
{
    while (parameters.len) {
        struct span value = span_trim(span_cut(&parameters, ';')), name = span_cut(&value, '=');
        if (span_eq_ci(span_trim(name), SPAN("q")))
            return qvalue(span_trim(value));
    }
    return 1000;
}

enum { N_CODINGS = CODING_UNKNOWN, UNSAID = 1001 };

// The weight of each coding; what is not named has that of `*`, or UNSAID.
static void weights(struct span accept, unsigned out[N_CODINGS])
{
    unsigned star = UNSAID;
    for (unsigned i = 0; i < N_CODINGS; i++)
        out[i] = UNSAID;
    struct span item;
    while (list_next(&accept, &item)) {
        struct span rest = item, name = span_trim(span_cut(&rest, ';'));
        unsigned q = weight_parse(rest);
        enum coding c = coding_of(name);
        if (c != CODING_UNKNOWN)
            out[c] = q;
        else if (span_eq(name, SPAN("*")))
            star = q;
    }
    for (unsigned i = 0; i < N_CODINGS; i++)
        if (out[i] == UNSAID && i != CODING_IDENTITY)
            out[i] = star;
}

enum coding coding_choose(struct span accept, const enum coding *offers, unsigned n)
{
    unsigned w[N_CODINGS], best_weight = 0;
    enum coding best = CODING_IDENTITY;
    if (!accept.ptr)
        return CODING_IDENTITY;
    weights(accept, w);
    for (unsigned i = 0; i < n; i++) {
        if (w[offers[i]] != UNSAID && w[offers[i]] > best_weight) {
            best = offers[i];
            best_weight = w[best];
        }
    }
    bool identity_first = w[CODING_IDENTITY] != UNSAID && w[CODING_IDENTITY] > best_weight;
    return identity_first ? CODING_IDENTITY : best;
}

unsigned coding_list(struct span content_encoding, enum coding *out, unsigned max)
{
    unsigned n = 0;
    struct span item;
    while (list_next(&content_encoding, &item)) {
        enum coding c = coding_of(item);
        if (c == CODING_IDENTITY)
            continue;
        if (n == max)
            return max + 1;
        out[n++] = c;
    }
    return n;
}
