// SPDX-License-Identifier: Apache-2.0
// Prints where the tokenizer sees tags and their attributes in documents, for a comparison with another parser. Standard input holds
// documents, each behind its length (four bytes, the least one first); a line of JSON for each goes out:
//   [[start, end, is an end tag, [[start of an attribute, its end], ...]], ...]
#include <stdio.h>
#include <stdlib.h>

#include "filter/html_tokens.h"

struct printer {
    struct html_tokens h;
    const char *document;
    unsigned n;
};

// Where an attribute ends: behind its value with the quotes, or behind its name.
static uint32_t attr_end(const char *tag, const struct html_attr *a)
{
    char quote = a->value ? tag[a->value - 1] : ' ';
    bool quoted = quote == '"' || quote == '\'';
    return a->value ? a->value + a->value_len + quoted : a->name + a->name_len;
}

static void on_tag(struct html_tokens *h, const char *tag, uint32_t len)
{
    struct printer *p = container_of(h, struct printer, h);
    size_t start = (size_t)(tag - p->document);
    printf("%s[%zu,%zu,%s,[", p->n++ ? "," : "", start, start + len, h->end_tag ? "true" : "false");
    for (unsigned i = 0; i < html_attrs(h); i++)
        printf("%s[%zu,%zu]", i ? "," : "", start + h->attrs[i].name, start + attr_end(tag, &h->attrs[i]));
    printf("]]");
}

static void on_style(struct html_tokens *h, const char *p, size_t n, bool end)
{
    (void)end;
    tokens_put(&h->t, p, n);
}

static bool read_document(char **ret, size_t *ret_len)
{
    unsigned char b[4];
    if (fread(b, 1, 4, stdin) != 4)
        return false;
    *ret_len = b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16 | (size_t)b[3] << 24;
    *ret = (char *)malloc(*ret_len + 1);
    return *ret && fread(*ret, 1, *ret_len, stdin) == *ret_len;
}

int main(void)
{
    char *document = NULL;
    size_t len;
    while (read_document(&document, &len)) {
        struct printer p = {.document = document};
        struct chunkq out;
        chunkq_init(&out);
        html_tokens_init(&p.h, on_tag, on_style);
        p.h.t.out = &out;
        printf("[");
        enum err e = tokens_feed(&p.h.t, document, len, true);
        puts("]");
        tokens_fini(&p.h.t);
        bool whole = !e && out.bytes == len;
        chunkq_fini(&out);
        free(document);
        document = NULL;
        if (!whole)
            return 1;
    }
    free(document);
    return 0;
}
