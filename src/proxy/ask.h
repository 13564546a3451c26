// SPDX-License-Identifier: Apache-2.0
// Questions to a worker that serves, from the commands of the control socket. The supervisor passes on, with the connection that asked,
// every command that is not its own; the worker's main thread answers, beside the threads that serve. A new command is a row of
// ask.tbl and its function.
#ifndef WEIR_PROXY_ASK_H
#define WEIR_PROXY_ASK_H

#include "base/arena.h"

struct generation;

enum { ASK_WORDS_MAX = 8 };

struct ask {
    const struct generation *gen; // in force; lives until the answer
    struct span words[ASK_WORDS_MAX];
    unsigned n_words; // the command's own word included
    struct span rest; // all behind the command's word, as it came
    bool json;        // the last word was `json`, and is left out of words and rest
    int fd;           // the connection that asks; a command that goes on using it sets this to -1
    struct arena *arena;
    struct span out; // the answer so far; in the arena
    int status;      // exit status of the command: 0 fine, 1 failed, 2 not understood
};

/// Answers one line of words with single spaces between them, which came over fd. Never fails: what is not understood is status 2 and a
/// sentence. The answer's text lives as long as the arena; true: it is to be sent, and fd to be closed, by the caller. False: the
/// connection was taken over, and its answer goes on. Any thread that serves nobody; it waits for others.
bool ask_answer(const struct generation *g, struct span line, int fd, struct arena *a, int *ret_status, struct span *ret_text);
/// Whether it is a command of ask.tbl.
bool ask_knows(struct span line);

/// Adds to the answer. What memory has no room for is left out, and makes the status 1.
void ask_say(struct ask *k, const char *fmt, ...) PRINTF_LIKE(2, 3);

/// What is to be said of the pools in the status.
void ask_say_pools(struct ask *k);

#define ASK(fn, word, text) void ask_##fn(struct ask *k);
#include "proxy/ask.tbl"
#undef ASK

#endif
