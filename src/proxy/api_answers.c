// SPDX-License-Identifier: Apache-2.0
// What the API's endpoints do. Where the control socket has a command for it, that is asked: on a helper
// thread, since it may wait for locks and disks, and threads that serve may not.
#include "base/ascii.h"
#include "io/loop.h"
#include "proxy/api.h"
#include "proxy/ask.h"
#include "proxy/events.h"
#include "proxy/status.h"

enum { LINE_MAX = 8192 };

// ---- Commands

struct asking {
    const struct generation *gen;
    struct span line, text;
    struct arena arena; // of the helper thread meanwhile
    int status;
};

static void run(void *arg)
{
    struct asking *k = (struct asking *)arg;
    (void)ask_answer(k->gen, k->line, 0, &k->arena, &k->status, &k->text);
}

// *ret: the answer's text, whatever the command's status was. What it does not find is 404, what it does not
// understand 400.
static enum err ask(struct api_call *c, struct span line, struct span *ret)
{
    struct exchange *x = c->x;
    struct asking k = {.gen = x->gen, .line = line};
    if (!line.ptr)
        return ERR_NO_MEMORY;
    if (line.len > LINE_MAX)
        return ERR_API_QUESTION;
    arena_init(&k.arena, ARENA_NO_LIMIT);
    enum err e = loop_offload(run, &k);
    if (!e && !arena_dup(x->arena, k.text, ret))
        e = ERR_NO_MEMORY;
    arena_fini(&k.arena);
    if (e || !k.status)
        return e;
    x->message = span_trim(*ret);
    return k.status == 1 ? ERR_NOT_FOUND : ERR_API_QUESTION;
}

// A word of a command: nothing that would end it.
static bool is_word(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] <= ' ' || s.ptr[i] == 0x7f)
            return false;
    return s.len > 0;
}

static enum err no_word(struct api_call *c, const char *name)
{
    c->x->message =
        arena_printf(c->x->arena, "`%s` is empty, or has a space or control character in it.", name);
    return ERR_API_QUESTION;
}

static enum err say_text(struct api_call *c, struct span text)
{
    struct span s = api_json(c->x->arena, span_trim(text));
    c->out = s.ptr ? arena_printf(c->x->arena, "{\"text\": %.*s}\n", SPAN_ARG(s)) : SPAN_NONE;
    return ERR_OK;
}

// ---- Endpoints

enum err api_openapi(struct api_call *c)
{
    c->out = api_document(c->x->arena);
    return ERR_OK;
}

enum err api_events(struct api_call *c)
{
    return events_send(c->x);
}

enum err api_status(struct api_call *c)
{
    struct arena *a = c->x->arena;
    struct span numbers = SPAN_NONE, out = status_begin(c->x->gen, status_facts(), true, a);
    enum err e = ask(c, SPAN("status json"), &numbers);
    if (e)
        return e;
    out = arena_join(
        a, out, arena_join(a, SPAN(", \"certificates\": "), generation_certificates(c->x->gen, a, true)));
    c->out = arena_join(a, out, numbers);
    return ERR_OK;
}

enum err api_pools(struct api_call *c)
{
    return ask(c, SPAN("pools json"), &c->out);
}

enum err api_certificates(struct api_call *c)
{
    c->out = arena_join(c->x->arena, generation_certificates(c->x->gen, c->x->arena, true), SPAN("\n"));
    return ERR_OK;
}

enum err api_configuration(struct api_call *c)
{
    struct arena *a = c->x->arena;
    struct span tag = arena_printf(a, "\"%llu\"", (unsigned long long)c->x->gen->number);
    c->out = conf_json_public(c->x->gen->conf, a);
    return tag.ptr ? fields_set(&c->x->resp.fields, FIELD_ETAG, tag) : ERR_NO_MEMORY;
}

enum err api_why(struct api_call *c)
{
    struct span url = api_param(c, "url"), text = SPAN_NONE;
    if (!is_word(url))
        return no_word(c, "url");
    enum err e = ask(c, arena_printf(c->x->arena, "why %.*s", SPAN_ARG(url)), &text);
    return e ? e : say_text(c, text);
}

enum err api_explain(struct api_call *c)
{
    struct span id = api_param(c, "id"), question = api_param(c, "question"), text;
    if (!id.ptr == !question.ptr) {
        c->x->message = SPAN("Either `id` or `question` is wanted.");
        return ERR_API_QUESTION;
    }
    if (id.ptr)
        return is_word(id) ? ask(c, arena_printf(c->x->arena, "explain %.*s json", SPAN_ARG(id)), &c->out)
                           : no_word(c, "id");
    if (generation_explain(c->x->gen, question, c->x->arena, &text))
        return say_text(c, text);
    c->x->message = text;
    return ERR_API_QUESTION;
}

enum err api_server(struct api_call *c)
{
    struct span pool = api_param(c, "pool"), server = api_param(c, "server"), action = api_param(c, "action"),
                text = SPAN_NONE;
    if (!is_word(pool) || !is_word(server) || !is_word(action))
        return no_word(c, !is_word(pool) ? "pool" : is_word(server) ? "action" : "server");
    enum err e = ask(c,
                     arena_printf(c->x->arena, "server %.*s %.*s %.*s", SPAN_ARG(pool), SPAN_ARG(server),
                                  SPAN_ARG(action)),
                     &text);
    return e ? e : say_text(c, text);
}

enum err api_purge(struct api_call *c)
{
    static const char *const kinds[] = {"url", "prefix", "tag", "all"};
    const char *kind = NULL, *soft = api_param(c, "soft").ptr ? "soft " : "";
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!api_param(c, kinds[i]).ptr)
            continue;
        if (kind) {
            c->x->message = SPAN("One of `url`, `prefix`, `tag` and `all` is wanted, and only one.");
            return ERR_API_QUESTION;
        }
        kind = kinds[i];
    }
    if (!kind) {
        c->x->message = SPAN("One of `url`, `prefix`, `tag` and `all` is wanted.");
        return ERR_API_QUESTION;
    }
    struct span value = api_param(c, kind);
    if (strcmp(kind, "all") == 0)
        return ask(c, arena_printf(c->x->arena, "purge %sall json", soft), &c->out);
    return is_word(value)
               ? ask(c, arena_printf(c->x->arena, "purge %s%s %.*s json", soft, kind, SPAN_ARG(value)),
                     &c->out)
               : no_word(c, kind);
}
