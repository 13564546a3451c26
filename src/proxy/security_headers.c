// SPDX-License-Identifier: Apache-2.0
#include "proxy/security_headers.h"

static const struct {
    enum security_level level;
    struct span name, value;
} rows[] = {
#define ROW(level, name, value) {SECURITY_##level, SPAN_INIT(name), SPAN_INIT(value)},
#include "proxy/security_headers.tbl"
#undef ROW
};

static const struct span telling[] = {SPAN_INIT("Server"), SPAN_INIT("X-Powered-By"),
                                      SPAN_INIT("X-AspNet-Version"), SPAN_INIT("X-AspNetMvc-Version"),
                                      SPAN_INIT("X-Generator")};

enum err security_headers_add(enum security_level level, struct fields *f)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(telling); i++)
        fields_remove_named(f, telling[i]);
    // The strict rows come first, so that those of `basic` find their names taken.
    for (int l = (int)level; l > SECURITY_OFF; l--)
        for (size_t i = 0; i < ARRAY_LEN(rows) && !e; i++)
            if ((int)rows[i].level == l && !fields_find(f, rows[i].name))
                e = fields_add_named(f, rows[i].name, rows[i].value);
    return e;
}
