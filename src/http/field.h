// SPDX-License-Identifier: Apache-2.0
// The fields of a message: in order, known names by interned id (fields.tbl), the rest by name. Spans borrow from the
// message's bytes or its arena.
#ifndef WEIR_HTTP_FIELD_H
#define WEIR_HTTP_FIELD_H

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

enum field_id {
    FIELD_OTHER, // a name that the table does not know
#define FIELD(id, name, flags) FIELD_##id,
#include "http/fields.tbl"
#undef FIELD
    N_FIELDS
};

enum {
    FIELD_HOP = 1,    // meant for one hop (RFC 9110 7.6.1): never forwarded
    FIELD_LIST = 2,   // a comma-separated list: several lines are one value
    FIELD_SINGLE = 4, // may stand only once; a second one is refused or ignored by who uses it
    FIELD_FRAMING = 8, // never forwarded as received: the serialiser writes our own
    FIELD_NO_TRAILER = 16, // may not stand in a trailer section (RFC 9110 6.5.1)
    FIELD_TO_NEXT_HOP = 32, // of those for one hop: what we say ourselves to the next one
};

struct field {
    struct span name, value; // name as received; value without surrounding white space
    uint16_t id;             // enum field_id
    uint16_t removed;        // not 0: gone (its place is kept so that pointers stay)
};

struct fields {
    struct field *v;
    uint32_t n, cap; // n counts removed ones too
    struct arena *arena;
    uint64_t present[(N_FIELDS + 63) / 64]; // ids that may occur (a removed one's bit may stay)
};

/// The id of a name, without regard to case.
enum field_id field_id_of(struct span name);
/// The canonical spelling and flags of a known field.
struct span field_name(enum field_id id);
/// Its spelling in HTTP/2 (RFC 9113 8.2).
struct span field_name_lower(enum field_id id);
unsigned field_flags(enum field_id id);
/// Whether a serialiser writes it: the fields of framing, and most of those for one hop, are its own matter.
bool field_is_written(enum field_id id);

void fields_init(struct fields *f, struct arena *arena);
/// Appends; the spans are borrowed. ERR_NO_MEMORY.
MUST_USE enum err fields_add(struct fields *f, enum field_id id, struct span value);
/// name may be known or not.
MUST_USE enum err fields_add_named(struct fields *f, struct span name, struct span value);
/// The same where the name's id is known already.
MUST_USE enum err fields_add_as(struct fields *f, enum field_id id, struct span name, struct span value);
/// The first field with this id, or NULL.
struct field *fields_get(const struct fields *f, enum field_id id);
/// The next one with the same id behind prev.
struct field *fields_next(const struct fields *f, const struct field *prev);
/// The first field with this name, known or not; and the next behind prev.
struct field *fields_find(const struct fields *f, struct span name);
struct field *fields_find_next(const struct fields *f, const struct field *prev);
/// The value of the first one, or an empty span with a NULL pointer.
struct span fields_value(const struct fields *f, enum field_id id);
static inline bool fields_may_have(const struct fields *f, enum field_id id)
{
    return f->present[id / 64] >> (id % 64) & 1;
}
/// Whether one that is meant for one hop (FIELD_HOP) may be among them.
bool fields_may_have_hop(const struct fields *f);
unsigned fields_count(const struct fields *f, enum field_id id);
void fields_remove(struct fields *f, enum field_id id);
void fields_remove_named(struct fields *f, struct span name);
/// Leaves exactly one: the first one's place is kept, the others go.
MUST_USE enum err fields_set(struct fields *f, enum field_id id, struct span value);
MUST_USE enum err fields_set_named(struct fields *f, struct span name, struct span value);
/// The combined value of a list field: the values of all lines joined with ", " (RFC 9110 5.3); NULL pointer when absent.
/// Allocates from the arena only where there are several lines.
struct span fields_joined(const struct fields *f, enum field_id id, struct arena *arena);

/// Walks a comma-separated list (RFC 9110 5.6.1): *rest is cut, *ret_item is trimmed and not empty. Quoted strings are one item's part.
bool list_next(struct span *rest, struct span *ret_item);
/// Whether a list holds a token, without regard to case.
bool list_has(struct span list, struct span token);
/// tchar (RFC 9110 5.6.2); a whole token; a valid field value (5.5: VCHAR, SP, HTAB, obs-text; none at the ends).
bool http_is_tchar(unsigned char c);
bool http_is_token(struct span s);
bool http_is_field_value(struct span s);

#endif
