// SPDX-License-Identifier: Apache-2.0
#include "proxy/variables.h"

#include "base/ascii.h"
#include "http/device.h"
#include "http/h1.h"
#include "proxy/build.h"
#include "proxy/escape.h"
#include "proxy/exchange.h"

enum variable {
#define VARIABLE(id, name, text) VAR_##id,
#include "proxy/variables.tbl"
#undef VARIABLE
    N_VARIABLES,
    VAR_HEADER, // of the request, by name
    VAR_GROUP,  // by number
    VAR_PAGE,   // of struct page_words, by its place there
    VAR_NONE,   // literal
};

struct text_part {
    enum variable var;
    unsigned group;
    struct span text; // literal, or a field's name
};

// ---- Values

static struct span var_host(const struct exchange *x)
{
    return x->host;
}

static struct span var_path(const struct exchange *x)
{
    return x->req->path;
}

static struct span var_query(const struct exchange *x)
{
    return x->req->query;
}

static struct span var_uri(const struct exchange *x)
{
    return x->req->query.ptr ? arena_printf(x->arena, "%.*s?%.*s", SPAN_ARG(x->req->path), SPAN_ARG(x->req->query)) : x->req->path;
}

static struct span var_method(const struct exchange *x)
{
    return x->req->method_text;
}

static struct span var_scheme(const struct exchange *x)
{
    return x->scheme;
}

static struct span var_rest(const struct exchange *x)
{
    return x->rest;
}

static struct span var_client_ip(const struct exchange *x)
{
    char ip[ADDR_IP_TEXT_MAX];
    struct span s = SPAN("");
    size_t n = addr_format_ip(&x->client_addr, ip);
    return arena_dup(x->arena, span_of(ip, n), &s) ? s : SPAN_NONE;
}

static struct span var_device(const struct exchange *x)
{
    return device_name(device_of(&x->req->fields));
}

static struct span var_request_id(const struct exchange *x)
{
    return x->id;
}

static struct span var_user(const struct exchange *x)
{
    return x->user.ptr ? x->user : SPAN("");
}

static struct span var_server(const struct exchange *x)
{
    char text[ADDR_TEXT_MAX];
    struct span s = SPAN("");
    if (!x->server)
        return s;
    size_t n = addr_format(&x->upstream_addr, text);
    return arena_dup(x->arena, span_of(text, n), &s) ? s : SPAN_NONE;
}

static struct span var_status(const struct exchange *x)
{
    return x->resp.status ? arena_printf(x->arena, "%u", (unsigned)x->resp.status) : SPAN("");
}

#define TLS_VARIABLE(name, member)                                                                                                     \
    static struct span var_##name(const struct exchange *x)                                                                            \
    {                                                                                                                                  \
        return x->conn && x->conn->t.info ? x->conn->t.info->member : SPAN("");                                                        \
    }
TLS_VARIABLE(tls_version, version)
TLS_VARIABLE(tls_cipher, cipher)
TLS_VARIABLE(tls_name, name)
TLS_VARIABLE(client_cert_subject, client_subject)
TLS_VARIABLE(client_cert_issuer, client_issuer)
TLS_VARIABLE(client_cert_serial, client_serial)
TLS_VARIABLE(client_cert_fingerprint, client_fingerprint)

static const struct {
    const char *name;
    struct span (*value)(const struct exchange *x);
} rows[] = {
#define VARIABLE(id, name, text) {#name, var_##name},
#include "proxy/variables.tbl"
#undef VARIABLE
};

static struct span value_of(const struct text_part *p, const struct exchange *x, const struct span groups[PATTERN_GROUPS])
{
    struct span s = SPAN_NONE;
    if (p->var == VAR_NONE)
        return p->text;
    if (p->var == VAR_GROUP) {
        s = groups ? groups[p->group] : s;
    } else if (p->var == VAR_HEADER) {
        const struct field *f = fields_find(&x->req->fields, p->text);
        s = f ? f->value : s;
    } else {
        s = rows[p->var].value(x);
    }
    return s.ptr ? s : SPAN("");
}

static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

// A value of a field ends at a line break, and other controls have no place in it: they are percent-encoded.
// Names out of tokens and certificates, whoever signed them, can have any.
static struct span harmless(struct arena *a, struct span s)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t controls = 0, n = 0;
    for (size_t i = 0; i < s.len; i++)
        controls += is_control(s.ptr[i]);
    char *p = controls ? arena_bytes(a, s.len + controls * 2) : NULL;
    if (!controls || !p)
        return controls ? SPAN_NONE : s;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        p[n++] = is_control(s.ptr[i]) ? '%' : s.ptr[i];
        if (is_control(s.ptr[i])) {
            p[n++] = digits[c >> 4];
            p[n++] = digits[c & 15];
        }
    }
    return span_of(p, n);
}

struct span text_render(const struct text *t, const struct exchange *x,
                        const struct span groups[PATTERN_GROUPS])
{
    if (!t->n)
        return t->literal.ptr ? t->literal : SPAN("");
    struct span s = SPAN("");
    for (unsigned i = 0; i < t->n && s.ptr; i++) {
        struct span value = value_of(&t->v[i], x, groups);
        if (t->in_field && t->v[i].var != VAR_NONE)
            value = harmless(x->arena, value);
        s = value.ptr ? arena_join(x->arena, s, value) : SPAN_NONE;
    }
    return s;
}

static const char *const page_word_names[] = {"message", "title", "reason", "id"};

