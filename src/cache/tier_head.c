// SPDX-License-Identifier: Apache-2.0
// An object's head as the disk tier's metadata: a fixed part, then the second part of the key, the secondary key, and each field with its
// lengths.
#include "cache/tier.h"

#include "cache/disk_layout.h"

enum { VERSION = 1, FIXED_BYTES = 64, FIELD_BYTES = 8, AT_FLAGS = 1, ALWAYS_VALIDATE = 2, NEVER_STALE = 4, HEURISTIC = 8 };

static void put_u32(char *out, uint32_t v)
{
    char wide[8];
    disk_put_u64(wide, v);
    memcpy(out, wide, 4);
}

static char *put(char *out, struct span s)
{
    if (s.len)
        memcpy(out, s.ptr, s.len);
    return out + s.len;
}

enum err tier_key(const struct cache_object *o, struct arena *a, struct disk_key *ret)
{
    size_t n = o->key.url.len + TIER_KEY_EXTRA_BYTES + o->key.extra.len + o->vary.len;
    char *p = arena_bytes(a, n);
    if (!p)
        return ERR_NO_MEMORY;
    *ret = (struct disk_key){{p, n}, o->key.url.len};
    p = put(p, o->key.url);
    put_u32(p, (uint32_t)o->key.extra.len);
    (void)put(put(p + TIER_KEY_EXTRA_BYTES, o->key.extra), o->vary);
    return ERR_OK;
}

enum err tier_encode(const struct cache_object *o, struct arena *a, struct span *ret)
{
    size_t n = FIXED_BYTES + o->key.extra.len + o->vary.len;
    for (unsigned i = 0; i < o->n_fields; i++)
        n += FIELD_BYTES + o->fields[i].name.len + o->fields[i].value.len;
    char *p = arena_bytes(a, n);
    if (!p)
        return ERR_NO_MEMORY;
    *ret = span_of(p, n);
    const struct freshness *f = &o->fresh;
    memset(p, 0, FIXED_BYTES);
    p[0] = VERSION;
    p[AT_FLAGS] = (char)((atomic_load_explicit(&o->soft_purged, memory_order_relaxed) ? TIER_SOFT : 0) | (f->always_validate ? ALWAYS_VALIDATE : 0) |
                         (f->never_stale ? NEVER_STALE : 0) | (f->heuristic ? HEURISTIC : 0));
    put_u32(p + 4, o->status);
    put_u32(p + 8, o->n_fields);
    put_u32(p + 12, (uint32_t)o->key.extra.len);
    put_u32(p + 16, (uint32_t)o->vary.len);
    disk_put_u64(p + 24, (uint64_t)f->received_ms);
    disk_put_u64(p + 32, (uint64_t)f->initial_age_ms);
    disk_put_u64(p + 40, (uint64_t)f->lifetime_ms);
    disk_put_u64(p + 48, (uint64_t)f->while_revalidate_ms);
    disk_put_u64(p + 56, (uint64_t)f->if_error_ms);
    p = put(put(p + FIXED_BYTES, o->key.extra), o->vary);
    for (unsigned i = 0; i < o->n_fields; i++) {
        put_u32(p, (uint32_t)o->fields[i].name.len);
        put_u32(p + 4, (uint32_t)o->fields[i].value.len);
        p = put(put(p + FIELD_BYTES, o->fields[i].name), o->fields[i].value);
    }
    return ERR_OK;
}

bool tier_decode(struct span m, struct tier_head *ret)
{
    if (m.len < FIXED_BYTES || m.ptr[0] != VERSION)
        return false;
    const char *p = m.ptr;
    uint8_t flags = (uint8_t)p[AT_FLAGS];
    uint32_t status = disk_get_u32(p + 4), extra = disk_get_u32(p + 12), vary = disk_get_u32(p + 16);
    if (status < 100 || status > 999 || (uint64_t)extra + vary > m.len - FIXED_BYTES)
        return false;
    *ret = (struct tier_head){
        .extra = {p + FIXED_BYTES, extra},
        .vary = {p + FIXED_BYTES + extra, vary},
        .fields = span_skip(m, FIXED_BYTES + extra + vary),
        .fresh = {.received_ms = (int64_t)disk_get_u64(p + 24), .initial_age_ms = (int64_t)disk_get_u64(p + 32), .lifetime_ms = (int64_t)disk_get_u64(p + 40),
                  .while_revalidate_ms = (int64_t)disk_get_u64(p + 48), .if_error_ms = (int64_t)disk_get_u64(p + 56),
                  .always_validate = flags & ALWAYS_VALIDATE, .never_stale = flags & NEVER_STALE, .heuristic = flags & HEURISTIC},
        .n_fields = disk_get_u32(p + 8),
        .status = (uint16_t)status,
        .flags = flags,
    };
    return true;
}

enum err tier_decode_fields(const struct tier_head *h, struct arena *a, struct fields *ret)
{
    struct span rest = h->fields;
    fields_init(ret, a);
    for (uint32_t i = 0; i < h->n_fields; i++) {
        uint32_t name = rest.len >= FIELD_BYTES ? disk_get_u32(rest.ptr) : 0, value = rest.len >= FIELD_BYTES ? disk_get_u32(rest.ptr + 4) : 0;
        if (!name || (uint64_t)name + value > rest.len - FIELD_BYTES)
            return ERR_INTERNAL;
        struct span n = {rest.ptr + FIELD_BYTES, name}, v = {rest.ptr + FIELD_BYTES + name, value};
        enum err e = fields_add_named(ret, n, v);
        if (e)
            return e;
        rest = span_skip(rest, FIELD_BYTES + (size_t)name + value);
    }
    return ERR_OK;
}

enum err tier_soften(struct span metadata, struct arena *a, struct span *ret)
{
    struct span copy;
    if (!arena_dup(a, metadata, &copy))
        return ERR_NO_MEMORY;
    ((char *)(uintptr_t)copy.ptr)[AT_FLAGS] |= TIER_SOFT;
    *ret = copy;
    return ERR_OK;
}
