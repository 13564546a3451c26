// SPDX-License-Identifier: Apache-2.0
// `dashboard`: where it listens, and whose tokens read and write.
#include "base/ascii.h"
#include "proxy/api.h"
#include "proxy/build.h"

enum { TOKENS_MAX = 256, LINE_MAX = 512 };

// A line: NAME and the token's SHA-256 in hexadecimal, as sha256sum writes it.
static bool read_line(struct builder *b, struct span line, struct api_token *ret)
{
    struct span hash = span_trim(line), name = span_cut(&hash, ' ');
    hash = span_trim(hash);
    if (hash.len != 2 * API_TOKEN_BYTES || name.len > LINE_MAX || !arena_dup(b->a, name, &ret->name))
        return false;
    for (size_t i = 0; i < API_TOKEN_BYTES; i++) {
        int high = ascii_hex((unsigned char)hash.ptr[2 * i]),
            low = ascii_hex((unsigned char)hash.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret->hash[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static void read_tokens(struct builder *b, const struct conf_stmt *s, struct api_tokens *ret)
{
    struct span text;
    ret->given = s != NULL;
    if (!s || !build_read_file(b, &s->args[0], &text))
        return;
    struct api_token *v = (struct api_token *)build_alloc(b, TOKENS_MAX * sizeof *v);
    ret->v = v;
    for (unsigned n = 1; v && text.len; n++) {
        struct span line = span_trim(span_cut(&text, '\n'));
        if (!line.len || line.ptr[0] == '#')
            continue;
        if (ret->n < TOKENS_MAX && read_line(b, line, &v[ret->n])) {
            ret->n++;
            continue;
        }
        conf_error(b->diags, b->conf, &s->args[0].pos,
                   "%.*s, line %u: a line is a name and the SHA-256 of a token, 64 hexadecimal digits "
                   "(`printf %%s TOKEN | sha256sum`); at most %u of them",
                   SPAN_ARG(s->args[0].text), n, TOKENS_MAX);
        return;
    }
}

static void read_hosts(struct builder *b, const struct conf_stmt *s, struct dashboard *d)
{
    struct span *v = (struct span *)build_alloc(b, (s->n_args + 1) * sizeof *v);
    d->hosts = v;
    for (unsigned i = 0; v && i < s->n_args; i++) {
        struct authority a;
        if (authority_parse(s->args[i].text, b->a, &a) || a.port)
            conf_error(b->diags, b->conf, &s->args[i].pos, "`%.*s` is no name of a host",
                       SPAN_ARG(s->args[i].text));
        else
            v[d->n_hosts++] = a.host;
    }
}

void build_dashboard(struct builder *b)
{
    const struct conf_stmt *s = conf_child(conf_root(b->conf), CONF_DASHBOARD);
    struct dashboard *d = s ? (struct dashboard *)build_alloc(b, sizeof *d) : NULL;
    struct addr a;
    if (!d || !build_address(b, &s->args[0], &a))
        return;
    const struct conf_stmt *hosts = conf_child(s, CONF_DASHBOARD_HOST);
    read_tokens(b, conf_child(s, CONF_DASHBOARD_READ), &d->read);
    read_tokens(b, conf_child(s, CONF_DASHBOARD_WRITE), &d->write);
    if (hosts)
        read_hosts(b, hosts, d);
    const struct conf_stmt *configure = conf_child(s, CONF_DASHBOARD_CONFIGURE);
    d->configures = configure != NULL;
    if (configure && !d->write.given)
        conf_error(b->diags, b->conf, &configure->pos, "`configure` wants `write`: whose tokens may do that");
    b->g->dashboard = d;
    b->g->keeps_history |= s->has_block;
    bool here = addr_is_loopback(&a) || a.family == AF_UNIX, guarded = d->read.given || d->write.given;
    if (!here && !guarded)
        conf_error(b->diags, b->conf, &s->args[0].pos,
                   "without tokens (`read`, `write`) the dashboard may listen on loopback only");
    else
        build_listener(b, &s->args[0], &a, LISTENER_ADMIN);
    if (!here && guarded)
        conf_warning(b->diags, b->conf, &s->args[0].pos,
                     "tokens go over the network in the clear here: let it listen on loopback, behind a site "
                     "with TLS");
}
