// SPDX-License-Identifier: Apache-2.0
// Files: from the disk, from a bundle, and included by others.
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_test.h"

static char folder[] = "/tmp/weir-conf-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[2][256];
    static unsigned turn;
    turn ^= 1;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) && mkdir(path_of("sites"), 0700) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"main.conf", "sites/a.conf", "sites/b.conf",
                                        "loop.conf", "bad.conf",     "nul.conf"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlink(path_of(names[i]));
    return rmdir(path_of("sites")) == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static struct conf *load(struct conf_source *s, const char *name, struct conf_diags *d)
{
    return conf_load(s, path_of(name), d);
}

static void check_sites(const struct conf *c)
{
    const struct conf_stmt *site = conf_child(conf_root(c), CONF_SITE);
    assert_span(site->args[0].text, "a.test");
    assert_span(conf_where(c, site), "sites/a.conf:1"); // by its path from the configuration's folder
    assert_span(conf_next(site)->args[0].text, "b.test");
    assert_string_equal(conf_folder(c), folder);
}

static void includes_and_bundles(void **state)
{
    (void)state;
    write_file("main.conf", "log access off\ninclude sites/*.conf\ninclude nothing/*.conf\n");
    write_file("sites/a.conf", "site a.test { route * -> respond 200 }\n");
    write_file("sites/b.conf", "site b.test { route * -> respond 200 }\n");
    struct conf_source disk;
    struct conf_diags *d = conf_diags_new();
    conf_source_init(&disk, true);
    struct conf *c = load(&disk, "main.conf", d);
    assert_non_null(c);
    check_sites(c);
    conf_unref(c);

    // The same from what was read, packed and unpacked, without the disk.
    struct arena a;
    struct span packed;
    arena_init(&a, ARENA_NO_LIMIT);
    assert_true(conf_source_pack(&disk, &a, &packed));
    write_file("sites/a.conf", "changed meanwhile\n");
    struct conf_source bundle;
    conf_source_init(&bundle, false);
    assert_true(conf_source_unpack(&bundle, packed));
    c = load(&bundle, "main.conf", d);
    assert_non_null(c);
    check_sites(c);
    conf_unref(c);
    struct span text;
    const char *why;
    assert_false(conf_source_read(&bundle, path_of("never.conf"), &text, &why));
    conf_source_fini(&bundle);

    // A run that is cut anywhere is refused, or is a shorter list of whole files.
    for (size_t n = 0; n < packed.len; n++) {
        char *cut = malloc(n ? n : 1);
        assert_non_null(cut);
        memcpy(cut, packed.ptr, n);
        conf_source_init(&bundle, false);
        bool ok = conf_source_unpack(&bundle, span_of(cut, n));
        size_t sum = 0;
        for (const struct conf_file *f = bundle.files; f; f = f->next)
            sum += 16 + strlen(f->path) + f->content.len;
        assert_true(!ok || sum == n);
        conf_source_fini(&bundle);
        free(cut);
    }
    arena_fini(&a);
    conf_source_fini(&disk);
    conf_diags_free(d);
}

static void what_cannot_be_read(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *finding;
    } rows[] = {
        {"missing.conf", NULL, "cannot be read: No such file or directory"},
        {"sites", NULL, "cannot be read: it is no regular file"},
        {"loop.conf", "include loop.conf\n", "include each other too deep"},
        {"bad.conf", "include sites\n", "sites cannot be read: it is no regular file"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct conf_source s;
        struct conf_diags *d = conf_diags_new();
        if (rows[i].text)
            write_file(rows[i].name, rows[i].text);
        conf_source_init(&s, true);
        assert_null(load(&s, rows[i].name, d));
        struct span text = conf_diags_text(d);
        if (span_find_span(text, span_str(rows[i].finding)) > text.len)
            fail_msg("%s: %.*s", rows[i].name, SPAN_ARG(text));
        conf_source_fini(&s);
        conf_diags_free(d);
    }
    struct conf_source s;
    struct conf_diags *d = conf_diags_new();
    conf_source_init(&s, false);
    assert_true(conf_source_put(&s, path_of("nul.conf"), SPAN("site * {\0}")));
    assert_null(load(&s, "nul.conf", d));
    assert_true(span_find_span(conf_diags_text(d), SPAN("is not a text file")) < 1000);
    conf_source_fini(&s);
    conf_diags_free(d);
}

static void a_folder_to_write_to_is_made(void **state)
{
    struct conf_source s;
    struct stat st;
    const char *why = "unchanged";
    (void)state;
    conf_source_init(&s, true);
    assert_int_equal(conf_source_own_folder(&s, path_of("sites/made/cache/"), &why), -1);
    assert_null(why); // not there, and nobody makes it here: no mistake
    s.makes_folders = true;
    s.folder_owner = geteuid();
    int fd = conf_source_own_folder(&s, path_of("sites/made/cache/"), &why);
    assert_true(fd >= 0);
    assert_null(why);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(path_of("sites/made"), &st), 0);
    assert_int_equal(st.st_mode & 0700, 0700);
    assert_int_equal(conf_source_own_folder(&s, path_of("sites/made/cache/"), &why), fd);
    if (geteuid() == 0) { // for somebody else, while it is empty
        s.folder_owner = 65534;
        fd = conf_source_own_folder(&s, path_of("sites/other"), &why);
        assert_true(fd >= 0 && fstat(fd, &st) == 0);
        assert_null(why);
        assert_int_equal(st.st_uid, 65534);
        assert_int_equal(rmdir(path_of("sites/other")), 0);
    }
    // One with files that belong to somebody else is left alone.
    s.folder_owner = geteuid() + 1;
    assert_int_equal(conf_source_own_folder(&s, path_of("sites/made"), &why), -1);
    assert_string_equal(why, "there are files in it, and it does not belong to the worker's user");
    assert_int_equal(conf_source_own_folder(&s, "/dev/null/x", &why), -1);
    assert_non_null(why);
    conf_source_fini(&s);
    assert_int_equal(rmdir(path_of("sites/made/cache")), 0);
    assert_int_equal(rmdir(path_of("sites/made")), 0);
}

