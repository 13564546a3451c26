// SPDX-License-Identifier: Apache-2.0
#include "main/config.h"

#include <sched.h>

#include "base/mem.h"
#include "base/num.h"

// What a configuration is loaded from; it goes with the configuration.
static struct conf_source *source_new(bool disk)
{
    struct conf_source *s = (struct conf_source *)mem_alloc(sizeof(*s));
    if (s)
        conf_source_init(s, disk);
    return s;
}

static void source_free(struct conf_source *s)
{
    if (s)
        conf_source_fini(s);
    mem_free(s);
}

// Takes the source over.
static struct conf *load(struct conf_source *src, const char *path, struct conf_diags *diags)
{
    struct conf *c = src ? conf_load(src, path, diags) : NULL;
    if (c)
        conf_own_files(c);
    else
        source_free(src);
    if (!c && conf_diags_errors(diags) == 0)
        conf_error(diags, NULL, NULL, "out of memory");
    return c;
}

static struct conf *load_origin(const struct config_origin *o, struct conf_diags *diags)
{
    struct conf_source *src = source_new(true);
    if (src && o->text.ptr && !conf_source_put(src, o->path, o->text)) {
        source_free(src);
        src = NULL;
    }
    return load(src, o->path, diags);
}

struct generation *config_unpack(struct span packed, const char *path, uint64_t number, struct conf_diags *diags)
{
    struct conf_source *src = source_new(false);
    if (src && !conf_source_unpack(src, packed)) {
        source_free(src);
        src = NULL;
    }
    struct conf *c = load(src, path, diags);
    struct generation *g = c ? generation_new(c, diags, number) : NULL;
    conf_unref(c);
    if (g && !generation_run_tests(g, diags)) {
        generation_unref(g);
        g = NULL;
    }
    return g;
}

// ---- What the supervisor needs to know

static const char *resolve(struct config *c, struct span path)
{
    bool as_it_is = (path.len && path.ptr[0] == '/') || span_eq(span_str(conf_folder(c->conf)), SPAN("."));
    if (as_it_is)
        return arena_cstr(&c->arena, path);
    return arena_printf(&c->arena, "%s/%.*s", conf_folder(c->conf), SPAN_ARG(path)).ptr;
}

static const char *log_place(struct config *c, struct span dest)
{
    if (span_eq(dest, SPAN("stdout")))
        return "stdout";
    return span_eq(dest, SPAN("stderr")) ? "stderr" : resolve(c, dest);
}

static void read_threads(struct config *c, struct conf_diags *diags)
{
    const struct conf_stmt *root = conf_root(c->conf), *s = conf_child(root, CONF_THREADS);
    struct span word = conf_word(root, CONF_THREADS);
    cpu_set_t set;
    uint64_t n;
    if (s && num_parse_dec(word, CONFIG_THREADS_MAX, &n) && n > 0) {
        c->threads = (unsigned)n;
        return;
    }
    if (s && !span_eq(word, SPAN("auto")))
        conf_error(diags, c->conf, &s->args[0].pos, "`%.*s` is no number of threads: auto, or 1 to %d", SPAN_ARG(word),
                   CONFIG_THREADS_MAX);
    int cpus = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    c->threads = (unsigned)MIN(cpus, (int)CONFIG_THREADS_MAX);
}

static void read_error_log(struct config *c, struct conf_diags *diags)
{
    c->error_log = "stderr";
    c->error_level = LOG_INFO;
    static const char *const words[] = {"debug", "info", "warn", "error"};
    for (const struct conf_stmt *s = conf_child(conf_root(c->conf), CONF_LOG); s; s = conf_next(s)) {
        if (!span_eq(s->args[0].text, SPAN("error")))
            continue;
        unsigned i = 0;
        while (i < ARRAY_LEN(words) && !span_eq(s->args[1].text, span_str(words[i])))
            i++;
        if (i == ARRAY_LEN(words))
            conf_error(diags, c->conf, &s->args[1].pos, "`%.*s` is no level: debug, info, warn or error",
                       SPAN_ARG(s->args[1].text));
        else
            c->error_level = (enum log_level)i;
        if (s->n_args > 2)
            c->error_log = log_place(c, s->args[2].text);
    }
}

static void read_control(struct config *c, struct conf_diags *diags)
{
    const struct conf_stmt *s = conf_child(conf_root(c->conf), CONF_ADMIN);
    struct span text = s ? s->args[0].text : SPAN_NONE;
    if (s && !span_starts(text, SPAN("unix:")))
        conf_error(diags, c->conf, &s->args[0].pos, "`%.*s` is no control socket: unix:PATH", SPAN_ARG(text));
    else if (s)
        c->control = resolve(c, span_skip(text, 5));
    if (c->control && strlen(c->control) > ADDR_PATH_MAX)
        conf_error(diags, c->conf, &s->args[0].pos, "the path is longer than %d octets, which a unix socket's may not be",
                   ADDR_PATH_MAX);
}

