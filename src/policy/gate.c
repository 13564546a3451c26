// SPDX-License-Identifier: Apache-2.0
#include "policy/gate.h"

#include "base/ascii.h"
#include "base/hash.h"

static const struct gate open_gate = {GATE_OPEN, UINT64_MAX};

// The last two labels of a name, `a.b`; a NULL pointer where there is one only.
static struct span last_labels(struct span name)
{
    size_t dot = span_rfind(name, '.');
    if (dot >= name.len)
        return SPAN_NONE;
    size_t before = span_rfind(span_first(name, dot), '.');
    return before < dot ? span_skip(name, before + 1) : name;
}

static uint64_t bit_of_name(struct span labels)
{
    char lower[256];
    size_t n = MIN(labels.len, sizeof lower);
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)ascii_lower((unsigned char)labels.ptr[i]);
    return (uint64_t)1 << (hash_fast(span_of(lower, n)) & 63);
}

// Of what stands behind the last star only whole labels are known.
static bool add_host(struct span text, uint64_t *bits)
{
    size_t star = span_rfind(text, '*');
    struct span name = star < text.len ? span_skip(text, star + 1) : text;
    if (name.len && name.ptr[name.len - 1] == '.')
        name.len--;
    struct span labels = last_labels(name);
    bool whole = star >= text.len || (labels.ptr && labels.ptr > name.ptr);
    if (span_starts(text, SPAN("~")) || span_find(text, ':') < text.len || !labels.ptr || !whole)
        return false;
    *bits |= bit_of_name(labels);
    return true;
}

static bool add_domain(struct span text, uint64_t *bits)
{
    return add_host(span_starts(text, SPAN(".")) ? span_skip(text, 1) : text, bits);
}

// The first octet behind the slash.
static bool add_path(struct span text, uint64_t *bits)
{
    if (text.len < 2 || text.ptr[0] != '/' || text.ptr[1] == '*')
        return false;
    *bits |= (uint64_t)1 << (text.ptr[1] & 63);
    return true;
}

struct gate gate_of(const struct conf_stmt *c)
{
    static const struct {
        enum conf_id id;
        enum gate_kind kind;
        bool (*add)(struct span text, uint64_t *bits);
    } rows[] = {{CONF_C_HOST, GATE_HOST, add_host},
                {CONF_C_DOMAIN, GATE_HOST, add_domain},
                {CONF_C_PATH, GATE_PATH, add_path}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].id != c->row->id)
            continue;
        struct gate g = {rows[i].kind, 0};
        bool ok = !c->negated;
        for (unsigned a = 0; ok && a < c->n_args; a++)
            ok = rows[i].add(c->args[a].text, &g.bits);
        return ok ? g : open_gate;
    }
    return open_gate;
}

void gate_input_of(const struct condition_input *in, struct gate_input *ret)
{
    struct span labels = last_labels(in->req->authority.host);
    ret->bits[GATE_OPEN] = UINT64_MAX;
    ret->bits[GATE_HOST] = labels.ptr ? bit_of_name(labels) : 0;
    ret->bits[GATE_PATH] = 0;
    const struct span paths[] = {in->path, in->path_loose}; // as far as servers may read it in two ways
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (paths[i].len > 1 && paths[i].ptr[0] == '/')
            ret->bits[GATE_PATH] |= (uint64_t)1 << (paths[i].ptr[1] & 63);
}
