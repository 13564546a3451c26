// SPDX-License-Identifier: Apache-2.0
#include "cache/object.h"

#include "base/mem.h"
#include "cache/internal.h"
#include "http/date.h"
#include "http/h1.h"

// Names of the table are not copied.
static bool is_known(const struct field *f)
{
    return f->id != FIELD_OTHER && span_eq(f->name, field_name((enum field_id)f->id));
}

struct layout {
    size_t fields, text, total;
    uint16_t n;
};

static struct layout measure(const struct cache_head *h)
{
    struct layout l = {.n = 0};
    size_t text = h->key->url.len + h->key->extra.len + h->vary.len;
    for (uint32_t i = 0; i < h->fields->n && l.n < UINT16_MAX; i++) {
        const struct field *f = &h->fields->v[i];
        if (f->removed)
            continue;
        l.n++;
        text += f->name.len + f->value.len + 4;
    }
    l.fields = (sizeof(struct cache_object) + 15) & ~(size_t)15;
    l.text = l.fields + l.n * sizeof(struct field);
    l.total = l.text + text;
    return l;
}

static struct span put(char **o, struct span s)
{
    struct span at = span_of(*o, s.len);
    if (s.len)
        memcpy(*o, s.ptr, s.len);
    *o += s.len;
    return at;
}

// The lines, and fields that point into them.
static void put_fields(struct cache_object *o, struct field *v, const struct fields *f, char **p)
{
    char *begin = *p;
    for (uint32_t i = 0; i < f->n && o->n_fields < UINT16_MAX; i++) {
        const struct field *x = &f->v[i];
        if (x->removed)
            continue;
        struct field *y = &v[o->n_fields++];
        *y = (struct field){.id = x->id};
        struct span name = put(p, x->name);
        y->name = is_known(x) ? field_name((enum field_id)x->id) : name;
        put(p, SPAN(": "));
        y->value = put(p, x->value);
        put(p, SPAN("\r\n"));
        o->present[x->id / 64] |= UINT64_C(1) << (x->id % 64);
    }
    o->lines = span_of(begin, (size_t)(*p - begin));
}

static void note_validators(struct cache_object *o, int64_t now_s)
{
    struct fields f = cache_object_view(o);
    int64_t t;
    o->validators.etag = fields_value(&f, FIELD_ETAG);
    if (fields_count(&f, FIELD_LAST_MODIFIED) == 1 && http_date_parse(fields_value(&f, FIELD_LAST_MODIFIED), now_s, &t))
        o->validators.last_modified = t;
}

struct cache_object *cache_object_new(struct cache *c, const struct cache_head *h)
{
    struct layout l = measure(h);
    char *block = l.total > UINT32_MAX - MEM_OVERHEAD ? NULL : (char *)mem_alloc(l.total);
    if (!block)
        return NULL;
    struct cache_object *o = (struct cache_object *)(void *)block;
    memset(o, 0, sizeof *o);
    char *p = block + l.text;
    atomic_init(&o->refs, 1);
    list_init(&o->variant);
    list_init(&o->fifo);
    o->status = h->status;
    o->charge = (uint32_t)l.total + MEM_OVERHEAD;
    o->fresh = h->fresh;
    o->has_range = h->has_range;
    o->range_first = h->range_first;
    o->range_size = h->range_size;
    o->key = (struct cache_key){h->key->hash, put(&p, h->key->url), put(&p, h->key->extra)};
    o->vary = put(&p, h->vary);
    o->fields = (const struct field *)(void *)(block + l.fields);
    put_fields(o, (struct field *)(void *)(block + l.fields), h->fields, &p);
    note_validators(o, h->now_s);
    o->body = h->body ? cache_body_ref(h->body) : NULL;
    cache_charge(c, o->charge);
    return o;
}

struct cache_object *cache_object_new_note(struct cache *c, const struct cache_key *key, struct span vary, enum storable why, int64_t now_ms,
                                           int64_t lasts_ms)
{
    struct fields none;
    fields_init(&none, NULL);
    struct cache_head h = {.key = key, .vary = vary, .fields = &none, .fresh = {.received_ms = now_ms, .lifetime_ms = lasts_ms}};
    struct cache_object *o = cache_object_new(c, &h);
    // A note has no body to say whom it is charged to, so it has an empty one.
    if (o && !(o->body = cache_body_new(c, 0))) {
        cache_charge(c, -(int64_t)o->charge);
        mem_free(o);
        return NULL;
    }
    if (o) {
        o->why = why;
        cache_body_finish(o->body);
    }
    return o;
}

struct cache_object *cache_object_ref(struct cache_object *o)
{
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return o;
}

void cache_object_unref(struct cache_object *o)
{
    if (!o || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
        return;
    cache_charge(cache_body_owner(o->body), -(int64_t)o->charge);
    cache_body_unref(o->body);
    mem_free(o);
}

enum err cache_object_fields(const struct cache_object *o, struct arena *a, struct fields *ret)
{
    enum { SPARE = 8 }; // what is added to an answer
    struct field *v = (struct field *)arena_alloc(a, (o->n_fields + SPARE) * sizeof *v);
    if (!v)
        return ERR_NO_MEMORY;
    if (o->n_fields)
        memcpy(v, o->fields, o->n_fields * sizeof *v);
    *ret = (struct fields){.v = v, .n = o->n_fields, .cap = o->n_fields + SPARE, .arena = a};
    memcpy(ret->present, o->present, sizeof ret->present);
    return ERR_OK;
}

struct fields cache_object_view(const struct cache_object *o)
{
    struct fields f = {.v = (struct field *)(uintptr_t)o->fields, .n = o->n_fields, .cap = o->n_fields};
    memcpy(f.present, o->present, sizeof f.present);
    return f;
}
