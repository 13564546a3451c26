// SPDX-License-Identifier: Apache-2.0
// One worker thread's listeners and connections.
#include "proxy/service.h"


#include "admin/log.h"
#include "admin/metrics.h"
#include "balance/keeper.h"
#include "balance/preopen.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "filter/codec.h"
#include "http/date.h"
#include "proxy/cache_fetch.h"
#include "proxy/exchange.h"
#include "proxy/events.h"
#include "proxy/inspect.h"
#include "proxy/mirror.h"
#include "proxy/peers.h"
#include "proxy/scan.h"
#include "proxy/thread.h"
#include "proxy/upkeep.h"
#include "proxy/throttles.h"
#include "session/h2.h"

enum { ACCEPT_RETRY_MS = 50, ACCEPT_BATCH = 64, ADMIN_CLIENTS_MAX = 512 }; // these count apart: who looks must get in when all is full

struct span service_date(struct service *s)
{
    int64_t now = (int64_t)(loop_wall_ms() / 1000);
    if (now != s->date_s) {
        s->date_s = now;
        http_date_format(now, s->date);
    }
    return span_of(s->date, HTTP_DATE_BYTES);
}

// ---- Clients

void service_check_drained(struct service *s)
{
    if (!s->draining || s->n_clients || !s->drained)
        return;
    if (!list_empty(&s->fetches)) {
        cache_fetch_cancel_all(s); // nobody waits for them any more
        return;
    }
    void (*done)(void *) = s->drained;
    s->drained = NULL;
    if (s->keeper)
        keeper_stop(s->keeper);
    mirrors_stop(s);
    endpoints_drop_idle(&s->endpoints);
    done(s->drained_arg);
}

_Static_assert(sizeof(struct service_client) <= 256, "idle connections are many: 300 bytes beside the socket are what one may cost");

static void on_closed(struct client_conn *c)
{
    struct service *s = (struct service *)c->owner;
    struct service_client *sc = container_of(c, struct service_client, conn);
    if (c->late)
        metrics_limit(c->late == CLIENT_LATE_IDLE ? LIMIT_IDLE : LIMIT_HANDSHAKE);
    list_remove(&c->node);
    s->n_clients--;
    s->n_admin -= sc->admin;
    if (sc->inside) {
        inspection_unref(sc->inside); // the tunnel is what counts
    } else {
        metric_add(((const struct listener *)c->listener)->metrics, METRIC_CONNECTIONS_OPEN, -1);
        peers_leave(s->peers, &c->peer);
    }
    if (sc->places)
        throttles_release_connection(sc);
    generation_unref(sc->gen);
    slab_free(&s->client_slab, sc);
    service_check_drained(s);
}

// A request is served by the newest generation; one that no longer listens at the connection's address serves it to its end.
static void serve(struct client_conn *c, struct client_stream *st, struct request *req, struct arena *a)
{
    service_renew_client((struct service *)c->owner, c);
    // Another stream of the connection may take it over to a newer one meanwhile.
    struct generation *own = st->shared ? generation_ref(container_of(c, struct service_client, conn)->gen) : NULL;
    exchange_serve(c, st, req, a);
    if (own)
        generation_unref(own);
}

static void refuse(struct client_conn *c, struct client_stream *st, struct request *req, struct arena *a, enum err e)
{
    struct generation *own = st->shared ? generation_ref(container_of(c, struct service_client, conn)->gen) : NULL;
    exchange_refuse(c, st, req, a, e);
    if (own)
        generation_unref(own);
}

static const struct client_hooks hooks = {.serve = serve, .refuse = refuse, .closed = on_closed};

// Who cannot be let in is told so, at the price of a few system calls, where it speaks plain HTTP.
static void turn_away(const struct service_listener *sl, int fd)
{
    static const struct span answer = SPAN_INIT("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
                                                "Cache-Control: no-store\r\nContent-Type: text/plain\r\nContent-Length: 34\r\n\r\n"
                                                "Too many connections; come again.\n");
    const struct client_settings *c = &sl->listener->settings;
    if (c->secure || c->introduce)
        io_discard(fd);
    else
        io_refuse(fd, answer);
}

