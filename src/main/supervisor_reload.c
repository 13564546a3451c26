// SPDX-License-Identifier: Apache-2.0
// Configurations: reading them, offering them to the worker, taking them over once it has them.
#include "main/supervisor_internal.h"

#include "main/control.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "admin/metrics.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/secret.h"
#include "main/diff.h"
#include "main/sandbox.h"

// The files go with the configuration: the worker is sent them, and what is built from it later may ask for them.
static struct conf *load_file(const char *file, const struct conf_source *text, struct span bundle, bool makes_folders, struct conf_diags *d)
{
    static const char *const apart[] = {"/etc/hosts", "/etc/resolv.conf", NULL};
    struct span ignored;
    const char *why;
    struct conf_source *src = (struct conf_source *)mem_alloc(sizeof *src);
    if (!src)
        return NULL;
    conf_source_init(src, true);
    src->makes_folders = makes_folders;
    src->folder_owner = geteuid() ? geteuid() : SANDBOX_USER;
    if (bundle.ptr && !conf_source_unpack(src, bundle)) // what was in force before us is not read anew
        conf_error(d, NULL, NULL, "the configuration that was handed over cannot be read");
    // The worker cannot read these itself.
    for (const char *const *p = apart; *p; p++)
        (void)conf_source_read(src, *p, &ignored, &why);
    struct conf *c = !text || conf_source_take_text(src, text) ? conf_load(src, file, d) : NULL;
    if (c) {
        conf_source_mark_text(src, apart);
        conf_own_files(c);
        return c;
    }
    conf_source_fini(src);
    mem_free(src);
    return NULL;
}

struct generation *supervisor_load(struct supervisor *s, const struct conf_source *text, bool in_earnest, struct conf_diags *d)
{
    struct conf *c = s->file ? load_file(s->file, text, s->handover.bundle, in_earnest, d) : conf_load_text(s->text, "quick", d);
    // Numbers for as many threads as there will be, for life; whoever comes without a file has made room already.
    bool first = c && s->file && !s->gen;
    if (first && metrics_init(MAX(supervisor_count_threads(c), s->handover.n_threads))) {
        conf_error(d, NULL, NULL, "out of memory");
        conf_unref(c);
        return NULL;
    }
    struct generation *g = c ? generation_new(c, d, s->number + 1) : NULL;
    conf_unref(c);
    if (g && !generation_run_tests(g, d)) {
        generation_unref(g);
        g = NULL;
    }
    return g;
}

unsigned supervisor_count_threads(const struct conf *c)
{
    const struct conf_stmt *t = conf_child(conf_root(c), CONF_THREADS);
    uint64_t n;
    cpu_set_t set;
    if (t && num_parse_dec(t->args[0].text, WORKER_THREADS_MAX, &n) && n)
        return (unsigned)n;
    return sched_getaffinity(0, sizeof set, &set) ? 1 : (unsigned)MIN(CPU_COUNT(&set), (int)WORKER_THREADS_MAX);
}

// ---- Reload

static int bundle_fd(const struct conf_source *src)
{
    struct arena a;
    struct span packed = SPAN_NONE;
    arena_init(&a, 0);
    int fd = memfd_create("weir-configuration", MFD_CLOEXEC);
    if (fd >= 0 && (!conf_source_pack(src, &a, &packed) || write(fd, packed.ptr, packed.len) != (ssize_t)packed.len)) {
        close(fd);
        fd = -1;
    }
    secret_wipe((void *)(uintptr_t)packed.ptr, packed.len);
    arena_fini(&a);
    return fd;
}

static bool send_proposal(struct supervisor *s)
{
    const struct conf_source *src = conf_files(generation_conf(s->next.gen));
    for (unsigned i = s->next.first_listener; i < s->n_listeners; i++) {
        struct channel_msg m = {.type = CHANNEL_LISTENER, .listener = s->listeners[i]};
        if (!supervisor_tell(s, &m, s->listeners[i].fd))
            return false;
    }
    for (const struct conf_folder *f = src->folders; f; f = f->next) {
        struct channel_msg m = {.type = CHANNEL_FOLDER};
        if (!supervisor_tell(s, &m, f->fd))
            return false;
    }
    struct channel_msg log = {.type = CHANNEL_LOG, .number = s->number + 1};
    if (s->next.log_fd >= 0 && !supervisor_tell(s, &log, s->next.log_fd))
        return false;
    struct channel_msg m = {.type = CHANNEL_RELOAD, .number = s->number + 1};
    snprintf(m.text, sizeof m.text, "%s", s->file);
    int fd = bundle_fd(src);
    bool ok = fd >= 0 && supervisor_tell(s, &m, fd);
    if (fd >= 0)
        close(fd);
    return ok;
}

