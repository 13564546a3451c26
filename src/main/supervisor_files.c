// SPDX-License-Identifier: Apache-2.0
// Certificates, keys and lists that change while weir runs. What the configuration in force was built from is looked at every little
// while; once something else stands there, and has stood still for a moment (a certificate and its key are two files), it is built
// anew. The configuration's own text stays as it was read: an edit of that counts when somebody asks for it.
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

// One number for what stands at the paths now; *ret_read: for what stood there when they were read.
static uint64_t look(const struct conf_source *src, uint64_t *ret_read)
{
    uint64_t now = 0, then = 0;
    for (const struct conf_file *f = src->files; f; f = f->next) {
        struct conf_stamp s = {0};
        if (f->text)
            continue;
        conf_stamp_take(f->path, &s);
        now = add(now, f, &s);
        then = add(then, f, &f->stamp);
    }
    *ret_read = then;
    return now;
}

void supervisor_look_at_files(struct supervisor *s)
{
    uint64_t now_ms = supervisor_now_ms(), read;
    const struct conf_source *src = s->gen ? conf_files(generation_conf(s->gen)) : NULL;
    if (!src || s->ending || now_ms < s->files.look_at_ms)
        return;
    s->files.look_at_ms = now_ms + LOOK_MS;
    uint64_t now = look(src, &read);
    bool still = now == s->files.last;
    s->files.last = now;
    // What was tried and refused is not tried again until it changes.
    if (!still || now == read || now == s->files.tried || s->next.gen || s->channel < 0)
        return;
    s->files.tried = now;
    supervisor_reload_files(s);
}
