// SPDX-License-Identifier: Apache-2.0
// The bytes of a segment file, as docs/cache-disk.md describes them. All numbers are little-endian.
#ifndef WEIR_CACHE_DISK_LAYOUT_H
#define WEIR_CACHE_DISK_LAYOUT_H

#include "base/hash.h"

enum {
    DISK_LAYOUT_VERSION = 1,
    DISK_UNIT_BYTES = 64, // records begin at multiples of it
    DISK_SEGMENT_HEAD_BYTES = 2 * DISK_UNIT_BYTES, // the same bytes twice
    DISK_RECORD_HEAD_BYTES = DISK_UNIT_BYTES,
    DISK_OBJECT_HEAD_BYTES = 32,
    DISK_EXTENT_BYTES = 24,
    DISK_SUM_BYTES = 8,
    DISK_BLOCK_BYTES = 64 * 1024,  // of content, with one checksum
    DISK_PIECE_BYTES = 256 * 1024, // of content in one record, at most; a multiple of the block
    DISK_SUMMARY_ROW_BYTES = 32,
};

/// What a segment file begins with.
struct disk_segment_head {
    struct hash_key store_key;   // of all segments of a store: hashes groups
    struct hash_key segment_key; // of this one: seals the heads of its records, so that content cannot pretend to be one
    uint64_t number;             // segments are in the order of their numbers
};
void disk_put_segment_head(char out[DISK_SEGMENT_HEAD_BYTES], const struct disk_segment_head *h);
/// One of the two copies is enough. False where both are damaged or of another version.
bool disk_get_segment_head(const char in[DISK_SEGMENT_HEAD_BYTES], struct disk_segment_head *ret);

enum disk_record_type {
    DISK_OBJECT = 1,       // a stored response; its last piece of content follows the descriptor
    DISK_PIECE = 2,        // an earlier piece of content
    DISK_REMOVAL = 3,      // of one key
    DISK_GROUP_REMOVAL = 4,
    DISK_SUMMARY = 5,      // what a segment holds, at its end
    DISK_TRAILER = 6,      // the last record of a segment that was closed in order: where its summary is
};

struct disk_record {
    enum disk_record_type type;
    uint32_t descriptor_bytes;
    uint32_t tag;           // hash of the whole key (objects and removals)
    uint64_t body_bytes;    // of content behind the descriptor
    uint64_t hash;          // of the group; of a trailer: the summary's offset
    uint64_t first_segment; // of objects: the lowest number among the segments of their content
    uint64_t descriptor_sum;
    uint64_t offset;        // of the record in its segment
};
void disk_put_record(char out[DISK_RECORD_HEAD_BYTES], const struct disk_record *r, const struct hash_key *segment_key);
bool disk_get_record(const char *in, uint64_t offset, const struct hash_key *segment_key, struct disk_record *ret);
/// With its padding.
uint64_t disk_record_bytes(const struct disk_record *r);

/// What an object's descriptor begins with; then follow extents, sums, key and metadata.
struct disk_object_head {
    uint32_t key_bytes, group_bytes, metadata_bytes, n_extents;
    uint64_t length; // of the content, which has one sum for each block
};
void disk_put_object_head(char *out, const struct disk_object_head *h);
/// False where the parts do not add up to descriptor_bytes.
bool disk_get_object_head(const char *in, uint64_t descriptor_bytes, struct disk_object_head *ret);
uint64_t disk_sum_count(uint64_t length);
uint64_t disk_descriptor_bytes(const struct disk_object_head *h);

/// A run of content. All but an object's last one are whole blocks.
struct disk_extent {
    uint64_t segment, offset;
    uint32_t bytes;
};
void disk_put_extent(char *out, const struct disk_extent *e);
struct disk_extent disk_get_extent(const char *in);

/// A row of a summary.
struct disk_row {
    enum disk_record_type type;
    uint16_t head_units;    // head and descriptor
    uint32_t place;         // offset in units
    uint32_t record_units;  // all of it
    uint32_t tag;
    uint64_t hash, first_segment;
};
void disk_put_row(char *out, const struct disk_row *r);
struct disk_row disk_get_row(const char *in);

void disk_put_u64(char *out, uint64_t v);
uint64_t disk_get_u64(const char *in);
uint32_t disk_get_u32(const char *in);
/// Of a descriptor, a block or a table.
uint64_t disk_sum(struct span bytes, const struct hash_key *store_key);

#endif
