// SPDX-License-Identifier: Apache-2.0
// `when { }`: conditions that must all hold; the values of one are alternatives. One row a condition in
// conditions.tbl, and one pair of functions: compile and match. Immutable once compiled, shared by threads.
#ifndef WEIR_POLICY_CONDITION_H
#define WEIR_POLICY_CONDITION_H

#include "conf/conf.h"
#include "http/message.h"
#include "net/addr.h"
#include "policy/pattern.h"

/// What a rule sees of a request (and, where it has one, its answer). All borrowed.
struct condition_input {
    const struct request *req;
    struct span path;       // normalised
    struct span path_loose; // as the laxest server reads it (path_loose); equal to path most of the time
    const struct addr *client;
    struct span user;    // empty: nobody
    struct span tls_version;    // "TLSv1.3"; empty: plain
    bool client_cert;           // the client proved to be client_subject
    struct span client_subject;
    int64_t wall_s;      // seconds since 1970
    bool solved;         // has done the work that `challenge` asks for
    struct arena *arena; // of the request, for what has to be decoded
    struct request_view **view; // where what lists make of the request is kept; NULL: nowhere
    const struct addr *dest;          // what the host resolves to, where that is known
    unsigned n_dest;
    const struct response_facts *answer; // NULL: there is none yet
    struct list_hit *hit;                // gets what a list found; NULL: nobody asks
};

/// What a rule sees of an answer.
struct response_facts {
    unsigned status;
    struct span type;    // Content-Type without parameters; empty: none
    struct span sniffed; // by the content's first bytes; empty: they say nothing
    uint64_t size;       // UINT64_MAX: not known
    struct span disposition; // Content-Disposition
};

/// What conditions must know beyond the request's head.
enum condition_needs {
    CONDITION_NEEDS_USER = 1,
    CONDITION_NEEDS_ANSWER = 2,
    CONDITION_NEEDS_ADDRESSES = 4, // of the destination
    CONDITION_NEEDS_CONTENT = 8,   // the first bytes of the answer's content
};

struct condition;
struct condition_set;
struct request_view;
struct list_hit;

/// What compiling needs. What cannot be compiled is always reported in diags, memory that runs out included.
struct condition_context {
    struct conf *conf;
    struct conf_diags *diags;
    struct arena *arena;                // the memory that lives as long as the sets
    struct condition_cleanup *cleanups; // what the arena does not free
    struct zone_entry *zones;           // time zones read so far
    struct list_entry *lists;           // lists compiled so far
    struct group_entry *groups;
    const struct geo *geo; // the database of `geoip`, once it was asked for
};
void condition_context_free(struct condition_cleanup *c);
/// fn(arg) will run in condition_context_free. Where memory is out it runs at once, and false is returned
/// after the error was reported.
MUST_USE bool condition_on_free(struct condition_context *k, void (*fn)(void *), void *arg);
/// A pattern of the configuration that lives as long as the context. NULL after an error.
struct pattern *condition_pattern(struct condition_context *k, const struct conf_value *v, bool fold_case);
/// Zeroed memory that lives as long as the sets; NULL after an error.
MUST_USE void *condition_alloc(struct condition_context *k, size_t size);

/// Compiles a block of conditions (stmt->when). when NULL gives an empty set, which always holds. NULL after
/// an error.
const struct condition_set *condition_set_new(struct condition_context *k, const struct conf_stmt *when);
/// Whether all conditions hold, for rules; see enum match for what to make of MATCH_UNSURE.
MUST_USE enum match condition_set_judge(const struct condition_set *s, const struct condition_input *in);
/// The same for choosing a way, where nothing is allowed or refused: the path has only its one normal
/// reading, and what is unsure does not match.
MUST_USE bool condition_set_match(const struct condition_set *s, const struct condition_input *in);
bool condition_set_is_empty(const struct condition_set *s);
/// The enum condition_needs of all of them.
unsigned condition_set_needs(const struct condition_set *s);
/// Like condition_set_judge, leaving out the conditions of one kind.
MUST_USE enum match condition_set_judge_without(const struct condition_set *s, enum conf_id without, const struct condition_input *in);
/// From which size on a `size` condition holds; UINT64_MAX where it is negated.
uint64_t condition_size_least(const struct condition *c);
/// Calls fn for each condition of a kind.
void condition_set_each(const struct condition_set *s, enum conf_id id, void (*fn)(void *arg, const struct condition *c), void *arg);

// For the files of single conditions.
struct condition_ops {
    enum conf_id id;
    /// Fills c->data. False after an error was reported.
    bool (*compile)(struct condition_context *k, const struct conf_stmt *s, struct condition *c);
    /// Without regard to c->negated.
    enum match (*match)(const struct condition *c, const struct condition_input *in);
    unsigned needs; // enum condition_needs, of each of them; a single one may need more
};
struct condition {
    const struct condition_ops *ops;
    bool negated;
    unsigned needs;
    void *data;
};
struct pattern_list {
    struct pattern **v;
    unsigned n;
};
/// The patterns of a statement's arguments from `first` on; false after an error.
bool condition_patterns(struct condition_context *k, const struct conf_stmt *s, unsigned first,
                        bool fold_case, struct pattern_list *ret);
/// Whether one of them matches.
enum match pattern_list_try(const struct pattern_list *l, struct span s);

#endif
