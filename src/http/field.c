// SPDX-License-Identifier: Apache-2.0
#include "http/field.h"

#include "base/check.h"
#include "base/words.h"
#include "http/h1_scan.h"

static const struct span names[N_FIELDS] = {
    [FIELD_OTHER] = SPAN_INIT(""),
#define FIELD(id, name, flags) [FIELD_##id] = SPAN_INIT(name),
#include "http/fields.tbl"
#undef FIELD
};

static const uint8_t flags_of[N_FIELDS] = {
#define FIELD(id, name, flags) [FIELD_##id] = (flags),
#include "http/fields.tbl"
#undef FIELD
};

// ---- Names to ids: open addressing over length and the first and last four characters, the full name compared

enum { SLOT_BITS = 9, SLOTS = 1 << SLOT_BITS, NAME_MAX_BYTES = 32, FIRST_CAP = 24 };
static uint8_t slots[SLOTS];
static char lower_names[N_FIELDS][NAME_MAX_BYTES];
static uint64_t hop_fields[(N_FIELDS + 63) / 64]; // as in struct fields
_Static_assert(N_FIELDS < 255, "ids fit the table");

static inline unsigned slot_of(struct span s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    uint64_t w = s.len >= 4 ? load_halves(s.ptr, s.len) : (uint64_t)p[0] | (uint64_t)p[s.len / 2] << 8 | (uint64_t)p[s.len - 1] << 16;
    w = (w | WORDS_EACH_BYTE(0x20)) + s.len; // the case of letters does not count
    return (unsigned)((w * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - SLOT_BITS));
}

__attribute__((constructor)) static void build_slots(void)
{
    for (unsigned id = 1; id < N_FIELDS; id++) {
        CHECK(names[id].len <= NAME_MAX_BYTES);
        for (size_t k = 0; k < names[id].len; k++)
            lower_names[id][k] = (char)ascii_lower((unsigned char)names[id].ptr[k]);
        unsigned i = slot_of(names[id]);
        while (slots[i])
            i = (i + 1) % SLOTS;
        slots[i] = (uint8_t)id;
        hop_fields[id / 64] |= (uint64_t)(flags_of[id] & FIELD_HOP ? 1 : 0) << (id % 64);
    }
}

static NOINLINE enum field_id probe(struct span name, unsigned i)
{
    for (; slots[i]; i = (i + 1) % SLOTS)
        if (span_eq_ci(names[slots[i]], name))
            return (enum field_id)slots[i];
    return FIELD_OTHER;
}

enum field_id field_id_of(struct span name)
{
    if (name.len == 0 || name.len > NAME_MAX_BYTES)
        return FIELD_OTHER;
    unsigned i = slot_of(name);
    enum field_id id = (enum field_id)slots[i];
    // Most names are spelled as everybody does (HTTP/2: in lower case), and in the first place looked at.
    const char *usual = name.ptr[0] & 0x20 ? lower_names[id] : names[id].ptr;
    return likely(names[id].len == name.len && bytes_eq(usual, name.ptr, name.len)) ? id : probe(name, i);
}

struct span field_name(enum field_id id)
{
    return names[id];
}

struct span field_name_lower(enum field_id id)
{
    return span_of(lower_names[id], names[id].len);
}

unsigned field_flags(enum field_id id)
{
    return flags_of[id];
}

bool field_is_written(enum field_id id)
{
    unsigned flags = field_flags(id);
    return !(flags & FIELD_FRAMING) && (!(flags & FIELD_HOP) || flags & FIELD_TO_NEXT_HOP);
}

// ---- The table of a message

void fields_init(struct fields *f, struct arena *arena)
{
    *f = (struct fields){.arena = arena};
}

static NOINLINE enum err grow_and_add(struct fields *f, enum field_id id, struct span name, struct span value)
{
    uint32_t cap = f->cap ? f->cap * 2 : FIRST_CAP;
    struct field *v = (struct field *)arena_alloc(f->arena, cap * sizeof *v);
    if (!v)
        return ERR_NO_MEMORY;
    if (f->n)
        memcpy(v, f->v, f->n * sizeof *v);
    f->v = v;
    f->cap = cap;
    return fields_add_as(f, id, name, value);
}

enum err fields_add_as(struct fields *f, enum field_id id, struct span name, struct span value)
{
    if (unlikely(f->n == f->cap))
        return grow_and_add(f, id, name, value); // a call at the end leaves no registers to be saved before it
    struct field *v = &f->v[f->n++];
    v->name = name;
    v->value = value;
    v->id = (uint16_t)id;
    v->removed = 0;
    f->present[id / 64] |= UINT64_C(1) << (id % 64);
    return ERR_OK;
}

enum err fields_add(struct fields *f, enum field_id id, struct span value)
{
    return fields_add_as(f, id, names[id], value);
}

enum err fields_add_named(struct fields *f, struct span name, struct span value)
{
    return fields_add_as(f, field_id_of(name), name, value);
}

static struct field *find_from(const struct fields *f, uint32_t i, enum field_id id)
{
    for (; i < f->n; i++)
        if (f->v[i].id == id && !f->v[i].removed)
            return &f->v[i];
    return NULL;
}

