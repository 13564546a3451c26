// SPDX-License-Identifier: Apache-2.0
// The supervisor's listening sockets, which outlive workers.
#include "main/supervisor_internal.h"

#include <stdio.h>
#include <unistd.h>

static void add_listener(struct listen_fd *v, unsigned *n, const struct addr *a, unsigned thread, int fd)
{
    struct listen_fd *l = &v[(*n)++];
    *l = (struct listen_fd){.addr = *a, .thread = thread, .fd = fd};
    if (a->family == AF_UNIX) {
        snprintf(l->path, sizeof l->path, "%s", a->path);
        l->addr.path = l->path;
    }
}

// Opens what the specification wants at one address: a socket for each thread that serves it, or none.
static bool open_address(const struct listener_spec *spec, unsigned n_threads, struct listen_fd *v, unsigned *n, char error[LISTEN_ERROR_MAX])
{
    bool shared = spec->addr.family != AF_UNIX && !spec->admin && n_threads > 1;
    struct listen_options o = {.client_speaks = true, .reuse_port = shared};
    unsigned wanted = shared ? n_threads : 1;
    int fds[WORKER_THREADS_MAX];
    if (*n + wanted > LISTENERS_MAX) {
        snprintf(error, LISTEN_ERROR_MAX, "more than %d listening sockets (one for each thread and address): lower `threads`", LISTENERS_MAX);
        return false;
    }
    if (!listen_open_group(&spec->addr, &o, fds, wanted, error))
        return false;
    for (unsigned t = 0; t < wanted; t++)
        add_listener(v, n, &spec->addr, t, fds[t]);
    return true;
}

// Nobody shall find the socket of a listener that is gone.
static void close_listener(struct listen_fd *l)
{
    if (l->addr.family == AF_UNIX)
        unlink(l->path);
    close(l->fd);
}

void supervisor_close_listeners(struct supervisor *s, unsigned n)
{
    while (s->n_listeners > n)
        close_listener(&s->listeners[--s->n_listeners]);
}

static bool has_address(const struct listen_fd *v, unsigned n, const struct addr *a)
{
    for (unsigned i = 0; i < n; i++)
        if (addr_eq(&v[i].addr, a))
            return true;
    return false;
}

// Adds what the generation wants and is not there. On failure what was added is closed again.
bool supervisor_open_missing(struct supervisor *s, const struct generation *g, char error[LISTEN_ERROR_MAX])
{
    unsigned n_specs, before = s->n_listeners;
    const struct listener_spec *specs = generation_listeners(g, &n_specs);
    for (unsigned i = 0; i < n_specs; i++) {
        if (has_address(s->listeners, s->n_listeners, &specs[i].addr) || open_address(&specs[i], s->n_threads, s->listeners, &s->n_listeners, error))
            continue;
        supervisor_close_listeners(s, before);
        return false;
    }
    return true;
}

void supervisor_close_unwanted(struct supervisor *s)
{
    unsigned n_specs, kept = 0;
    const struct listener_spec *specs = generation_listeners(s->gen, &n_specs);
    for (unsigned i = 0; i < s->n_listeners; i++) {
        bool wanted = false;
        for (unsigned k = 0; k < n_specs; k++)
            wanted |= addr_eq(&specs[k].addr, &s->listeners[i].addr);
        if (!wanted) {
            close_listener(&s->listeners[i]);
            continue;
        }
        if (kept != i) {
            s->listeners[kept] = s->listeners[i];
            if (s->listeners[kept].addr.family == AF_UNIX)
                s->listeners[kept].addr.path = s->listeners[kept].path;
        }
        kept++;
    }
    s->n_listeners = kept;
}
