// SPDX-License-Identifier: Apache-2.0
#include "proxy/auth_answers.h"

#include <pthread.h>

#include "base/mem.h"
#include "io/loop.h"
#include "policy/auth_memory.h"
#include "policy/auth_request.h"

enum {
    SETS = 1024,
    WAYS = 4,
    TEXT_MAX_BYTES = 2048, // of a yes that is kept
};

struct answer {
    unsigned char proof[AUTH_PROOF_BYTES]; // of the question
    uint64_t until_ms;                     // 0: empty
    char *text;                            // NAME LF VALUE LF ...; a field's value has no line feed
    size_t len;
};

static struct answer answers[SETS][WAYS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// Names and values one after the other, with what no field can have between them.
static bool question(const struct auth_method *m, const struct fields *asked, struct arena *a,
                     unsigned char ret[AUTH_PROOF_BYTES])
{
    struct auth_memory *memory = auth_memory_shared();
    struct span text = SPAN("");
    for (uint32_t i = 0; i < asked->n && text.ptr; i++)
        if (!span_eq_ci(asked->v[i].name, SPAN("X-Request-Id")))
            text = arena_printf(a, "%.*s\n%.*s\n%.*s", SPAN_ARG(text), SPAN_ARG(asked->v[i].name),
                                SPAN_ARG(asked->v[i].value));
    if (!memory || !text.ptr)
        return false;
    auth_memory_proof(memory, m->where, m->request->target, text, ret);
    return true;
}

static struct answer *set_of(const unsigned char proof[AUTH_PROOF_BYTES])
{
    uint64_t v;
    memcpy(&v, proof, sizeof v);
    return answers[v % SETS];
}

static bool read_fields(struct span text, struct fields *ret)
{
    while (text.len) {
        struct span name = span_cut(&text, '\n'), value = span_cut(&text, '\n');
        if (fields_add_named(ret, name, value))
            return false;
    }
    return true;
}

bool auth_answers_find(const struct auth_method *m, const struct fields *asked, struct arena *a,
                       struct fields *ret)
{
    unsigned char proof[AUTH_PROOF_BYTES];
    struct span text = SPAN_NONE;
    bool found = false;
    if (!question(m, asked, a, proof))
        return false;
    pthread_mutex_lock(&lock);
    for (struct answer *s = set_of(proof), *w = s; w < s + WAYS && !found; w++)
        if (w->until_ms > loop_now_ms() && memcmp(w->proof, proof, AUTH_PROOF_BYTES) == 0)
            found = arena_dup(a, span_of(w->text, w->len), &text);
    pthread_mutex_unlock(&lock);
    return found && read_fields(text, ret);
}

static bool is_taken_over(const struct auth_request *r, struct span name)
{
    bool is = r->user.len && span_eq_ci(r->user, name);
    for (unsigned i = 0; i < r->n_fields; i++)
        is |= span_eq_ci(r->fields[i], name);
    return is;
}

static struct span text_of(const struct auth_request *r, const struct fields *answer, struct arena *a)
{
    struct span text = SPAN("");
    for (uint32_t i = 0; i < answer->n && text.ptr; i++)
        if (!answer->v[i].removed && is_taken_over(r, answer->v[i].name))
            text = arena_printf(a, "%.*s%.*s\n%.*s\n", SPAN_ARG(text), SPAN_ARG(answer->v[i].name),
                                SPAN_ARG(answer->v[i].value));
    return text;
}

void auth_answers_keep(const struct auth_method *m, const struct fields *asked, const struct fields *answer,
                       struct arena *a)
{
    unsigned char proof[AUTH_PROOF_BYTES];
    struct span text = text_of(m->request, answer, a);
    if (!text.ptr || text.len > TEXT_MAX_BYTES || !question(m, asked, a, proof))
        return;
    char *kept = (char *)mem_alloc(text.len + 1);
    if (!kept)
        return;
    memcpy(kept, text.ptr, text.len);
    pthread_mutex_lock(&lock);
    struct answer *set = set_of(proof), *to = set;
    for (struct answer *w = set; w < set + WAYS; w++) {
        if (w->until_ms && memcmp(w->proof, proof, AUTH_PROOF_BYTES) == 0) {
            to = w;
            break;
        }
        if (w->until_ms < to->until_ms)
            to = w;
    }
    char *old = to->text;
    memcpy(to->proof, proof, AUTH_PROOF_BYTES);
    to->until_ms = loop_now_ms() + m->request->cache_ms;
    to->text = kept;
    to->len = text.len;
    pthread_mutex_unlock(&lock);
    mem_free(old);
}
