// SPDX-License-Identifier: Apache-2.0
#include "proxy/laggards.h"

#include "admin/metrics.h"
#include "proxy/exchange.h"
#include "proxy/thread.h"

enum { LOOKS = 4 }; // over the time that is measured

static uint64_t interval_ms(const struct service *s)
{
    return MAX(s->gen->timeouts.slow / LOOKS, UINT64_C(50));
}

// Which way the client is being waited for.
static enum laggard_way way_of(const struct service_client *sc)
{
    const struct exchange *x = sc->exchange;
    const struct io *io = &sc->conn.t.io;
    if (!x || x->answer == ANSWER_TUNNEL || x->req->version == HTTP_2)
        return LAGGARD_NONE; // a tunnel may be silent, and HTTP/2 has windows of its own
    return io->writer ? LAGGARD_READS : io->reader && x->uploading && !x->client->request_complete ? LAGGARD_SENDS : LAGGARD_NONE;
}

static void look(struct service *s, struct service_client *sc)
{
    enum laggard_way way = way_of(sc);
    uint64_t acked, received;
    if (way == LAGGARD_NONE || !io_progress(&sc->conn.t.io, &acked, &received)) {
        sc->laggard_way = LAGGARD_NONE;
        return;
    }
    uint64_t moved = way == LAGGARD_READS ? acked : received;
    if (sc->laggard_way == (uint8_t)way && ++sc->laggard_looks <= LOOKS) {
        if (sc->laggard_looks < LOOKS || moved - sc->laggard_from >= s->gen->limits.slowest * s->gen->timeouts.slow / 1000)
            return;
        metrics_limit(LIMIT_SLOWEST);
        if (way == LAGGARD_SENDS)
            sc->exchange->upload_err = ERR_CLIENT_UPLOAD_STALLED;
        fiber_cancel(sc->exchange->fiber, way == LAGGARD_READS ? ERR_CLIENT_STALLED : ERR_CLIENT_UPLOAD_STALLED);
        sc->laggard_way = LAGGARD_NONE;
        return;
    }
    sc->laggard_way = (uint8_t)way;
    sc->laggard_looks = 0;
    sc->laggard_from = moved;
}

static void on_tick(struct timer *t)
{
    struct service *s = container_of(t, struct service, laggards.tick);
    LIST_FOREACH (it, &s->clients) {
        struct service_client *sc = container_of(it, struct service_client, conn.node);
        if (sc->conn.busy)
            look(s, sc);
    }
    if (s->n_exchanges)
        timer_set(t, loop_now_ms() + interval_ms(s));
}

void laggards_init(struct laggards *p)
{
    timer_init(&p->tick, on_tick);
}

void laggards_watch(struct service *s)
{
    if (unlikely(!timer_is_set(&s->laggards.tick)) && s->gen->limits.slowest)
        timer_set(&s->laggards.tick, loop_now_ms() + interval_ms(s));
}

void laggards_fini(struct laggards *p)
{
    timer_cancel(&p->tick);
}
