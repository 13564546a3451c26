// SPDX-License-Identifier: Apache-2.0
// What the worker process drives: generations (an immutable, compiled configuration) and, on each thread, a service that
// accepts, serves, switches generations and drains.
#ifndef WEIR_PROXY_SERVICE_H
#define WEIR_PROXY_SERVICE_H

#include "admin/log.h"
#include "base/arena.h"
#include "conf/conf.h"
#include "net/addr.h"

struct generation;

/// Compiles a checked configuration. What is wrong goes to the diagnostics; NULL then (or when memory is out). Takes a
/// reference of the configuration. number counts generations from 1. Any thread.
struct generation *generation_new(struct conf *conf, struct conf_diags *diags, uint64_t number);
struct generation *generation_ref(struct generation *g);
/// Any thread; the last one frees it.
void generation_unref(struct generation *g);
struct conf *generation_conf(const struct generation *g);
uint64_t generation_number(const struct generation *g);
/// Where the access log goes (admin/log_destination.h); a NULL pointer where it is off.
struct span generation_access_log(const struct generation *g);
/// Where the error log goes, and what is written there.
struct span generation_error_log(const struct generation *g);
enum log_level generation_error_level(const struct generation *g);
/// Runs the configuration's `test` blocks through the real matcher; what fails goes to the diagnostics (and gives false).
bool generation_run_tests(const struct generation *g, struct conf_diags *diags);
/// `weir explain`: appends the answer, phase by phase, to the arena's text. False for a question that cannot be read.
bool generation_explain(const struct generation *g, struct span question, struct arena *a, struct span *ret_text);

struct acme_plan;
struct dns_config;
/// What the helper process is to do; NULL: nothing. Lives as long as the generation.
const struct acme_plan *generation_acme(const struct generation *g);
/// The folder of the quotas' store (the generation's own descriptor); -1: there is no quota, or no folder.
int generation_quota_folder(const struct generation *g);
void generation_dns(const struct generation *g, struct dns_config *ret);

/// When its certificates expire, by site: lines, or a JSON array.
struct span generation_certificates(const struct generation *g, struct arena *a, bool json);

/// An address that the generation wants to listen at.
struct listener_spec {
    struct addr addr;
    bool tls;
    bool admin; // the dashboard's: only the first thread serves it
};
/// The array lives as long as the generation.
const struct listener_spec *generation_listeners(const struct generation *g, unsigned *ret_n);

struct service;
/// One for each worker thread, made on it, after loop_new. Takes a reference of the generation. thread counts from 0.
struct service *service_new(struct generation *g, unsigned thread);
/// Serves a listening socket (taken over) for the address; unknown addresses are refused with false.
bool service_add_listener(struct service *s, int fd, const struct addr *addr);
/// Stops accepting at an address and closes its socket.
void service_remove_listener(struct service *s, const struct addr *addr);
/// From now on new requests are served by g; those under way end on theirs. Listeners that g does not have are closed.
void service_set_generation(struct service *s, struct generation *g);
/// Closes listeners and idle connections, ends kept ones after their answer; done(arg) is called once nothing is left.
void service_drain(struct service *s, void (*done)(void *arg), void *arg);
/// Client connections that are open.
unsigned service_connections(const struct service *s);
/// Cuts what is left and frees everything. The loop must not be running.
void service_free(struct service *s);

#endif
