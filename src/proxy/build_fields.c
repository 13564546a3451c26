// SPDX-License-Identifier: Apache-2.0
// `set`, `add`, `remove`, `replace`: fields that requests and responses get or lose.
#include "proxy/build.h"

static const struct {
    enum conf_id id;
    enum field_op_kind kind;
} kinds[] = {{CONF_SET, FIELD_OP_SET}, {CONF_ADD, FIELD_OP_ADD}, {CONF_REMOVE, FIELD_OP_REMOVE}, {CONF_REPLACE, FIELD_OP_REPLACE}};

static bool is_field_op(const struct conf_stmt *s, enum field_op_kind *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        bool of_content = s->row->id == CONF_REPLACE && s->n_args == 3 && span_eq(s->args[1].text, SPAN("with"));
        if (s->row->id == kinds[i].id && !of_content) {
            *ret = kinds[i].kind;
            return true;
        }
    }
    return false;
}

static bool build_op(struct builder *b, const struct conf_stmt *s, enum field_op_kind kind, struct field_op *op)
{
    struct span name = s->args[1].text;
    bool known = span_eq(s->args[0].text, SPAN("request-header")) || span_eq(s->args[0].text, SPAN("response-header"));
    *op = (struct field_op){.kind = kind, .on_response = span_starts(s->args[0].text, SPAN("response")), .name = name};
    if (!http_is_token(name) || field_flags(field_id_of(name)) & (FIELD_FRAMING | FIELD_HOP)) {
        conf_error(b->diags, b->conf, &s->args[1].pos, "`%.*s` is no name of a field that may be changed", SPAN_ARG(name));
        return false;
    }
    if (kind == FIELD_OP_REPLACE && known && s->n_args == 4) {
        op->pattern = condition_pattern(&b->cond, &s->args[2], false);
        op->value = text_build(b, &s->args[3], TEXT_GROUPS);
        return op->pattern != NULL;
    }
    if (kind == FIELD_OP_REPLACE) {
        conf_error(b->diags, b->conf, &s->pos, "the forms are `replace request-header|response-header NAME PATTERN TEXT` and `replace TEXT with TEXT`");
        return false;
    }
    if (s->n_args > 2)
        op->value = text_build(b, &s->args[2], TEXT_FIELD);
    return true;
}

bool build_fields(struct builder *b, const struct conf_stmt *block, struct field_ops *ret)
{
    unsigned n = 0;
    enum field_op_kind kind;
    for (const struct conf_stmt *s = block->first_child; s; s = s->next)
        n += is_field_op(s, &kind);
    struct field_op *v = (struct field_op *)build_alloc(b, (n + 1) * sizeof *v);
    *ret = (struct field_ops){v, 0};
    for (const struct conf_stmt *s = block->first_child; v && s; s = s->next)
        if (is_field_op(s, &kind))
            ret->n += build_op(b, s, kind, &v[ret->n]);
    return v != NULL;
}
