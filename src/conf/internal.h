// SPDX-License-Identifier: Apache-2.0
// What the files of this room share.
#ifndef WEIR_CONF_INTERNAL_H
#define WEIR_CONF_INTERNAL_H

#include <stdatomic.h>

#include "conf/conf.h"

enum {
    CONF_FILES_MAX = 256,
    CONF_TEXT_MAX = 4 << 20, // bytes of one configuration file
    CONF_DEPTH_MAX = 16,     // of blocks and of includes
    CONF_WORDS_MAX = 4096,   // of one statement
    CONF_DIAGS_MAX = 100,    // more are counted, not shown
};

struct conf_text {
    const char *name; // as diagnostics call it
    struct span text;
};

struct conf {
    _Atomic unsigned refs;
    struct arena arena;
    struct conf_text texts[CONF_FILES_MAX];
    unsigned n_texts;
    const char *folder;
    struct conf_source *source;
    bool owns_source;
    struct conf_stmt root;
};

// ---- Lexer

enum token_kind { TOKEN_WORD, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_END /* newline or ; */, TOKEN_COMMENT, TOKEN_EOF };

struct token {
    enum token_kind kind;
    struct span text;   // of a word: its value; of a comment: with its #
    struct span source; // as written
    struct conf_pos pos;
    bool quoted;
    bool newline;  // TOKEN_END: by a newline
};

struct lexer {
    struct conf *conf;
    struct conf_diags *diags;
    struct span text;
    size_t at;
    struct conf_pos pos;
    bool comments; // give them as tokens (fmt)
    bool raw;      // leave ${} and quotes as they are (fmt)
};
void lexer_init(struct lexer *l, struct conf *c, struct conf_diags *d, unsigned file);
/// The next token; mistakes are reported and skipped.
struct token lexer_next(struct lexer *l);

// ---- Rows

const struct conf_row *row_find(struct span word, unsigned where);
/// Words that may stand in a block.
unsigned row_words(unsigned where, const char **out, unsigned max);

/// Checks a statement's words against its row and gives them types. False when something was reported.
bool args_check(struct conf *c, struct conf_diags *d, struct conf_stmt *s);
/// References, duplicates, unused names, lints; after the whole tree is there.
void tree_check(struct conf *c, struct conf_diags *d);

/// A JSON string literal with its quotes (null for a NULL pointer).
struct span json_string(struct arena *a, struct span s);

void diag_suggest(struct conf_diags *d, const struct conf *c, const struct conf_pos *pos, struct span word, const char *const *words,
                  unsigned n, const char *fmt, ...) PRINTF_LIKE(7, 8);

#endif
