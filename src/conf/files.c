// SPDX-License-Identifier: Apache-2.0
// Files that statements name, by paths relative to the configuration's folder.
#include "conf/internal.h"

const char *conf_path(const struct conf *c, struct span path)
{
    struct arena *a = &((struct conf *)(uintptr_t)c)->arena; // as for conf_where
    struct span full = path.len && path.ptr[0] == '/' ? path : arena_printf(a, "%s/%.*s", c->folder, SPAN_ARG(path));
    return full.ptr ? arena_cstr(a, full) : NULL;
}

bool conf_read(const struct conf *c, struct span path, struct span *ret, const char **ret_why)
{
    const char *full = conf_path(c, path);
    *ret_why = full ? "there are no files here" : "out of memory";
    return full && c->source && conf_source_read(c->source, full, ret, ret_why);
}
