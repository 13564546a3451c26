// SPDX-License-Identifier: Apache-2.0
#include "policy/domain.h"

#include "base/ascii.h"

// Labels of letters, digits, `-` and `_`, as hosts have them.
static bool is_domain(struct span s)
{
    if (s.len == 0 || s.len > 253)
        return false;
    while (s.ptr) {
        struct span label = span_cut(&s, '.');
        if (label.len == 0 || label.len > 63)
            return false;
        for (size_t i = 0; i < label.len; i++) {
            unsigned char ch = (unsigned char)label.ptr[i];
            if (!ascii_is_alnum(ch) && ch != '-' && ch != '_')
                return false;
        }
    }
    return true;
}

bool domain_read(struct span written, struct span *ret)
{
    struct span name = written;
    if (span_ends(name, SPAN(".")))
        name.len--;
    if (!is_domain(span_starts(name, SPAN(".")) ? span_skip(name, 1) : name))
        return false;
    *ret = name;
    return true;
}

void domain_report(struct condition_context *k, const struct conf_value *v)
{
    struct span written = v->text;
    if (span_starts(written, SPAN("*.")))
        conf_error(k->diags, k->conf, &v->pos, "`%.*s` is no domain: a name and all below it are written `%.*s`", SPAN_ARG(written), SPAN_ARG(span_skip(written, 1)));
    else
        conf_error(k->diags, k->conf, &v->pos, "`%.*s` is no domain: `x.example` is that name, `.x.example` it and all below it", SPAN_ARG(written));
}

bool domain_has(struct span domain, struct span host)
{
    size_t least = domain.len - (domain.ptr[0] == '.');
    if (host.len < least || !host.len || ascii_lower((unsigned char)host.ptr[host.len - 1]) != ascii_lower((unsigned char)domain.ptr[domain.len - 1]))
        return false; // most hosts
    if (domain.ptr[0] != '.')
        return span_eq_ci(host, domain);
    return span_ends_ci(host, domain) || span_eq_ci(host, span_skip(domain, 1));
}
