// SPDX-License-Identifier: Apache-2.0
// The lines of a file that a statement names (lists, password files, groups), and what is said of those that cannot be read: the
// first ones with their numbers, then how many there are.
#ifndef WEIR_POLICY_LINES_H
#define WEIR_POLICY_LINES_H

#include "policy/condition.h"

enum { LINES_TOLD_MAX = 5 }; // broken lines of one file that are told one by one

struct lines {
    struct condition_context *context;
    const struct conf_value *file; // the statement's argument
    struct span rest;
    uint32_t number; // of the line that lines_next gave last
    uint32_t broken;
};

/// Reads the file. False after an error was reported.
MUST_USE bool lines_open(struct lines *l, struct condition_context *k, const struct conf_value *file);
/// The next line without its end and without spaces around it; empty ones too. The span lives as long as the configuration.
bool lines_next(struct lines *l, struct span *ret);
/// Counts the present line as broken, and tells why (a sentence) where it is one of the first.
void lines_broken(struct lines *l, const char *why);
/// The same for what makes the file unusable.
void lines_error(struct lines *l, const char *why);
/// Tells how many lines were broken, where not all of them were told.
void lines_close(struct lines *l);

#endif
