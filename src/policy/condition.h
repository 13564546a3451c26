// SPDX-License-Identifier: Apache-2.0
// `when { }`: conditions that must all hold; the values of one are alternatives. One row a condition in conditions.tbl, and one
// pair of functions: compile and match. Immutable once compiled.
#ifndef WEIR_POLICY_CONDITION_H
#define WEIR_POLICY_CONDITION_H

#include "conf/conf.h"
#include "http/message.h"
#include "net/addr.h"

/// What a rule sees of a request (and, where it has one, its answer). All borrowed.
struct condition_input {
    const struct request *req;
    struct span path;       // normalised
    struct span path_loose; // as the laxest server reads it (path_loose); equal to path most of the time
    const struct addr *client;
    struct span user;
    int64_t wall_s;
};

struct condition_set;

/// What compiling needs: memory that lives with the set, the configuration for messages, and files (time zones).
struct condition_context {
    struct conf *conf;
    struct conf_diags *diags;
    struct arena *arena;
    struct condition_cleanup *cleanups; // what the arena does not free
};
void condition_context_free(struct condition_cleanup *c);

/// Compiles a block of conditions (stmt->when). when NULL gives an empty set, which always holds. NULL after an error.
const struct condition_set *condition_set_new(struct condition_context *k, const struct conf_stmt *when);
bool condition_set_match(const struct condition_set *s, const struct condition_input *in);
bool condition_set_is_empty(const struct condition_set *s);

// For the files of single conditions.
struct condition;
struct condition_ops {
    enum conf_id id;
    /// Fills c->data. False after an error was reported.
    bool (*compile)(struct condition_context *k, const struct conf_stmt *s, struct condition *c);
    bool (*match)(const struct condition *c, const struct condition_input *in);
};
struct condition {
    const struct condition_ops *ops;
    bool negated;
    void *data;
};
/// The patterns of a statement's arguments from `first` on; false after an error.
struct pattern_list {
    struct pattern **v;
    unsigned n;
};
bool condition_patterns(struct condition_context *k, const struct conf_stmt *s, unsigned first, bool fold_case, struct pattern_list *ret);
bool pattern_list_match(const struct pattern_list *l, struct span s);
void condition_on_free(struct condition_context *k, void (*fn)(void *), void *arg);

#endif
