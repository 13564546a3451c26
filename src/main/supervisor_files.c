// SPDX-License-Identifier: Apache-2.0
// Certificates, keys and lists that change while weir runs. What the configuration in force was built from is looked at every little
// while; once something else stands there, and has stood still for a moment (a certificate and its key are two files), it is built
// anew. The configuration's own text stays as it was read: an edit of that counts when somebody asks for it, or where `watch` does.
#include <stdio.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/mem.h"
#include "main/supervisor_internal.h"

enum { LOOK_MS = 1000 };

static uint64_t add(uint64_t h, const struct conf_file *f, const struct conf_stamp *s)
{
    h = hash_fast_seed(span_str(f->path), h);
    return hash_fast_seed(span_of((const char *)s, sizeof *s), h);
}

// One number for what stands at the paths now, of the configuration's own text or of the other files; *ret_read: for what stood there
// when they were read.
static uint64_t look(const struct conf_source *src, bool text, uint64_t *ret_read)
{
    uint64_t now = 0, then = 0;
    for (const struct conf_file *f = src->files; f; f = f->next) {
        struct conf_stamp s = {0};
        if (f->text != text)
            continue;
        conf_stamp_take(f->path, &s);
        now = add(now, f, &s);
        then = add(then, f, &f->stamp);
    }
    *ret_read = then;
    return now;
}

// Whether something else stands there than was read, and has stood still. What was tried and refused is not tried again until it changes.
static bool has_changed(struct watched_files *w, const struct conf_source *src, bool text, bool may_try)
{
    uint64_t read, now = look(src, text, &read);
    bool still = now == w->last;
    w->last = now;
    if (!still || now == read || now == w->tried || !may_try)
        return false;
    w->tried = now;
    return true;
}

void supervisor_look_at_files(struct supervisor *s)
{
    uint64_t now_ms = supervisor_now_ms();
    const struct conf *c = s->gen ? generation_conf(s->gen) : NULL;
    const struct conf_source *src = c ? conf_files(c) : NULL;
    if (!src || s->ending || now_ms < s->look_at_ms)
        return;
    s->look_at_ms = now_ms + LOOK_MS;
    bool may_try = !s->next.gen && s->channel >= 0;
    if (has_changed(&s->files, src, false, may_try)) {
        supervisor_reload_files(s);
    } else if (conf_child(conf_root(c), CONF_WATCH) && has_changed(&s->text_files, src, true, may_try)) {
        fprintf(stderr, "weir: the configuration has changed\n");
        supervisor_reload(s, -1);
    }
}
