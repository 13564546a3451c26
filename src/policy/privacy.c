// SPDX-License-Identifier: Apache-2.0
#include "policy/privacy.h"

#include "base/ascii.h"
#include "http/query.h"

enum action { KEEP, DROP, DROP_THIRD, ORIGIN, ORIGIN_ONLY, LANGUAGE, AGENT };

static const struct row {
    struct span name;
    uint8_t action[3]; // by enum privacy
} rows[] = {
#define PRIVACY(name, standard, strict) {SPAN_INIT(name), {KEEP, standard, strict}},
#include "policy/privacy.tbl"
#undef PRIVACY
};

// The rows that begin with a letter, in their order: by the letter's low bits, so that its case does not count.
enum { LETTERS = 32, NO_ROW = 255 };
static uint8_t first_row[LETTERS], next_row[ARRAY_LEN(rows)];
_Static_assert(ARRAY_LEN(rows) < NO_ROW, "rows are told by an octet");

static unsigned letter_of(struct span name)
{
    return (unsigned char)name.ptr[0] % LETTERS;
}

__attribute__((constructor)) static void sort_rows(void)
{
    memset(first_row, NO_ROW, sizeof first_row);
    for (size_t i = ARRAY_LEN(rows); i-- > 0;) {
        uint8_t *first = &first_row[letter_of(rows[i].name)];
        next_row[i] = *first;
        *first = (uint8_t)i;
    }
}

// One that many have.
static const struct span same_agent = SPAN_INIT("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0");

static bool row_fits(const struct row *r, struct span name)
{
    bool prefix = r->name.ptr[r->name.len - 1] == '*';
    return prefix ? span_starts_ci(name, span_first(r->name, r->name.len - 1)) : span_eq_ci(name, r->name);
}

static enum action action_of(enum privacy level, struct span name)
{
    for (size_t i = name.len ? first_row[letter_of(name)] : NO_ROW; i != NO_ROW; i = next_row[i])
        if (row_fits(&rows[i], name))
            return (enum action)rows[i].action[level];
    return KEEP;
}

// ---- Values

// SCHEME://HOST[:PORT] of a URL, without user and password; a NULL pointer where it is none.
static struct span origin_of(struct span url, struct arena *a)
{
    size_t colon = span_find_span(url, SPAN("://")), end;
    if (colon >= url.len)
        return SPAN_NONE;
    for (end = colon + 3; end < url.len && url.ptr[end] != '/' && url.ptr[end] != '?' && url.ptr[end] != '#';)
        end++;
    struct span authority = span_of(url.ptr + colon + 3, end - colon - 3);
    size_t at = span_rfind(authority, '@');
    if (at == authority.len)
        return span_first(url, end);
    return arena_join(a, span_first(url, colon + 3), span_skip(authority, at + 1));
}

static enum err shorten_referer(struct field *f, const struct privacy_context *c, bool always, struct arena *a)
{
    struct span origin = origin_of(f->value, a);
    bool own = span_eq_ci(origin, c->origin);
    bool downgrade = span_starts_ci(f->value, SPAN("https:")) && span_starts(c->origin, SPAN("http:"));
    if (!origin.ptr || downgrade || (always && c->third_party)) {
        f->removed = 1;
        return ERR_OK;
    }
    if (own && !always)
        return ERR_OK;
    struct span value = arena_join(a, origin, SPAN("/"));
    if (!value.ptr)
        return ERR_NO_MEMORY;
    f->value = value;
    return ERR_OK;
}

static struct span first_language(struct span v)
{
    size_t n = 0;
    v = span_trim(v);
    while (n < v.len && ascii_is_alpha((unsigned char)v.ptr[n]))
        n++;
    return n ? span_first(v, n) : SPAN("en");
}

static enum err change(struct field *f, enum action action, const struct privacy_context *c, struct arena *a)
{
    switch (action) {
    case KEEP:
        return ERR_OK;
    case DROP:
        f->removed = 1;
        return ERR_OK;
    case DROP_THIRD:
        f->removed |= c->third_party;
        return ERR_OK;
    case ORIGIN:
        return shorten_referer(f, c, false, a);
    case ORIGIN_ONLY:
        return shorten_referer(f, c, true, a);
    case LANGUAGE:
        f->value = first_language(f->value);
        return ERR_OK;
    case AGENT:
        f->value = same_agent;
        return ERR_OK;
    }
    return ERR_OK;
}

// ---- Requests

