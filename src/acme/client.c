// SPDX-License-Identifier: Apache-2.0
#include "acme/client.h"

#include <stdarg.h>

#include "acme/jose.h"
#include "acme/store.h"
#include "base/ascii.h"
#include "base/num.h"

enum {
    NONCE_TRIES = 12,           // an authority may refuse a nonce at any time (RFC 8555 6.5)
    RETRY_AFTER_MAX_S = 86400,
    ACK_MS = 10 * 1000,
};

bool client_fail(struct client *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    c->why = arena_vprintf(c->a, fmt, ap);
    va_end(ap);
    if (!c->why.ptr)
        c->why = SPAN("out of memory");
    return false;
}

// What goes into a signed message unescaped, and into one line of a log.
static bool is_plain(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || s.ptr[i] == '"' || s.ptr[i] == '\\')
            return false;
    return s.len > 0;
}

bool client_is_url(struct span s)
{
    return s.len < 1024 && span_starts(s, SPAN("https://")) && is_plain(s);
}

struct span client_url(struct client *c, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    struct span s = SPAN_NONE;
    if (!text || !client_is_url(span_str(text)) || !arena_dup(c->a, span_str(text), &s))
        return SPAN_NONE;
    return s;
}

// ---- One request

static void take_nonce(struct client *c, const struct https_answer *r)
{
    const struct field *f = fields_find(&r->head.fields, SPAN("Replay-Nonce"));
    c->nonce = f && f->value.len < 512 && is_plain(f->value) ? f->value : SPAN_NONE;
}

static void take_retry_after(struct client *c, const struct https_answer *r)
{
    const struct field *f = fields_find(&r->head.fields, SPAN("Retry-After"));
    uint64_t s;
    c->retry_after_ms = f && num_parse_dec(f->value, RETRY_AFTER_MAX_S, &s) ? s * 1000 : 0;
}

static bool new_nonce(struct client *c)
{
    struct https_answer r;
    struct span url = client_url(c, c->directory, "newNonce");
    if (!url.len)
        return client_fail(c, "the directory names no newNonce");
    enum err e = https_ask(&c->https, c->a, METHOD_HEAD, url, SPAN(""), SPAN(""), &r);
    if (e)
        return client_fail(c, "no nonce can be had: %.*s", SPAN_ARG(span_str(err_name(e))));
    take_nonce(c, &r);
    return c->nonce.len || client_fail(c, "the authority gave no nonce");
}

// What a problem document says, in printable letters.
static struct span problem(struct client *c, const json_t *j, unsigned status)
{
    const char *detail = json_string_value(json_object_get(j, "detail")), *type = json_string_value(json_object_get(j, "type"));
    struct span s = detail || type ? arena_printf(c->a, "%u %.100s: %.300s", status, type ? type : "", detail ? detail : "") : arena_printf(c->a, "status %u", status);
    for (size_t i = 0; s.ptr && i < s.len; i++)
        if (s.ptr[i] < ' ' || s.ptr[i] > '~')
            ((char *)(uintptr_t)s.ptr)[i] = '?';
    return s;
}

static bool is_type(const json_t *j, const char *type)
{
    const char *t = json_string_value(json_object_get(j, "type"));
    return t && span_eq(span_str(t), span_str(type));
}

bool client_post(struct client *c, struct span url, struct span payload, struct https_answer *ret, json_t **ret_json)
{
    struct https_answer r;
    for (unsigned i = 0; i < NONCE_TRIES; i++) {
        if (!c->nonce.len && !new_nonce(c))
            return false;
        struct span body = jose_sign(c->a, c->account, c->kid, c->nonce, url, payload);
        c->nonce = SPAN_NONE;
        if (!body.ptr)
            return client_fail(c, "out of memory");
        enum err e = https_ask(&c->https, c->a, METHOD_POST, url, SPAN("application/jose+json"), body, &r);
        if (e)
            return client_fail(c, "%.*s cannot be asked: %s", SPAN_ARG(url), err_name(e));
        take_nonce(c, &r);
        take_retry_after(c, &r);
        json_t *j = json_loadb(r.content.ptr, r.content.len, JSON_REJECT_DUPLICATES, NULL);
        bool fine = r.head.status / 100 == 2 && (j || !ret_json);
        bool again = r.head.status == 400 && is_type(j, "urn:ietf:params:acme:error:badNonce");
        if (fine && ret)
            *ret = r;
        if (!fine && !again) {
            struct span p = problem(c, j, r.head.status);
            client_fail(c, "%.*s: %.*s", SPAN_ARG(url), SPAN_ARG(p));
        }
        if (fine && ret_json)
            *ret_json = j;
        else
            json_decref(j);
        if (!again)
            return fine;
    }
    return client_fail(c, "the authority refuses one nonce after the other");
}

