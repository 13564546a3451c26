// SPDX-License-Identifier: Apache-2.0
// `weir doctor`: whether this machine has what the configuration needs.
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "main/cli_internal.h"
#include "main/control.h"
#include "net/listen.h"
#include "proxy/generation.h"

enum { CONNECT_WAIT_MS = 1000, SPARE_FILES = 200 };

struct visit {
    const struct generation *g;
    struct workbench *w;
    const char *file;
    bool running; // a weir serves with this configuration
    unsigned bad;
};

static void good(const char *what)
{
    printf("ok    %s\n", what);
}

static void bad(struct visit *v, const char *what, const char *advice)
{
    printf("BAD   %s\n      %s\n", what, advice);
    v->bad++;
}

// ---- Descriptors

static void check_files(struct visit *v)
{
    struct rlimit r;
    char what[160];
    // One for each client and one upstream; what is kept, listeners and files besides.
    unsigned long long wanted = 2ULL * v->g->limits.connections + v->g->max_idle + SPARE_FILES;
    if (getrlimit(RLIMIT_NOFILE, &r))
        return;
    snprintf(what, sizeof what,
             "open files: this machine allows %llu, `limits { connections %u }` may need %llu",
             (unsigned long long)r.rlim_max, v->g->limits.connections, wanted);
    if (r.rlim_max >= wanted)
        good(what);
    else
        bad(v, what,
            "raise the limit (LimitNOFILE= of the unit, or ulimit -n), or lower `connections`; accepting "
            "pauses when they run out");
}

// ---- Ports

static void check_listener(struct visit *v, const struct listener_spec *spec)
{
    char text[ADDR_TEXT_MAX], error[LISTEN_ERROR_MAX], what[ADDR_TEXT_MAX + LISTEN_ERROR_MAX + 32];
    addr_format(&spec->addr, text);
    int fd =
        v->running ? -1 : listen_open(&spec->addr, &(struct listen_options){.client_speaks = true}, error);
    snprintf(what, sizeof what,
             v->running ? "listening on %s (the weir that runs)"
             : fd >= 0  ? "%s is free to listen at"
                        : "%s: %s",
             text, error);
    if (fd >= 0)
        close(fd);
    if (v->running || fd >= 0)
        good(what);
    else
        bad(v, what,
            "end what listens there (`ss -ltnp` names it), choose another address, or start weir as a user "
            "that may listen there");
}

// ---- Servers and resolvers

static bool connects(int family, int type, const struct sockaddr *sa, socklen_t len, const char **ret_why)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), e = 0;
    socklen_t n = sizeof e;
    if (fd < 0 || (connect(fd, sa, len) && errno != EINPROGRESS)) {
        e = errno;
    } else {
        struct pollfd p = {fd, POLLOUT, 0};
        if (poll(&p, 1, CONNECT_WAIT_MS) != 1)
            e = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n))
            e = errno;
    }
    if (fd >= 0)
        close(fd);
    *ret_why = strerror(e);
    return fd >= 0 && e == 0;
}

static void check_server(struct visit *v, struct span pool, struct span server)
{
    char what[512];
    const char *why = "is not an address";
    size_t colon = span_rfind(server, ':');
    struct span host = span_first(server, colon), port = span_skip(server, colon + 1);
    if (host.len > 1 && host.ptr[0] == '[')
        host = span_of(host.ptr + 1, host.len - 2);
    struct addrinfo *all = NULL, hints = {.ai_socktype = SOCK_STREAM};
    const char *h = arena_cstr(&v->w->arena, host), *p = arena_cstr(&v->w->arena, port);
    int failed = h && p ? getaddrinfo(h, p, &hints, &all) : EAI_MEMORY;
    bool ok = false;
    if (failed)
        why = gai_strerror(failed);
    for (const struct addrinfo *a = all; a && !ok; a = a->ai_next)
        ok = connects(a->ai_family, SOCK_STREAM, a->ai_addr, a->ai_addrlen, &why);
    if (all)
        freeaddrinfo(all);
    snprintf(what, sizeof what, "pool %.*s: server %.*s %s%s", SPAN_ARG(pool), SPAN_ARG(server),
             ok ? "accepts connections" : "does not: ", ok ? "" : why);
    if (ok)
        good(what);
    else
        bad(v, what,
            "is it started, and is its name or address right? Until it accepts, requests go to the others");
}

