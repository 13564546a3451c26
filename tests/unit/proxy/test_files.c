// SPDX-License-Identifier: Apache-2.0
// A folder's files, against a real folder with everything in it that does not belong there. Compiled twice:
// with OLD_KERNEL the system has no openat2.
#include "proxy_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "../io/io_test.h"
#include "http/date.h"
#include "proxy/files.h"

static char base[64]; // holds outside.txt and the folder
static struct arena root_arena;
static struct files_root *root;

static void at(char out[160], const char *name)
{
    snprintf(out, 160, "%s/%s", base, name);
}

static void write_file(const char *name, const char *content)
{
    char path[160];
    at(path, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
}

static void make_folder(const char *name)
{
    char path[160];
    at(path, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static void make_link(const char *to, const char *name)
{
    char path[160];
    at(path, name);
    assert_int_equal(symlink(to, path), 0);
}

static void make_socket(const char *name)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s/%s", base, name);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    close(fd);
}

static void fill_folder(void)
{
    char path[160];
    write_file("outside.txt", "SECRET");
    make_folder("www");
    make_folder("www/sub");
    make_folder("www/sub/deep");
    make_folder("www/noindex");
    make_folder("www/strange");
    make_folder("www/strange/index.html");
    make_folder("www/.git");
    make_folder("www/.well-known");
    make_folder("www-more"); // its name begins like the folder's
    write_file("www-more/x.txt", "SECRET");
    write_file("www/index.html", "<h1>home</h1>");
    write_file("www/a.txt", "0123456789");
    write_file("www/empty", "");
    write_file("www/sub/index.html", "<h1>sub</h1>");
    write_file("www/sub/deep/x.css", "a{}");
    write_file("www/.hidden", "SECRET");
    write_file("www/.git/config", "SECRET");
    write_file("www/sub/.well-known", "SECRET");
    write_file("www/.well-known/security.txt", "well known");
    write_file("www/.well-known/.hidden", "SECRET");
    write_file("www/sp ace.txt", "space");
    write_file("www/per%cent.txt", "percent");
    write_file("www/caf\xc3\xa9.txt", "utf8");
    write_file("www/back\\slash", "SECRET");
    at(path, "www/fifo");
    assert_int_equal(mkfifo(path, 0644), 0);
    make_socket("www/socket");
    make_link("a.txt", "www/link.txt");
    make_link("sub", "www/link-to-folder");
    make_link("../www/a.txt", "www/out-and-in.txt");
    make_link("../outside.txt", "www/up.txt");
    make_link("..", "www/parent");
    make_link("/", "www/all");
    make_link("/proc/self/cwd", "www/magic");
    make_link("loop", "www/loop");
    make_link("/etc/passwd", "www/passwd");
    make_link("nowhere", "www/dangling");
    make_link("fifo", "www/link-to-fifo");
}

static void empty_folder(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        char sub[512];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
        if (unlink(sub) && rmdir(sub)) {
            empty_folder(sub);
            rmdir(sub);
        }
    }
    if (d)
        closedir(d);
}

static int set_up(void **state)
{
    (void)state;
    const char *why, *tmp = getenv("TMPDIR");
    char path[160];
    snprintf(base, sizeof base, "%.40s/weir-files-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(base))
        return -1;
    fill_folder();
    arena_init(&root_arena, 0);
    at(path, "www");
    root = files_root_open(path, &root_arena, &why);
    return root && loop_helpers_start(1) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_helpers_stop();
    files_root_close(root);
    arena_fini(&root_arena);
    arena_thread_fini();
    empty_folder(base);
    return rmdir(base);
}

// ---- Asking

struct got {
    enum err err;
    struct response resp;
    struct span content;
    struct arena arena;
};

static void finish(struct got *g)
{
    arena_fini(&g->arena);
}

static unsigned open_files(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

// path NULL: the request's own.
static void ask(struct got *g, const char *path, const char *head)
{
    struct request req;
    struct files_result f = {.fd = -2};
    memset(g, 0, sizeof *g);
    arena_init(&g->arena, 0);
    fields_init(&g->resp.fields, &g->arena);
    if ((g->err = request_of(head, &g->arena, &req)))
        return;
    struct span rest = path ? span_str(path) : req.path;
    while (!path && span_starts(rest, SPAN("/")))
        rest = span_skip(rest, 1);
    g->err = files_answer(root, rest, &req, true, &g->arena, &g->resp, &f);
    assert_true(g->err == ERR_OK || f.fd == -2);
    if (g->err || f.fd < 0)
        return;
    char *p = arena_bytes(&g->arena, f.length + 1);
    assert_non_null(p);
    assert_int_equal(pread(f.fd, p, f.length, (off_t)f.offset), f.length);
    assert_int_equal(g->resp.framing.length, f.length);
    assert_int_equal(fcntl(f.fd, F_GETFD), FD_CLOEXEC);
    g->content = span_of(p, f.length);
    close(f.fd);
}

#define HEAD(target, fields) "GET " target " HTTP/1.1\r\nHost: a.test\r\n" fields "\r\n"

#define assert_content(target, want) assert_content_at(HEAD(target, ""), (want), __LINE__)
static void assert_content_at(const char *head, const char *want, int line)
{
    struct got g;
    ask(&g, NULL, head);
    if (g.err || g.resp.status != 200)
        fail_msg("line %d: %s, %u", line, err_name(g.err), g.resp.status);
    assert_span_at(g.content, span_str(want), line);
    finish(&g);
}

static void assert_missing_at(const char *path, const char *head, int line)
{
    struct got g;
    ask(&g, path, head);
    if (!g.err || g.content.len)
        fail_msg("line %d: %u \"%.*s\"", line, g.resp.status, SPAN_ARG(g.content));
    if (path)
        assert_int_equal(g.err, ERR_NOT_FOUND);
    finish(&g);
}
#define assert_missing(target) assert_missing_at(NULL, HEAD(target, ""), __LINE__)

static struct span field(const struct got *g, const char *name)
{
    struct field *f = fields_find(&g->resp.fields, span_str(name));
    return f ? f->value : SPAN_NONE;
}

// ---- What is there

static void files(void)
{
    assert_content("/a.txt", "0123456789");
    assert_content("/", "<h1>home</h1>");
    assert_content("/index.html", "<h1>home</h1>");
    assert_content("/sub/", "<h1>sub</h1>");
    assert_content("/sub/deep/x.css", "a{}");
    assert_content("/empty", "");
    assert_content("/sp%20ace.txt", "space");
    assert_content("/per%25cent.txt", "percent");
    assert_content("/caf%C3%A9.txt", "utf8");
    assert_content("/caf%c3%a9.txt", "utf8");
    assert_content("/%61.txt", "0123456789");
    assert_content("/sub/../a.txt", "0123456789");
    assert_content("/a.txt?x=/../../b", "0123456789");
    assert_content("/.well-known/security.txt", "well known");
    struct got g;
    ask(&g, NULL, HEAD("/sub/deep/x.css", ""));
    assert_span(field(&g, "Content-Type"), "text/css; charset=utf-8");
    assert_span(field(&g, "X-Content-Type-Options"), "nosniff");
    assert_span(field(&g, "Accept-Ranges"), "bytes");
    assert_int_equal(field(&g, "ETag").ptr[0], '"');
    finish(&g);
}

static void links(void)
{
#ifdef OLD_KERNEL
    assert_missing("/link.txt");
    assert_missing("/link-to-folder/deep/x.css");
#else
    assert_content("/link.txt", "0123456789");
    assert_content("/link-to-folder/deep/x.css", "a{}");
    assert_content("/link-to-folder/", "<h1>sub</h1>");
#endif
}

static void folders(void)
{
    struct got g;
    ask(&g, NULL, HEAD("/sub", ""));
    assert_int_equal(g.resp.status, 308);
    assert_span(field(&g, "Location"), "/sub/");
    assert_int_equal(g.resp.framing.length, 0);
    finish(&g);
    ask(&g, NULL, HEAD("/sub/deep?a=b&c", ""));
    assert_span(field(&g, "Location"), "/sub/deep/?a=b&c");
    finish(&g);
    ask(&g, NULL, HEAD("/.well-known/../noindex", ""));
    assert_span(field(&g, "Location"), "/noindex/");
    finish(&g);
    ask(&g, "sub", HEAD("//evil.test/x/sub", "")); // no other host
    assert_span(field(&g, "Location"), "/evil.test/x/sub/");
    finish(&g);
    assert_missing("/noindex/");
    assert_missing("/strange/"); // its index is a folder
    assert_missing("/nothing");
    assert_missing("/nothing/");
    assert_missing("/a.txt/");
    assert_missing("/a.txt/x");
    assert_missing("/dangling");
}

// ---- What is not there

static void hidden(void)
{
    assert_missing("/.hidden");
    assert_missing("/.git/config");
    assert_missing("/.git");
    assert_missing("/%2Ehidden");
    assert_missing("/%2egit/config");
    assert_missing("/sub/.well-known");
    assert_missing("/.well-known/.hidden");
    assert_missing("/.well-known");
}

static void special_files(void)
{
    assert_missing("/fifo"); // and it does not wait for a writer
    assert_missing("/socket");
    assert_missing("/link-to-fifo");
}

static void no_way_out(void)
{
    static const char *const targets[] = {
        HEAD("/../outside.txt", ""),
        HEAD("/%2e%2e/outside.txt", ""),
        HEAD("/.%2e/outside.txt", ""),
        HEAD("/sub/../../outside.txt", ""),
        HEAD("/..%2foutside.txt", ""),
        HEAD("/sub/..%2f..%2foutside.txt", ""),
        HEAD("/%252e%252e/outside.txt", ""),
        HEAD("/..\\outside.txt", ""),
        HEAD("/..%5coutside.txt", ""),
        HEAD("/..;/outside.txt", ""),
        HEAD("/%c0%ae%c0%ae/outside.txt", ""),
        HEAD("/..%00/outside.txt", ""),
        HEAD("/a.txt%00.html", ""),
        HEAD("//etc/passwd", ""),
        HEAD("///etc/passwd", ""),
        HEAD("/sub//deep/x.css", ""),
        HEAD("/up.txt", ""),
        HEAD("/parent/outside.txt", ""),
        HEAD("/parent/www-more/x.txt", ""),
        HEAD("/out-and-in.txt", ""),
        HEAD("/all/etc/passwd", ""),
        HEAD("/magic/x", ""),
        HEAD("/loop", ""),
        HEAD("/passwd", ""),
        HEAD("/../www-more/x.txt", ""),
        HEAD("/back%5Cslash", ""),
        HEAD("/.../outside.txt", ""),
        HEAD("/%2e%2e%2e/x", ""),
        HEAD("/sub%2Findex.html", ""),
    };
    for (unsigned i = 0; i < ARRAY_LEN(targets); i++)
        assert_missing_at(NULL, targets[i], (int)i);
}

// Paths that no normal form has: the second line of defence.
static void no_way_out_for_odd_paths(void)
{
    static const char *const paths[] = {"../outside.txt",
                                        "sub/../../outside.txt",
                                        "..",
                                        ".",
                                        "./a.txt",
                                        "/etc/passwd",
                                        "sub/./deep/x.css",
                                        "sub//deep/x.css",
                                        "%2e%2e/outside.txt",
                                        "%2E%2E/outside.txt",
                                        "..%2Foutside.txt",
                                        "%2Fetc%2Fpasswd",
                                        "a.txt%00",
                                        "a.txt%0",
                                        "%",
                                        "%zz",
                                        "back%5Cslash",
                                        "back\\slash",
                                        "sub/..",
                                        "sub/deep/../../../outside.txt",
                                        "a.txt/.",
                                        "a.txt/.."};
    for (unsigned i = 0; i < ARRAY_LEN(paths); i++)
        assert_missing_at(paths[i], HEAD("/", ""), (int)i);
    static char name[5000];
    memset(name, 'x', sizeof name - 1);
    assert_missing_at(name, HEAD("/", ""), __LINE__);
    for (unsigned i = 1; i + 1 < sizeof name; i += 2)
        name[i] = '/';
    assert_missing_at(name, HEAD("/", ""), __LINE__);
}

static void methods(void)
{
    static const char *const refused[] = {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"};
    struct got g;
    for (unsigned i = 0; i < ARRAY_LEN(refused); i++) {
        char head[100];
        snprintf(head, sizeof head, "%s /a.txt HTTP/1.1\r\nHost: a\r\n\r\n", refused[i]);
        ask(&g, NULL, head);
        assert_int_equal(g.err, ERR_METHOD_REFUSED);
        finish(&g);
    }
    ask(&g, NULL, "HEAD /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(g.err, ERR_OK);
    assert_int_equal(g.resp.status, 200);
    assert_int_equal(g.resp.framing.length, 10); // what GET would say
    finish(&g);
}

// ---- Conditions and ranges

static unsigned status_with(const char *name, struct span value, struct span *ret_content)
{
    static char content[100];
    char head[400];
    struct got g;
    snprintf(head, sizeof head, "GET /a.txt HTTP/1.1\r\nHost: a\r\n%s: %.*s\r\n\r\n", name, SPAN_ARG(value));
    ask(&g, NULL, head);
    assert_int_equal(g.err, ERR_OK);
    if (ret_content) {
        memcpy(content, g.content.ptr ? g.content.ptr : "", g.content.len);
        *ret_content = span_of(content, g.content.len);
    }
    unsigned status = g.resp.status;
    assert_true(status != 304 || g.resp.framing.kind == FRAMING_NONE);
    assert_int_equal(field(&g, "Content-Type").len > 0, status == 200 || status == 206);
    assert_true(field(&g, "ETag").len > 0);
    finish(&g);
    return status;
}

static void conditions(void)
{
    struct got g;
    ask(&g, NULL, HEAD("/a.txt", ""));
    struct span etag = field(&g, "ETag"), date = field(&g, "Last-Modified");
    char weak[40];
    snprintf(weak, sizeof weak, "W/%.*s", SPAN_ARG(etag));
    assert_int_equal(status_with("If-None-Match", etag, NULL), 304);
    assert_int_equal(status_with("If-None-Match", span_str(weak), NULL), 304);
    assert_int_equal(status_with("If-None-Match", SPAN("\"x\", *"), NULL), 200);
    assert_int_equal(status_with("If-None-Match", SPAN("*"), NULL), 304);
    assert_int_equal(status_with("If-None-Match", SPAN("\"x\""), NULL), 200);
    assert_int_equal(status_with("If-Match", etag, NULL), 200);
    assert_int_equal(status_with("If-Match", span_str(weak), NULL), 412);
    assert_int_equal(status_with("If-Match", SPAN("\"x\""), NULL), 412);
    assert_int_equal(status_with("If-Modified-Since", date, NULL), 304);
    assert_int_equal(status_with("If-Modified-Since", SPAN("Thu, 01 Jan 1970 00:00:00 GMT"), NULL), 200);
    assert_int_equal(status_with("If-Modified-Since", SPAN("yesterday"), NULL), 200);
    assert_int_equal(status_with("If-Unmodified-Since", SPAN("Thu, 01 Jan 1970 00:00:01 GMT"), NULL), 412);
    assert_int_equal(status_with("If-Unmodified-Since", date, NULL), 200);
    finish(&g);
}

static void ranges(void)
{
    static const struct {
        const char *range;
        unsigned status;
        const char *content, *said;
    } rows[] = {
        {"bytes=0-3", 206, "0123", "bytes 0-3/10"},
        {"bytes=7-", 206, "789", "bytes 7-9/10"},
        {"bytes=-2", 206, "89", "bytes 8-9/10"},
        {"bytes=-99", 206, "0123456789", "bytes 0-9/10"},
        {"bytes=9-99", 206, "9", "bytes 9-9/10"},
        {"bytes=0-0", 206, "0", "bytes 0-0/10"},
        {"bytes=10-", 416, "", "bytes */10"},
        {"bytes=-0", 416, "", "bytes */10"},
        {"bytes=3-2", 200, "0123456789", ""},
        {"bytes=x", 200, "0123456789", ""},
        {"bytes=0-1,3-4", 200, "0123456789", ""},
        {"lines=0-1", 200, "0123456789", ""},
        {"bytes=0-99999999999999999999999", 206, "0123456789", "bytes 0-9/10"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        char head[200];
        struct got g;
        snprintf(head, sizeof head, "GET /a.txt HTTP/1.1\r\nHost: a\r\nRange: %s\r\n\r\n", rows[i].range);
        ask(&g, NULL, head);
        if (g.resp.status != rows[i].status)
            fail_msg("%s: %u", rows[i].range, g.resp.status);
        assert_span(g.content, rows[i].content);
        assert_span(field(&g, "Content-Range"), rows[i].said);
        assert_int_equal(g.resp.framing.length, strlen(rows[i].content));
        finish(&g);
    }
    struct got g, g2;
    ask(&g, NULL, HEAD("/empty", "Range: bytes=0-\r\n"));
    assert_int_equal(g.resp.status, 416);
    finish(&g);
    ask(&g, NULL, HEAD("/a.txt", "Range: bytes=0-1\r\nIf-Range: \"old\"\r\n"));
    assert_int_equal(g.resp.status, 200);
    char head[300];
    snprintf(head, sizeof head, HEAD("/a.txt", "Range: bytes=0-1\r\nIf-Range: %.*s\r\n"),
             SPAN_ARG(field(&g, "ETag")));
    ask(&g2, NULL, head);
    assert_int_equal(g2.resp.status, 206);
    finish(&g2);
    finish(&g);
}

static void a_change_shows(void)
{
    struct got before, after;
    ask(&before, NULL, HEAD("/a.txt", ""));
    write_file("www/a.txt.new", "9876543210"); // as long as the old one, and put in its place
    char from[160], to[160];
    at(from, "www/a.txt.new");
    at(to, "www/a.txt");
    assert_int_equal(rename(from, to), 0);
    ask(&after, NULL, HEAD("/a.txt", ""));
    assert_span(after.content, "9876543210");
    assert_false(span_eq(field(&before, "ETag"), field(&after, "ETag")));
    finish(&before);
    finish(&after);
    write_file("www/a.txt", "0123456789");
}

static int64_t date_of(const char *target_head)
{
    struct got g;
    int64_t s = 0;
    ask(&g, NULL, target_head);
    assert_true(http_date_parse(field(&g, "Last-Modified"), 0, &s));
    finish(&g);
    return s;
}

static void dates(void)
{
    char path[160];
    at(path, "www/a.txt");
    struct timespec then[2] = {{1000000000, 0}, {1000000000, 999}};
    assert_int_equal(utimensat(AT_FDCWD, path, then, 0), 0);
    assert_int_equal(date_of(HEAD("/a.txt", "")), 1000000000);
    then[1].tv_sec = 32503680000; // the year 3000
    assert_int_equal(utimensat(AT_FDCWD, path, then, 0), 0);
    assert_true(date_of(HEAD("/a.txt", "")) <= (int64_t)(loop_wall_ms() / 1000));
    then[1].tv_sec = -5;
    assert_int_equal(utimensat(AT_FDCWD, path, then, 0), 0);
    assert_int_equal(date_of(HEAD("/a.txt", "")), 1);
    write_file("www/a.txt", "0123456789");
}

// ---- What runs out

static unsigned fail_after;
static bool failing(void *arg)
{
    (void)arg;
    return fail_after && --fail_after == 0;
}

static void memory_runs_out(void)
{
    static const char *const heads[] = {HEAD("/sp%20ace.txt", "Range: bytes=0-1\r\n"), HEAD("/sub", ""),
                                        HEAD("/sub/", "")};
    struct request req;
    for (unsigned k = 0; k < ARRAY_LEN(heads); k++) {
        unsigned failed = 0;
        for (size_t limit = 1;; limit++) { // an arena that is full from its first, second, ... allocation on
            struct arena ra, a;
            struct response resp = {0};
            struct files_result f = {.fd = -1};
            arena_init(&ra, 0);
            assert_int_equal(request_of(heads[k], &ra, &req), ERR_OK);
            arena_init(&a, 0);
            fields_init(&resp.fields, &a);
            size_t filler = limit * 16;
            char *p = arena_bytes(&a, 8192 - 64 - filler); // what is left in the first block
            assert_non_null(p);
            fail_after = 1;
            mem_fail_set(failing, NULL);
            enum err e = files_answer(root, span_skip(req.path, 1), &req, true, &a, &resp, &f);
            mem_fail_set(NULL, NULL);
            if (!e && f.fd >= 0)
                close(f.fd);
            failed += e == ERR_NO_MEMORY;
            assert_true(e == ERR_OK || e == ERR_NO_MEMORY);
            arena_fini(&a);
            arena_fini(&ra);
            if (!e)
                break;
        }
        assert_true(failed > 0);
    }
}

static void without_helpers(void)
{
    struct got g;
    ask(&g, NULL, HEAD("/a.txt", ""));
#ifdef OLD_KERNEL
    assert_int_equal(g.err, ERR_NO_MEMORY); // nobody to do the waiting
#else
    assert_int_equal(g.err, ERR_OK); // the kernel had it at hand
#endif
    finish(&g);
}

#define ON_FIBER(name)                                                                                       \
    static void test_##name(void **state)                                                                    \
    {                                                                                                        \
        (void)state;                                                                                         \
        unsigned before = open_files();                                                                      \
        on_fiber(name);                                                                                      \
        assert_int_equal(open_files(), before);                                                              \
    }
ON_FIBER(files)
ON_FIBER(links)
ON_FIBER(folders)
ON_FIBER(hidden)
ON_FIBER(special_files)
ON_FIBER(no_way_out)
ON_FIBER(no_way_out_for_odd_paths)
ON_FIBER(methods)
ON_FIBER(conditions)
ON_FIBER(ranges)
ON_FIBER(a_change_shows)
ON_FIBER(dates)
ON_FIBER(memory_runs_out)

static void test_without_helpers(void **state)
{
    (void)state;
    loop_helpers_stop();
    on_fiber(without_helpers);
    assert_int_equal(loop_helpers_start(1), ERR_OK);
}

static void test_roots(void **state)
{
    (void)state;
    struct arena a;
    const char *why = NULL;
    char path[160];
    arena_init(&a, 0);
    at(path, "nothing");
    assert_null(files_root_open(path, &a, &why));
    assert_string_equal(why, strerror(ENOENT));
    at(path, "outside.txt");
    assert_null(files_root_open(path, &a, &why));
    assert_string_equal(why, strerror(ENOTDIR));
    arena_fini(&a);
}

#ifdef OLD_KERNEL
static bool take_openat2_away(void)
{
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog p = {ARRAY_LEN(f), f};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) == 0;
}
#endif

int main(void)
{
#ifdef OLD_KERNEL
    if (!take_openat2_away()) {
        fprintf(stderr, "system calls cannot be filtered here\n");
        return 77;
    }
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_special_files),
        cmocka_unit_test(test_no_way_out),
        cmocka_unit_test(test_no_way_out_for_odd_paths),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_a_change_shows),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_memory_runs_out),
        cmocka_unit_test(test_without_helpers),
        cmocka_unit_test(test_roots),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
