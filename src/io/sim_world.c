// SPDX-License-Identifier: Apache-2.0
#include "io/sim_world.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>

#include "base/check.h"
#include "base/mem.h"

struct sim_world *sim;

static void *map(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

// ---- Randomness and faults

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t sim_rand(uint64_t below)
{
    return splitmix(&sim->rng) % below;
}

void sys_random(void *out, size_t n)
{
    unsigned char *p = (unsigned char *)out;
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(splitmix(&sim->random_rng) >> 32);
}

bool sim_chance(unsigned per_mille)
{
    return per_mille && sim->faults && sim_rand(1000) < per_mille;
}

static bool faults_here(void)
{
    if (!sim->faults)
        return false;
    const struct fiber *f = fiber_self();
    return !f || !f->spared;
}

bool sim_alloc_fails(void)
{
    if (!faults_here())
        return false;
    return ++sim->n_allocs == sim->o.alloc_fail_at || sim_chance(sim->o.alloc_fail_pm);
}

static bool on_alloc(void *arg)
{
    (void)arg;
    return sim_alloc_fails();
}

bool sim_call(unsigned *count)
{
    sim->now_us++;
    sim_run_events();
    if (!faults_here())
        return false;
    ++*count;
    return ++sim->n_syscalls == sim->o.syscall_fail_at;
}

struct sim_calls sim_calls(void)
{
    return sim->calls;
}

int64_t sim_note(int call, int fd, int64_t result)
{
    const uint64_t v[] = {(uint64_t)call, (uint64_t)(int64_t)fd, (uint64_t)result, sim->now_us};
    for (unsigned i = 0; i < ARRAY_LEN(v); i++) {
        uint64_t mixed = sim->trace ^ v[i];
        sim->trace = splitmix(&mixed);
    }
    return result;
}

void sim_end(void)
{
    if (!sim)
        return;
    CHECK(loop_current == NULL);
    mem_fail_set(NULL, NULL);
    for (uint32_t i = 0; i < sim->ends_used; i++) {
        if (sim->ends[i].ring)
            munmap(sim->ends[i].ring, sim->ends[i].cap);
    }
    munmap(sim->heap, sim->cap_heap * sizeof(*sim->heap));
    munmap(sim, sizeof(*sim));
    sim = NULL;
}

void sim_begin(const struct sim_options *o)
{
    enum { DEFAULT_BUFFER = 64 * 1024, HEAP_EVENTS = 4096 };
    sim_end();
    sim = (struct sim_world *)map(sizeof(*sim));
    sim->o = *o;
    if (sim->o.socket_buffer == 0)
        sim->o.socket_buffer = DEFAULT_BUFFER;
    sim->rng = o->seed * 2;
    sim->random_rng = o->seed * 2 + 1;
    sim->faults = true;
    sim->now_us = 1000 * 1000000u;
    sim->next_port = 32768;
    sim->cap_heap = HEAP_EVENTS;
    sim->heap = (struct sim_event *)map(sim->cap_heap * sizeof(*sim->heap));
    mem_fail_set(on_alloc, NULL);
}

bool sim_faults(bool on)
{
    bool before = sim->faults;
    sim->faults = on;
    return before;
}

void sim_spare_self(void)
{
    CHECK(fiber_self() != NULL);
    fiber_self()->spared = true;
}

uint64_t sim_alloc_count(void)
{
    return sim->n_allocs;
}

uint64_t sim_syscall_count(void)
{
    return sim->n_syscalls;
}

uint64_t sim_trace(void)
{
    return sim->trace;
}

unsigned sim_open_fds(void)
{
    return sim->n_fds;
}

// ---- Ends and descriptors

struct sim_end *sim_end_new(enum sim_kind kind)
{
    uint32_t i = 0;
    while (i < sim->ends_used && sim->ends[i].kind != SIM_FREE)
        i++;
    CHECK(i < SIM_ENDS);
    if (i == sim->ends_used)
        sim->ends_used++;
    struct sim_end *e = &sim->ends[i];
    *e = (struct sim_end){.kind = kind, .gen = e->gen, .ring = e->ring, .cap = e->cap, .edge = e->edge};
    if (!e->ring) {
        e->cap = sim->o.socket_buffer;
        e->ring = (char *)map(e->cap);
    }
    return e;
}

struct sim_ref sim_ref_of(const struct sim_end *e)
{
    return (struct sim_ref){(uint32_t)(e - sim->ends), e->gen};
}

struct sim_end *sim_end_at(struct sim_ref r)
{
    struct sim_end *e = &sim->ends[r.index];
    return e->kind != SIM_FREE && e->gen == r.gen ? e : NULL;
}

void sim_end_free(struct sim_end *e)
{
    e->kind = SIM_FREE;
    e->registered = false;
    e->gen++;
}

void sim_vanish(struct sim_end *a)
{
    struct sim_end *b = sim_end_at(a->peer);
    a->vanished = true;
    if (b)
        b->vanished = true;
}

void sim_link(struct sim_end *a, struct sim_end *b)
{
    a->peer = sim_ref_of(b);
    b->peer = sim_ref_of(a);
}

struct sim_end *sim_end_of_fd(int fd)
{
    unsigned i = (unsigned)(fd - SIM_FD_BASE);
    return fd >= SIM_FD_BASE && i < SIM_FDS && sim->fds[i] ? &sim->ends[sim->fds[i] - 1] : NULL;
}

int sim_fd_new(struct sim_end *e)
{
    for (unsigned i = 0; i < SIM_FDS; i++) {
        if (!sim->fds[i]) {
            sim->fds[i] = (uint32_t)(e - sim->ends) + 1;
            sim->n_fds++;
            e->has_fd = true;
            return SIM_FD_BASE + (int)i;
        }
    }
    return -EMFILE;
}

// ---- Addresses

void sim_set_address(struct sockaddr_storage *to, const struct sockaddr *from, socklen_t len)
{
    memset(to, 0, sizeof(*to));
    memcpy(to, from, MIN((size_t)len, sizeof(*to)));
}

uint16_t sim_port(void)
{
    uint16_t p = sim->next_port++;
    if (sim->next_port < 32768)
        sim->next_port = 32768;
    return p;
}

static bool address_reaches(const struct sockaddr_storage *listener, const struct sockaddr_storage *to)
{
    if (listener->ss_family != to->ss_family)
        return false;
    if (to->ss_family == AF_INET) {
        const struct sockaddr_in *l = (const struct sockaddr_in *)listener,
                                 *t = (const struct sockaddr_in *)to;
        return l->sin_port == t->sin_port &&
               (l->sin_addr.s_addr == t->sin_addr.s_addr || l->sin_addr.s_addr == htonl(INADDR_ANY));
    }
    if (to->ss_family == AF_INET6) {
        const struct sockaddr_in6 *l = (const struct sockaddr_in6 *)listener,
                                  *t = (const struct sockaddr_in6 *)to;
        return l->sin6_port == t->sin6_port &&
               (memcmp(&l->sin6_addr, &t->sin6_addr, sizeof(l->sin6_addr)) == 0 ||
                memcmp(&l->sin6_addr, &in6addr_any, sizeof(l->sin6_addr)) == 0);
    }
    return memcmp(listener, to, sizeof(struct sockaddr_un)) == 0;
}

struct sim_end *sim_listener_at(const struct sockaddr_storage *a)
{
    struct sim_end *all = sim->ends;
    for (uint32_t i = 0; i < sim->ends_used; i++) {
        if (all[i].kind == SIM_LISTENER && address_reaches(&all[i].local, a))
            return &all[i];
    }
    return NULL;
}

// ---- The poller's side

void sim_edge(struct sim_end *e)
{
    if (e->edge)
        return;
    e->edge = true;
    sim->edges[sim->n_edges++] = (uint32_t)(e - sim->ends);
}

uint32_t sim_mask(const struct sim_end *e)
{
    if (e->kind == SIM_LISTENER)
        return e->n_backlog ? EPOLLIN : 0;
    if (e->kind != SIM_STREAM)
        return e->error               ? EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP
               : e->kind == SIM_FRESH ? EPOLLOUT | EPOLLHUP
                                      : 0;
    if (e->is_reset)
        return EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | (e->error ? (uint32_t)EPOLLERR : 0);
    uint32_t m = 0;
    const struct sim_end *peer = sim_end_at(e->peer);
    if (e->fin_sent || !peer || peer->tail - peer->head < peer->cap)
        m |= EPOLLOUT;
    if (e->arrived > e->head)
        m |= EPOLLIN;
    if (e->fin_arrived)
        m |= EPOLLIN | EPOLLRDHUP | (e->fin_sent ? (uint32_t)EPOLLHUP : 0);
    return m;
}

// ---- What is under way: a heap by time, then by order of sending

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->time_us != b->time_us ? a->time_us < b->time_us : a->seq < b->seq;
}