struct field *fields_get(const struct fields *f, enum field_id id)
{
    return fields_may_have(f, id) ? find_from(f, 0, id) : NULL;
}

struct field *fields_next(const struct fields *f, const struct field *prev)
{
    return find_from(f, (uint32_t)(prev - f->v) + 1, (enum field_id)prev->id);
}

bool fields_may_have_hop(const struct fields *f)
{
    uint64_t any = 0;
    for (size_t i = 0; i < ARRAY_LEN(hop_fields); i++)
        any |= f->present[i] & hop_fields[i];
    return any != 0;
}

static struct field *find_named(const struct fields *f, uint32_t i, enum field_id id, struct span name)
{
    if (id != FIELD_OTHER)
        return find_from(f, i, id);
    for (; i < f->n; i++)
        if (f->v[i].id == FIELD_OTHER && !f->v[i].removed && span_eq_ci(f->v[i].name, name))
            return &f->v[i];
    return NULL;
}

struct field *fields_find(const struct fields *f, struct span name)
{
    return find_named(f, 0, field_id_of(name), name);
}

struct field *fields_find_next(const struct fields *f, const struct field *prev)
{
    return find_named(f, (uint32_t)(prev - f->v) + 1, (enum field_id)prev->id, prev->name);
}

struct span fields_value(const struct fields *f, enum field_id id)
{
    const struct field *x = fields_get(f, id);
    return x ? x->value : SPAN_NONE;
}

unsigned fields_count(const struct fields *f, enum field_id id)
{
    unsigned n = 0;
    for (const struct field *x = fields_get(f, id); x; x = fields_next(f, x))
        n++;
    return n;
}

void fields_remove(struct fields *f, enum field_id id)
{
    for (struct field *x = fields_get(f, id); x; x = fields_next(f, x))
        x->removed = 1;
}

void fields_remove_named(struct fields *f, struct span name)
{
    for (struct field *x = fields_find(f, name); x; x = fields_find_next(f, x))
        x->removed = 1;
}

enum err fields_set_named(struct fields *f, struct span name, struct span value)
{
    struct field *first = fields_find(f, name);
    if (!first)
        return fields_add_named(f, name, value);
    for (struct field *x = fields_find_next(f, first); x; x = fields_find_next(f, x))
        x->removed = 1;
    first->value = value;
    return ERR_OK;
}

enum err fields_set(struct fields *f, enum field_id id, struct span value)
{
    return fields_set_named(f, names[id], value);
}

struct span fields_joined(const struct fields *f, enum field_id id, struct arena *arena)
{
    const struct field *first = fields_get(f, id);
    if (!first)
        return SPAN_NONE;
    size_t total = 0;
    unsigned n = 0;
    for (const struct field *x = first; x; x = fields_next(f, x), n++)
        total += x->value.len + 2;
    if (n == 1)
        return first->value.ptr ? first->value : SPAN("");
    char *p = arena_bytes(arena, total), *o = p;
    if (!p)
        return SPAN_NONE;
    for (const struct field *x = first; x; x = fields_next(f, x)) {
        if (x != first)
            *o++ = ',', *o++ = ' ';
        if (x->value.len)
            memcpy(o, x->value.ptr, x->value.len);
        o += x->value.len;
    }
    return span_of(p, (size_t)(o - p));
}

// ---- Lists and characters

bool list_next(struct span *rest, struct span *ret_item)
{
    while (rest->len) {
        size_t i = 0;
        bool quoted = false;
        for (; i < rest->len && (quoted || rest->ptr[i] != ','); i++) {
            if (rest->ptr[i] == '"')
                quoted = !quoted;
            else if (quoted && rest->ptr[i] == '\\' && i + 1 < rest->len)
                i++;
        }
        struct span item = span_trim(span_first(*rest, i));
        *rest = span_skip(*rest, i + 1);
        if (item.len) {
            *ret_item = item;
            return true;
        }
    }
    return false;
}

bool list_has(struct span list, struct span token)
{
    struct span item;
    while (list_next(&list, &item))
        if (span_eq_ci(item, token))
            return true;
    return false;
}

#define T 1 // tchar
static const uint8_t classes[256] = {
    ['!'] = T, ['#'] = T, ['$'] = T, ['%'] = T, ['&'] = T, ['\''] = T, ['*'] = T, ['+'] = T, ['-'] = T, ['.'] = T,
    ['0' ... '9'] = T, ['A' ... 'Z'] = T, ['^'] = T, ['_'] = T, ['`'] = T, ['a' ... 'z'] = T, ['|'] = T, ['~'] = T,
};

bool http_is_tchar(unsigned char c)
{
    return classes[c] & T;
}

bool http_is_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!(classes[(unsigned char)s.ptr[i]] & T))
            return false;
    return s.len > 0;
}

bool http_is_field_value(struct span s)
{
    if (s.len == 0)
        return true;
    const char *end = s.ptr + s.len;
    bool spaced = s.ptr[0] == ' ' || s.ptr[0] == '\t' || end[-1] == ' ' || end[-1] == '\t';
    return !spaced && scan_value(s.ptr, s.ptr, end) == end;
}
