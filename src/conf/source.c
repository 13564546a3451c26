// SPDX-License-Identifier: Apache-2.0
#include "conf/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"

void conf_source_init(struct conf_source *s, bool disk)
{
    *s = (struct conf_source){.disk = disk};
    arena_init(&s->arena, 0);
}

void conf_source_fini(struct conf_source *s)
{
    for (struct conf_folder *f = s->folders; f; f = f->next)
        if (f->fd >= 0)
            close(f->fd);
    for (struct conf_file *f = s->files; f; f = f->next)
        secret_free((void *)(uintptr_t)f->content.ptr);
    arena_fini(&s->arena);
    s->files = NULL;
    s->folders = s->last_folder = NULL;
}

static struct conf_file *find(const struct conf_source *s, const char *path)
{
    for (struct conf_file *f = s->files; f; f = f->next)
        if (strcmp(f->path, path) == 0)
            return f;
    return NULL;
}

static struct conf_file *add(struct conf_source *s, struct span path)
{
    struct conf_file *f = (struct conf_file *)arena_zalloc(&s->arena, sizeof *f);
    if (!f || !(f->path = arena_cstr(&s->arena, path)))
        return NULL;
    f->next = s->files;
    s->files = f;
    return f;
}

static bool keep(struct conf_file *f, struct span content)
{
    char *p = (char *)secret_alloc(content.len + 1);
    if (!p)
        return false;
    if (content.len)
        memcpy(p, content.ptr, content.len);
    f->content = span_of(p, content.len);
    return true;
}

bool conf_source_put(struct conf_source *s, const char *path, struct span content)
{
    struct conf_file *f = add(s, span_str(path));
    return f && keep(f, content);
}

static void stamp(const struct stat *st, struct conf_stamp *ret)
{
    *ret = (struct conf_stamp){
        .inode = st->st_ino,
        .size = (uint64_t)st->st_size,
        .modified_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
        .changed_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec,
    };
}

void conf_stamp_take(const char *path, struct conf_stamp *ret)
{
    struct stat st;
    *ret = (struct conf_stamp){0};
    if (stat(path, &st) == 0)
        stamp(&st, ret);
}

// The content is secret memory.
static const char *read_all(int fd, struct span *ret, struct conf_stamp *ret_stamp)
{
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        return "it is no regular file";
    stamp(&st, ret_stamp);
    if (st.st_size > CONF_FILE_MAX_BYTES)
        return "it is too large";
    size_t cap = (size_t)st.st_size, n = 0;
    char *p = (char *)secret_alloc(cap + 1);
    if (!p)
        return "out of memory";
    while (n < cap) {
        ssize_t r = read(fd, p + n, cap - n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0) {
            secret_free(p);
            return strerror(errno);
        }
        if (r == 0)
            break;
        n += (size_t)r;
    }
    *ret = span_of(p, n);
    return NULL;
}

bool conf_source_read(struct conf_source *s, const char *path, struct span *ret, const char **ret_why)
{
    struct conf_file *f = find(s, path);
    if (f) {
        *ret = f->content;
        *ret_why = "there is no such file";
        return !f->missing;
    }
    if (!s->disk) {
        *ret_why = "there is no such file";
        return false;
    }
    struct span content = SPAN_NONE;
    struct conf_stamp read_stamp = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const char *why = fd < 0 ? strerror(errno) : read_all(fd, &content, &read_stamp);
    if (fd >= 0)
        close(fd);
    if (why) {
        *ret_why = why;
        return false;
    }
    f = add(s, span_str(path));
    if (!f) {
        secret_free((void *)(uintptr_t)content.ptr);
        *ret_why = "out of memory";
        return false;
    }
    f->stamp = read_stamp;
    *ret = f->content = content;
    return true;
}

bool conf_source_read_optional(struct conf_source *s, const char *path, struct span *ret)
{
    const char *why;
    *ret = SPAN("");
    struct conf_file *f = find(s, path);
    if (f || !s->disk || access(path, F_OK) == 0)
        return f ? (*ret = f->content, true) : !s->disk || conf_source_read(s, path, ret, &why);
    f = add(s, span_str(path)); // so that who looks after files sees it come
    if (f)
        f->missing = true;
    return f != NULL;
}

