// SPDX-License-Identifier: Apache-2.0
// Compiling the configuration's tree into a generation: one build_*.c for each kind of block. Mistakes go to the diagnostics
// and the building goes on, so that all of them are told in one go; generation_new gives nothing back where there was any.
#ifndef WEIR_PROXY_BUILD_H
#define WEIR_PROXY_BUILD_H

#include "proxy/generation.h"
#include "tls/ticket_keys.h"

struct builder {
    struct generation *g;
    struct conf *conf;
    struct conf_diags *diags;
    struct arena *a; // the generation's
    struct condition_context cond;
    unsigned cap_listeners, n_sites, n_certificates;
    struct tls_ticket_keys *ticket_keys; // NULL: the process's own
    const struct tls_trust *system_trust; // the authorities that the system trusts, once they were needed
};

/// Zeroed memory of the generation; NULL (and a diagnostic) when memory is out.
void *build_alloc(struct builder *b, size_t size);

/// The values of an option that takes several; in the generation's memory.
const struct span *build_option_words(struct builder *b, const struct conf_stmt *s, const char *option, unsigned *ret_n);

/// A block's `timeouts` over those outside of it.
struct timeouts build_timeouts(const struct conf_stmt *block, const struct timeouts *outer);
struct timeouts build_timeouts_default(void);
void build_limits(struct builder *b);
void build_trust(struct builder *b);
void build_names(struct builder *b);
void build_log(struct builder *b);
/// Once all listeners are known.
void build_own_addresses(struct builder *b);

/// The `set`, `add` and `remove` statements of a block.
bool build_fields(struct builder *b, const struct conf_stmt *block, struct field_ops *ret);
/// The `compress` statement of a block, or what holds outside of it; NULL where there is none.
const struct compress *build_compress(struct builder *b, const struct conf_stmt *block, const struct compress *outer);
/// The `decompress` statement of a block, or what holds outside of it; NULL where there is none.
const struct decompress *build_decompress(struct builder *b, const struct conf_stmt *block, const struct decompress *outer);
/// What a block says of caching over what holds outside of it (NULL: nothing yet); NULL where nothing is cached.
const struct cache_use *build_cache_use(struct builder *b, const struct conf_stmt *block, const struct cache_use *outer);
/// Opens the caches that the configuration defines, before what uses them.
void build_caches(struct builder *b);
/// The `rewrite-links` statement of a route or its site; NULL where there is none.
const struct rewrite_links *build_rewrite_links(struct builder *b, const struct conf_stmt *route);
/// The `replace TEXT with TEXT` statements of a route and its site.
void build_replacements(struct builder *b, const struct conf_stmt *route, struct replacements *ret);
/// A page (HTML) with variables, from a file; false after a diagnostic.
bool build_page(struct builder *b, const struct conf_value *file, struct text *ret);
/// The `error-page` statements of a block, then those outside of it; NULL where there is none.
const struct error_pages *build_error_pages(struct builder *b, const struct conf_stmt *block,
                                            const struct error_pages *outer);
/// The `cors` and `security-headers` statements of a block, or what holds outside of it.
const struct cors *build_cors(struct builder *b, const struct conf_stmt *block, const struct cors *outer);
enum security_level build_security_headers(const struct conf_stmt *block, enum security_level outer);
/// The words behind `retry-after`, in seconds; 0 where there are none.
unsigned build_retry_after(const struct conf_stmt *s);
/// A name for a route that is the same over reloads.
struct span build_route_scope(struct builder *b, const struct conf_stmt *route);
/// outer, outer_auth: what holds for its site.
void build_route(struct builder *b, const struct conf_stmt *s, const struct timeouts *outer, const struct auth *outer_auth, struct route *ret);
/// A file by its path, from the configuration's folder; false with a sentence.
bool build_read(struct builder *b, struct span path, struct span *ret, const char **ret_why);
/// The same for one that need not be there: empty then.
bool build_read_optional(struct builder *b, struct span path, struct span *ret);
/// The file that a value names; false after a diagnostic.
bool build_read_file(struct builder *b, const struct conf_value *v, struct span *ret);
/// A secret as it was written, or the first line of the file behind `file:`.
bool build_read_secret(struct builder *b, const struct conf_value *v, struct span *ret);
/// Reads a certificate with its chain and a key (NULL: in the same file) and hands both to add, whose complaint becomes a diagnostic.
/// False after one.
bool build_certificate(struct builder *b, const struct conf_value *cert, const struct conf_value *key, const struct conf_value *password,
                       const char *(*add)(void *arg, struct span cert, struct span key, struct span password, bool *ret_key_file), void *arg);
