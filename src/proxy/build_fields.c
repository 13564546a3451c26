// SPDX-License-Identifier: Apache-2.0
// `set`, `add`, `remove`: fields that requests and responses get or lose.
#include "proxy/build.h"

#include "base/num.h"

bool build_fields(struct builder *b, const struct conf_stmt *block, struct field_ops *ret)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = block->first_child; s; s = s->next)
        n += s->row->id == CONF_SET || s->row->id == CONF_ADD || s->row->id == CONF_REMOVE;
    struct field_op *v = (struct field_op *)build_alloc(b, (n + 1) * sizeof *v);
    *ret = (struct field_ops){v, 0};
    for (const struct conf_stmt *s = block->first_child; v && s; s = s->next) {
        if (s->row->id != CONF_SET && s->row->id != CONF_ADD && s->row->id != CONF_REMOVE)
            continue;
        struct span name = s->args[1].text, value = s->n_args > 2 ? s->args[2].text : SPAN("");
        if (!http_is_token(name) || field_flags(field_id_of(name)) & (FIELD_FRAMING | FIELD_HOP)) {
            conf_error(b->diags, b->conf, &s->args[1].pos, "`%.*s` is no name of a field that may be changed", SPAN_ARG(name));
            continue;
        }
        if (!http_is_field_value(value)) {
            conf_error(b->diags, b->conf, &s->args[2].pos, "this value cannot stand in a field");
            continue;
        }
        v[ret->n++] = (struct field_op){s->row->id == CONF_SET   ? FIELD_OP_SET
                                        : s->row->id == CONF_ADD ? FIELD_OP_ADD
                                                                 : FIELD_OP_REMOVE,
                                        span_starts(s->args[0].text, SPAN("response")), name, value};
    }
    return v != NULL;
}
