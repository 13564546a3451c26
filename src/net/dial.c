// SPDX-License-Identifier: Apache-2.0
#include "net/dial.h"

#include "base/check.h"
#include "net/waiter.h"

struct race;

struct attempt {
    struct race *race;
    const struct addr *to;
    struct fiber *fiber;
    struct io io;
};

struct race {
    const struct dial_request *request;
    uint64_t deadline, next_start_ms;
    struct waiter caller;
    struct attempt *winner;
    enum err failure; // what the caller hears when nobody wins
    unsigned n_live;
};

static enum err connect_to(const struct dial_request *r, const struct addr *to, uint64_t deadline,
                           struct io *ret_io)
{
    struct sockaddr_storage ss, from;
    socklen_t len = addr_to_sockaddr(to, &ss);
    const struct addr *bind_to = to->family == AF_INET    ? r->bind_v4
                                 : to->family == AF_INET6 ? r->bind_v6
                                                          : NULL;
    socklen_t from_len = bind_to ? addr_to_sockaddr(bind_to, &from) : 0;
    if (len == 0)
        return ERR_CONNECT_FAILED;
    return io_connect(ret_io, (struct sockaddr *)&ss, len, from_len ? (struct sockaddr *)&from : NULL,
                      from_len, deadline);
}

/// An address that cannot be reached at all (no IPv6 here) says less than one that refused or did not answer.
static void note_failure(struct race *race, enum err e)
{
    if (race->failure == ERR_OK || race->failure == ERR_CONNECT_FAILED)
        race->failure = e;
}

static void attempt_main(void *arg)
{
    struct attempt *at = (struct attempt *)arg;
    struct race *race = at->race;
    enum err e = connect_to(race->request, at->to, race->deadline, &at->io);
    race->n_live--;
    if (e) {
        note_failure(race, e);
        race->next_start_ms = 0; // RFC 8305 5: a failure starts the next attempt at once
    } else if (race->winner) {
        io_close(&at->io); // another one was faster within the same turn
    } else {
        race->winner = at;
    }
    waiter_wake(&race->caller);
}

static bool attempt_start(struct race *race, struct attempt *at, const struct addr *to)
{
    *at = (struct attempt){.race = race, .to = to, .io = {.fd = -1}};
    race->next_start_ms = loop_now_ms() + DIAL_ATTEMPT_DELAY_MS;
    race->n_live++;
    enum err e = fiber_start(attempt_main, at, &at->fiber);
    if (e) {
        race->n_live--;
        note_failure(race, e);
    }
    return e == ERR_OK;
}

/// Starts attempts one after the other until one wins or nothing is left.
static enum err race_run(struct race *race, struct attempt *attempts, const struct addr *const *order,
                         unsigned n, unsigned *ret_started)
{
    unsigned next = 0;
    *ret_started = 0;
    for (;;) {
        if (race->winner)
            return ERR_OK;
        if (next < n && (race->n_live == 0 || loop_now_ms() >= race->next_start_ms)) {
            if (attempt_start(race, &attempts[*ret_started], order[next++]))
                ++*ret_started;
            continue;
        }
        if (race->n_live == 0)
            return race->failure;
        uint64_t until = next < n ? MIN(race->deadline, race->next_start_ms) : race->deadline;
        enum err e = waiter_park(&race->caller, until);
        if (e && e != ERR_TIMEOUT)
            return e;
        if (e && loop_now_ms() >= race->deadline && !race->winner)
            return ERR_CONNECT_TIMEOUT;
    }
}

static enum err dial_many(const struct dial_request *r, const struct addr *const *order, unsigned n,
                          uint64_t deadline, struct io *ret_io, struct addr *ret_used)
{
    struct race race = {.request = r, .deadline = deadline};
    struct attempt attempts[DIAL_ADDRS_MAX];
    unsigned n_started;
    enum err e = race_run(&race, attempts, order, n, &n_started);
    for (unsigned i = 0; i < n_started; i++)
        fiber_cancel(attempts[i].fiber, ERR_CANCELED);
    for (unsigned i = 0; i < n_started; i++)
        fiber_join(attempts[i].fiber);
    struct attempt *winner = race.winner;
    if (!winner)
        return e;
    if (fiber_canceled(fiber_self())) {
        io_close(&winner->io);
        return fiber_canceled(fiber_self());
    }
    io_move(ret_io, &winner->io);
    if (ret_used)
        *ret_used = *winner->to;
    return ERR_OK;
}

/// The addresses that may be dialled, the families in turn, beginning with the first one's (RFC 8305 4).
/// *ret_refusal: why the first one that may not be was refused.
static unsigned choose(const struct dial_request *r, const struct addr **order, enum err *ret_refusal)
{
    const struct addr *allowed[DIAL_ADDRS_MAX];
    unsigned n_allowed = 0, n = 0;
    *ret_refusal = ERR_OK;
    for (unsigned i = 0; i < r->n && i < DIAL_ADDRS_MAX; i++) {
        enum err e = r->check ? r->check(r->check_arg, &r->addrs[i]) : ERR_OK;
        if (!e)
            allowed[n_allowed++] = &r->addrs[i];
        else if (!*ret_refusal)
            *ret_refusal = e;
    }
    // i walks over the first family's addresses, k over the others'.
    for (unsigned i = 0, k = 0; n < n_allowed;) {
        uint16_t first = allowed[0]->family;
        while (i < n_allowed && allowed[i]->family != first)
            i++;
        if (i < n_allowed)
            order[n++] = allowed[i++];
        while (k < n_allowed && allowed[k]->family == first)
            k++;
        if (k < n_allowed)
            order[n++] = allowed[k++];
    }
    return n;
}

enum err dial(const struct dial_request *r, uint64_t deadline, struct io *ret_io, struct addr *ret_used)
{
    const struct addr *order[DIAL_ADDRS_MAX];
    enum err refusal;
    unsigned n = choose(r, order, &refusal);
    if (n == 0)
        return refusal ? refusal : ERR_CONNECT_FAILED;
    if (n > 1)
        return dial_many(r, order, n, deadline, ret_io, ret_used);
    enum err e = connect_to(r, order[0], deadline, ret_io);
    if (!e && ret_used)
        *ret_used = *order[0];
    return e;
}