static struct service_client *client_new(struct service *s, const struct listener *l, const struct client_settings *settings, struct generation *g,
                                         const struct addr *peer)
{
    struct service_client *sc = (struct service_client *)slab_alloc(&s->client_slab);
    if (!sc)
        return NULL;
    memset(sc, 0, sizeof *sc);
    sc->gen = generation_ref(g);
    sc->conn.hooks = &hooks;
    sc->conn.settings = settings;
    sc->conn.owner = s;
    sc->conn.listener = (void *)(uintptr_t)l;
    sc->conn.peer = *peer;
    list_push_back(&s->clients, &sc->conn.node);
    s->n_clients++;
    return sc;
}

enum err service_serve_inside(struct service *s, int fd, const struct client_conn *outer, struct inspection *in)
{
    const struct service_client *of = container_of(outer, const struct service_client, conn);
    struct service_client *sc = client_new(s, (const struct listener *)outer->listener, inspection_settings(in), of->gen, &outer->peer);
    if (!sc) {
        io_discard(fd);
        return ERR_NO_MEMORY;
    }
    sc->inside = inspection_ref(in);
    enum err e = client_start(&sc->conn, fd);
    if (e)
        on_closed(&sc->conn);
    else if (s->draining || outer->draining)
        client_drain(&sc->conn);
    return e;
}

static void admit_client(struct service_listener *sl, int fd, const struct addr *peer)
{
    struct service *s = sl->service;
    const struct limits *limits = &s->gen->limits;
    bool admin = sl->listener->kind == LISTENER_ADMIN;
    if (!admin && peers_total(s->peers) >= limits->connections) {
        metrics_limit(LIMIT_CONNECTIONS);
        turn_away(sl, fd);
        return;
    }
    if (!admin && overload_is_full(&s->overload)) {
        metrics_limit(LIMIT_LAG);
        turn_away(sl, fd);
        return;
    }
    if (admin && s->n_admin >= ADMIN_CLIENTS_MAX) {
        metrics_limit(LIMIT_CONNECTIONS);
        turn_away(sl, fd);
        return;
    }
    bool front = sl->listener->settings.introduce != NULL; // its peers stand for many clients
    if (front && !trust_peer(&s->gen->trust, peer)) {
        metrics_limit(LIMIT_PROXY_PROTOCOL);
        io_discard(fd);
        return;
    }
    if (!admin && !peers_enter(s->peers, peer, front ? UINT32_MAX : limits->per_client)) {
        metrics_limit(LIMIT_PER_CLIENT);
        turn_away(sl, fd);
        return;
    }
    if (admin)
        (void)peers_enter(s->peers, peer, UINT32_MAX);
    struct service_client *sc = client_new(s, sl->listener, &sl->listener->settings, s->gen, peer);
    if (!sc) {
        peers_leave(s->peers, peer);
        io_discard(fd);
        return;
    }
    sc->admin = admin;
    s->n_admin += admin;
    metric_add(sl->listener->metrics, METRIC_CONNECTIONS, 1);
    metric_add(sl->listener->metrics, METRIC_CONNECTIONS_OPEN, 1);
    if (client_start(&sc->conn, fd))
        on_closed(&sc->conn);
}

// ---- Listeners

static bool is_for_clients(const struct service_listener *sl)
{
    return sl->listener->kind != LISTENER_ADMIN;
}