// Who wants a reload, and of what.
struct order {
    int asker;
    bool json;
    const struct conf_source *text; // NULL: as it stands on the disk
    char *offered;
};

static void drop_offered(char *path)
{
    if (path)
        (void)unlink(path);
    mem_free(path);
}

// The reasons go to the log, and to who asked. d: where they come from, or NULL.
static void refuse_reload(int asker, bool json, int status, struct span why, struct conf_diags *d)
{
    fprintf(stderr, "weir: the configuration in force stays:\n%.*s", SPAN_ARG(why));
    if (asker >= 0)
        control_answer(asker, status, json && d ? conf_diags_json(d) : why);
}

// Takes back what was opened for a configuration that does not come into force.
void supervisor_reject(struct supervisor *s, struct span why)
{
    struct proposal *p = &s->next;
    drop_offered(p->offered); // before who asked hears of it
    p->offered = NULL;
    refuse_reload(p->asker, p->json, 1, why, NULL);
    supervisor_close_listeners(s, p->first_listener);
    if (p->log_fd >= 0)
        close(p->log_fd);
    generation_unref(p->gen);
    p->gen = NULL;
}

static bool same_log(const struct generation *a, const struct generation *b)
{
    struct span x = generation_access_log(a), y = generation_access_log(b);
    return !x.ptr == !y.ptr && span_eq(x, y);
}

// The number of threads is the worker's for life.
static struct span note_threads(const struct supervisor *s, const struct generation *g, struct arena *a)
{
    if (supervisor_count_threads(generation_conf(g)) == s->n_threads)
        return SPAN("");
    return arena_printf(a, "the number of threads stays %u until weir is started anew\n", s->n_threads);
}

// Opens what the new configuration needs. False with the reason; nothing is open then.
static bool prepare(struct supervisor *s, struct proposal *p, struct span *ret_why)
{
    char error[LISTEN_ERROR_MAX];
    struct arena *a = &conf_files(generation_conf(p->gen))->arena;
    p->first_listener = s->n_listeners;
    p->log_fd = -1;
    if (generation_access_log(p->gen).ptr && !same_log(s->gen, p->gen)) {
        p->log_fd = supervisor_open_log(s, p->gen);
        if (p->log_fd < 0) {
            *ret_why = SPAN("the access log cannot be opened\n");
            return false;
        }
    }
    if (!supervisor_open_missing(s, p->gen, error)) {
        *ret_why = arena_printf(a, "%s\n", error);
        if (p->log_fd >= 0)
            close(p->log_fd);
        return false;
    }
    p->change = arena_join(a, conf_diff(generation_conf(s->gen), generation_conf(p->gen), a), note_threads(s, p->gen, a));
    return true;
}

// A worker that cannot be told anything has died, perhaps before we were told so ourselves: who asked by a signal need not ask again.
static void lose_worker(struct supervisor *s)
{
    s->reload_again = s->next.asker < 0 && !s->next.again;
    s->reload_wanted |= s->reload_again;
    supervisor_reject(s, SPAN("the worker does not take the new configuration\n"));
    if (s->channel >= 0)
        close(s->channel);
    s->channel = -1;
    if (s->worker)
        kill(s->worker, SIGKILL);
}

// Reads the configuration; sends it to the worker where it is sound. The outcome is told by reload_done or reject.
static void propose(struct supervisor *s, const struct order *o)
{
    struct proposal p = {.asker = o->asker, .json = o->json, .offered = o->offered, .again = s->reload_again};
    struct span why;
    s->reload_again = false;
    struct conf_diags *d = conf_diags_new();
    p.gen = d ? supervisor_load(s, o->text, true, d) : NULL;
    if (p.gen && prepare(s, &p, &why)) {
        s->next = p;
        if (!send_proposal(s))
            lose_worker(s);
    } else {
        bool sound = p.gen != NULL; // but what it needs cannot be had
        drop_offered(p.offered);
        refuse_reload(o->asker, o->json, sound && o->json ? 1 : 2, sound ? why : d ? conf_diags_text(d) : SPAN("out of memory\n"), sound ? NULL : d);
        generation_unref(p.gen);
    }
    conf_diags_free(d);
}

