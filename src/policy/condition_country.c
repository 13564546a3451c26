// SPDX-License-Identifier: Apache-2.0
// country: where the client's address is, by the database of `geoip FILE` (MaxMind's format, read by libmaxminddb).
#include <errno.h>
#include <maxminddb.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ascii.h"
#include "base/mem.h"
#include "policy/condition.h"

struct geo {
    MMDB_s db;
};

struct countries {
    const struct geo *geo;
    unsigned n;
    char v[][2]; // ISO 3166-1, upper case
};

static void geo_free(void *p)
{
    struct geo *g = (struct geo *)p;
    MMDB_close(&g->db);
    mem_free(g);
}

// libmaxminddb reads files by name only. The text is what the supervisor read, which may be more than we may; so it gets a file of its
// own, in memory.
static bool open_text(struct span text, MMDB_s *db, const char **ret_why)
{
    char path[64];
    int fd = memfd_create("geoip", MFD_CLOEXEC), status = MMDB_IO_ERROR;
    bool ok = fd >= 0;
    for (size_t n = 0; ok && n < text.len;) {
        ssize_t r = write(fd, text.ptr + n, text.len - n);
        ok = r > 0 || (r < 0 && errno == EINTR);
        n += r > 0 ? (size_t)r : 0;
    }
    if (ok) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        status = MMDB_open(path, MMDB_MODE_MMAP, db);
    }
    *ret_why = MMDB_strerror(status);
    if (fd >= 0)
        close(fd);
    return status == MMDB_SUCCESS;
}

// The database, opened where it is asked for first. NULL after an error.
static const struct geo *geo_of(struct condition_context *k, const struct conf_stmt *s)
{
    const struct conf_stmt *file = conf_child(conf_root(k->conf), CONF_GEOIP);
    struct span text;
    const char *why;
    if (k->geo)
        return k->geo;
    if (!file) {
        conf_error(k->diags, k->conf, &s->pos, "there is no database to ask: write `geoip FILE` at top level");
        return NULL;
    }
    struct geo *g = (struct geo *)mem_calloc(1, sizeof *g);
    if (!g) {
        conf_error(k->diags, NULL, NULL, "out of memory");
        return NULL;
    }
    if (!conf_read(k->conf, file->args[0].text, &text, &why) || !open_text(text, &g->db, &why)) {
        conf_error(k->diags, k->conf, &file->args[0].pos, "the database `%.*s` cannot be read: %s", SPAN_ARG(file->args[0].text), why);
        mem_free(g);
        return NULL;
    }
    if (!condition_on_free(k, geo_free, g))
        return NULL;
    k->geo = g;
    return g;
}

static bool compile_country(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct countries *v = (struct countries *)condition_alloc(k, sizeof *v + s->n_args * sizeof v->v[0]);
    bool ok = v && (v->geo = geo_of(k, s));
    c->data = v;
    for (unsigned i = 0; v && i < s->n_args; i++) {
        struct span w = s->args[i].text;
        if (w.len != 2 || !ascii_is_alpha((unsigned char)w.ptr[0]) || !ascii_is_alpha((unsigned char)w.ptr[1])) {
            conf_error(k->diags, k->conf, &s->args[i].pos, "`%.*s` is no country: two letters are wanted (ISO 3166), for instance DE", SPAN_ARG(w));
            ok = false;
            continue;
        }
        v->v[v->n][0] = (char)(w.ptr[0] & ~0x20);
        v->v[v->n++][1] = (char)(w.ptr[1] & ~0x20);
    }
    return ok;
}

static bool socket_address(const struct addr *a, struct sockaddr_storage *ret)
{
    socklen_t len = addr_to_sockaddr(a, ret);
    return len > 0 && (a->family == AF_INET || a->family == AF_INET6);
}

// Where the client is, or where its network is registered. An address that is nowhere has no country.
static enum match match_country(const struct condition *c, const struct condition_input *in)
{
    static const char *const paths[][3] = {{"country", "iso_code", NULL}, {"registered_country", "iso_code", NULL}};
    const struct countries *v = (const struct countries *)c->data;
    struct sockaddr_storage ss;
    MMDB_entry_data_s d;
    int status;
    if (!in->client || !socket_address(in->client, &ss))
        return MATCH_NO;
    MMDB_lookup_result_s r = MMDB_lookup_sockaddr(&v->geo->db, (const struct sockaddr *)&ss, &status);
    if (status != MMDB_SUCCESS)
        return status == MMDB_IPV6_LOOKUP_IN_IPV4_DATABASE_ERROR ? MATCH_NO : MATCH_UNSURE;
    for (size_t p = 0; r.found_entry && p < ARRAY_LEN(paths); p++) {
        if (MMDB_aget_value(&r.entry, &d, paths[p]) != MMDB_SUCCESS || !d.has_data || d.type != MMDB_DATA_TYPE_UTF8_STRING || d.data_size != 2)
            continue;
        for (unsigned i = 0; i < v->n; i++)
            if (memcmp(v->v[i], d.utf8_string, 2) == 0)
                return MATCH_YES;
        break;
    }
    return MATCH_NO;
}
const struct condition_ops condition_country = {CONF_C_COUNTRY, compile_country, match_country, 0};
