// SPDX-License-Identifier: Apache-2.0
// The configuration language (docs/reference/configuration.md): text to a checked, immutable tree of typed statements.
// Higher rooms compile what they need from the tree; this room knows nothing of what a pool or a site does.
#ifndef WEIR_CONF_CONF_H
#define WEIR_CONF_CONF_H

#include "base/arena.h"
#include "base/err.h"
#include "conf/source.h"

/// Statement ids: one a row of statements.tbl.
enum conf_id {
    CONF_NONE,
#define STATEMENT(id, word, where, block, args, flags, def, doc) CONF_##id,
#include "conf/statements.tbl"
#undef STATEMENT
    N_CONF_IDS
};

/// Where a statement may stand: one bit a kind of block.
enum conf_block {
    IN_NOWHERE = 0,
    IN_TOP = 1 << 0,
    IN_SITE = 1 << 1,
    IN_ROUTE = 1 << 2,
    IN_POOL = 1 << 3,
    IN_PROXY = 1 << 4,
    IN_EGRESS = 1 << 5,
    IN_POLICY = 1 << 6,
    IN_TIMEOUTS = 1 << 7,
    IN_LIMITS = 1 << 8,
    IN_HOSTS = 1 << 9,
    IN_WHEN = 1 << 10,
    IN_TEST = 1 << 11,
    IN_CACHE = 1 << 12,
    IN_LIST = 1 << 13,
    IN_GROUP = 1 << 14,
    IN_POOL_TLS = 1 << 15,
    IN_CHOICE = 1 << 16,
    IN_ACME = 1 << 17,
    IN_DASHBOARD = 1 << 18,
};

/// Blocks whose statements may stand on one line without `;`.
#define IN_COMPACT (IN_TIMEOUTS | IN_LIMITS | IN_POOL_TLS)

enum conf_flags {
    CONF_ONCE = 1,        // at most once in its block
    CONF_WHEN = 2,        // may end in `when { ... }`
    CONF_TARGET = 4,      // has `-> target ...`
    CONF_INLINE_COND = 8, // its arguments may be a condition (`deny method TRACE`)
    CONF_DEFINES = 16,    // its first argument is a name that others refer to
    CONF_ANY_WORD = 32,   // the word itself is free (a host name): it becomes the first argument
    CONF_CONDITION = 64,
    CONF_BLOCK_OPTIONAL = 128,
};

struct conf_row {
    enum conf_id id;
    const char *word;
    unsigned where;
    unsigned block; // the kind of its block, or IN_NOWHERE
    const char *args;
    unsigned flags;
    const char *def; // default, "" where there is none
    const char *doc;
};
const struct conf_row *conf_rows(unsigned *ret_n);
/// What a kind of block (one bit of enum conf_block) is called: "a site", "the top level".
const char *conf_block_name(unsigned where);

struct conf_pos {
    uint16_t file;
    uint16_t col; // from 1
    uint32_t line;
};

enum conf_type {
    CONF_T_WORD,
    CONF_T_INT,
    CONF_T_DURATION, // num: milliseconds
    CONF_T_SIZE,     // num: bytes
    CONF_T_RATE,     // num: a second
    CONF_T_PERCENT,  // num: hundredths of a percent
};

struct conf_value {
    struct span text;
    struct conf_pos pos;
    bool quoted;
    enum conf_type type;
    uint64_t num;
    const char *option; // NULL, or the option's word that this value belongs to (its own text where the option has none)
};

struct conf_stmt {
    const struct conf_row *row;
    struct conf_pos pos;
    struct conf_stmt *parent, *next;
    struct conf_value *args;
    unsigned n_args;
    bool negated;                 // a condition with `not`
    struct conf_stmt *first_child, *last_child;
    bool has_block;
    struct conf_stmt *when;       // block of conditions, or NULL
    struct conf_stmt *target;     // what stands behind `->`: word in args[0], and the block of `split` and `failover`; or NULL
};

struct conf; // immutable once loaded; refcounted

