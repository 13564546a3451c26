// SPDX-License-Identifier: Apache-2.0
#include "proxy/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/num.h"
#include "http/coding.h"
#include "http/conditional.h"
#include "http/date.h"
#include "http/media.h"
#include "io/loop.h"

enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, RACES_MAX = 8 };

struct files_root {
    int fd;
    bool beneath; // the kernel has openat2
};

// The kernel itself keeps the walk beneath the folder: dot segments, links and what changes meanwhile
// included.
static int open_beneath(int root, const char *path, uint64_t flags, uint64_t extra)
{
    struct open_how how = {.flags = flags, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | extra};
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

static struct files_root *root_new(int fd, struct arena *a, const char **ret_why)
{
    struct files_root *r = fd < 0 ? NULL : (struct files_root *)arena_zalloc(a, sizeof *r);
    *ret_why = fd < 0 ? strerror(errno) : "out of memory";
    if (!r) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    r->fd = fd;
    // Old kernels do not have it, and some containers refuse what they do not know.
    int tried = open_beneath(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    r->beneath = tried >= 0;
    if (tried >= 0)
        close(tried);
    return r;
}

struct files_root *files_root_open(const char *path, struct arena *a, const char **ret_why)
{
    return root_new(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), a, ret_why);
}

struct files_root *files_root_open_fd(int fd, struct arena *a, const char **ret_why)
{
    return root_new(fcntl(fd, F_DUPFD_CLOEXEC, 0), a, ret_why);
}

void files_root_close(struct files_root *r)
{
    close(r->fd);
}

// Without openat2: one name after the other, and no link is followed. The path has no dot segments.
static int open_stepwise(int root, char *path)
{
    int dir = root;
    for (char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        *slash = '\0';
        int next = openat(dir, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int error = errno;
        *slash = '/';
        if (dir != root)
            close(dir);
        dir = next;
        errno = error;
        if (dir < 0)
            return -1;
    }
    int fd = openat(dir, path, OPEN_FLAGS | O_NOFOLLOW), error = errno;
    if (dir != root)
        close(dir);
    errno = error;
    return fd;
}

struct opening {
    const struct files_root *root;
    char *path;
    int fd, error;
    struct stat st;
};

static void note(struct opening *o, int fd)
{
    o->fd = fd;
    o->error = fd < 0 || fstat(fd, &o->st) ? errno : 0;
}

// On a helper thread.
static void open_slowly(void *arg)
{
    struct opening *o = (struct opening *)arg;
    unsigned races = 0;
    do { // EAGAIN: something was renamed while the kernel looked
        note(o, o->root->beneath ? open_beneath(o->root->fd, o->path, OPEN_FLAGS, 0)
                                 : open_stepwise(o->root->fd, o->path));
    } while (o->error == EAGAIN && ++races < RACES_MAX);
}

static enum err reason_of(int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
        return ERR_NO_FILES;
    case ENOMEM:
        return ERR_NO_MEMORY;
    default: // not there, not readable, outside: nobody needs to know which
        return ERR_NOT_FOUND;
    }
}

// What the kernel has at hand is opened here and now; what needs a disk is opened on a helper thread.
static enum err open_file(struct opening *o)
{
    o->error = EAGAIN;
    if (o->root->beneath)
        note(o, open_beneath(o->root->fd, o->path, OPEN_FLAGS, RESOLVE_CACHED));
    // EINVAL: a kernel before 5.12, which does not know RESOLVE_CACHED.
    if (o->error == EAGAIN || o->error == EINVAL) {
        enum err e = loop_offload(open_slowly, o);
        if (e)
            return e;
    }
    if (!o->error)
        return ERR_OK;
    if (o->fd >= 0)
        close(o->fd);
    o->fd = -1;
    return reason_of(o->error);
}

// ---- Siblings that hold the content encoded

static bool gains(struct span type)
{
    unsigned n;
    const struct span *patterns = media_compressible(&n);
    for (unsigned i = 0; i < n; i++)
        if (media_matches(media_essence(type), patterns[i]))
            return true;
    return false;
}

// One that was made before the file was changed last holds something else.
static bool is_current(const struct stat *sibling, const struct stat *file)
{
    const struct timespec *a = &sibling->st_mtim, *b = &file->st_mtim;
    return S_ISREG(sibling->st_mode) &&
           (a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec >= b->tv_nsec);
}

static struct span suffix_of(enum coding c)
{
    return c == CODING_BR ? SPAN(".br") : c == CODING_ZSTD ? SPAN(".zst") : SPAN(".gz");
}

// The sibling that the client wants most takes the file's place in *o. *ret: CODING_IDENTITY where it stays
// as it is.
static enum err choose_sibling(struct opening *o, struct span name, const struct request *req,
                               struct arena *a, enum coding *ret)
{
    enum coding offers[] = {CODING_BR, CODING_ZSTD, CODING_GZIP}, c; // the smallest one first
    struct span accept = fields_joined(&req->fields, FIELD_ACCEPT_ENCODING, a);
    for (unsigned n = ARRAY_LEN(offers); n && (c = coding_choose(accept, offers, n)) != CODING_IDENTITY;) {
        struct span path = arena_join(a, name, suffix_of(c));
        struct opening s = {.root = o->root, .fd = -1, .path = path.ptr ? arena_cstr(a, path) : NULL};
        enum err e = s.path ? open_file(&s) : ERR_NO_MEMORY;
        if (e && e != ERR_NOT_FOUND)
            return e;
        if (!e && is_current(&s.st, &o->st)) {
            close(o->fd);
            *o = s;
            *ret = c;
            return ERR_OK;
        }
        if (!e)
            close(s.fd);
        unsigned i = 0;
        while (offers[i] != c)
            i++;
        memmove(offers + i, offers + i + 1, (--n - i) * sizeof *offers);
    }
    return ERR_OK;
}

// No hidden file, no empty segment in the middle, nothing that is another spelling of something else. What
// /.well-known/ holds (RFC 8615) is meant to be seen.
static bool is_plain_path(struct span p)
{
    if (span_find(p, '\0') < p.len || span_find(p, '\\') < p.len)
        return false;
    for (bool first = true; p.ptr; first = false) {
        struct span seg = span_cut(&p, '/');
        if (seg.len == 0 ? p.ptr != NULL
                         : seg.ptr[0] == '.' && !(first && p.ptr && span_eq(seg, SPAN(".well-known"))))
            return false;
    }
    return true;
}

static enum err redirect_to_slash(const struct request *req, struct arena *a, struct response *r)
{
    struct span path = req->path;
    while (span_starts(path, SPAN("//"))) // two slashes at the start would name another host
        path = span_skip(path, 1);
    struct span to =
        arena_printf(a, "%.*s/%s%.*s", SPAN_ARG(path), req->query.ptr ? "?" : "", SPAN_ARG(req->query));
    r->status = 308;
    r->framing = (struct framing){FRAMING_LENGTH, 0};
    return to.ptr ? fields_add(&r->fields, FIELD_LOCATION, to) : ERR_NO_MEMORY;
}

static struct span etag_of(const struct stat *st, struct arena *a)
{
    uint64_t v[4] = {(uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec, (uint64_t)st->st_size,
                     (uint64_t)st->st_ino};
    char *p = arena_bytes(a, 20);
    if (!p)
        return SPAN_NONE;
    p[0] = '"';
    size_t n = 1 + num_put_hex(p + 1, hash_fast(span_of((const char *)v, sizeof v)));
    p[n++] = '"';
    return span_of(p, n);
}

// What of the answer depends on the file's name, and on the sibling that stands for it.
struct form {
    struct span type;
    enum coding coding;
    bool negotiated;
};

static enum err put_form(struct response *r, const struct form *form)
{
    bool content = r->status == 200 || r->status == 206;
    enum err e = content ? fields_add(&r->fields, FIELD_CONTENT_TYPE, form->type) : ERR_OK;
    if (!e && content && form->coding != CODING_IDENTITY)
        e = fields_add(&r->fields, FIELD_CONTENT_ENCODING, coding_name(form->coding));
    return e || !form->negotiated ? e : fields_add(&r->fields, FIELD_VARY, SPAN("Accept-Encoding"));
}

static enum err put_fields(struct response *r, const struct validators *v, const struct form *form,
                           struct arena *a)
{
    char *date = arena_bytes(a, HTTP_DATE_BYTES);
    if (!date || !v->etag.ptr)
        return ERR_NO_MEMORY;
    http_date_format(v->last_modified, date);
    enum err e = fields_add(&r->fields, FIELD_ETAG, v->etag);
    if (!e)
        e = fields_add(&r->fields, FIELD_LAST_MODIFIED, span_of(date, HTTP_DATE_BYTES));
    if (!e)
        e = fields_add(&r->fields, FIELD_ACCEPT_RANGES, SPAN("bytes"));
    if (!e)
        e = put_form(r, form);
    if (!e)
        e = fields_add_named(&r->fields, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
    return e;
}

static enum err put_range(struct response *r, enum range_kind k, uint64_t first, uint64_t length,
                          uint64_t size, struct arena *a)
{
    struct span range = k == RANGE_ONE ? arena_printf(a, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
                                                      first + length - 1, size)
                                       : arena_printf(a, "bytes */%" PRIu64, size);
    r->status = k == RANGE_ONE ? 206 : 416;
    return range.ptr ? fields_add(&r->fields, FIELD_CONTENT_RANGE, range) : ERR_NO_MEMORY;
}

static enum err answer_open(int fd, const struct stat *st, const struct form *form, const struct request *req,
                            struct arena *a, struct response *r, struct files_result *ret)
{
    int64_t now = (int64_t)(loop_wall_ms() / 1000);
    uint64_t size = (uint64_t)st->st_size, first = 0, length = size;
    // A date in the future would be wrong by RFC 9110 8.8.2.1, and one before 1970 cannot be written.
    struct validators v = {etag_of(st, a), MAX(MIN((int64_t)st->st_mtim.tv_sec, now), 1)};
    enum conditional c = conditional_check(req, &v, now);
    r->status = c == CONDITIONAL_NOT_MODIFIED ? 304 : c == CONDITIONAL_FAILED ? 412 : 200;
    if (c == CONDITIONAL_PASS) {
        enum range_kind k = range_check(req, &v, size, now, &first, &length);
        enum err e = k == RANGE_NONE ? ERR_OK : put_range(r, k, first, length, size, a);
        if (e)
            return e;
    }
    bool content = r->status == 200 || r->status == 206;
    r->framing = r->status == 304 ? (struct framing){FRAMING_NONE, 0}
                                  : (struct framing){FRAMING_LENGTH, content ? length : 0};
    enum err e = put_fields(r, &v, form, a);
    if (e)
        return e;
    *ret = (struct files_result){content ? fd : -1, first, content ? length : 0};
    return ERR_OK;
}

static enum err answer_file(struct opening *o, struct span name, const struct request *req,
                            bool precompressed, struct arena *a, struct response *r, struct files_result *ret)
{
    struct form form = {media_type_of(name), CODING_IDENTITY, false};
    form.negotiated = precompressed && gains(form.type);
    enum err e = form.negotiated ? choose_sibling(o, name, req, a, &form.coding) : ERR_OK;
    return e ? e : answer_open(o->fd, &o->st, &form, req, a, r, ret);
}

enum err files_answer(const struct files_root *root, struct span path, const struct request *req,
                      bool precompressed, struct arena *a, struct response *r, struct files_result *ret)
{
    struct span decoded;
    if (req->method != METHOD_GET && req->method != METHOD_HEAD)
        return ERR_METHOD_REFUSED;
    if (span_find_span(path, SPAN("%2F")) < path.len)
        return ERR_NOT_FOUND;
    enum err e = percent_decode(path, a, &decoded);
    if (e || !is_plain_path(decoded))
        return e == ERR_NO_MEMORY ? e : ERR_NOT_FOUND;
    bool folder = decoded.len == 0 || decoded.ptr[decoded.len - 1] == '/';
    if (folder)
        decoded = arena_join(a, decoded, SPAN("index.html"));
    struct opening o = {.root = root, .fd = -1, .path = decoded.ptr ? arena_cstr(a, decoded) : NULL};
    if (!o.path)
        return ERR_NO_MEMORY;
    e = open_file(&o);
    if (e)
        return e;
    struct files_result result = {-1, 0, 0};
    r->version = HTTP_1_1;
    if (S_ISDIR(o.st.st_mode) && !folder)
        e = redirect_to_slash(req, a, r);
    else if (!S_ISREG(o.st.st_mode))
        e = ERR_NOT_FOUND;
    else
        e = answer_file(&o, decoded, req, precompressed, a, r, &result);
    if (result.fd < 0 || e)
        close(o.fd);
    if (!e)
        *ret = result;
    return e;
}
