// SPDX-License-Identifier: Apache-2.0
// Fixed names, and the two files of the system that tell of names. The table is open-addressed and grows
// within its arena.
#include <string.h>

#include "base/hash.h"
#include "net/dns_hosts.h"

struct host_addr {
    struct host_addr *next;
    struct addr ip;
};
struct dns_host {
    struct span name;
    uint64_t hash;
    bool from_file;
    struct host_addr *addrs;
};

enum { SLOTS_MIN = 64, RESOLVER_PORT = 53 };

void dns_hosts_init(struct dns_hosts *h, struct arena *a)
{
    *h = (struct dns_hosts){.arena = a};
}

/// The place of a name, taken or free. There is always a free one.
static struct dns_host **slot_of(struct dns_host **slots, uint32_t n_slots, struct span name, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & (n_slots - 1);
    while (slots[i] && (slots[i]->hash != hash || !span_eq(slots[i]->name, name)))
        i = (i + 1) & (n_slots - 1);
    return &slots[i];
}

static bool grow(struct dns_hosts *h)
{
    if (h->n_slots && h->n < h->n_slots / 2)
        return true;
    uint32_t n = h->n_slots ? 2 * h->n_slots : SLOTS_MIN;
    struct dns_host **slots = (struct dns_host **)arena_zalloc(h->arena, n * sizeof(*slots));
    if (!slots)
        return false;
    for (uint32_t i = 0; i < h->n_slots; i++)
        if (h->slots[i])
            *slot_of(slots, n, h->slots[i]->name, h->slots[i]->hash) = h->slots[i];
    h->slots = slots;
    h->n_slots = n;
    return true;
}

static enum err host_add(struct dns_hosts *h, struct dns_name *name, const struct addr *ip, bool from_file)
{
    if (!grow(h))
        return ERR_NO_MEMORY;
    struct span text = dns_name_span(name);
    uint64_t hash = hash_keyed(text);
    struct dns_host **slot = slot_of(h->slots, h->n_slots, text, hash);
    if (!*slot) {
        struct dns_host *host = (struct dns_host *)arena_zalloc(h->arena, sizeof(*host));
        if (!host || !arena_dup(h->arena, text, &host->name))
            return ERR_NO_MEMORY;
        host->hash = hash;
        host->from_file = from_file;
        *slot = host;
        h->n++;
    }
    if (from_file && !(*slot)->from_file)
        return ERR_OK;
    struct host_addr **last = &(*slot)->addrs;
    for (; *last; last = &(*last)->next)
        if (addr_eq_ip(&(*last)->ip, ip))
            return ERR_OK;
    struct host_addr *added = (struct host_addr *)arena_alloc(h->arena, sizeof(*added));
    if (!added)
        return ERR_NO_MEMORY;
    *added = (struct host_addr){NULL, *ip};
    added->ip.port = 0;
    *last = added;
    return ERR_OK;
}

enum err dns_hosts_add(struct dns_hosts *h, struct span name, const struct addr *ip)
{
    struct dns_name n;
    if (!addr_is_ip(ip) || dns_name_read(name, &n))
        return ERR_DNS_FAILED;
    return host_add(h, &n, ip, false);
}

bool dns_hosts_find(const struct dns_hosts *h, const struct dns_name *name, struct dns_answer *ret)
{
    if (!h || h->n == 0)
        return false;
    struct span text = dns_name_span(name);
    const struct dns_host *host = *slot_of(h->slots, h->n_slots, text, hash_keyed(text));
    if (!host)
        return false;
    ret->n = 0;
    for (const struct host_addr *a = host->addrs; a && ret->n < DNS_ADDRS_MAX; a = a->next)
        ret->addrs[ret->n++] = a->ip;
    return ret->n > 0;
}

// ---- The system's files

/// The next word of a line; empty at its end.
static struct span next_word(struct span *line)
{
    size_t i = 0;
    while (i < line->len && (line->ptr[i] == ' ' || line->ptr[i] == '\t' || line->ptr[i] == '\r'))
        i++;
    size_t end = i;
    while (end < line->len && line->ptr[end] != ' ' && line->ptr[end] != '\t' && line->ptr[end] != '\r')
        end++;
    struct span word = span_of(line->ptr + i, end - i);
    *line = span_skip(*line, end);
    return word;
}

bool dns_hosts_add_file(struct dns_hosts *h, struct span text)
{
    while (text.len) {
        struct span line = span_cut(&text, '\n');
        line = span_first(line, span_find(line, '#'));
        struct addr ip;
        if (line.len == 0 || !addr_parse_ip(next_word(&line), &ip))
            continue;
        struct span word;
        struct dns_name name;
        while (line.len && (word = next_word(&line)).len)
            if (!dns_name_read(word, &name) && host_add(h, &name, &ip, true) != ERR_OK)
                return false;
    }
    return true;
}

unsigned dns_resolvers_from_file(struct span text, struct addr *out, unsigned max)
{
    unsigned n = 0;
    while (text.len && n < max) {
        struct span line = span_cut(&text, '\n');
        if (line.len == 0 || !span_eq(next_word(&line), SPAN("nameserver")) || line.len == 0)
            continue;
        if (addr_parse_ip(next_word(&line), &out[n]))
            out[n++].port = RESOLVER_PORT;
    }
    return n;
}