void conf_source_mark_text(struct conf_source *s, const char *const *except)
{
    for (struct conf_file *f = s->files; f; f = f->next) {
        f->text = true;
        for (const char *const *e = except; *e; e++)
            if (strcmp(*e, f->path) == 0)
                f->text = false;
    }
}

bool conf_source_take_text(struct conf_source *s, const struct conf_source *from)
{
    for (const struct conf_file *f = from->files; f; f = f->next)
        if (f->text && !conf_source_put(s, f->path, f->content))
            return false;
    return true;
}

const char **conf_source_glob(struct conf_source *s, const char *pattern)
{
    if (!s->disk || find(s, pattern)) { // what was found before stands in the bundle under the pattern's own name
        struct conf_file *f = find(s, pattern);
        const char **list = (const char **)arena_zalloc(&s->arena, 2 * sizeof *list);
        if (!list)
            return NULL;
        if (f && !f->missing && !strpbrk(pattern, "*?[")) {
            list[0] = f->path;
            return list;
        }
        // One line a path.
        struct span rest = f ? f->content : SPAN_NONE;
        size_t n = 0;
        for (struct span r = rest; r.len; n++)
            span_cut(&r, '\n');
        list = (const char **)arena_zalloc(&s->arena, (n + 1) * sizeof *list);
        for (size_t i = 0; list && i < n; i++)
            list[i] = arena_cstr(&s->arena, span_cut(&rest, '\n'));
        return list;
    }
    glob_t g;
    if (glob(pattern, GLOB_ERR, NULL, &g))
        return NULL;
    const char **list = (const char **)arena_zalloc(&s->arena, (g.gl_pathc + 1) * sizeof *list);
    struct span all = SPAN("");
    for (size_t i = 0; list && i < g.gl_pathc; i++) {
        list[i] = arena_cstr(&s->arena, span_str(g.gl_pathv[i]));
        all = arena_join(&s->arena, arena_join(&s->arena, all, span_str(g.gl_pathv[i])), SPAN("\n"));
    }
    globfree(&g);
    if (strpbrk(pattern, "*?[") && !find(s, pattern) && !conf_source_put(s, pattern, all))
        return NULL;
    return list;
}

// ---- Folders

static struct conf_folder *add_folder(struct conf_source *s, struct span path)
{
    struct conf_folder *f = (struct conf_folder *)arena_zalloc(&s->arena, sizeof *f), **end = s->last_folder ? &s->last_folder->next : &s->folders;
    if (!f || !(f->path = arena_cstr(&s->arena, path)))
        return NULL;
    f->fd = -1;
    *end = s->last_folder = f;
    return f;
}

static struct conf_folder *find_folder(struct conf_source *s, const char *path)
{
    struct conf_folder *f = s->folders;
    while (f && strcmp(f->path, path) != 0)
        f = f->next;
    return f;
}

// fd is the source's from now on.
static int keep_folder(struct conf_source *s, const char *path, int fd, const char **ret_why)
{
    struct conf_folder *f = fd < 0 ? NULL : add_folder(s, span_str(path));
    if (f)
        f->fd = fd;
    else if (fd >= 0)
        close(fd);
    if (fd >= 0 && !f)
        *ret_why = "out of memory";
    return f ? fd : -1;
}

int conf_source_folder(struct conf_source *s, const char *path, const char **ret_why)
{
    struct conf_folder *f = find_folder(s, path);
    *ret_why = "it was not passed along";
    if (f || !s->disk)
        return f ? f->fd : -1;
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        *ret_why = strerror(errno);
    return keep_folder(s, path, fd, ret_why);
}

