// SPDX-License-Identifier: Apache-2.0
#include "policy/lines.h"

bool lines_open(struct lines *l, struct condition_context *k, const struct conf_value *file)
{
    const char *why;
    *l = (struct lines){.context = k, .file = file};
    if (!conf_read(k->conf, file->text, &l->rest, &why)) {
        conf_error(k->diags, k->conf, &file->pos, "%.*s cannot be read: %s", SPAN_ARG(file->text), why);
        return false;
    }
    if (span_find(l->rest, '\0') < l->rest.len) {
        conf_error(k->diags, k->conf, &file->pos, "%.*s is not a text file", SPAN_ARG(file->text));
        return false;
    }
    if (span_starts(l->rest, SPAN("\xef\xbb\xbf"))) // the byte order mark of some editors
        l->rest = span_skip(l->rest, 3);
    return true;
}

bool lines_next(struct lines *l, struct span *ret)
{
    if (!l->rest.len)
        return false;
    struct span line = span_cut(&l->rest, '\n');
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    l->number++;
    *ret = span_trim(line);
    return true;
}

void lines_broken(struct lines *l, const char *why)
{
    const struct condition_context *k = l->context;
    if (l->broken++ < LINES_TOLD_MAX)
        conf_warning(k->diags, k->conf, &l->file->pos, "%.*s:%u: %s; the line is left out", SPAN_ARG(l->file->text), l->number, why);
}

void lines_error(struct lines *l, const char *why)
{
    const struct condition_context *k = l->context;
    conf_error(k->diags, k->conf, &l->file->pos, "%.*s:%u: %s", SPAN_ARG(l->file->text), l->number, why);
}

void lines_close(struct lines *l)
{
    const struct condition_context *k = l->context;
    if (l->broken > LINES_TOLD_MAX)
        conf_warning(k->diags, k->conf, &l->file->pos, "%.*s: %u of %u lines are left out", SPAN_ARG(l->file->text), l->broken, l->number);
}