enum err privacy_request(enum privacy level, const struct privacy_context *c, struct fields *f, struct arena *a)
{
    enum err e = ERR_OK;
    if (level == PRIVACY_OFF)
        return e;
    for (uint32_t i = 0; i < f->n && !e; i++) {
        if (f->v[i].removed)
            continue;
        enum action action = action_of(level, f->v[i].name);
        if (action)
            e = change(&f->v[i], action, c, a);
    }
    if (e || level != PRIVACY_STRICT)
        return e;
    e = fields_set(f, FIELD_USER_AGENT, same_agent);
    if (!e)
        e = fields_add(f, FIELD_DNT, SPAN("1"));
    return e ? e : fields_add_named(f, SPAN("Sec-GPC"), SPAN("1"));
}

// [protocol-name "/"] protocol-version, of HTTP (RFC 9110 7.6.3).
static bool is_version(struct span s)
{
    if (span_starts_ci(s, SPAN("HTTP/")))
        s = span_skip(s, 5);
    bool dotted = s.len == 3 && ascii_is_digit((unsigned char)s.ptr[0]) && s.ptr[1] == '.' && ascii_is_digit((unsigned char)s.ptr[2]);
    return dotted || (s.len == 1 && ascii_is_digit((unsigned char)s.ptr[0]));
}

// The versions of the hops stay, and which of them is one of us (a loop has to be found).
struct span privacy_via(struct span via, struct arena *a)
{
    struct span item, out = SPAN("");
    while (out.ptr && list_next(&via, &item)) {
        struct span rest = item, version = span_cut(&rest, ' ');
        bool sound = is_version(version);
        const char *name = span_ends(item, SPAN(" weir")) ? "weir" : "proxy";
        out = arena_printf(a, "%.*s%s%.*s %s", SPAN_ARG(out), out.len ? ", " : "", SPAN_ARG(sound ? version : SPAN("1.1")), name);
    }
    return out;
}

// ---- Answers

enum err privacy_answer(enum privacy level, const struct privacy_context *c, struct fields *f, struct arena *a)
{
    (void)a;
    if (level != PRIVACY_STRICT)
        return ERR_OK;
    fields_remove_named(f, SPAN("Accept-CH"));
    fields_remove_named(f, SPAN("Critical-CH"));
    fields_remove_named(f, SPAN("Delegate-CH"));
    if (c->third_party) {
        fields_remove(f, FIELD_SET_COOKIE);
        fields_remove(f, FIELD_ETAG);
        fields_remove(f, FIELD_LAST_MODIFIED);
    }
    return ERR_OK;
}

// ---- Queries

static bool is_tracking(void *arg, struct span param)
{
    static const struct span prefixes[] = {SPAN_INIT("utm_"), SPAN_INIT("mtm_"), SPAN_INIT("pk_"), SPAN_INIT("hsa_"), SPAN_INIT("stm_"), SPAN_INIT("itm_")};
    static const struct span names[] = {
        SPAN_INIT("fbclid"),  SPAN_INIT("gclid"),   SPAN_INIT("gclsrc"),       SPAN_INIT("dclid"),      SPAN_INIT("gbraid"), SPAN_INIT("wbraid"),
        SPAN_INIT("msclkid"), SPAN_INIT("yclid"),   SPAN_INIT("ysclid"),       SPAN_INIT("_openstat"),  SPAN_INIT("twclid"), SPAN_INIT("ttclid"),
        SPAN_INIT("igshid"),  SPAN_INIT("igsh"),    SPAN_INIT("li_fat_id"),    SPAN_INIT("mc_cid"),     SPAN_INIT("mc_eid"), SPAN_INIT("_hsenc"),
        SPAN_INIT("_hsmi"),   SPAN_INIT("mkt_tok"), SPAN_INIT("vero_id"),      SPAN_INIT("oly_anon_id"), SPAN_INIT("oly_enc_id"), SPAN_INIT("rb_clickid"),
        SPAN_INIT("s_cid"),   SPAN_INIT("wickedid"), SPAN_INIT("ml_subscriber"), SPAN_INIT("ml_subscriber_hash"), SPAN_INIT("irclickid"), SPAN_INIT("epik"),
    };
    struct span name = span_cut(&param, '=');
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (span_starts_ci(name, prefixes[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (span_eq_ci(name, names[i]))
            return true;
    return false;
}

enum err privacy_clean_query(struct span query, struct arena *a, struct span *ret)
{
    return query_without(query, is_tracking, NULL, a, ret);
}