static void check_pools(struct visit *v)
{
    const struct conf_stmt *root = conf_root(generation_conf(v->g));
    for (const struct conf_stmt *p = conf_child(root, CONF_POOL); p; p = conf_next(p))
        for (const struct conf_stmt *s = conf_child(p, CONF_SERVER); s; s = conf_next(s))
            if (!span_starts(s->args[0].text, SPAN("unix:")) && !span_starts(s->args[0].text, SPAN("srv:"))) // which weir's own resolver knows
                check_server(v, p->args[0].text, s->args[0].text);
}

// A question for the root's servers, which every resolver can answer.
static void check_resolver(struct visit *v, const struct addr *a)
{
    static const char question[] = "\x57\x31\x01\0\0\1\0\0\0\0\0\0\0\0\2\0\1";
    char text[ADDR_TEXT_MAX], what[ADDR_TEXT_MAX + 64], answer[512];
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(a, &sa);
    addr_format(a, text);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct pollfd p = {fd, POLLIN, 0};
    bool ok = fd >= 0 && connect(fd, (const struct sockaddr *)&sa, len) == 0 &&
              send(fd, question, sizeof question - 1, MSG_NOSIGNAL) > 0 &&
              poll(&p, 1, CONNECT_WAIT_MS) == 1 && recv(fd, answer, sizeof answer, 0) >= 12;
    if (fd >= 0)
        close(fd);
    snprintf(what, sizeof what, "resolver %s %s", text, ok ? "answers" : "does not answer");
    if (ok)
        good(what);
    else
        bad(v, what, "names cannot be resolved without it: mend it, or name another with `resolver ADDRESS`");
}

// ---- The kernel

static void check_kernel(struct visit *v)
{
    errno = 0;
    prctl(PR_SET_SECCOMP, 2, NULL, 0, 0); // EFAULT: filters are known
    if (errno == EFAULT)
        good("the kernel filters system calls (seccomp)");
    else
        bad(v, "the kernel does not filter system calls (seccomp)",
            "the worker cannot shut itself in: use a kernel with CONFIG_SECCOMP_FILTER");
    long abi = syscall(444 /* landlock_create_ruleset */, NULL, 0, 1 /* which version */);
    if (abi > 0)
        good("the kernel limits files by path (Landlock)");
    else
        printf(
            "note  the kernel has no Landlock: the worker's access to files is limited by its user alone\n");
}

static void check_running(struct visit *v)
{
    const char *path = control_path(generation_conf(v->g), &v->w->arena);
    int fd = path && access(path, F_OK) == 0 ? control_dial(path) : -1;
    v->running = fd >= 0;
    if (fd >= 0)
        close(fd);
}

int command_doctor(const struct options *o)
{
    struct workbench w;
    int status = FAILED;
    struct generation *g = workbench_init(&w) ? workbench_compile(&w, cli_file(o), SPAN_NONE) : NULL;
    if (w.diags)
        status = cli_report(w.diags);
    if (g) {
        struct visit v = {.g = g, .w = &w, .file = cli_file(o)};
        printf("ok    %s is a sound configuration\n", v.file);
        check_running(&v);
        check_files(&v);
        for (unsigned i = 0; i < g->n_listeners; i++)
            check_listener(&v, &g->listeners[i].spec);
        check_pools(&v);
        for (unsigned i = 0; i < g->n_resolvers; i++)
            check_resolver(&v, &g->resolvers[i]);
        check_kernel(&v);
        status = v.bad ? FAILED : OK;
    }
    generation_unref(g);
    workbench_fini(&w);
    return status;
}
