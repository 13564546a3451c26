// SPDX-License-Identifier: Apache-2.0
#include "cache/disk_layout.h"

#include <endian.h>

enum { RECORD_MAGIC = 0x31436557 }; // "WeC1"
static const char segment_magic[8] = {'w', 'e', 'i', 'r', 's', 'e', 'g', '1'};

static void put_u32(char *out, uint32_t v)
{
    v = htole32(v);
    memcpy(out, &v, sizeof v);
}

uint32_t disk_get_u32(const char *in)
{
    uint32_t v;
    memcpy(&v, in, sizeof v);
    return le32toh(v);
}

void disk_put_u64(char *out, uint64_t v)
{
    v = htole64(v);
    memcpy(out, &v, sizeof v);
}

uint64_t disk_get_u64(const char *in)
{
    uint64_t v;
    memcpy(&v, in, sizeof v);
    return le64toh(v);
}

uint64_t disk_sum(struct span bytes, const struct hash_key *store_key)
{
    return hash_fast_seed(bytes, store_key->k0 ^ store_key->k1);
}

// ---- Segments: magic, version, zero, store key, segment key, number, sum

void disk_put_segment_head(char out[DISK_SEGMENT_HEAD_BYTES], const struct disk_segment_head *h)
{
    memset(out, 0, DISK_SEGMENT_HEAD_BYTES);
    memcpy(out, segment_magic, sizeof segment_magic);
    put_u32(out + 8, DISK_LAYOUT_VERSION);
    disk_put_u64(out + 16, h->store_key.k0);
    disk_put_u64(out + 24, h->store_key.k1);
    disk_put_u64(out + 32, h->segment_key.k0);
    disk_put_u64(out + 40, h->segment_key.k1);
    disk_put_u64(out + 48, h->number);
    disk_put_u64(out + 56, hash_fast(span_of(out, 56)));
    memcpy(out + DISK_UNIT_BYTES, out, DISK_UNIT_BYTES);
}

bool disk_get_segment_head(const char in[DISK_SEGMENT_HEAD_BYTES], struct disk_segment_head *ret)
{
    for (const char *p = in; p < in + DISK_SEGMENT_HEAD_BYTES; p += DISK_UNIT_BYTES) {
        if (memcmp(p, segment_magic, sizeof segment_magic) != 0 || disk_get_u32(p + 8) != DISK_LAYOUT_VERSION ||
            disk_get_u64(p + 56) != hash_fast(span_of(p, 56)))
            continue;
        *ret = (struct disk_segment_head){
            .store_key = {disk_get_u64(p + 16), disk_get_u64(p + 24)},
            .segment_key = {disk_get_u64(p + 32), disk_get_u64(p + 40)},
            .number = disk_get_u64(p + 48),
        };
        return true;
    }
    return false;
}

// ---- Records: magic, type, descriptor's length, tag, body's length, hash, first segment, descriptor's sum, offset, seal

void disk_put_record(char out[DISK_RECORD_HEAD_BYTES], const struct disk_record *r, const struct hash_key *segment_key)
{
    put_u32(out, RECORD_MAGIC);
    put_u32(out + 4, r->descriptor_bytes);
    put_u32(out + 8, r->tag);
    put_u32(out + 12, (uint32_t)r->type);
    disk_put_u64(out + 16, r->body_bytes);
    disk_put_u64(out + 24, r->hash);
    disk_put_u64(out + 32, r->first_segment);
    disk_put_u64(out + 40, r->descriptor_sum);
    disk_put_u64(out + 48, r->offset);
    disk_put_u64(out + 56, hash_keyed_with(segment_key, span_of(out, 56)));
}

