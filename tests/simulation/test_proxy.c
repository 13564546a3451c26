// SPDX-License-Identifier: Apache-2.0
// The whole proxy, both directions of it: clients and origins make deals (deal.h) through it while the world
// does to them what its weather says, and the configuration is loaded anew. In any weather an answer is
// exactly right or clearly broken; what must not be repeated is not; the log has a line for every exchange
// and the metrics add up to it.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/metrics.h"
#include "client.h"
#include "origin.h"
#include "proxy_world.h"

static const struct dns_sim_record records[] = {
    {.name = "a.test", .ip = "192.0.2.20", .ttl_s = 1},
    {.name = "shop.test", .ip = "192.0.2.11", .ttl_s = 1, .delay_ms = 20},
    {.name = "c.test", .ip = "2001:db8::30", .ttl_s = 2}, // denied
    {.name = "c.test", .ip = "192.0.2.30", .ttl_s = 2},
};
static char conf[2000], folder[] = "/tmp/weir-simulate-XXXXXX";
static bool done;
static unsigned connect_lines, idle_lines;

static void write_conf(void)
{
    snprintf(conf, sizeof conf,
             "log access json stdout\n"
             "resolver 127.0.0.1:53\n"
             "timeouts { header 5s; idle 20s; connect 2s; first-byte 5s; between-bytes 5s; tunnel-idle 8s }\n"
             "pool shop { server 192.0.2.10:8080; server shop.test:8080 }\n"
             "site www.test {\n"
             "    listen 127.0.0.1:80\n"
             "    route /hello/* -> respond 200 hello\n"
             "    route /pages/* -> files %s { strip /pages }\n"
             "    route * -> pool shop\n"
             "}\n"
             "proxy 127.0.0.1:3128 { egress { allow 192.0.2.0/24 } }\n",
             folder);
}

static void make_file(void)
{
    char path[100];
    struct deal d = {.kind = DEAL_FILE};
    EXPECT(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/f", folder);
    FILE *f = fopen(path, "w");
    EXPECT(f != NULL);
    for (size_t i = 0; i < FILE_BYTES; i++)
        fputc(deal_octet(&d, false, i), f);
    EXPECT(fclose(f) == 0);
}

static void on_line(struct span line)
{
    struct span target = log_text(line, "target");
    idle_lines += span_eq(log_text(line, "reason"), SPAN("tunnel_idle"));
    connect_lines += span_eq(log_text(line, "method"), SPAN("CONNECT"));
    size_t at = span_find_span(target, SPAN("/d/"));
    if (at >= target.len)
        return;
    struct deal *d = deal_of((struct strict_text){target.ptr + at + 3, target.len - at - 3});
    EXPECT(d != NULL);
    d->logged++;
}

// Not spared: a reload for which memory is out is refused, and the old configuration goes on.
static void reload_main(void *arg)
{
    (void)arg;
    EXPECT(proxy_world_reload() || weather_now != CALM);
}

static void manager_main(void *arg)
{
    (void)arg;
    sim_spare_self();
    clients_start(1 + (unsigned)scenario_rand(CLIENTS_MAX));
    if (scenario_rand(2)) {
        EXPECT(fiber_sleep(scenario_rand(3000)) == ERR_OK);
        struct fiber *f;
        EXPECT(fiber_start(reload_main, NULL, &f) == ERR_OK);
        fiber_join(f);
    }
    clients_join();
    uint64_t before = loop_now_ms();
    proxy_world_drain();
    EXPECT(loop_now_ms() - before < 130 * 1000); // the sum of all deadlines
    origins_end();
    done = true;
}

static void begin(uint64_t seed, enum weather weather)
{
    n_deals = connect_lines = idle_lines = 0;
    done = false;
    weather_now = weather;
    struct dns_sim_options names = {.records = records, .n = ARRAY_LEN(records), .seed = seed};
    names.delay_max_ms = (unsigned)scenario_rand(100);
    names.fail_at = answer_fail_at;
    names.ret_asked = &answers_asked;
    names.fail_pm = weather == ROUGH && scenario_rand(2) ? 200 : 0;
    proxy_world_begin(conf, &names, on_line);
    origins_begin();
    EXPECT(fiber_start(manager_main, NULL, NULL) == ERR_OK);
}

static bool is_done(void *arg)
{
    (void)arg;
    return done && fiber_live_count() == 0;
}

// RFC 9110 9.2.2; the request for an upgrade is a GET.
static bool may_be_repeated(const struct deal *d)
{
    return d->kind != DEAL_CONNECT && strcmp(d->method, "POST") != 0 && strcmp(d->method, "PATCH") != 0;
}

static void check(const struct deal *d)
{
    bool at_origin = d->kind == DEAL_SITE || d->kind == DEAL_FORWARD;
    EXPECT(d->heads <= (may_be_repeated(d) ? 5 : 1));
    EXPECT(d->wholes <= d->heads);
    EXPECT(d->end != DEAL_WHOLE || !at_origin || d->early || d->wholes >= 1);
    // Where nothing was to come down, the end of an idle tunnel is no other than the server's.
    bool idled = idle_lines && d->down == 0;
    EXPECT(d->end != DEAL_WHOLE || !deal_tunnels(d) || d->early || d->wholes == 1 || idled);
    EXPECT(d->logged <= 1);
    if (d->kind != DEAL_CONNECT && (d->end == DEAL_WHOLE || d->end == DEAL_REFUSED))
        EXPECT(d->logged == 1 || d->end == DEAL_REFUSED); // a head that was not understood has no target
    EXPECT(d->end != DEAL_NOT_TRIED || weather_now != CALM);
}

static void end(enum weather weather)
{
    unsigned connects = 0, answered = 0, failed = 0, idled = 0;
    for (unsigned i = 0; i < n_deals; i++) {
        check(&deals[i]);
        connects += deals[i].kind == DEAL_CONNECT;
        answered += deals[i].end == DEAL_WHOLE || deals[i].end == DEAL_REFUSED;
        idled += deals[i].idled;
        failed += deals[i].end != DEAL_WHOLE;
    }
    EXPECT(origin_connections == 0 && idled <= idle_lines);
    EXPECT(connect_lines <= connects && log_seen.lines >= answered);
    if (weather == CALM) {
        EXPECT(failed == 0 && log_seen.lines == n_deals && log_seen.not_ok == 0);
        EXPECT(metrics_total(METRIC_CONNECTIONS) == client_connections);
    }
    proxy_world_end();
}

int main(void)
{
    static const struct scenario proxy = {"proxy", begin, is_done, end, 1000, 2};
    char path[100];
    sim_explain = deals_show;
    make_file();
    write_conf();
    proxy_world_prepare();
    int fd = open("/dev/null", O_RDONLY), r = simulate(&proxy);
    snprintf(path, sizeof path, "%s/f", folder);
    unlink(path);
    rmdir(folder);
    close(fd);
    EXPECT(open("/dev/null", O_RDONLY) == fd); // no file was left open
    return r;
}