// False: there may be more.
static bool accept_batch(struct service_listener *sl, unsigned max)
{
    struct overload *o = &sl->service->overload;
    for (unsigned i = 0; i < max;) {
        if (likely(!overload_is_full(o)) || !is_for_clients(sl)) {
            i++;
        } else if (!overload_may_refuse(o)) {
            timer_set(&sl->retry, loop_now_ms() + OVERLOAD_TICK_MS);
            return false;
        }
        int fd;
        struct sockaddr_storage ss;
        struct addr peer;
        enum err e = io_accept_now(&sl->io, &fd, &ss);
        if (e == ERR_AGAIN)
            return true;
        if (e == ERR_NO_FILES || e == ERR_NO_MEMORY) {
            timer_set(&sl->retry, loop_now_ms() + ACCEPT_RETRY_MS);
            return true;
        }
        if (e)
            continue; // that one was lost
        if (!addr_from_sockaddr((const struct sockaddr *)&ss, sizeof ss, &peer))
            peer = ADDR_NONE;
        peer = addr_canonical(&peer);
        admit_client(sl, fd, &peer);
        if (sl->io.fd < 0)
            return true;
        if (unlikely((uint64_t)fd >= io_files_for_clients()) && is_for_clients(sl)) {
            metrics_limit(LIMIT_FILES);
            timer_set(&sl->retry, loop_now_ms() + ACCEPT_RETRY_MS);
            return true;
        }
    }
    return false;
}

static void accept_some(struct service_listener *sl)
{
    bool all = accept_batch(sl, ACCEPT_BATCH);
    sl->behind_ms = all ? 0 : sl->behind_ms ? sl->behind_ms : loop_now_ms();
    if (!all && !timer_is_set(&sl->retry))
        timer_set(&sl->retry, loop_now_ms()); // others first
}

// While accepting pauses an arrival is no reason to look before the time.
static void on_acceptable(struct io *io)
{
    struct service_listener *sl = container_of(io, struct service_listener, io);
    if (!timer_is_set(&sl->retry))
        accept_some(sl);
}

static void on_retry(struct timer *t)
{
    struct service_listener *sl = container_of(t, struct service_listener, retry);
    if (is_for_clients(sl) && io_files_are_short())
        timer_set(t, loop_now_ms() + ACCEPT_RETRY_MS);
    else
        accept_some(sl);
}

bool service_add_listener(struct service *s, int fd, const struct addr *addr)
{
    const struct listener *l = generation_listener(s->gen, addr);
    struct service_listener *sl = l ? (struct service_listener *)mem_calloc(1, sizeof *sl) : NULL;
    if (!sl || io_open(&sl->io, fd)) {
        mem_free(sl);
        return false;
    }
    sl->addr = *addr;
    sl->service = s;
    sl->listener = l;
    timer_init(&sl->retry, on_retry);
    sl->io.on_event = on_acceptable;
    list_push_back(&s->listeners, &sl->node);
    timer_set(&sl->retry, loop_now_ms()); // what waits already
    return true;
}

static void listener_close(struct service_listener *sl)
{
    timer_cancel(&sl->retry);
    io_close(&sl->io);
    list_remove(&sl->node);
    mem_free(sl);
}

void service_remove_listener(struct service *s, const struct addr *addr)
{
    LIST_FOREACH (it, &s->listeners) {
        struct service_listener *sl = container_of(it, struct service_listener, node);
        if (addr_eq(&sl->addr, addr))
            listener_close(sl);
    }
}

// ---- Generations

static enum err configure_dns(struct service *s)
{
    struct dns_config c = {.hosts = &s->gen->hosts, .resolvers = s->gen->resolvers, .n_resolvers = s->gen->n_resolvers};
    return s->dns ? dns_set_config(s->dns, &c) : dns_new(&c, &s->dns);
}

