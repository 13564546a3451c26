// SPDX-License-Identifier: Apache-2.0
#include "policy/token.h"

#include <cjose/cjose.h>
#include <jansson.h>

#include "base/base64.h"
#include "base/json.h"
#include "policy/token_pem.h"

enum { DEPTH_MAX = 8, KEYS_MAX = 64, LEEWAY_S = 30, USER_MAX = 255 };

struct token_rules {
    cjose_jwk_t *keys[KEYS_MAX];
    unsigned n_keys;
    const char *algorithm;
    struct span audience, issuer; // empty: any
    const char *user;             // the claim that names the user
};

// ---- Keys

static void free_keys(void *p)
{
    struct token_rules *t = (struct token_rules *)p;
    for (unsigned i = 0; i < t->n_keys; i++)
        cjose_jwk_release(t->keys[i]);
}

// A key that cannot be used (of a kind that is not known here, say) is passed over: sets have such.
static void add_key(struct token_rules *t, const json_t *key)
{
    cjose_err err;
    char *text = t->n_keys < KEYS_MAX ? json_dumps(key, JSON_COMPACT) : NULL;
    cjose_jwk_t *k = text ? cjose_jwk_import(text, strlen(text), &err) : NULL;
    if (text)
        cjose_get_dealloc()(text);
    if (k)
        t->keys[t->n_keys++] = k;
}

// Each of them is to be of use: who writes PEM has picked the keys.
static bool read_pem(struct token_rules *t, struct condition_context *k, const struct conf_value *file, struct span text)
{
    const char *why;
    t->n_keys = token_pem_read(text, t->keys, KEYS_MAX, &why);
    if (why || !t->n_keys)
        conf_error(k->diags, k->conf, &file->pos, "%.*s: %s", SPAN_ARG(file->text), why ? why : "there is no key in it");
    return !why && t->n_keys;
}

static bool read_keys(struct token_rules *t, struct condition_context *k, const struct conf_value *file)
{
    struct span text;
    const char *why;
    if (!conf_read(k->conf, file->text, &text, &why)) {
        conf_error(k->diags, k->conf, &file->pos, "%.*s cannot be read: %s", SPAN_ARG(file->text), why);
        return false;
    }
    if (token_pem_is(text))
        return read_pem(t, k, file, text);
    json_t *root = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, NULL), *set = json_object_get(root, "keys"), *key;
    size_t i;
    if (json_is_array(set))
        json_array_foreach (set, i, key)
            add_key(t, key);
    else if (json_is_object(root))
        add_key(t, root);
    json_decref(root);
    if (!t->n_keys)
        conf_error(k->diags, k->conf, &file->pos, "%.*s has no key: it is to be a JWK, a set of them ({\"keys\": [...]}), or PEM with public keys or certificates", SPAN_ARG(file->text));
    return t->n_keys > 0;
}

// ---- The statement

static const char *algorithm_of(struct condition_context *k, const struct conf_stmt *s)
{
    static const char *const known[] = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "HS384", "HS512"};
    const struct conf_value *v = conf_option(s, "algorithm");
    for (size_t i = 0; v && i < ARRAY_LEN(known); i++)
        if (span_eq(v->text, span_str(known[i])))
            return known[i];
    conf_error(k->diags, k->conf, v ? &v->pos : &s->pos, v ? "this is no algorithm for signatures: ES256, RS256, PS256 or HS256, for instance" : "`auth bearer` wants the one algorithm that counts: algorithm ES256");
    return NULL;
}

static struct span option_text(const struct conf_stmt *s, const char *word)
{
    const struct conf_value *v = conf_option(s, word);
    return v ? v->text : SPAN_NONE;
}

const struct token_rules *token_rules_new(struct condition_context *k, const struct conf_stmt *s)
{
    const struct conf_value *file = conf_option(s, "keys");
    struct token_rules *t = (struct token_rules *)condition_alloc(k, sizeof *t);
    if (!file)
        conf_error(k->diags, k->conf, &s->pos, "`auth bearer` wants the keys: auth bearer keys FILE algorithm ES256");
    if (!file || !t || !condition_on_free(k, free_keys, t))
        return NULL;
    struct span user = option_text(s, "user");
    t->algorithm = algorithm_of(k, s);
    t->audience = option_text(s, "audience");
    t->issuer = option_text(s, "issuer");
    t->user = arena_cstr(k->arena, user.len ? user : SPAN("sub"));
    return t->algorithm && t->user && read_keys(t, k, file) ? t : NULL;
}

// ---- Tokens