// ---- The account

static bool load_key(struct client *c)
{
    struct span pem = SPAN_NONE;
    if (c->account)
        return true;
    if (store_read(c->folder, c->a, SPAN("account.key"), &pem) && pem.len) {
        c->account = jose_key_load(pem);
        return c->account || client_fail(c, "account.key holds no key");
    }
    c->account = jose_key_new();
    pem = c->account ? jose_key_pem(c->a, c->account) : SPAN_NONE;
    if (pem.ptr && store_write(c->folder, c->a, SPAN("account.key"), pem))
        return true;
    EVP_PKEY_free(c->account);
    c->account = NULL;
    return client_fail(c, "account.key cannot be written");
}

static bool get_directory(struct client *c)
{
    struct https_answer r;
    enum err e = https_ask(&c->https, c->a, METHOD_GET, c->plan->directory, SPAN(""), SPAN(""), &r);
    if (e)
        return client_fail(c, "%.*s cannot be asked: %s", SPAN_ARG(c->plan->directory), err_name(e));
    take_nonce(c, &r);
    c->directory = r.head.status == 200 ? json_loadb(r.content.ptr, r.content.len, 0, NULL) : NULL;
    return c->directory || client_fail(c, "%.*s is no directory: status %u", SPAN_ARG(c->plan->directory), r.head.status);
}

bool client_begin(struct client *c)
{
    struct https_answer r;
    c->kid = c->nonce = c->why = SPAN_NONE;
    c->retry_after_ms = 0;
    c->directory = NULL;
    if (!load_key(c) || !get_directory(c))
        return false;
    struct span url = client_url(c, c->directory, "newAccount"), mail = c->plan->email;
    struct span payload = mail.len ? arena_printf(c->a, "{\"termsOfServiceAgreed\":true,\"contact\":[\"mailto:%.*s\"]}", SPAN_ARG(mail)) : SPAN("{\"termsOfServiceAgreed\":true}");
    c->thumbprint = jose_thumbprint(c->a, c->account);
    if (!url.len || !payload.ptr || !c->thumbprint.ptr)
        return client_fail(c, "the directory names no newAccount");
    if (!client_post(c, url, payload, &r, NULL))
        return false;
    const struct field *f = fields_get(&r.head.fields, FIELD_LOCATION);
    if (!f || !client_is_url(f->value))
        return client_fail(c, "the authority named no account");
    c->kid = f->value;
    return true;
}

void client_end(struct client *c)
{
    json_decref(c->directory);
    c->directory = NULL;
}

// ---- The supervisor

void client_note(struct client *c, struct span text)
{
    size_t n;
    struct iovec v = {(void *)(uintptr_t)text.ptr, MIN(text.len, (size_t)ACME_NOTE_MAX)};
    (void)!io_sendv_now(&c->channel, &v, 1, false, &n);
}

bool client_note_wait(struct client *c, struct span text)
{
    char said[ACME_NOTE_MAX];
    size_t n;
    uint64_t deadline = deadline_in(ACK_MS);
    client_note(c, text);
    for (;;) {
        c->channel.state |= IO_READABLE; // one message a read, so a short one does not mean that there are no more
        enum err e = io_recv(&c->channel, said, sizeof said, deadline, &n);
        if (e)
            return client_fail(c, "the worker does not answer");
        if (span_eq(span_of(said, n), text))
            return true;
    }
}