/// Authorities and (crl not NULL) revocation lists; NULL after a diagnostic. Goes with the generation.
const struct tls_trust *build_trust_files(struct builder *b, const struct conf_value *ca, const struct conf_value *crl, uint64_t *ret_identity);
/// The authorities that the system trusts; NULL after a diagnostic.
const struct tls_trust *build_system_trust(struct builder *b, const struct conf_stmt *at);
/// `tls auto` of a site.
void build_tls_auto(struct builder *b, const struct conf_stmt *s, struct tls_site *site);
bool build_wants_staples(const struct conf_stmt *block);
/// `ocsp-stapling` of a site, for one of its certificates (a PEM text with its chain).
void build_staple(struct builder *b, const struct conf_stmt *block, const struct conf_stmt *s, struct span pem, struct tls_site *site);
/// The `acme` block, once all sites are known.
void build_acme(struct builder *b);
/// `debug-tls-keys`, before anything that has TLS.
void build_tls_debug(struct builder *b);
void build_ticket_keys(struct builder *b);
/// The `tls` statements of a site or proxy and what belongs to them; NULL where there is none (or after a mistake).
const struct tls_site *build_tls(struct builder *b, const struct conf_stmt *block);
struct parent_rules;
/// The `parent` statements of a proxy.
void build_parents(struct builder *b, const struct conf_stmt *proxy, struct parent_rules *ret);
/// TLS toward a parent, verified as `verify` (NULL: the system's authorities) says; NULL after a diagnostic.
const struct tls_client *build_parent_tls(struct builder *b, const struct conf_stmt *at, const struct conf_value *verify);
/// What a site does about clients without TLS.
void build_https(struct builder *b, const struct conf_stmt *s, struct site *site);
/// The `client-cert` statement of a site or proxy.
/// `early-data` of a route, or of its site.
bool build_early_data(const struct conf_stmt *route);
void build_client_cert(struct builder *b, const struct conf_stmt *block, struct tls_site *site);
/// The `tls` statement of a pool.
void build_pool_tls(struct builder *b, const struct conf_stmt *pool, struct pool *p);
/// A site takes part in a listener, which has TLS or not (at: the `listen` statement, or the site).
void build_tls_listener(struct builder *b, const struct conf_stmt *at, struct listener *l, const struct site *site, bool tls);
/// A proxy's listener.
void build_tls_proxy(struct builder *b, const struct conf_stmt *at, struct listener *l, const struct proxy *p);
/// NULL when memory is out.
struct site *build_site(struct builder *b, const struct conf_stmt *s);
/// Puts a site's names at its listeners; names: how many the whole configuration has.
void build_site_listeners(struct builder *b, const struct conf_stmt *s, const struct site *site, unsigned names);
/// `listen ... proxy-protocol` (at: the `listen` statement, or what it would stand in).
void build_introduction(struct builder *b, const struct conf_stmt *at, struct listener *l);
/// The pool of this name, or NULL.
struct pool *build_pool_named(struct builder *b, struct span name);
/// The target `split` or `failover`.
void build_choice(struct builder *b, const struct conf_stmt *target, struct route *ret);
/// All pools; before the routes that lead to them.
void build_pools(struct builder *b);
void build_proxy(struct builder *b, const struct conf_stmt *s);
/// The `dashboard` statement.
void build_dashboard(struct builder *b);

/// `ADDRESS:PORT`, `:PORT`, `localhost:PORT` or `unix:PATH`.
bool build_address(struct builder *b, const struct conf_value *v, struct addr *ret);
/// The listener at an address, which sites may share; NULL (and a diagnostic) where something else has it.
struct listener *build_listener(struct builder *b, const struct conf_value *v, const struct addr *a, enum listener_kind kind);

#endif
