// SPDX-License-Identifier: Apache-2.0
#include "net/dns_cache.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

bool dns_cache_init(struct dns_cache *c, uint32_t max)
{
    uint32_t n_slots = 16;
    while (n_slots < max && n_slots < 1u << 20)
        n_slots *= 2;
    *c = (struct dns_cache){.n_slots = n_slots, .max = max};
    list_init(&c->used);
    c->slots = (struct dns_entry **)mem_calloc(n_slots, sizeof(struct dns_entry *));
    return c->slots != NULL;
}

void dns_cache_fini(struct dns_cache *c)
{
    while (!list_empty(&c->used))
        dns_cache_remove(c, container_of(c->used.next, struct dns_entry, used));
    mem_free(c->slots);
}

/// Where the pointer to the entry is, or would be.
static struct dns_entry **place(struct dns_cache *c, uint64_t hash, struct span name)
{
    struct dns_entry **at = &c->slots[hash & (c->n_slots - 1)];
    while (*at && ((*at)->hash != hash || !span_eq(span_of((*at)->name, (*at)->name_len), name)))
        at = &(*at)->chain;
    return at;
}

struct dns_entry *dns_cache_find(struct dns_cache *c, const struct dns_name *name)
{
    struct dns_entry *e = *place(c, hash_keyed(dns_name_span(name)), dns_name_span(name));
    if (e) {
        list_remove(&e->used);
        list_push_back(&c->used, &e->used);
    }
    return e;
}

void dns_cache_remove(struct dns_cache *c, struct dns_entry *e)
{
    CHECK(!e->query);
    *place(c, e->hash, span_of(e->name, e->name_len)) = e->chain;
    list_remove(&e->used);
    c->n--;
    mem_free(e);
}

static bool make_room(struct dns_cache *c)
{
    if (c->n < c->max)
        return true;
    LIST_FOREACH (it, &c->used) {
        struct dns_entry *e = container_of(it, struct dns_entry, used);
        if (!e->query) {
            dns_cache_remove(c, e);
            return true;
        }
    }
    return false;
}

struct dns_entry *dns_cache_add(struct dns_cache *c, const struct dns_name *name)
{
    struct dns_entry *e = make_room(c) ? (struct dns_entry *)mem_alloc(sizeof(*e) + name->len) : NULL;
    if (!e)
        return NULL;
    *e = (struct dns_entry){.hash = hash_keyed(dns_name_span(name)), .name_len = name->len};
    memcpy(e->name, name->text, name->len);
    struct dns_entry **slot = &c->slots[e->hash & (c->n_slots - 1)];
    e->chain = *slot;
    *slot = e;
    list_push_back(&c->used, &e->used);
    c->n++;
    return e;
}