static bool is_busy(const struct supervisor *s)
{
    return s->channel < 0 || s->next.gen;
}

static struct span excuse(const struct supervisor *s)
{
    return s->file ? SPAN("another reload is under way, or the worker is being restarted\n") : SPAN("there is no configuration file\n");
}

void supervisor_reload(struct supervisor *s, int asker)
{
    if (s->file && !is_busy(s)) {
        propose(s, &(struct order){.asker = asker});
        return;
    }
    s->reload_wanted |= s->file && asker < 0; // a signal has nobody who could ask again
    if (asker >= 0)
        control_answer(asker, 1, excuse(s));
}

void supervisor_reload_for_api(struct supervisor *s, int asker, const struct span *offered, char *path, uint64_t number)
{
    struct conf_source text;
    if (!s->file || is_busy(s) || number != s->number) {
        drop_offered(path);
        control_answer(asker, s->file && !is_busy(s) ? 3 : 1, excuse(s));
        return;
    }
    conf_source_init(&text, false);
    if (!offered || conf_source_put(&text, s->file, *offered)) {
        for (struct conf_file *f = text.files; f; f = f->next)
            f->text = true;
        propose(s, &(struct order){.asker = asker, .json = true, .text = offered ? &text : NULL, .offered = path});
    } else {
        drop_offered(path);
        control_answer(asker, 1, SPAN("out of memory\n"));
    }
    conf_source_fini(&text);
}

void supervisor_try_reload(struct supervisor *s, int asker)
{
    struct arena a;
    arena_init(&a, 0);
    struct conf_diags *d = s->file ? conf_diags_new() : NULL;
    struct generation *g = d ? supervisor_load(s, NULL, false, d) : NULL;
    if (g)
        control_answer(asker, 0, arena_join(&a, conf_diff(generation_conf(s->gen), generation_conf(g), &a), note_threads(s, g, &a)));
    else
        control_answer(asker, s->file ? 2 : 1, d ? conf_diags_text(d) : SPAN("there is no configuration file\n"));
    generation_unref(g);
    conf_diags_free(d);
    arena_fini(&a);
}

void supervisor_reload_files(struct supervisor *s)
{
    fprintf(stderr, "weir: a file that the configuration names has changed\n");
    propose(s, &(struct order){.asker = -1, .text = conf_files(generation_conf(s->gen))});
}

// The file becomes what is in force. Where that fails, both are told apart by the next reload.
static void keep_offered(struct supervisor *s, struct proposal *p)
{
    if (p->offered && rename(p->offered, s->file)) {
        fprintf(stderr, "weir: %s cannot be written: %s; what is in force stands in no file\n", s->file, strerror(errno));
        (void)unlink(p->offered);
    }
    mem_free(p->offered);
    p->offered = NULL;
}

static void tell_done(const struct supervisor *s, const struct proposal *p)
{
    struct arena *a = &conf_files(generation_conf(s->gen))->arena;
    if (p->asker >= 0)
        control_answer(p->asker, 0, p->json ? arena_printf(a, "%llu\n%.*s", (unsigned long long)s->number, SPAN_ARG(p->change)) : p->change);
}

static void adopt(struct supervisor *s)
{
    struct proposal *p = &s->next;
    generation_unref(s->gen);
    s->gen = p->gen;
    s->number++;
    p->gen = NULL;
    supervisor_close_unwanted(s);
    if (p->log_fd >= 0)
        supervisor_keep_log(s, p->log_fd);
    supervisor_set_error_log(s);
}

void supervisor_reload_done(struct supervisor *s, struct channel_msg *m)
{
    if (!s->next.gen)
        return;
    if (m->ok) {
        adopt(s); // before who asked hears of it
        keep_offered(s, &s->next);
        fprintf(stderr, "weir: generation %llu is in force\n%.*s", (unsigned long long)m->number, SPAN_ARG(s->next.change));
        tell_done(s, &s->next);
    } else {
        m->text[sizeof m->text - 1] = '\0'; // the worker is not trusted with our memory
        struct span why = span_str(m->text);
        supervisor_reject(s, why.len ? why : SPAN("the worker could not put it into force\n"));
    }
}