// With those above it. Those are as open as folders are, this one is not.
static bool make_folders(const char *path)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len >= sizeof part) {
        errno = ENAMETOOLONG;
        return false;
    }
    for (size_t i = 1; i <= len; i++) {
        if (i < len && path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, i < len ? 0755 : 0700) && errno != EEXIST)
            return false;
    }
    return true;
}

static bool is_empty_folder(int fd)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d) {
        if (copy >= 0)
            close(copy);
        return false;
    }
    unsigned n = 0;
    while (n < 3 && readdir(d))
        n++;
    closedir(d);
    return n == 2; // itself and the one above
}

// Nobody's files are given away by mistake: a folder that has some already belongs to whom it belongs to.
static bool own(struct conf_source *s, int fd, const char **ret_why)
{
    struct stat st;
    if (fstat(fd, &st)) {
        *ret_why = strerror(errno);
        return false;
    }
    if (st.st_uid == s->folder_owner)
        return true;
    if (!is_empty_folder(fd)) {
        *ret_why = "there are files in it, and it does not belong to the worker's user";
        return false;
    }
    if (fchown(fd, s->folder_owner, s->folder_owner) == 0)
        return true;
    *ret_why = strerror(errno);
    return false;
}

int conf_source_own_folder(struct conf_source *s, const char *path, const char **ret_why)
{
    struct conf_folder *f = find_folder(s, path);
    *ret_why = NULL;
    if (f || !s->disk)
        return f ? f->fd : -1;
    if (s->makes_folders && !make_folders(path)) {
        *ret_why = strerror(errno);
        return -1;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        *ret_why = errno == ENOENT && !s->makes_folders ? NULL : strerror(errno);
        return -1;
    }
    if (s->makes_folders && !own(s, fd, ret_why)) {
        close(fd);
        return -1;
    }
    return keep_folder(s, path, fd, ret_why);
}

void conf_source_give_folder(struct conf_source *s, int fd)
{
    struct conf_folder *f = s->folders;
    while (f && f->fd >= 0)
        f = f->next;
    if (f)
        f->fd = fd;
    else
        close(fd);
}

// ---- One run of bytes: for each file its path's length, its content's length (8 bytes each, this machine's order), and both.

#define IS_FOLDER UINT64_MAX // instead of a content's length

static char *put_entry(char *o, const char *path, uint64_t content_len, struct span content)
{
    uint64_t len[2] = {strlen(path), content_len};
    memcpy(o, len, 16);
    memcpy(o + 16, path, len[0]);
    if (content.len)
        memcpy(o + 16 + len[0], content.ptr, content.len);
    return o + 16 + len[0] + content.len;
}

bool conf_source_pack(const struct conf_source *s, struct arena *a, struct span *ret)
{
    size_t total = 0;
    for (const struct conf_file *f = s->files; f; f = f->next)
        total += 16 + strlen(f->path) + f->content.len;
    for (const struct conf_folder *f = s->folders; f; f = f->next)
        total += 16 + strlen(f->path);
    char *p = arena_bytes(a, total), *o = p;
    if (!p)
        return false;
    for (const struct conf_file *f = s->files; f; f = f->next)
        o = put_entry(o, f->path, f->content.len, f->content);
    for (const struct conf_folder *f = s->folders; f; f = f->next)
        o = put_entry(o, f->path, IS_FOLDER, SPAN_NONE);
    *ret = span_of(p, total);
    return true;
}

bool conf_source_unpack(struct conf_source *s, struct span packed)
{
    while (packed.len) {
        uint64_t len[2];
        if (packed.len < 16)
            return false;
        memcpy(len, packed.ptr, 16);
        packed = span_skip(packed, 16);
        bool folder = len[1] == IS_FOLDER;
        if (folder)
            len[1] = 0;
        if (len[0] > packed.len || len[1] > packed.len - len[0])
            return false;
        struct span path = span_first(packed, len[0]);
        struct conf_file *f = folder ? NULL : add(s, path);
        if (folder ? !add_folder(s, path) : !f || !keep(f, span_of(packed.ptr + len[0], len[1])))
            return false;
        packed = span_skip(packed, len[0] + len[1]);
    }
    return true;
}