struct span text_render_page(const struct text *t, const struct exchange *x, const struct page_words *words)
{
    const struct span values[] = {words->message, words->title, words->reason, words->id};
    struct span s = t->n ? SPAN("") : t->literal;
    for (unsigned i = 0; i < t->n && s.ptr; i++) {
        const struct text_part *p = &t->v[i];
        struct span value = p->var == VAR_PAGE ? values[p->group] : value_of(p, x, NULL);
        if (p->var != VAR_NONE)
            value = escape_html(x->arena, value.ptr ? value : SPAN(""));
        s = value.ptr ? arena_join(x->arena, s, value) : SPAN_NONE;
    }
    return s;
}

// ---- Compiling

// `name-with-hyphens` of the configuration is name_with_underscores in the table.
static bool is_named(struct span word, const char *row)
{
    size_t i = 0;
    for (; i < word.len && row[i]; i++)
        if (word.ptr[i] != (row[i] == '_' ? '-' : row[i]))
            return false;
    return i == word.len && !row[i];
}

static enum variable variable_of(struct span word)
{
    for (unsigned i = 0; i < N_VARIABLES; i++)
        if (is_named(word, rows[i].name))
            return (enum variable)i;
    return VAR_NONE;
}

// Whether `{` at s begins something that means a variable; *ret_word is what stands inside.
static bool braced(struct span s, struct span *ret_word)
{
    size_t n = span_find(s, '}');
    if (n == s.len || n < 2)
        return false;
    *ret_word = span_of(s.ptr + 1, n - 1);
    if (ret_word->len == 1 && ret_word->ptr[0] >= '0' && ret_word->ptr[0] <= '9')
        return true;
    struct span name = span_first(*ret_word, span_find(*ret_word, ':'));
    for (size_t i = 0; i < name.len; i++)
        if (!(name.ptr[i] >= 'a' && name.ptr[i] <= 'z') && name.ptr[i] != '-')
            return false;
    return name.len > 0;
}

static void unknown(struct builder *b, const struct conf_value *v, struct span word)
{
    const char *names[N_VARIABLES];
    for (unsigned i = 0; i < N_VARIABLES; i++)
        names[i] = rows[i].name;
    const char *near = conf_did_you_mean(word, names, N_VARIABLES);
    if (near)
        conf_error(b->diags, b->conf, &v->pos, "there is no variable {%.*s}; did you mean {%s}?", SPAN_ARG(word), near);
    else
        conf_error(b->diags, b->conf, &v->pos, "there is no variable {%.*s}", SPAN_ARG(word));
}

static bool is_for_field(enum text_place place)
{
    return place == TEXT_FIELD || place == TEXT_GROUPS;
}

static struct text_part part_of(struct builder *b, const struct conf_value *v, struct span word,
                                enum text_place place)
{
    if (span_starts(word, SPAN("header:")) && http_is_token(span_skip(word, 7)))
        return (struct text_part){VAR_HEADER, 0, span_skip(word, 7)};
    bool number = ascii_is_digit((unsigned char)word.ptr[0]);
    enum variable var = number ? VAR_NONE : variable_of(word);
    if (number && place == TEXT_GROUPS)
        return (struct text_part){VAR_GROUP, (unsigned)(word.ptr[0] - '0'), SPAN("")};
    for (unsigned i = 0; place == TEXT_PAGE && i < ARRAY_LEN(page_word_names); i++)
        if (span_eq(word, span_str(page_word_names[i])))
            return (struct text_part){VAR_PAGE, i, SPAN("")};
    if (var == VAR_NONE && is_for_field(place))
        unknown(b, v, word);
    return (struct text_part){var, 0, var == VAR_NONE ? span_of(word.ptr - 1, word.len + 2) : SPAN("")};
}

struct text text_build(struct builder *b, const struct conf_value *v, enum text_place place)
{
    struct text t = {.literal = v->text, .in_field = is_for_field(place)};
    struct span s = v->text, word;
    size_t braces = 0;
    for (size_t i = 0; i < s.len; i++)
        braces += s.ptr[i] == '{';
    if (t.in_field && !http_is_field_value(s))
        conf_error(b->diags, b->conf, &v->pos, "this text cannot stand in a field");
    struct text_part *parts = braces ? (struct text_part *)build_alloc(b, (braces * 2 + 1) * sizeof *parts) : NULL;
    size_t from = 0;
    bool any = false;
    for (size_t i = 0; parts && i < s.len; i++) {
        if (s.ptr[i] != '{' || !braced(span_skip(s, i), &word))
            continue;
        parts[t.n++] = (struct text_part){VAR_NONE, 0, span_of(s.ptr + from, i - from)};
        parts[t.n++] = part_of(b, v, word, place);
        i += word.len + 1;
        from = i + 1;
        any = true;
    }
    if (any)
        parts[t.n++] = (struct text_part){VAR_NONE, 0, span_skip(s, from)};
    t.v = parts;
    return t;
}

bool text_has(const struct text *t, struct span name)
{
    enum variable var = variable_of(name);
    for (unsigned i = 0; i < t->n; i++)
        if (t->v[i].var == var && var != VAR_NONE)
            return true;
    return false;
}

bool text_is_keyed(const struct text *t, bool by_device)
{
    static const enum variable keyed[] = {VAR_NONE, VAR_HOST, VAR_PATH, VAR_QUERY, VAR_URI, VAR_SCHEME, VAR_REST};
    for (unsigned i = 0; i < t->n; i++) {
        bool is = by_device && t->v[i].var == VAR_DEVICE;
        for (size_t k = 0; k < ARRAY_LEN(keyed) && !is; k++)
            is = t->v[i].var == keyed[k];
        if (!is)
            return false;
    }
    return true;
}
