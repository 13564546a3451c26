// SPDX-License-Identifier: Apache-2.0
// What the tests of rules share: rules and requests as text, and what is decided.
#ifndef WEIR_TESTS_POLICY_TEST_H
#define WEIR_TESTS_POLICY_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "http/h1.h"
#include "base/mem.h"
#include "http/uri.h"
#include "policy/gate.h"
#include "policy/rules.h"

#define assert_span(s, lit) assert_span_at((s), span_str(lit), __LINE__)
static inline void assert_span_at(struct span got, struct span want, int line)
{
    if (!span_eq(got, want))
        fail_msg("line %d: \"%.*s\" instead of \"%.*s\"", line, SPAN_ARG(got), SPAN_ARG(want));
}

/// Rules as they stand in a proxy's `policy` block, in the file t.conf from its third line on.
struct policy {
    struct conf *conf;
    struct conf_diags *diags;
    struct arena arena;
    struct condition_context context;
    struct rules rules;
    bool ok;
};

static inline void policy_load(struct policy *p, const char *rules)
{
    *p = (struct policy){.diags = conf_diags_new()};
    arena_init(&p->arena, 0);
    struct span text = arena_printf(&p->arena, "proxy 127.0.0.1:3128 {\npolicy {\n%s\n}\n}\n", rules);
    assert_non_null(text.ptr);
    p->conf = conf_load_text(text, "t.conf", p->diags);
    if (!p->conf)
        return;
    p->context = (struct condition_context){.conf = p->conf, .diags = p->diags, .arena = &p->arena};
    const struct conf_stmt *proxy = conf_child(conf_root(p->conf), CONF_PROXY);
    p->ok = rules_new(&p->context, conf_child(proxy, CONF_POLICY), &p->rules);
}

static inline void policy_free(struct policy *p)
{
    condition_context_free(p->context.cleanups);
    if (p->conf)
        conf_unref(p->conf);
    conf_diags_free(p->diags);
    arena_fini(&p->arena);
}

struct asker {
    const char *from; // 192.0.2.1 where NULL
    int64_t wall_s;
};

/// A rule that takes a request has no gate that would have kept it out.
static inline void assert_gates_are_open(const struct policy *p, const struct rule *r, const struct condition_input *in)
{
    const struct conf_stmt *block = conf_child(conf_child(conf_root(p->conf), CONF_PROXY), CONF_POLICY);
    struct gate_input has;
    gate_input_of(in, &has);
    for (const struct conf_stmt *s = block->first_child; s; s = s->next) {
        if (!span_eq(conf_where(p->conf, s), r->where))
            continue;
        for (const struct conf_stmt *c = s->when ? s->when->first_child : NULL; c; c = c->next) {
            struct gate g = gate_of(c);
            assert_false(gate_is_shut(&g, &has));
        }
    }
}

/// The first rule that takes this request (the head's lines end with \r\n), or NULL.
static inline const struct rule *policy_decide(const struct policy *p, const char *head, struct asker who,
                                               struct arena *a)
{
    static const struct h1_limits limits = {.line_bytes = 1 << 20, .fields = 1000, .fields_bytes = 1 << 20};
    struct h1_head h;
    struct request req;
    struct addr client;
    struct span s = span_str(head);
    h1_head_init(&h);
    if (h1_head_scan(&h, s.ptr, s.len, true, &limits) || h1_parse_request(s.ptr, &h, SPAN("http"), a, &req))
        fail_msg("no request: %s", head);
    assert_true(addr_parse_ip(span_str(who.from ? who.from : "192.0.2.1"), &client));
    struct condition_input in = {.req = &req,
                                 .path = req.path,
                                 .path_loose = req.path,
                                 .client = &client,
                                 .wall_s = who.wall_s,
                                 .arena = a};
    if (req.path.len)
        assert_int_equal(path_loose(req.path, a, &in.path_loose), ERR_OK);
    const struct rule *r = rules_decide(&p->rules, &in);
    if (r)
        assert_gates_are_open(p, r, &in);
    return r;
}

/// "deny", "allow" or "none" for the request; the rules must be good.
#define assert_decides(rules, head, want)                                                                    \
    assert_decides_at((rules), (head), (struct asker){0}, (want), __LINE__)
#define assert_decides_to(rules, head, who, want) assert_decides_at((rules), (head), (who), (want), __LINE__)
static inline void assert_decides_at(const char *rules, const char *head, struct asker who, const char *want,
                                     int line)
{
    struct policy p;
    struct arena a;
    arena_init(&a, 0);
    policy_load(&p, rules);
    if (!p.ok) {
        struct span why = conf_diags_text(p.diags);
        fail_msg("line %d: %.*s", line, SPAN_ARG(why));
    }
    const struct rule *r = policy_decide(&p, head, who, &a);
    const char *got = !r ? "none" : r->action == RULE_DENY ? "deny" : "allow";
    if (strcmp(got, want) != 0)
        fail_msg("line %d: %s instead of %s", line, got, want);
    arena_fini(&a);
    policy_free(&p);
}

/// The rules are refused, and the message has this text.
#define assert_refused(rules, text) assert_refused_at((rules), (text), __LINE__)
static inline void assert_refused_at(const char *rules, const char *text, int line)
{
    struct policy p;
    policy_load(&p, rules);
    struct span said = conf_diags_text(p.diags);
    if (p.ok || !conf_diags_errors(p.diags))
        fail_msg("line %d: taken", line);
    if (span_find_span(said, span_str(text)) > said.len)
        fail_msg("line %d: %.*s", line, SPAN_ARG(said));
    policy_free(&p);
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: x.test\r\n\r\n"

#endif
