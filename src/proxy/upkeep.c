// SPDX-License-Identifier: Apache-2.0
#include "proxy/upkeep.h"

#include "admin/log.h"
#include "admin/metrics.h"
#include "balance/keeper.h"
#include "balance/preopen.h"

static void on_event(enum keeper_event ev, const struct pool *p, const struct server *s, const struct addr *a, enum err why)
{
    char at[ADDR_TEXT_MAX] = "";
    if (a && s->host.len)
        addr_format(a, at);
    const char *space = at[0] ? " at " : "";
    switch (ev) {
    case KEEPER_UP:
        log_error(LOG_INFO, "pool %.*s: server %.*s%s%s is up", SPAN_ARG(p->name), SPAN_ARG(s->name), space, at);
        break;
    case KEEPER_DOWN:
        log_error(LOG_WARN, "pool %.*s: server %.*s%s%s is down: %s", SPAN_ARG(p->name), SPAN_ARG(s->name), space, at, err_info(why)->text);
        break;
    case KEEPER_NAME_FAILED:
        log_error(LOG_WARN, "pool %.*s: the name of server %.*s does not resolve (%s); what it stood for last is kept", SPAN_ARG(p->name), SPAN_ARG(s->name), err_name(why));
        break;
    case KEEPER_NAME_BACK:
        log_error(LOG_INFO, "pool %.*s: the name of server %.*s resolves again", SPAN_ARG(p->name), SPAN_ARG(s->name));
        break;
    case KEEPER_NAME_MOVED:
        log_error(LOG_INFO, "pool %.*s: the name of server %.*s has other addresses", SPAN_ARG(p->name), SPAN_ARG(s->name));
        break;
    case KEEPER_TARGET_FAILED:
        log_error(LOG_WARN, "pool %.*s: not all targets of server %.*s resolve (%s); what they stood for last is kept", SPAN_ARG(p->name), SPAN_ARG(s->name), err_name(why));
        break;
    }
}

static void hold(void *owner)
{
    (void)generation_ref((struct generation *)owner);
}

static void let_go(void *owner)
{
    generation_unref((struct generation *)owner);
}

bool upkeep_start(struct service *s)
{
    static const struct keeper_hooks hooks = {.event = on_event, .hold = hold, .let_go = let_go};
    s->keeper = keeper_new(&hooks, s->dns);
    if (!s->keeper)
        return false;
    upkeep_renew(s);
    return true;
}

static void on_opened(const struct pool *p, const struct server *s, uint64_t us)
{
    (void)p;
    metric_add(s->metrics, METRIC_UPSTREAM_CONNECTIONS, 1);
    metric_observe_us(s->metrics, METRIC_UPSTREAM_CONNECT_SECONDS, us);
}

bool upkeep_preopen(struct service *s)
{
    static const struct preopen_hooks hooks = {.opened = on_opened, .hold = hold, .let_go = let_go};
    bool wanted = false;
    for (unsigned i = 0; i < s->gen->n_pools; i++)
        wanted |= s->gen->pools[i]->pre_open > 0;
    if (!s->preopen && !wanted)
        return true;
    if (!s->preopen && !(s->preopen = preopen_new(&hooks, &s->endpoints)))
        return false;
    return preopen_set_pools(s->preopen, s->gen->pools, s->gen->n_pools, s->gen->timeouts.connect, s->gen->timeouts.handshake, s->gen);
}

void upkeep_renew(struct service *s)
{
    if (s->keeper)
        keeper_set_pools(s->keeper, s->gen->pools, s->gen->n_pools, s->gen);
}
