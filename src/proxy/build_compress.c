// SPDX-License-Identifier: Apache-2.0
// `compress`: which codings, from which size on, for which types; and `decompress`.
#include "http/media.h"
#include "proxy/build.h"

enum { MIN_BYTES_DEFAULT = 512 };

static void build_offers(struct builder *b, const struct conf_stmt *s, struct compress *c)
{
    for (unsigned i = 0; i < conf_plain_args(s); i++) {
        enum coding coding = coding_of(s->args[i].text);
        bool again = false;
        for (unsigned k = 0; k < c->n_offers; k++)
            again |= c->offers[k] == coding;
        if (again || (coding != CODING_GZIP && coding != CODING_BR && coding != CODING_ZSTD))
            conf_error(b->diags, b->conf, &s->args[i].pos, again ? "`%.*s` stands twice" : "`%.*s` is no coding: zstd, br, gzip, or off", SPAN_ARG(s->args[i].text));
        else
            c->offers[c->n_offers++] = coding;
    }
    if (!c->n_offers) {
        c->offers[0] = CODING_ZSTD;
        c->offers[1] = CODING_BR;
        c->offers[2] = CODING_GZIP;
        c->n_offers = 3;
    }
}

static void build_types(struct builder *b, const struct conf_stmt *s, struct compress *c)
{
    c->types = conf_option(s, "types") ? build_option_words(b, s, "types", &c->n_types)
                                       : media_compressible(&c->n_types);
}

const struct compress *build_compress(struct builder *b, const struct conf_stmt *block, const struct compress *outer)
{
    const struct conf_stmt *s = conf_child(block, CONF_COMPRESS);
    if (!s)
        return outer;
    if (conf_plain_args(s) == 1 && span_eq(s->args[0].text, SPAN("off")))
        return NULL;
    struct compress *c = (struct compress *)build_alloc(b, sizeof *c);
    if (!c)
        return NULL;
    const struct conf_value *level = conf_option(s, "level"), *min = conf_option(s, "min");
    c->level = level ? (unsigned)level->num : 0;
    c->min_bytes = min ? min->num : MIN_BYTES_DEFAULT;
    build_offers(b, s, c);
    build_types(b, s, c);
    return c;
}

const struct decompress *build_decompress(struct builder *b, const struct conf_stmt *block, const struct decompress *outer)
{
    const struct conf_stmt *s = conf_child(block, CONF_DECOMPRESS);
    if (!s)
        return outer;
    if (conf_plain_args(s))
        return NULL;
    const struct conf_value *max = conf_option(s, "max"), *ratio = conf_option(s, "ratio");
    struct decompress *d = (struct decompress *)build_alloc(b, sizeof *d);
    if (d)
        *d = (struct decompress){max ? max->num : DECOMPRESS_MAX_BYTES, ratio ? (unsigned)ratio->num : 0, conf_option(s, "pass") != NULL};
    return d;
}