static void heap_push(struct sim_event ev)
{
    if (sim->n_heap == sim->cap_heap) {
        size_t n = sim->cap_heap * sizeof(*sim->heap);
        void *p = mremap(sim->heap, n, n * 2, MREMAP_MAYMOVE);
        CHECK(p != MAP_FAILED);
        sim->heap = (struct sim_event *)p;
        sim->cap_heap *= 2;
    }
    size_t i = sim->n_heap++;
    for (; i && before(&ev, &sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
        sim->heap[i] = sim->heap[(i - 1) / 2];
    sim->heap[i] = ev;
}

static struct sim_event heap_pop(void)
{
    struct sim_event first = sim->heap[0], last = sim->heap[--sim->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < sim->n_heap; i = child) {
        if (child + 1 < sim->n_heap && before(&sim->heap[child + 1], &sim->heap[child]))
            child++;
        if (!before(&sim->heap[child], &last))
            break;
        sim->heap[i] = sim->heap[child];
    }
    if (sim->n_heap)
        sim->heap[i] = last;
    return first;
}

static void push_at(uint64_t time_us, enum sim_event_kind kind, struct sim_ref at, struct sim_ref from,
                    size_t n)
{
    heap_push((struct sim_event){time_us, sim->seq++, kind, at, from, n});
}

void sim_send_event(enum sim_event_kind kind, struct sim_end *at, struct sim_end *from, size_t n)
{
    enum { LATENCY_MAX_US = 50 };
    if (at->vanished && kind != SIM_SPACE) // what an end tells itself arrives
        return;
    uint64_t t = sim->now_us + 1 + sim_rand(LATENCY_MAX_US);
    if (sim_chance(sim->o.delay_pm) && sim->o.delay_max_ms)
        t += 1000 * (1 + sim_rand(sim->o.delay_max_ms));
    t = at->last_arrival_us = MAX(t, at->last_arrival_us);
    push_at(t, kind, sim_ref_of(at), sim_ref_of(from), n);
}

void sim_put_back(struct sim_end *e, size_t n)
{
    enum { SHORTLY_US = 20 };
    push_at(sim->now_us + 1 + sim_rand(SHORTLY_US), SIM_ARRIVE, sim_ref_of(e), e->peer, n);
}

uint64_t sim_next_event_us(void)
{
    return sim->n_heap ? sim->heap[0].time_us : UINT64_MAX;
}

// ---- What happens on arrival

static void become_reset(struct sim_end *e, int error)
{
    if (e->is_reset)
        return;
    e->is_reset = true;
    e->error = error ? error : e->fin_arrived ? EPIPE : ECONNRESET;
    e->kind = SIM_STREAM;
    e->tail = e->arrived; // what was still under way is lost
    sim_edge(e);
}

static void on_syn(struct sim_event *ev)
{
    enum { RETRY_US = 1000000 };
    struct sim_end *client = sim_end_at(ev->from);
    if (!client)
        return;
    struct sim_end *l = sim_listener_at(&client->remote);
    if (!l || sim_chance(sim->o.refuse_pm)) {
        sim_send_event(SIM_FAILED, client, client, ECONNREFUSED);
        return;
    }
    if (l->n_backlog == SIM_BACKLOG) {
        push_at(sim->now_us + RETRY_US, SIM_SYN, ev->at, ev->from, 0);
        return;
    }
    struct sim_end *server = sim_end_new(SIM_STREAM);
    server->local = client->remote;
    server->remote = client->local;
    sim_link(client, server);
    l->backlog[l->n_backlog++] = sim_ref_of(server);
    sim_edge(l);
    sim_send_event(SIM_ESTABLISHED, client, server, 0);
}

static void on_arrive(struct sim_end *e, struct sim_event *ev)
{
    if (e && e->kind == SIM_STREAM && !e->is_reset) {
        e->arrived += ev->n;
        sim_edge(e);
        return;
    }
    // To an end that is closed: it answers with a reset.
    struct sim_end *from = sim_end_at(ev->from);
    if (!e && from)
        sim_send_event(SIM_RESET, from, from, 0);
}

static void happen(struct sim_event *ev)
{
    struct sim_end *e = sim_end_at(ev->at), *other;
    if (ev->kind == SIM_SYN) {
        on_syn(ev);
        return;
    }
    if (ev->kind == SIM_ARRIVE) {
        on_arrive(e, ev);
        return;
    }
    if (ev->kind == SIM_CUT && (other = sim_end_at(ev->from)))
        become_reset(other, 0);
    if (!e)
        return;
    switch (ev->kind) {
    case SIM_FIN:
        if (e->is_reset)
            return;
        if (e->arrived != e->tail) { // a read that was cut short put bytes back behind it
            sim_send_event(SIM_FIN, e, e, 0);
            return;
        }
        e->fin_arrived = true;
        break;
    case SIM_CUT:
    case SIM_RESET:
        become_reset(e, 0);
        break;
    case SIM_FAILED:
        if (e->kind == SIM_CONNECTING)
            e->error = (int)ev->n;
        break;
    case SIM_ESTABLISHED:
        if (e->kind == SIM_CONNECTING)
            e->kind = SIM_STREAM;
        break;
    default: // SIM_SPACE
        break;
    }
    sim_edge(e);
}

void sim_run_events(void)
{
    while (sim->n_heap && sim->heap[0].time_us <= sim->now_us) {
        struct sim_event ev = heap_pop();
        happen(&ev);
    }
}
