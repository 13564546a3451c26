// SPDX-License-Identifier: Apache-2.0
// When to ask for what: at once where there is no certificate, otherwise at two thirds of its life.
#include "acme/acme.h"

#include <time.h>

#include "acme/client.h"
#include "acme/jose.h"
#include "acme/store.h"
#include "base/check.h"
#include "base/mem.h"

enum {
    RETRY_MAX_MS = 24 * 3600 * 1000,
    LOOK_MAX_MS = 3600 * 1000, // a wall clock may be set
    FIRST_MS = 200,            // the worker comes first
};

struct site_state {
    uint64_t next_ms; // of the loop's clock
    unsigned failures;
};

struct helper {
    struct client client;
    const struct acme_plan *plan;
    struct site_state *sites;
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

static void note_state(struct helper *h, const struct acme_site *s, struct arena *a, struct span text)
{
    struct span note = arena_printf(a, "state %.*s %.*s", SPAN_ARG(s->names[0]), SPAN_ARG(text));
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
    int64_t at = renewal(h, &h->plan->sites[i], &a), left = at - wall_s();
    uint64_t wait = at == 0 || left <= 0 ? FIRST_MS : (uint64_t)left * 1000;
    h->sites[i].next_ms = loop_now_ms() + wait;
    if (at) {
        char date[32];
        struct tm tm;
        time_t t = (time_t)at;
        if (gmtime_r(&t, &tm) && strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &tm))
            note_state(h, &h->plan->sites[i], &a, arena_printf(&a, "will be renewed on %s", date));
    } else {
        note_state(h, &h->plan->sites[i], &a, SPAN("a certificate is being asked for"));
    }
    arena_fini(&a);
}

static void failed(struct helper *h, unsigned i, struct arena *a)
{
    struct site_state *s = &h->sites[i];
    struct client *c = &h->client;
    uint64_t pause = h->plan->retry_ms;
    for (unsigned k = 0; k < s->failures && pause < RETRY_MAX_MS; k++)
        pause *= 3;
    pause = MAX(MIN(pause, (uint64_t)RETRY_MAX_MS), c->retry_after_ms);
    pause += random_below(pause / 4 + 1);
    s->failures++;
    s->next_ms = loop_now_ms() + pause;
    note_state(h, &h->plan->sites[i], a, arena_printf(a, "failed, next try in %llu s: %.*s", (unsigned long long)(pause / 1000), SPAN_ARG(span_first(c->why, 700))));
}

static void attempt(struct helper *h, unsigned i)
{
    struct arena a;
    struct client *c = &h->client;
    arena_init(&a, 0);
    c->a = &a;
    // Both ways of proving are tried in turn.
    bool ok = client_begin(c) && order_certificate(c, &h->plan->sites[i], h->sites[i].failures % 2 == 1);
    if (ok)
        h->sites[i].failures = 0;
    else
        failed(h, i, &a);
    client_end(c);
    c->a = NULL;
    arena_fini(&a);
    if (ok)
        schedule(h, i);
}

static unsigned earliest(const struct helper *h)
{
    unsigned best = 0;
    for (unsigned i = 1; i < h->plan->n_sites; i++)
        if (h->sites[i].next_ms < h->sites[best].next_ms)
            best = i;
    return best;
}

static void main_fiber(void *arg)
{
    struct helper *h = (struct helper *)arg;
    for (unsigned i = 0; i < h->plan->n_sites; i++)
        schedule(h, i);
    for (;;) {
        unsigned i = earliest(h);
        uint64_t now = loop_now_ms(), due = h->sites[i].next_ms;
        if (due <= now) {
            attempt(h, i);
            continue;
        }
        if (fiber_sleep(MIN(due - now, (uint64_t)LOOK_MAX_MS)))
            break;
        // Dates are the wall clock's.
        for (unsigned k = 0; k < h->plan->n_sites && due - now > LOOK_MAX_MS; k++)
            if (!h->sites[k].failures)
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
    h.sites = (struct site_state *)mem_calloc(p->n_sites + 1, sizeof *h.sites);
    if (!h.sites || loop_new(&l) || dns_new(dns, &h.client.https.dns) || io_open(&h.client.channel, channel))
        return 1;
    struct fiber *f;
    if (fiber_start(main_fiber, &h, &f))
        return 1;
    loop_run(l);
    return 1; // it has no end of its own
}
