// SPDX-License-Identifier: Apache-2.0
// What a `test` (and `weir explain`) asks.
#include "conf/internal.h"

struct cursor {
    const struct span *words;
    unsigned n, at;
};

static bool take(struct cursor *k, struct span *ret)
{
    if (k->at >= k->n)
        return false;
    *ret = k->words[k->at++];
    return true;
}

static bool parse(struct cursor *k, bool proxy, struct conf_question *ret, const char **ret_why)
{
    struct conf_question q = {.proxy = proxy};
    *ret_why = "the form is `site GET URL [from ADDR] [user NAME] [header NAME VALUE] [at \"tue 10:00\"]`";
    if (!take(k, &q.method) || !take(k, &q.url) || span_find_span(q.url, SPAN("://")) > q.url.len)
        return false;
    struct span word;
    while (take(k, &word)) {
        bool ok;
        if (span_eq(word, SPAN("from")))
            ok = take(k, &q.from);
        else if (span_eq(word, SPAN("user")))
            ok = take(k, &q.user);
        else if (span_eq(word, SPAN("at")))
            ok = take(k, &q.at);
        else if (span_eq(word, SPAN("status")))
            ok = take(k, &q.status);
        else if (span_eq(word, SPAN("content-type")))
            ok = take(k, &q.content_type);
        else if (span_eq(word, SPAN("size")))
            ok = take(k, &q.size);
        else if (span_eq(word, SPAN("header")) && q.n_headers < ARRAY_LEN(q.headers)) {
            ok = take(k, &q.headers[q.n_headers][0]) && take(k, &q.headers[q.n_headers][1]);
            q.n_headers++;
        } else
            ok = false;
        if (!ok)
            return false;
    }
    *ret = q;
    return true;
}

bool conf_question_parse(const struct conf_stmt *s, struct conf_question *ret, const char **ret_why)
{
    struct span words[64];
    struct cursor k = {words, MIN(s->n_args, (unsigned)ARRAY_LEN(words)), 0};
    for (unsigned i = 0; i < k.n; i++)
        words[i] = s->args[i].text;
    struct conf_question q;
    if (!parse(&k, s->row->id == CONF_TEST_PROXY, &q, ret_why))
        return false;
    for (unsigned i = 0; s->target && i < s->target->n_args && q.n_expect < ARRAY_LEN(q.expect); i++)
        q.expect[q.n_expect++] = s->target->args[i].text;
    *ret = q;
    return true;
}

bool conf_question_parse_text(struct span text, struct arena *a, struct conf_question *ret, const char **ret_why)
{
    struct conf *c = (struct conf *)arena_zalloc(a, sizeof *c);
    struct conf_diags *d = conf_diags_new();
    struct span words[64];
    unsigned n = 0;
    bool words_only = true;
    *ret_why = "out of memory";
    if (!c || !d) {
        conf_diags_free(d);
        return false;
    }
    c->arena = *a; // the words live in the caller's arena
    c->texts[c->n_texts++] = (struct conf_text){"question", text};
    struct lexer lex;
    lexer_init(&lex, c, d, 0);
    for (struct token t = lexer_next(&lex); t.kind != TOKEN_EOF; t = lexer_next(&lex)) {
        if (t.kind == TOKEN_WORD && n < ARRAY_LEN(words))
            words[n++] = t.text;
        else
            words_only = false;
    }
    *a = c->arena;
    bool ok = words_only && conf_diags_errors(d) == 0;
    conf_diags_free(d);
    *ret_why = "a question begins with `site` or `proxy`";
    if (!ok || n == 0 || !(span_eq(words[0], SPAN("site")) || span_eq(words[0], SPAN("proxy"))))
        return false;
    struct cursor k = {words + 1, n - 1, 0};
    return parse(&k, span_eq(words[0], SPAN("proxy")), ret, ret_why);
}