void service_set_generation(struct service *s, struct generation *g)
{
    struct generation *old = s->gen;
    s->gen = generation_ref(g);
    if (configure_dns(s))
        log_error(LOG_ERROR, "the resolver could not be set up anew; names resolve as before");
    endpoints_configure(&s->endpoints, g->max_idle, g->timeouts.idle);
    upkeep_renew(s);
    if (!upkeep_preopen(s))
        log_error(LOG_ERROR, "no memory to hold connections ready");
    LIST_FOREACH (it, &s->listeners) {
        struct service_listener *sl = container_of(it, struct service_listener, node);
        const struct listener *l = generation_listener(g, &sl->addr);
        if (l)
            sl->listener = l;
        else
            listener_close(sl);
    }
    // Kept connections go over to the new one where their address still listens; a busy one does when its request has ended.
    LIST_FOREACH (it, &s->clients) {
        struct client_conn *c = container_of(it, struct client_conn, node);
        if (!c->busy)
            service_renew_client(s, c);
    }
    generation_unref(old);
}

void service_renew_client(struct service *s, struct client_conn *c)
{
    struct service_client *sc = container_of(c, struct service_client, conn);
    if (sc->gen == s->gen)
        return;
    const struct listener *l = generation_listener(s->gen, &((const struct listener *)c->listener)->spec.addr);
    if (!l) {
        client_drain(c);
        return;
    }
    generation_unref(sc->gen);
    sc->gen = generation_ref(s->gen);
    c->listener = (void *)(uintptr_t)l;
    if (!sc->inside) // whose settings its tunnel keeps
        c->settings = &l->settings;
}

// ---- Life

struct service *service_new(struct generation *g, unsigned thread)
{
    struct service *s = (struct service *)mem_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->gen = generation_ref(g);
    s->thread = thread;
    s->date_s = -1;
    list_init(&s->listeners);
    list_init(&s->clients);
    list_init(&s->fetches);
    list_init(&s->mirrors);
    slab_init(&s->client_slab, sizeof(struct service_client));
    laggards_init(&s->laggards);
    overload_init(&s->overload);
    metrics_thread_init(thread);
    pool_thread_init(thread);
    s->peers = peers_shared();
    if (!s->peers || endpoints_init(&s->endpoints) || configure_dns(s)) {
        service_free(s);
        return NULL;
    }
    endpoints_configure(&s->endpoints, g->max_idle, g->timeouts.idle);
    if (!upkeep_preopen(s) || (thread == 0 && !upkeep_start(s))) {
        service_free(s);
        return NULL;
    }
    return s;
}

void service_drain(struct service *s, void (*done)(void *arg), void *arg)
{
    s->draining = true;
    if (s->preopen)
        preopen_stop(s->preopen);
    if (s->events)
        events_end(s->events);
    s->drained = done;
    s->drained_arg = arg;
    s->n_clients++; // so that the last one to go does not say so before this function has ended
    // Whoever is in the backlog has been let in already by the kernel: closing the listener would reset them.
    LIST_FOREACH (it, &s->listeners) {
        struct service_listener *sl = container_of(it, struct service_listener, node);
        (void)accept_batch(sl, LISTEN_BACKLOG);
        listener_close(sl);
    }
    LIST_FOREACH (it, &s->clients)
        client_drain(container_of(it, struct client_conn, node));
    s->n_clients--;
    service_check_drained(s);
}

unsigned service_connections(const struct service *s)
{
    return s->n_clients;
}

void service_free(struct service *s)
{
    if (!s)
        return;
    LIST_FOREACH (it, &s->listeners)
        listener_close(container_of(it, struct service_listener, node));
    LIST_FOREACH (it, &s->clients) {
        struct client_conn *c = container_of(it, struct client_conn, node);
        client_drop(c);
    }
    mirrors_wait(s);
    keeper_free(s->keeper);
    preopen_free(s->preopen);
    events_free(s->events);
    laggards_fini(&s->laggards);
    overload_fini(&s->overload);
    endpoints_fini(&s->endpoints);
    scan_peers_free(s);
    if (s->dns)
        dns_free(s->dns);
    slab_fini(&s->client_slab);
    codec_thread_fini();
    h2_thread_fini();
    generation_unref(s->gen);
    mem_free(s);
}