static bool is_signed(const struct token_rules *t, cjose_jws_t *jws)
{
    cjose_err err;
    cjose_header_t *head = cjose_jws_get_protected(jws);
    const char *alg = head ? cjose_header_get(head, CJOSE_HDR_ALG, &err) : NULL, *kid = head ? cjose_header_get(head, CJOSE_HDR_KID, &err) : NULL;
    char *critical = head ? cjose_header_get_raw(head, "crit", &err) : NULL; // RFC 7515 4.1.11: what we do not know must not be passed over
    bool ok = false;
    if (critical) {
        cjose_get_dealloc()(critical);
        return false;
    }
    for (unsigned i = 0; alg && strcmp(alg, t->algorithm) == 0 && i < t->n_keys && !ok; i++) {
        const char *key = cjose_jwk_get_kid(t->keys[i], &err);
        if (!kid || !key || strcmp(kid, key) == 0)
            ok = cjose_jws_verify(jws, t->keys[i], &err);
    }
    return ok;
}

static bool has_audience(const json_t *aud, struct span wanted)
{
    size_t i;
    json_t *one;
    if (json_is_string(aud))
        return span_eq(span_of(json_string_value(aud), json_string_length(aud)), wanted);
    json_array_foreach (aud, i, one)
        if (json_is_string(one) && span_eq(span_of(json_string_value(one), json_string_length(one)), wanted))
            return true;
    return false;
}

// Seconds since 1970; false where the claim is no number.
static bool time_claim(const json_t *claims, const char *name, int64_t *ret)
{
    const json_t *v = json_object_get(claims, name);
    double d = json_number_value(v);
    if (!json_is_number(v) || !(d > -1e15 && d < 1e15))
        return false;
    *ret = (int64_t)d;
    return true;
}

static enum err take_user(const json_t *v, struct arena *a, struct span *ret)
{
    struct span name = json_is_string(v) ? span_of(json_string_value(v), json_string_length(v)) : SPAN_NONE;
    if (!name.len || name.len > USER_MAX)
        return ERR_CREDENTIALS_WRONG;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
            return ERR_CREDENTIALS_WRONG;
    return arena_dup(a, name, ret) ? ERR_OK : ERR_NO_MEMORY;
}

static enum err check_claims(const struct token_rules *t, const json_t *claims, int64_t now_s, struct arena *a, struct span *ret_user)
{
    int64_t when;
    const json_t *iss = json_object_get(claims, "iss");
    if (!time_claim(claims, "exp", &when)) // one that never ends is none of ours
        return ERR_CREDENTIALS_WRONG;
    if (now_s >= when + LEEWAY_S)
        return ERR_CREDENTIALS_EXPIRED;
    if (json_object_get(claims, "nbf") && (!time_claim(claims, "nbf", &when) || now_s < when - LEEWAY_S))
        return ERR_CREDENTIALS_WRONG;
    if (t->audience.len && !has_audience(json_object_get(claims, "aud"), t->audience))
        return ERR_CREDENTIALS_WRONG;
    if (t->issuer.len && !(json_is_string(iss) && span_eq(span_of(json_string_value(iss), json_string_length(iss)), t->issuer)))
        return ERR_CREDENTIALS_WRONG;
    return take_user(json_object_get(claims, t->user), a, ret_user);
}

// The library parses the header before anything is verified, and calls itself for each level of what is in it.
static bool has_flat_header(struct span token, struct arena *a)
{
    struct span head = span_cut(&token, '.');
    char *text = arena_bytes(a, head.len + 1), *plain = arena_bytes(a, head.len + 1);
    if (!text || !plain)
        return false;
    for (size_t i = 0; i < head.len; i++)
        text[i] = head.ptr[i] == '-' ? '+' : head.ptr[i] == '_' ? '/' : head.ptr[i];
    size_t n = base64_decode(span_of(text, head.len), plain, head.len);
    return n != SIZE_MAX && json_depth(span_of(plain, n)) <= DEPTH_MAX;
}

enum err token_check(const struct token_rules *t, struct span token, int64_t now_s, struct arena *a, struct span *ret_user)
{
    cjose_err err;
    uint8_t *content = NULL;
    size_t n = 0;
    if (!token.len || token.len > TOKEN_MAX_BYTES || !has_flat_header(token, a))
        return ERR_CREDENTIALS_MALFORMED;
    cjose_jws_t *jws = cjose_jws_import(token.ptr, token.len, &err);
    if (!jws)
        return ERR_CREDENTIALS_MALFORMED;
    enum err e = ERR_CREDENTIALS_WRONG;
    if (is_signed(t, jws) && cjose_jws_get_plaintext(jws, &content, &n, &err)) {
        bool shallow = json_depth(span_of((const char *)content, n)) <= DEPTH_MAX;
        json_t *claims = !shallow ? NULL : json_loadb((const char *)content, n, JSON_REJECT_DUPLICATES, NULL);
        e = json_is_object(claims) ? check_claims(t, claims, now_s, a, ret_user) : ERR_CREDENTIALS_MALFORMED;
        json_decref(claims);
    }
    cjose_jws_release(jws);
    return e;
}
