// SPDX-License-Identifier: Apache-2.0
#include "proxy/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/num.h"
#include "http/conditional.h"
#include "http/date.h"
#include "http/media.h"
#include "io/loop.h"

struct files_root {
    int fd;
};

struct files_root *files_root_open(const char *path, struct arena *a, const char **ret_why)
{
    struct files_root *r = (struct files_root *)arena_zalloc(a, sizeof *r);
    *ret_why = "out of memory";
    if (!r)
        return NULL;
    r->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r->fd >= 0)
        return r;
    *ret_why = strerror(errno);
    return NULL;
}

void files_root_close(struct files_root *r)
{
    close(r->fd);
}

// The kernel itself keeps the walk beneath the folder: dot segments, links and what changes meanwhile included.
static int open_beneath(int root, const char *path, uint64_t extra)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | extra};
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

struct opening {
    int root, fd, error;
    const char *path;
    struct stat st;
};

static void open_now(void *arg)
{
    struct opening *o = (struct opening *)arg;
    o->fd = open_beneath(o->root, o->path, 0);
    o->error = o->fd < 0 ? errno : 0;
    if (o->fd >= 0 && fstat(o->fd, &o->st)) {
        o->error = errno;
        close(o->fd);
        o->fd = -1;
    }
}

// What the kernel has at hand is opened here and now; what needs a disk is opened on a helper thread.
static enum err open_file(struct opening *o)
{
    o->fd = open_beneath(o->root, o->path, RESOLVE_CACHED);
    if (o->fd >= 0) {
        o->error = fstat(o->fd, &o->st) ? errno : 0;
    } else if (errno == EAGAIN || errno == EINVAL) {
        enum err e = loop_offload(open_now, o);
        if (e)
            return e;
    } else {
        o->error = errno;
    }
    if (!o->error)
        return ERR_OK;
    if (o->fd >= 0)
        close(o->fd);
    o->fd = -1;
    return o->error == EMFILE || o->error == ENFILE ? ERR_NO_FILES : o->error == ENOMEM ? ERR_NO_MEMORY : ERR_NOT_FOUND;
}

// No hidden file, no empty segment in the middle, nothing that is another spelling of something else.
static bool is_plain_path(struct span p)
{
    if (span_find(p, '\0') < p.len || span_find(p, '\\') < p.len)
        return false;
    while (p.ptr) {
        struct span seg = span_cut(&p, '/');
        if ((seg.len && seg.ptr[0] == '.') || (seg.len == 0 && p.ptr))
            return false;
    }
    return true;
}

static enum err redirect_to_slash(const struct request *req, struct arena *a, struct response *r)
{
    struct span to = arena_printf(a, "%.*s/%s%.*s", SPAN_ARG(req->path), req->query.ptr ? "?" : "", SPAN_ARG(req->query));
    r->status = 308;
    r->framing = (struct framing){FRAMING_LENGTH, 0};
    // Two slashes at the start would name another host.
    while (span_starts(to, SPAN("//")))
        to = span_skip(to, 1);
    return to.ptr ? fields_add(&r->fields, FIELD_LOCATION, to) : ERR_NO_MEMORY;
}

static struct span etag_of(const struct stat *st, struct arena *a)
{
    uint64_t v[4] = {(uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec, (uint64_t)st->st_size, (uint64_t)st->st_ino};
    char *p = arena_bytes(a, 20);
    if (!p)
        return SPAN_NONE;
    p[0] = '"';
    size_t n = 1 + num_put_hex(p + 1, hash_fast(span_of((const char *)v, sizeof v)));
    p[n++] = '"';
    return span_of(p, n);
}

static enum err put_fields(struct response *r, const struct stat *st, struct span name, struct span etag, struct arena *a)
{
    char *date = arena_bytes(a, HTTP_DATE_BYTES);
    if (!date || !etag.ptr)
        return ERR_NO_MEMORY;
    http_date_format(st->st_mtim.tv_sec, date);
    enum err e = fields_add(&r->fields, FIELD_ETAG, etag);
    if (!e)
        e = fields_add(&r->fields, FIELD_LAST_MODIFIED, span_of(date, HTTP_DATE_BYTES));
    if (!e && r->status != 304)
        e = fields_add(&r->fields, FIELD_CONTENT_TYPE, media_type_of(name));
    if (!e)
        e = fields_add(&r->fields, FIELD_ACCEPT_RANGES, SPAN("bytes"));
    if (!e)
        e = fields_add_named(&r->fields, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
    return e;
}

static enum err answer_open(int fd, const struct stat *st, struct span name, const struct request *req, struct arena *a, struct response *r,
                            struct files_result *ret)
{
    int64_t now = (int64_t)(loop_wall_ms() / 1000);
    uint64_t size = (uint64_t)st->st_size, first = 0, length = size;
    struct validators v = {etag_of(st, a), st->st_mtim.tv_sec};
    r->status = 200;
    switch (conditional_check(req, &v, now)) {
    case CONDITIONAL_NOT_MODIFIED:
        r->status = 304;
        break;
    case CONDITIONAL_FAILED:
        r->status = 412;
        break;
    case CONDITIONAL_PASS: {
        enum range_kind k = range_check(req, &v, size, now, &first, &length);
        if (k == RANGE_NONE)
            break;
        r->status = k == RANGE_ONE ? 206 : 416;
        struct span range = k == RANGE_ONE ? arena_printf(a, "bytes %llu-%llu/%llu", (unsigned long long)first, (unsigned long long)(first + length - 1), (unsigned long long)size)
                                           : arena_printf(a, "bytes */%llu", (unsigned long long)size);
        enum err e = range.ptr ? fields_add(&r->fields, FIELD_CONTENT_RANGE, range) : ERR_NO_MEMORY;
        if (e)
            return e;
    }
    }
    bool content = r->status == 200 || r->status == 206;
    r->framing = (struct framing){FRAMING_LENGTH, content ? length : 0};
    enum err e = put_fields(r, st, name, v.etag, a);
    if (e)
        return e;
    *ret = (struct files_result){content ? fd : -1, first, content ? length : 0};
    return ERR_OK;
}

enum err files_answer(const struct files_root *root, struct span path, const struct request *req, struct arena *a, struct response *r,
                      struct files_result *ret)
{
    struct span decoded;
    if (req->method != METHOD_GET && req->method != METHOD_HEAD)
        return ERR_METHOD_REFUSED;
    if (span_find_span(path, SPAN("%2F")) < path.len || percent_decode(path, a, &decoded) || !is_plain_path(decoded))
        return ERR_NOT_FOUND;
    bool folder = decoded.len == 0 || decoded.ptr[decoded.len - 1] == '/';
    if (folder)
        decoded = arena_join(a, decoded, SPAN("index.html"));
    struct opening o = {.root = root->fd, .fd = -1, .path = arena_cstr(a, decoded)};
    if (!o.path)
        return ERR_NO_MEMORY;
    enum err e = open_file(&o);
    if (e)
        return e;
    r->version = HTTP_1_1;
    *ret = (struct files_result){-1, 0, 0};
    if (S_ISDIR(o.st.st_mode) && !folder)
        e = redirect_to_slash(req, a, r);
    else if (!S_ISREG(o.st.st_mode))
        e = ERR_NOT_FOUND;
    else
        e = answer_open(o.fd, &o.st, decoded, req, a, r, ret);
    if (ret->fd < 0 || e)
        close(o.fd);
    return e;
}