bool disk_get_record(const char *in, uint64_t offset, const struct hash_key *segment_key, struct disk_record *ret)
{
    if (disk_get_u32(in) != RECORD_MAGIC || disk_get_u64(in + 48) != offset)
        return false;
    uint32_t type = disk_get_u32(in + 12);
    if (type < DISK_OBJECT || type > DISK_TRAILER ||
        disk_get_u64(in + 56) != hash_keyed_with(segment_key, span_of(in, 56)))
        return false;
    *ret = (struct disk_record){
        .type = (enum disk_record_type)type,
        .descriptor_bytes = disk_get_u32(in + 4),
        .tag = disk_get_u32(in + 8),
        .body_bytes = disk_get_u64(in + 16),
        .hash = disk_get_u64(in + 24),
        .first_segment = disk_get_u64(in + 32),
        .descriptor_sum = disk_get_u64(in + 40),
        .offset = offset,
    };
    return ret->body_bytes <= INT64_MAX / 2;
}

uint64_t disk_record_bytes(const struct disk_record *r)
{
    uint64_t n = DISK_RECORD_HEAD_BYTES + r->descriptor_bytes + r->body_bytes;
    return (n + DISK_UNIT_BYTES - 1) / DISK_UNIT_BYTES * DISK_UNIT_BYTES;
}

// ---- Objects

uint64_t disk_sum_count(uint64_t length)
{
    return length / DISK_BLOCK_BYTES + (length % DISK_BLOCK_BYTES != 0);
}

uint64_t disk_descriptor_bytes(const struct disk_object_head *h)
{
    return DISK_OBJECT_HEAD_BYTES + (uint64_t)h->n_extents * DISK_EXTENT_BYTES + disk_sum_count(h->length) * DISK_SUM_BYTES +
           h->key_bytes + h->metadata_bytes;
}

void disk_put_object_head(char *out, const struct disk_object_head *h)
{
    memset(out, 0, DISK_OBJECT_HEAD_BYTES);
    put_u32(out, h->key_bytes);
    put_u32(out + 4, h->group_bytes);
    put_u32(out + 8, h->metadata_bytes);
    put_u32(out + 12, h->n_extents);
    disk_put_u64(out + 16, h->length);
}

bool disk_get_object_head(const char *in, uint64_t descriptor_bytes, struct disk_object_head *ret)
{
    if (descriptor_bytes < DISK_OBJECT_HEAD_BYTES)
        return false;
    struct disk_object_head h = {disk_get_u32(in), disk_get_u32(in + 4), disk_get_u32(in + 8), disk_get_u32(in + 12),
                                 disk_get_u64(in + 16)};
    if (h.group_bytes > h.key_bytes || h.length > INT64_MAX || disk_descriptor_bytes(&h) != descriptor_bytes)
        return false;
    *ret = h;
    return true;
}

void disk_put_extent(char *out, const struct disk_extent *e)
{
    disk_put_u64(out, e->segment);
    disk_put_u64(out + 8, e->offset);
    disk_put_u64(out + 16, e->bytes);
}

struct disk_extent disk_get_extent(const char *in)
{
    return (struct disk_extent){disk_get_u64(in), disk_get_u64(in + 8), disk_get_u32(in + 16)};
}

// ---- Summaries

void disk_put_row(char *out, const struct disk_row *r)
{
    disk_put_u64(out, r->hash);
    disk_put_u64(out + 8, r->first_segment);
    put_u32(out + 16, r->place);
    put_u32(out + 20, r->record_units);
    put_u32(out + 24, r->tag);
    put_u32(out + 28, (uint32_t)r->type << 16 | r->head_units);
}

struct disk_row disk_get_row(const char *in)
{
    uint32_t last = disk_get_u32(in + 28);
    return (struct disk_row){
        .type = (enum disk_record_type)(last >> 16),
        .head_units = (uint16_t)last,
        .place = disk_get_u32(in + 16),
        .record_units = disk_get_u32(in + 20),
        .tag = disk_get_u32(in + 24),
        .hash = disk_get_u64(in),
        .first_segment = disk_get_u64(in + 8),
    };
}