static void a_folder_to_serve_is_passed_along(void **state)
{
    (void)state;
    struct conf_source s, bundle;
    struct arena a;
    struct span packed;
    struct stat st;
    const char *why = NULL;
    arena_init(&a, ARENA_NO_LIMIT);
    conf_source_init(&s, true);
    int fd = conf_source_folder(&s, path_of("sites"), &why);
    assert_true(fd >= 0);
    assert_int_equal(conf_source_folder(&s, path_of("sites"), &why), fd); // opened once
    assert_int_equal(conf_source_folder(&s, path_of("absent"), &why), -1);
    assert_string_equal(why, "No such file or directory");
    assert_true(conf_source_pack(&s, &a, &packed));
    conf_source_init(&bundle, false);
    assert_true(conf_source_unpack(&bundle, packed));
    assert_int_equal(conf_source_folder(&bundle, path_of("sites"), &why),
                     -1); // its descriptor is not there yet
    int passed = dup(fd), surplus = dup(fd);
    conf_source_give_folder(&bundle, passed);
    conf_source_give_folder(&bundle, surplus);
    assert_int_equal(conf_source_folder(&bundle, path_of("sites"), &why), passed);
    assert_int_equal(fstat(surplus, &st), -1); // nobody waits for it: closed
    assert_int_equal(conf_source_folder(&bundle, path_of("other"), &why), -1);
    assert_string_equal(why, "it was not passed along");
    conf_source_fini(&bundle);
    conf_source_fini(&s);
    arena_fini(&a);
}

// What the worker is sent is checked like anything else: cut short it is refused, and nothing is read beyond
// it.
static void a_bundle_that_is_cut_short(void **state)
{
    (void)state;
    struct conf_source s;
    struct arena a;
    struct span packed;
    arena_init(&a, ARENA_NO_LIMIT);
    conf_source_init(&s, false);
    assert_true(conf_source_put(&s, "/x", SPAN("content")));
    assert_true(conf_source_pack(&s, &a, &packed));
    conf_source_fini(&s);
    for (size_t n = 1; n < packed.len; n++) {
        char *part = malloc(n);
        assert_non_null(part);
        memcpy(part, packed.ptr, n);
        conf_source_init(&s, false);
        assert_false(conf_source_unpack(&s, span_of(part, n)));
        conf_source_fini(&s);
        free(part);
    }
    arena_fini(&a);
}

static void the_text_is_taken_over(void **state)
{
    (void)state;
    struct conf_source s, next;
    struct span content;
    const char *why;
    conf_source_init(&s, false);
    assert_true(conf_source_put(&s, "/weir.conf", SPAN("text")) &&
                conf_source_put(&s, "/key.pem", SPAN("key")));
    conf_source_mark_text(&s, (const char *const[]){"/key.pem", NULL});
    conf_source_init(&next, false);
    assert_true(conf_source_take_text(&next, &s));
    conf_source_fini(&s);
    assert_true(conf_source_read(&next, "/weir.conf", &content, &why));
    assert_span(content, "text");
    assert_false(conf_source_read(&next, "/key.pem", &content, &why)); // read anew
    conf_source_fini(&next);
}

static void stamps_tell_changes(void **state)
{
    (void)state;
    struct conf_stamp absent, one, same, other;
    write_file("bad.conf", "a");
    conf_stamp_take(path_of("absent"), &absent);
    conf_stamp_take(path_of("bad.conf"), &one);
    conf_stamp_take(path_of("bad.conf"), &same);
    write_file("bad.conf", "ab");
    conf_stamp_take(path_of("bad.conf"), &other);
    assert_true(absent.inode == 0 && one.inode != 0);
    assert_memory_equal(&one, &same, sizeof one);
    assert_memory_not_equal(&one, &other, sizeof one);
}

// A file that comes later is looked after from the start; one that is there and cannot be read is a mistake.
static void files_that_need_not_be_there(void **state)
{
    (void)state;
    struct conf_source src;
    struct span text;
    conf_source_init(&src, true);
    assert_true(conf_source_read_optional(&src, path_of("later.conf"), &text));
    assert_int_equal(text.len, 0);
    assert_true(src.files && src.files->missing);
    assert_true(conf_source_read_optional(&src, path_of("later.conf"), &text));
    write_file("bad.conf", "here");
    assert_true(conf_source_read_optional(&src, path_of("bad.conf"), &text));
    assert_span(text, "here");
    assert_false(conf_source_read_optional(&src, folder, &text));
    conf_source_fini(&src);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files_that_need_not_be_there), cmocka_unit_test(includes_and_bundles),
                                       cmocka_unit_test(a_folder_to_write_to_is_made),
                                       cmocka_unit_test(a_folder_to_serve_is_passed_along),
                                       cmocka_unit_test(a_bundle_that_is_cut_short),
                                       cmocka_unit_test(the_text_is_taken_over),
                                       cmocka_unit_test(stamps_tell_changes),
                                       cmocka_unit_test(what_cannot_be_read)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
