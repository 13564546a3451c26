// SPDX-License-Identifier: Apache-2.0
#include "quota/quota.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "quota/store.h"

static char folder[64], said[1024];

static void note(const char *text)
{
    snprintf(said + strlen(said), sizeof said - strlen(said), "%s\n", text);
}

static int open_folder(void)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void begin(void)
{
    int fd = open_folder();
    assert_true(quota_open(fd, note));
    close(fd);
}

static struct quota_key key(struct span who, struct span period)
{
    return (struct quota_key){.scope = SPAN("proxy a day user UTC"),
                              .who = who,
                              .period = period,
                              .ends_s = (int64_t)time(NULL) + 86400};
}

static uint64_t use(struct span who, struct span period, uint64_t n)
{
    struct quota_key k = key(who, period);
    struct quota_entry *e = quota_load(&k);
    assert_non_null(e);
    uint64_t total = quota_add(e, n);
    quota_release(e);
    return total;
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/weir-quota-XXXXXX");
    said[0] = '\0';
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    quota_close();
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));)
        (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    return rmdir(folder);
}

static void counts_are_kept(void **state)
{
    (void)state;
    begin();
    assert_int_equal(use(SPAN("user ann"), SPAN("2026-11-25"), 100), 100);
    assert_int_equal(use(SPAN("user ann"), SPAN("2026-11-25"), 23), 123);
    assert_int_equal(use(SPAN("user bob"), SPAN("2026-11-25"), 7), 7);
    assert_int_equal(use(SPAN("user ann"), SPAN("2026-11-26"), 1), 1); // another day
    unsigned users, over;
    quota_summary(SPAN("proxy a day user UTC"), SPAN("2026-11-25"), 123, &users, &over);
    assert_true(users == 2 && over == 1);
    quota_close();
    begin();
    assert_int_equal(use(SPAN("user ann"), SPAN("2026-11-25"), 0), 123);
    assert_int_equal(use(SPAN("user bob"), SPAN("2026-11-25"), 3), 10);
    assert_int_equal(use(SPAN("user ann"), SPAN("2026-11-26"), 0), 1);
    // The clock that jumps forward and back again finds each day as it was.
    assert_int_equal(use(SPAN("user ann"), SPAN("2036-01-01"), 5), 5);
    assert_int_equal(use(SPAN("user ann"), SPAN("2026-11-25"), 0), 123);
    assert_string_equal(said, "");
}

static void without_a_store_it_counts_in_memory(void **state)
{
    (void)state;
    assert_true(quota_open(-1, note));
    assert_false(quota_is_open());
    assert_int_equal(use(SPAN("user ann"), SPAN("2026-11-25"), 100), 100);
    assert_int_equal(use(SPAN("user ann"), SPAN("2026-11-25"), 1), 101);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *count_up(void *arg)
{
    const struct quota_key k = key(SPAN("user all"), SPAN("2026-11-25"));
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct quota_entry *e = quota_load(&k);
        if (e)
            (void)quota_add(e, 3);
        quota_release(e);
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    pthread_t t[THREADS];
    (void)state;
    begin();
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, count_up, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    quota_close();
    begin();
    assert_int_equal(use(SPAN("user all"), SPAN("2026-11-25"), 0), THREADS * ROUNDS * 3);
}

static void two_processes_add_up(void **state)
{
    (void)state;
    struct quota_store *a = quota_store_open(open_folder(), note), *b = quota_store_open(open_folder(), note);
    struct quota_key k = key(SPAN("user ann"), SPAN("2026-11-25"));
    struct quota_saving s = {&k, 40};
    bool anew;
    assert_non_null(a);
    assert_non_null(b);
    assert_true(quota_store_save(a, &s, 1, &anew));
    s.bytes = 2;
    assert_true(quota_store_save(b, &s, 1, &anew));
    assert_int_equal(quota_store_read(a, &k), 42);
    quota_store_forget(b, k.ends_s + 1);
    assert_int_equal(quota_store_read(a, &k), 0);
    quota_store_close(a);
    quota_store_close(b);
    assert_string_equal(said, "");
}

static void damage(const char *text)
{
    int dir = open_folder(), fd = openat(dir, "quota.db", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    (void)unlinkat(dir, "quota.db-wal", 0);
    close(dir);
}

static void a_broken_one_gives_way(void **state)
{
    (void)state;
    damage("this is no database, and was none");
    begin();
    assert_non_null(strstr(said, "is broken: quota.db.broken-"));
    assert_int_equal(use(SPAN("user ann"), SPAN("2026-11-25"), 100), 100);
    quota_close();
    begin();
    assert_int_equal(use(SPAN("user ann"), SPAN("2026-11-25"), 0), 100);
}

// While it is in use: what memory knows is written to the new one.
static void one_that_breaks_gives_way(void **state)
{
    struct quota_key k = key(SPAN("user bob"), SPAN("2026-11-25"));
    (void)state;
    begin();
    assert_int_equal(use(SPAN("user ann"), SPAN("2026-11-25"), 100), 100);
    quota_end();
    int dir = open_folder(), db = openat(dir, "quota.db", O_RDWR | O_CLOEXEC),
        wal = openat(dir, "quota.db-wal", O_RDWR | O_CLOEXEC);
    char junk[16384];
    memset(junk, 0x5a, sizeof junk);
    assert_true(db >= 0);
    assert_true(pwrite(db, junk, sizeof junk, 0) == sizeof junk);
    assert_true(wal < 0 || pwrite(wal, junk, sizeof junk, 0) == sizeof junk);
    close(db);
    if (wal >= 0)
        close(wal);
    close(dir);
    quota_close();
    begin();
    struct quota_entry *e = quota_load(&k);
    assert_non_null(e);
    quota_release(e);
    assert_non_null(strstr(said, "broken"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_store_it_counts_in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_lose_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(two_processes_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_one_gives_way, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_breaks_gives_way, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
