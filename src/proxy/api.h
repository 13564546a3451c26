// SPDX-License-Identifier: Apache-2.0
// The admin API, at the address of `dashboard` below /api: JSON, one table of endpoints (api.tbl) beside the
// control socket's commands.
#ifndef WEIR_PROXY_API_H
#define WEIR_PROXY_API_H

#include "proxy/exchange.h"

enum { API_PARAMS_MAX = 8, API_CONTENT_MAX = 1 << 20, API_TOKEN_BYTES = 32 };

enum api_access { API_READ, API_WRITE };

/// A token that the configuration knows by its SHA-256 only.
struct api_token {
    struct span name;
    unsigned char hash[API_TOKEN_BYTES];
};
struct api_tokens {
    const struct api_token *v;
    unsigned n;
    bool given; // the statement is there
};
/// The `dashboard` block.
struct dashboard {
    struct api_tokens read, write;
    bool configures;          // who may write may replace the configuration
    const struct span *hosts; // names that it has besides addresses and localhost; lower case
    unsigned n_hosts;
};

struct api_call;
struct api_row {
    struct span method, path;
    enum api_access access;
    const char *params, *content, *text, *answers;
    enum err (*fn)(struct api_call *c);
};
/// The table; *ret_n: how many.
const struct api_row *api_rows(unsigned *ret_n);

struct api_param {
    struct span name, value;
};
/// A call while it is answered.
struct api_call {
    struct exchange *x;
    const struct api_row *row;
    struct api_param params[API_PARAMS_MAX]; // of path, query and content
    unsigned n_params;
    struct span content; // of a row with `text`
    struct span out;     // JSON; the function's to set
};
/// The value; a NULL pointer where it is not there.
struct span api_param(const struct api_call *c, const char *name);
/// s as a JSON string with its quotes, in the arena.
struct span api_json(struct arena *a, struct span s);

/// Answers a request for /api: x->resp and x->content, or an error with x->message.
enum err api_answer(struct exchange *x);
/// Whether this is one.
bool api_is_asked(const struct exchange *x);

/// api_guard.c: whether the request comes from where it may (name of the host, site of the page). Before
/// anything else is looked at.
enum err api_guard(struct exchange *x);
/// Whether its token, or its address, allows this.
enum err api_authorize(struct exchange *x, enum api_access wanted);

/// Whether this token may replace the configuration; for the supervisor.
bool api_may_configure(const struct generation *g, struct span token);
/// How the supervisor is asked, on a thread that may wait: a command, and where it has one its content (else
/// a NULL pointer). False: there was no answer. To be said before threads start.
void api_set_supervisor(bool (*fn)(const char *command, struct span content, struct arena *a, int *ret_status,
                                   struct span *ret_text));

/// The OpenAPI document.
struct span api_document(struct arena *a);

#define API(fn, method, path, access, params, content, text, answers) enum err api_##fn(struct api_call *c);
#include "proxy/api.tbl"
#undef API

#endif