struct conf_diags;
struct conf_diags *conf_diags_new(void);
void conf_diags_free(struct conf_diags *d);
unsigned conf_diags_errors(const struct conf_diags *d);
unsigned conf_diags_warnings(const struct conf_diags *d);
/// `FILE:LINE:COL: error: text`, the line and a caret, for each; lives as long as the diagnostics.
struct span conf_diags_text(struct conf_diags *d);
struct span conf_diags_json(struct conf_diags *d);
/// For rooms that compile the tree. pos may be NULL.
void conf_error(struct conf_diags *d, const struct conf *c, const struct conf_pos *pos, const char *fmt, ...) PRINTF_LIKE(4, 5);
void conf_warning(struct conf_diags *d, const struct conf *c, const struct conf_pos *pos, const char *fmt, ...) PRINTF_LIKE(4, 5);

/// Reads and checks a file and what it includes. NULL with errors in the diagnostics (or out of memory).
struct conf *conf_load(struct conf_source *src, const char *path, struct conf_diags *diags);
/// The same from text alone (quick modes, tests); name is what diagnostics call it.
struct conf *conf_load_text(struct span text, const char *name, struct conf_diags *diags);
struct conf *conf_ref(struct conf *c);
void conf_unref(struct conf *c);

const struct conf_stmt *conf_root(const struct conf *c);
/// The first child with this id, or NULL; and the next one behind prev.
const struct conf_stmt *conf_child(const struct conf_stmt *s, enum conf_id id);
const struct conf_stmt *conf_next(const struct conf_stmt *prev);
/// The value of an option, or NULL.
const struct conf_value *conf_option(const struct conf_stmt *s, const char *word);
/// Arguments that belong to no option.
unsigned conf_plain_args(const struct conf_stmt *s);
/// The number of a child's first argument, or the default of its row. block may be NULL.
uint64_t conf_number(const struct conf_stmt *block, enum conf_id id);
/// The same, or `outer` where the block does not say it.
uint64_t conf_number_or(const struct conf_stmt *block, enum conf_id id, uint64_t outer);
/// The word of a child's first argument, or the default.
struct span conf_word(const struct conf_stmt *block, enum conf_id id);
/// The statement that defines a name (pool, cache, list, group), or NULL.
const struct conf_stmt *conf_definition(const struct conf *c, enum conf_id id, struct span name);
/// "FILE:LINE"; lives as long as the configuration.
struct span conf_where(const struct conf *c, const struct conf_stmt *s);
/// The folder of the main file ("." where there is none), for relative paths.
const char *conf_folder(const struct conf *c);
/// A path that a statement names, from the configuration's folder; NULL when memory is out.
const char *conf_path(const struct conf *c, struct span path);
/// The content of a file that a statement names. False with a sentence.
bool conf_read(const struct conf *c, struct span path, struct span *ret, const char **ret_why);
/// Where it was loaded from, or NULL (text); must still exist.
struct conf_source *conf_files(const struct conf *c);
/// From now on the source, which came from mem_alloc, goes with the configuration.
void conf_own_files(struct conf *c);

/// Canonical text with comments, into the arena. False with diagnostics where it does not parse.
bool conf_fmt(struct span text, const char *name, struct conf_diags *diags, struct arena *a, struct span *ret);
/// One JSON document, one to one.
struct span conf_json(const struct conf *c, struct arena *a);
/// The same without what stands behind `secret` and `password`.
struct span conf_json_public(const struct conf *c, struct arena *a);
/// docs/reference/configuration.md, from the table.
struct span conf_reference(struct arena *a);
/// Parses a value of this type; *ret_why is a sentence on failure.
bool conf_parse_number(enum conf_type type, struct span s, uint64_t *ret, const char **ret_why);
/// The nearest of the words, or NULL where none is near.
const char *conf_did_you_mean(struct span word, const char *const *words, unsigned n);

/// What a `test` asks (the left side is also `weir explain`'s argument).
struct conf_question {
    bool proxy;        // through a forward proxy; otherwise a site
    struct span method, url, from, user, at;
    struct span status, content_type, size; // of the answer; empty: there is none yet
    struct span headers[16][2];
    unsigned n_headers;
    struct span expect[16]; // words behind `->`
    unsigned n_expect;
};
bool conf_question_parse(const struct conf_stmt *s, struct conf_question *ret, const char **ret_why);
/// From text; the spans live in the arena.
bool conf_question_parse_text(struct span text, struct arena *a, struct conf_question *ret, const char **ret_why);

#endif