static void read_folders(struct config *c)
{
    const struct conf_stmt *root = conf_root(c->conf);
    unsigned n = 0;
    for (unsigned pass = 0; pass < 2; pass++) {
        for (const struct conf_stmt *site = conf_child(root, CONF_SITE); site; site = conf_next(site)) {
            for (const struct conf_stmt *r = conf_child(site, CONF_ROUTE); r; r = conf_next(r)) {
                const struct conf_stmt *t = r->target;
                if (!t || t->n_args < 2 || !span_eq(t->args[0].text, SPAN("files")))
                    continue;
                if (pass == 0)
                    n++;
                else if (c->folders)
                    c->folders[c->n_folders++] = resolve(c, t->args[1].text);
            }
        }
        if (pass == 0)
            c->folders = (const char **)arena_zalloc(&c->arena, (n + 1) * sizeof(*c->folders));
    }
}

static bool copy_listeners(struct config *c, const struct generation *g)
{
    const struct listener_spec *specs = generation_listeners(g, &c->n_listeners);
    c->listeners = (struct listener_spec *)arena_zalloc(&c->arena, (c->n_listeners + 1) * sizeof(*specs));
    for (unsigned i = 0; c->listeners && i < c->n_listeners; i++) {
        c->listeners[i] = specs[i];
        struct addr *a = &c->listeners[i].addr;
        if (a->family == AF_UNIX && !(a->path = arena_cstr(&c->arena, span_str(a->path))))
            return false;
    }
    return c->listeners != NULL;
}

static void read_all(struct config *c, const struct generation *g, struct conf_diags *diags)
{
    read_threads(c, diags);
    read_error_log(c, diags);
    read_control(c, diags);
    read_folders(c);
    struct span access = generation_access_log(g);
    c->access_log = access.ptr ? log_place(c, access) : NULL;
    c->connections = conf_number(conf_child(conf_root(c->conf), CONF_LIMITS), CONF_L_CONNECTIONS);
    if (!copy_listeners(c, g) || !conf_source_pack(conf_files(c->conf), &c->arena, &c->packed))
        conf_error(diags, NULL, NULL, "out of memory");
}

struct config *config_read(const struct config_origin *o, uint64_t number, struct conf_diags *diags)
{
    struct config *c = (struct config *)mem_calloc(1, sizeof(*c));
    if (!c) {
        conf_error(diags, NULL, NULL, "out of memory");
        return NULL;
    }
    arena_init(&c->arena, ARENA_NO_LIMIT);
    c->number = number;
    c->conf = load_origin(o, diags);
    struct generation *g = c->conf ? generation_new(c->conf, diags, number) : NULL;
    if (g && generation_run_tests(g, diags))
        read_all(c, g, diags);
    generation_unref(g);
    if (conf_diags_errors(diags) == 0)
        return c;
    config_free(c);
    return NULL;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    conf_unref(c->conf);
    arena_fini(&c->arena);
    mem_free(c);
}

// ---- The control socket

// Without the language: a file with mistakes must not keep anybody from stopping what runs.
static struct span admin_word(struct span text)
{
    while (text.len) {
        struct span line = span_trim(span_cut(&text, '\n'));
        if (!span_starts(line, SPAN("admin ")) && !span_starts(line, SPAN("admin\t")))
            continue;
        line = span_trim(span_skip(line, 6));
        if (line.len && line.ptr[0] == '"')
            line = span_skip(line, 1);
        size_t n = 0;
        while (n < line.len && !memchr(" \t\r;\"#", line.ptr[n], 6))
            n++;
        return span_first(line, n);
    }
    return SPAN_NONE;
}

const char *config_control_socket(const char *path, struct arena *a)
{
    struct conf_source src;
    struct span text, folder = span_str(path);
    const char *why;
    conf_source_init(&src, true);
    struct conf_diags *d = conf_diags_new();
    struct conf *c = d ? conf_load(&src, path, d) : NULL;
    struct span word = SPAN_NONE;
    if (c && conf_child(conf_root(c), CONF_ADMIN))
        word = conf_child(conf_root(c), CONF_ADMIN)->args[0].text;
    else if (!c && conf_source_read(&src, path, &text, &why))
        word = admin_word(text);
    const char *ret = NULL;
    if (span_starts(word, SPAN("unix:"))) {
        word = span_skip(word, 5);
        size_t slash = span_rfind(folder, '/');
        folder = word.len && word.ptr[0] == '/' ? SPAN("") : span_first(folder, slash == folder.len ? 0 : slash + 1);
        ret = arena_printf(a, "%.*s%.*s", SPAN_ARG(folder), SPAN_ARG(word)).ptr;
    }
    conf_unref(c);
    conf_diags_free(d);
    conf_source_fini(&src);
    return ret;
}
