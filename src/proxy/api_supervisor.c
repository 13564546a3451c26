// SPDX-License-Identifier: Apache-2.0
// What of the API the supervisor does: reloads, and another configuration.
#include <stdatomic.h>

#include "base/num.h"
#include "io/loop.h"
#include "policy/credentials.h"
#include "proxy/api.h"

static bool (*supervisor)(const char *command, struct span content, struct arena *a, int *ret_status,
                          struct span *ret_text);
static atomic_bool busy; // one at a time: it may take its time, and helper threads are few

void api_set_supervisor(bool (*fn)(const char *command, struct span content, struct arena *a, int *ret_status,
                                   struct span *ret_text))
{
    supervisor = fn;
}

struct asking {
    const char *command;
    struct span content, text;
    struct arena arena;
    int status;
    bool ok;
};

static void run(void *arg)
{
    struct asking *k = (struct asking *)arg;
    k->ok = supervisor(k->command, k->content, &k->arena, &k->status, &k->text);
}

static enum err ask(struct api_call *c, const char *command, struct span content, int *ret_status,
                    struct span *ret_text)
{
    struct asking k = {.command = command, .content = content};
    if (!command)
        return ERR_NO_MEMORY;
    if (!supervisor || atomic_exchange(&busy, true)) {
        c->x->message = SPAN("Another reload is under way.");
        return ERR_API_BUSY;
    }
    arena_init(&k.arena, ARENA_NO_LIMIT);
    enum err e = loop_offload(run, &k);
    if (!e && (!k.ok || !arena_dup(c->x->arena, k.text, ret_text)))
        e = ERR_INTERNAL;
    *ret_status = k.status;
    arena_fini(&k.arena);
    atomic_store(&busy, false);
    return e;
}

static enum err say_changes(struct api_call *c, struct span text)
{
    struct arena *a = c->x->arena;
    struct span number = span_cut(&text, '\n'), changes = api_json(a, text),
                tag = arena_printf(a, "\"%.*s\"", SPAN_ARG(number));
    if (!changes.ptr || !tag.ptr)
        return ERR_NO_MEMORY;
    c->out =
        arena_printf(a, "{\"generation\": %.*s, \"changes\": %.*s}\n", SPAN_ARG(number), SPAN_ARG(changes));
    return fields_set(&c->x->resp.fields, FIELD_ETAG, tag);
}

// As the supervisor has answered (supervisor_reload_for_api).
static enum err conclude(struct api_call *c, int status, struct span text)
{
    switch (status) {
    case 0:
        return say_changes(c, text);
    case 2:
        c->x->resp.status = 422;
        c->out = arena_printf(c->x->arena, "{\"findings\": %.*s}\n", SPAN_ARG(span_trim(text)));
        return ERR_OK;
    case 3:
        return ERR_API_PRECONDITION;
    default:
        c->x->message = span_trim(text);
        return ERR_API_BUSY;
    }
}

enum err api_reload(struct api_call *c)
{
    struct span text = SPAN_NONE;
    int status = 0;
    enum err e = ask(c, "reload", SPAN_NONE, &status, &text);
    return e ? e : conclude(c, status, text);
}

// The strong tag of one generation (RFC 9110 13.1.1): the number in it.
static bool read_precondition(struct span value, uint64_t *ret)
{
    value = span_trim(value);
    return value.len > 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"' &&
           num_parse_dec(span_of(value.ptr + 1, value.len - 2), UINT64_MAX, ret);
}

enum err api_configure(struct api_call *c)
{
    struct exchange *x = c->x;
    struct span match = fields_value(&x->req->fields, FIELD_IF_MATCH), text = SPAN_NONE;
    uint64_t number;
    int status = 0;
    if (!x->gen->dashboard->configures) {
        x->message = SPAN("The configuration does not say that it may be replaced from here (`configure`).");
        return ERR_API_READ_ONLY;
    }
    if (!match.ptr)
        return ERR_API_UNCONDITIONAL;
    if (!read_precondition(match, &number) || number != x->gen->number)
        return ERR_API_PRECONDITION;
    struct span token = credentials_of(fields_value(&x->req->fields, FIELD_AUTHORIZATION), SPAN("Bearer"));
    const char *command = arena_cstr(
        x->arena, arena_printf(x->arena, "configure %llu %.*s", (unsigned long long)number, SPAN_ARG(token)));
    enum err e = ask(c, command, c->content, &status, &text);
    return e ? e : conclude(c, status, text);
}
