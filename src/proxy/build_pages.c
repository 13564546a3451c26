// SPDX-License-Identifier: Apache-2.0
// `error-page`, and the page of a policy.
#include "base/num.h"
#include "proxy/build.h"
#include "proxy/error_pages.h"

bool build_page(struct builder *b, const struct conf_value *file, struct text *ret)
{
    const char *why;
    struct conf_value page = *file;
    if (!conf_read(b->conf, file->text, &page.text, &why)) {
        conf_error(b->diags, b->conf, &file->pos, "%.*s cannot be read: %s", SPAN_ARG(file->text), why);
        return false;
    }
    if (!page.text.len || page.text.len > ERROR_PAGE_MAX_BYTES) {
        conf_error(b->diags, b->conf, &file->pos, "%.*s has to have 1 byte to %d KiB", SPAN_ARG(file->text), ERROR_PAGE_MAX_BYTES / 1024);
        return false;
    }
    *ret = text_build(b, &page, TEXT_PAGE);
    return true;
}

// `404`, `5xx` or `500-504`.
static bool parse_statuses(struct span s, struct error_page *ret)
{
    uint64_t from, to;
    if (s.len == 3 && (s.ptr[0] == '4' || s.ptr[0] == '5') && span_eq_ci(span_skip(s, 1), SPAN("xx"))) {
        from = (uint64_t)(s.ptr[0] - '0') * 100;
        to = from + 99;
    } else {
        struct span last = s, first = span_cut(&last, '-');
        if (!num_parse_dec(first, 599, &from) || !num_parse_dec(last.ptr ? last : first, 599, &to))
            return false;
    }
    ret->from = (unsigned)from;
    ret->to = (unsigned)to;
    return from >= 400 && from <= to;
}

// The pages of one block, behind the n that are there.
static unsigned add_pages(struct builder *b, const struct conf_stmt *block, struct error_page *v, unsigned n)
{
    for (const struct conf_stmt *s = conf_child(block, CONF_ERROR_PAGE); s; s = conf_next(s)) {
        struct text form = {0};
        if (!v || !build_page(b, &s->args[s->n_args - 1], &form)) {
            n += s->n_args - 1;
            continue;
        }
        for (unsigned i = 0; i + 1 < s->n_args; i++, n++) {
            v[n].form = form;
            if (!parse_statuses(s->args[i].text, &v[n]))
                conf_error(b->diags, b->conf, &s->args[i].pos,
                           "`%.*s` is no status of an error: 404, 5xx or 500-504", SPAN_ARG(s->args[i].text));
        }
    }
    return n;
}

static unsigned count(const struct conf_stmt *block)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(block, CONF_ERROR_PAGE); s; s = conf_next(s))
        n += s->n_args - 1;
    return n;
}

const struct error_pages *build_error_pages(struct builder *b, const struct conf_stmt *block,
                                            const struct error_pages *outer)
{
    unsigned own = count(block), n = own + (outer ? outer->n : 0);
    if (!own)
        return outer;
    struct error_pages *p = (struct error_pages *)build_alloc(b, sizeof *p);
    struct error_page *v = (struct error_page *)build_alloc(b, n * sizeof *v);
    if (!p || !v)
        return NULL;
    add_pages(b, block, v, 0);
    for (unsigned i = 0; outer && i < outer->n; i++)
        v[own + i] = outer->v[i];
    *p = (struct error_pages){v, n};
    return p;
}
