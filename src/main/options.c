// SPDX-License-Identifier: Apache-2.0
#include "main/options.h"

#include <stdio.h>
#include <string.h>

#include "conf/conf.h"

struct parser {
    const char *command;
    int argc;
    char **argv;
    int at;
    const struct option_spec *specs;
    unsigned n_specs;
    unsigned long seen; // a bit a spec
};

static bool refuse(const struct parser *p, const char *what, const char *word)
{
    fprintf(stderr, "weir %s: %s %s (see `weir help %s`)\n", p->command, what, word, p->command);
    return false;
}

static const struct option_spec *find(const struct parser *p, struct span name, bool letter)
{
    for (unsigned i = 0; i < p->n_specs; i++) {
        const struct option_spec *o = &p->specs[i];
        if (letter ? o->letter && name.ptr[0] == o->letter : span_eq(name, span_str(o->name)))
            return o;
    }
    return NULL;
}

static bool unknown(const struct parser *p, const char *word, struct span name)
{
    const char *words[32];
    for (unsigned i = 0; i < p->n_specs; i++)
        words[i] = p->specs[i].name;
    const char *near = conf_did_you_mean(name, words, p->n_specs);
    if (!near)
        return refuse(p, "unknown option", word);
    fprintf(stderr, "weir %s: unknown option %s; did you mean `--%s`? (see `weir help %s`)\n", p->command, word, near,
            p->command);
    return false;
}

// inline_value: what stands behind `=` (or behind the letter), or NULL.
static bool take(struct parser *p, const struct option_spec *o, const char *word, const char *inline_value)
{
    unsigned long bit = 1ul << (o - p->specs);
    if (p->seen & bit)
        return refuse(p, "more than once:", word);
    p->seen |= bit;
    if (!o->value) {
        *o->flag = true;
        return !inline_value || refuse(p, "no value belongs to", word);
    }
    if (!inline_value && p->at < p->argc)
        inline_value = p->argv[p->at++];
    if (!inline_value || !*inline_value)
        return refuse(p, "a value is missing behind", word);
    *o->value = inline_value;
    return true;
}

static bool parse_option(struct parser *p, const char *word)
{
    if (word[1] != '-') {
        const struct option_spec *o = find(p, span_of(word + 1, 1), true);
        return o ? take(p, o, word, word[2] ? word + 2 : NULL) : unknown(p, word, span_str(word + 1));
    }
    struct span value = span_str(word + 2), name = span_cut(&value, '=');
    const struct option_spec *o = find(p, name, false);
    return o ? take(p, o, word, value.ptr) : unknown(p, word, name);
}

bool options_parse(const char *command, int argc, char **argv, const struct option_spec *specs, unsigned n_specs,
                   const char **operands, unsigned max_operands, unsigned *ret_n_operands)
{
    struct parser p = {.command = command, .argc = argc, .argv = argv, .specs = specs, .n_specs = n_specs};
    unsigned n = 0;
    bool only_operands = false;
    while (p.at < argc) {
        const char *word = argv[p.at++];
        if (!only_operands && strcmp(word, "--") == 0) {
            only_operands = true;
        } else if (!only_operands && word[0] == '-' && word[1]) {
            if (!parse_option(&p, word))
                return false;
        } else if (n == max_operands) {
            return refuse(&p, "one argument too many:", word);
        } else {
            operands[n++] = word;
        }
    }
    *ret_n_operands = n;
    return true;
}
