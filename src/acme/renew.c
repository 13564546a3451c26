// SPDX-License-Identifier: Apache-2.0
// When to ask for what: at once where there is no certificate, otherwise at two thirds of its life.
#include "acme/acme.h"

#include <time.h>

#include "acme/client.h"
#include "acme/jose.h"
#include "acme/staple.h"
#include "acme/store.h"
#include "base/check.h"
#include "base/mem.h"

enum {
    RETRY_MAX_MS = 24 * 3600 * 1000,
    LOOK_MAX_MS = 3600 * 1000, // a wall clock may be set
    FIRST_MS = 200,            // the worker comes first
};

// Of a site's certificate, or of what is shown with one.
struct job_state {
    uint64_t next_ms; // of the loop's clock
    unsigned failures;
};

struct helper {
    struct client client;
    const struct acme_plan *plan;
    struct job_state *jobs; // the sites', then the staples'
    unsigned n_jobs;
    bool failed;
};

static uint64_t random_below(uint64_t n)
{
    uint64_t r;
    loop_random(&r, sizeof r);
    return n ? r % n : 0;
}

static int64_t wall_s(void)
{
    return (int64_t)(loop_wall_ms() / 1000);
}

static bool is_site(const struct helper *h, unsigned i)
{
    return i < h->plan->n_sites;
}

static const struct acme_staple *staple_at(const struct helper *h, unsigned i)
{
    return &h->plan->staples[i - h->plan->n_sites];
}

static void note_state(struct helper *h, unsigned i, struct arena *a, struct span text)
{
    struct span name = is_site(h, i) ? h->plan->sites[i].names[0] : staple_at(h, i)->name;
    struct span note = arena_printf(a, "state %.*s%s %.*s", SPAN_ARG(name), is_site(h, i) ? "" : "/OCSP", SPAN_ARG(text));
    if (note.ptr)
        client_note(&h->client, note);
}

// When the site's certificate is to be renewed, in seconds since 1970; 0: now.
static int64_t renewal(struct helper *h, const struct acme_site *s, struct arena *a)
{
    struct span pem;
    struct jose_dates d;
    if (!store_read(h->client.folder, a, s->file, &pem) || !jose_certificate(pem, s->names, s->n_names, &d) || d.to_s <= d.from_s)
        return 0;
    int64_t life = d.to_s - d.from_s;
    return d.from_s + life / 3 * 2 - (int64_t)random_below((uint64_t)life / 20 + 1); // not all of the world's at once
}

static void schedule(struct helper *h, unsigned i)
{
    struct arena a;
    arena_init(&a, 0);
    int64_t at = is_site(h, i) ? renewal(h, &h->plan->sites[i], &a) : staple_renewal(h->client.folder, &a, staple_at(h, i), wall_s()), left = at - wall_s();
    uint64_t wait = at == 0 || left <= 0 ? FIRST_MS : (uint64_t)left * 1000;
    h->jobs[i].next_ms = loop_now_ms() + wait;
    if (at) {
        char date[32];
        struct tm tm;
        time_t t = (time_t)at;
        if (gmtime_r(&t, &tm) && strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &tm))
            note_state(h, i, &a, arena_printf(&a, "will be renewed on %s", date));
    } else {
        note_state(h, i, &a, is_site(h, i) ? SPAN("a certificate is being asked for") : SPAN("the responder is being asked"));
    }
    arena_fini(&a);
}

static void failed(struct helper *h, unsigned i, struct arena *a, struct span why)
{
    struct job_state *s = &h->jobs[i];
    struct client *c = &h->client;
    uint64_t pause = h->plan->retry_ms;
    for (unsigned k = 0; k < s->failures && pause < RETRY_MAX_MS; k++)
        pause *= 3;
    pause = MAX(MIN(pause, (uint64_t)RETRY_MAX_MS), c->retry_after_ms);
    pause += random_below(pause / 4 + 1);
    s->failures++;
    s->next_ms = loop_now_ms() + pause;
    note_state(h, i, a, arena_printf(a, "failed, next try in %llu s: %.*s", (unsigned long long)(pause / 1000), SPAN_ARG(span_first(why, 700))));
}

static void attempt_staple(struct helper *h, unsigned i)
{
    struct arena a;
    arena_init(&a, 0);
    const char *why = staple_fetch(&(struct https){.dns = h->client.https.dns}, h->client.folder, &a, staple_at(h, i));
    h->client.retry_after_ms = 0;
    if (why)
        failed(h, i, &a, span_str(why));
    else
        h->jobs[i].failures = 0;
    arena_fini(&a);
    if (!why)
        schedule(h, i);
}

static void attempt(struct helper *h, unsigned i)
{
    struct arena a;
    struct client *c = &h->client;
    arena_init(&a, 0);
    c->a = &a;
    // Both ways of proving are tried in turn.
    bool ok = client_begin(c) && order_certificate(c, &h->plan->sites[i], h->jobs[i].failures % 2 == 1);
    if (ok)
        h->jobs[i].failures = 0;
    else
        failed(h, i, &a, c->why);
    client_end(c);
    c->a = NULL;
    arena_fini(&a);
    if (ok)
        schedule(h, i);
}

static unsigned earliest(const struct helper *h)
{
    unsigned best = 0;
    for (unsigned i = 1; i < h->n_jobs; i++)
        if (h->jobs[i].next_ms < h->jobs[best].next_ms)
            best = i;
    return best;
}

static void main_fiber(void *arg)
{
    struct helper *h = (struct helper *)arg;
    for (unsigned i = 0; i < h->n_jobs; i++)
        schedule(h, i);
    for (;;) {
        unsigned i = earliest(h);
        uint64_t now = loop_now_ms(), due = h->jobs[i].next_ms;
        if (due <= now) {
            if (is_site(h, i))
                attempt(h, i);
            else
                attempt_staple(h, i);
            continue;
        }
        if (fiber_sleep(MIN(due - now, (uint64_t)LOOK_MAX_MS)))
            break;
        // Dates are the wall clock's.
        for (unsigned k = 0; k < h->n_jobs && due - now > LOOK_MAX_MS; k++)
            if (!h->jobs[k].failures)
                schedule(h, k);
    }
    h->failed = true;
    loop_stop(loop_self());
}

bool acme_is_url(struct span s)
{
    return client_is_url(s);
}

int acme_run(const struct acme_plan *p, const struct dns_config *dns, int folder, int channel)
{
    struct loop *l;
    struct helper h = {.plan = p, .client = {.plan = p, .folder = folder, .https = {.tls = p->tls}}};
    h.n_jobs = p->n_sites + p->n_staples;
    h.jobs = (struct job_state *)mem_calloc(h.n_jobs + 1, sizeof *h.jobs);
    if (!h.jobs || loop_new(&l) || dns_new(dns, &h.client.https.dns) || io_open(&h.client.channel, channel))
        return 1;
    struct fiber *f;
    if (fiber_start(main_fiber, &h, &f))
        return 1;
    loop_run(l);
    return 1; // it has no end of its own
}
