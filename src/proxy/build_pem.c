// SPDX-License-Identifier: Apache-2.0
// Files that statements name: certificates, keys, secrets. Their contents are copies in the generation's arena, which live as long as
// it does: who reads a secret wipes it.
#include "base/secret.h"
#include "proxy/build.h"

static struct span resolved(struct builder *b, struct span path)
{
    return path.len && path.ptr[0] == '/' ? path : arena_printf(b->a, "%s/%.*s", conf_folder(b->conf), SPAN_ARG(path));
}

bool build_read(struct builder *b, struct span path, struct span *ret, const char **ret_why)
{
    struct conf_source own, *files = conf_files(b->conf);
    const char *cpath = arena_cstr(b->a, resolved(b, path));
    struct span content;
    *ret_why = "out of memory";
    if (!files)
        conf_source_init(&own, true);
    bool ok = cpath && conf_source_read(files ? files : &own, cpath, &content, ret_why) && arena_dup(b->a, content, ret);
    if (!files)
        conf_source_fini(&own);
    return ok;
}

bool build_read_optional(struct builder *b, struct span path, struct span *ret)
{
    struct conf_source *files = conf_files(b->conf);
    const char *cpath = arena_cstr(b->a, resolved(b, path));
    struct span content;
    *ret = SPAN("");
    return files && cpath && conf_source_read_optional(files, cpath, &content) && arena_dup(b->a, content, ret);
}

bool build_read_file(struct builder *b, const struct conf_value *v, struct span *ret)
{
    const char *why;
    if (build_read(b, v->text, ret, &why))
        return true;
    conf_error(b->diags, b->conf, &v->pos, "%.*s cannot be read: %s", SPAN_ARG(v->text), why);
    return false;
}

bool build_read_secret(struct builder *b, const struct conf_value *v, struct span *ret)
{
    const char *why;
    *ret = v->text;
    if (!span_starts(v->text, SPAN("file:")))
        return arena_dup(b->a, v->text, ret);
    struct span path = span_skip(v->text, 5);
    if (!build_read(b, path, ret, &why)) {
        conf_error(b->diags, b->conf, &v->pos, "%.*s cannot be read: %s", SPAN_ARG(path), why);
        return false;
    }
    *ret = span_cut(ret, '\n');
    if (ret->len && ret->ptr[ret->len - 1] == '\r')
        ret->len--;
    return true;
}

static void wipe(struct span s)
{
    secret_wipe((void *)(uintptr_t)s.ptr, s.len);
}

bool build_certificate(struct builder *b, const struct conf_value *cert, const struct conf_value *key, const struct conf_value *password,
                       const char *(*add)(void *arg, struct span cert, struct span key, struct span password, bool *ret_key_file), void *arg)
{
    struct span cert_pem, key_pem = SPAN_NONE, secret = SPAN_NONE;
    bool ok = false;
    if (!key)
        key = cert; // both in one file
    if (build_read_file(b, cert, &cert_pem) && build_read_file(b, key, &key_pem) && (!password || build_read_secret(b, password, &secret))) {
        bool in_key;
        const char *why = add(arg, cert_pem, key_pem, secret, &in_key);
        const struct conf_value *v = in_key ? key : cert;
        ok = !why;
        if (why)
            conf_error(b->diags, b->conf, &v->pos, "%.*s cannot be used: %s", SPAN_ARG(v->text), why);
        if (key == cert)
            wipe(cert_pem);
    }
    wipe(key_pem);
    wipe(secret);
    return ok;
}
