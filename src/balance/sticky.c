// SPDX-License-Identifier: Apache-2.0
// Sessions that stay with their server. The cookie's value is a keyed hash of pool, server and address: nobody can make one up, and
// nobody can read a server out of it.
#include "balance/pool.h"
#include "http/field.h"

static const struct hash_key second_key = {UINT64_C(0x7765697220737469), UINT64_C(0x636b7920746f6b65)};

static void put_hex(char *out, uint64_t v)
{
    for (unsigned i = 0; i < 16; i++)
        out[i] = "0123456789abcdef"[v >> (60 - 4 * i) & 15];
}

void sticky_token(const struct pool *p, const struct server *s, const struct addr *a, char out[STICKY_TOKEN_BYTES])
{
    char text[ADDR_TEXT_MAX];
    struct span at = span_of(text, addr_format(a, text));
    for (unsigned i = 0; i < 2; i++) {
        // Each part is hashed by itself, so that no two sets of parts run together to the same text.
        struct {
            uint64_t pool, server, addr;
        } parts = {hash_keyed_with(&p->sticky_secret[i], p->name), hash_keyed_with(&p->sticky_secret[i], s->name), hash_keyed_with(&p->sticky_secret[i], at)};
        put_hex(out + (size_t)16 * i, hash_keyed_with(&p->sticky_secret[i], span_of((const char *)&parts, sizeof parts)));
    }
}

const struct target *sticky_find(const struct targets *t, struct span value)
{
    for (unsigned k = 0; value.len == STICKY_TOKEN_BYTES && k < t->n_tiers; k++)
        for (unsigned i = 0; i < t->tiers[k].n; i++)
            if (t->tiers[k].v[i].token && memcmp(t->tiers[k].v[i].token, value.ptr, STICKY_TOKEN_BYTES) == 0)
                return &t->tiers[k].v[i];
    return NULL;
}

// Two keys from the secret, or from the process's, which its workers have from the supervisor.
static void make_keys(struct pool *p, struct span secret)
{
    struct hash_key first = hash_process_key;
    if (secret.len) {
        struct hash_key a = {hash_fast(secret), hash_fast_seed(secret, 1)}, b = {hash_fast_seed(secret, 2), hash_fast_seed(secret, 3)};
        first = (struct hash_key){hash_keyed_with(&a, secret), hash_keyed_with(&b, secret)};
    }
    p->sticky_secret[0] = first;
    struct span text = span_of((const char *)&first, sizeof first);
    p->sticky_secret[1] = (struct hash_key){hash_keyed_with(&first, text), hash_keyed_with(&second_key, text)};
}

void sticky_parse(struct pool *p, const struct conf *c, const struct conf_stmt *pool, struct span secret, struct conf_diags *diags)
{
    const struct conf_stmt *s = conf_child(pool, CONF_STICKY);
    if (!s)
        return;
    struct span by = s->args[0].text;
    bool cookie = span_eq(by, SPAN("cookie")), named = conf_plain_args(s) > 1;
    if (named == span_eq(by, SPAN("client-ip")) || (conf_option(s, "secret") && !cookie)) {
        conf_error(diags, c, &s->pos, "the form is `sticky cookie NAME [secret file:FILE]`, `sticky header NAME` or `sticky client-ip`");
        return;
    }
    if (named && !http_is_token(s->args[1].text)) {
        conf_error(diags, c, &s->args[1].pos, "`%.*s` is no name of a %.*s", SPAN_ARG(s->args[1].text), SPAN_ARG(by));
        return;
    }
    if (cookie) {
        p->sticky_cookie = s->args[1].text;
        make_keys(p, secret);
        return;
    }
    if (p->key) {
        conf_error(diags, c, &s->pos, "`balance hash` keeps requests together already; with it only `sticky cookie` makes sense");
        return;
    }
    p->key_is_sticky = true;
    p->key = named ? POOL_KEY_HEADER : POOL_KEY_CLIENT_IP;
    p->key_name = named ? s->args[1].text : SPAN_NONE;
}
