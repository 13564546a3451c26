// SPDX-License-Identifier: Apache-2.0
// Real files, the store's own thread, and many others. Under ThreadSanitizer too.
#include "disk_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "io/loop.h"

enum { THREADS = 4, ROUNDS = 400, KEYS = 60, STORE_BYTES = 8 * 1024 * 1024, WAIT_MS = 20000 };

static char path[] = "/tmp/weir-disk-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(path) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char name[600];
    DIR *dir = opendir(path);
    (void)state;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        (void)unlink(name);
    }
    closedir(dir);
    return rmdir(path);
}

static struct disk *open_store(unsigned wait_ms)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct disk_config c = {.folder_fd = fd, .size_bytes = STORE_BYTES, .wait_ms = wait_ms};
    struct disk *d;
    assert_int_equal(disk_open(&c, &d), ERR_OK);
    return d;
}

static bool is_loading(struct disk *d)
{
    struct disk_stats s;
    disk_get_stats(d, &s);
    return s.loading;
}

static void wait_for(bool (*pred)(struct disk *d), struct disk *d)
{
    uint64_t until = loop_clock_us() + WAIT_MS * 1000;
    while (!pred(d) && loop_clock_us() < until)
        usleep(1000);
    assert_true(pred(d));
}

static bool is_ready(struct disk *d)
{
    return !is_loading(d);
}

static bool all_written(struct disk *d)
{
    struct disk_stats s;
    disk_get_stats(d, &s);
    return s.stored + s.dropped >= 100;
}

static void stores_over_a_restart(void **state)
{
    char key[20];
    (void)state;
    struct disk *d = open_store(WAIT_MS);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "s%u", i);
        assert_true(put(d, key, i, 997 * i, 10000));
    }
    wait_for(all_written, d);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "s%u", i);
        assert_int_equal(version_of(d, key, NULL), i);
    }
    for (unsigned i = 0; i < 50; i++) { // queued only
        snprintf(key, sizeof key, "s%u", i);
        assert_true(put(d, key, 1000 + i, 997 * i, 10000));
    }
    disk_close(d);
    d = open_store(WAIT_MS);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "s%u", i);
        assert_int_equal(version_of(d, key, NULL), i < 50 ? 1000 + i : i);
    }
    disk_close(d);
}

// However fast things come, and however slow the machine is: no more than the rate, over a burst of one second.
static void no_more_is_written_than_the_rate(void **state)
{
    enum { RATE = 1024 * 1024, EACH = 40000, N = 60 };
    char key[20];
    struct disk_stats s;
    (void)state;
    struct disk *d = open_store(WAIT_MS);
    disk_set_write_rate(d, RATE);
    disk_get_stats(d, &s);
    uint64_t before = s.stored, begin_us = loop_clock_us();
    for (unsigned i = 0; i < N; i++) {
        snprintf(key, sizeof key, "r%u", i);
        assert_true(put(d, key, i, EACH, EACH));
    }
    for (;;) {
        disk_get_stats(d, &s);
        uint64_t us = loop_clock_us() - begin_us;
        assert_true((s.stored - before) * EACH <= RATE + us * RATE / 1000000 + EACH);
        if (s.stored - before == N)
            break;
        assert_true(us < (uint64_t)WAIT_MS * 1000);
        usleep(2000);
    }
    disk_close(d);
}

static void one_process_at_a_time(void **state)
{
    struct disk_write *w;
    (void)state;
    struct disk *first = open_store(WAIT_MS), *second = open_store(0);
    assert_true(put(first, "lock", 1, 10, 10));
    assert_true(is_loading(second));
    assert_int_equal(disk_begin(second, key_of("lock"), &w), ERR_AGAIN);
    assert_int_equal(version_of(second, "lock", NULL), -1);
    disk_close(first);
    wait_for(is_ready, second);
    assert_int_equal(version_of(second, "lock", NULL), 1);
    disk_close(second);
}

static void what_is_removed_before_the_folder_is_ours_stays_away(void **state)
{
    (void)state;
    struct disk *first = open_store(WAIT_MS);
    assert_true(put(first, "early", 1, 10, 10));
    struct disk *second = open_store(0);
    (void)disk_remove(second, key_of("early")); // waits, and then remembers
    disk_close(first);
    wait_for(is_ready, second);
    assert_int_equal(version_of(second, "early", NULL), -1);
    disk_close(second);
}

static void *close_soon(void *arg)
{
    usleep(50 * 1000); // while the other one waits; later is fine too
    disk_close((struct disk *)arg);
    return NULL;
}

static void a_removal_waits_for_the_index(void **state)
{
    pthread_t t;
    (void)state;
    struct disk *first = open_store(WAIT_MS);
    assert_true(put(first, "waits", 1, 10, 10) && put(first, "stays", 1, 10, 10));
    struct disk *second = open_store(0);
    assert_int_equal(pthread_create(&t, NULL, close_soon, first), 0);
    bool removed = disk_remove(second, key_of("waits"));
    assert_int_equal(pthread_join(t, NULL), 0);
    wait_for(is_ready, second);
    assert_int_equal(version_of(second, "waits", NULL), -1);
    if (removed)
        assert_int_equal(version_of(second, "stays", NULL), 1);
    disk_close(second);
}

struct worker {
    struct disk *disk;
    pthread_t thread;
    uint32_t seed;
};

static enum disk_verdict drop_some(void *arg, const struct disk_object *o, struct span *ret_metadata)
{
    (void)arg;
    (void)ret_metadata;
    return o->length % 7 == 3 ? DISK_DROP : DISK_KEEP;
}

static void *work(void *arg)
{
    struct worker *w = (struct worker *)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        char key[20];
        uint32_t dice = test_random(&w->seed) % 100;
        snprintf(key, sizeof key, "g%u/%u", test_random(&w->seed) % KEYS, test_random(&w->seed) % 3);
        if (dice < 40)
            (void)put(w->disk, key, test_random(&w->seed) % 100, test_random(&w->seed) % (dice < 4 ? 700000 : 20000), 30000);
        else if (dice < 45)
            (void)disk_remove(w->disk, key_of(key));
        else if (dice < 48)
            (void)disk_remove_group(w->disk, span_first(key_of(key).bytes, key_of(key).group_len));
        else if (dice < 49)
            (void)disk_judge(w->disk, SPAN_NONE, drop_some, NULL);
        else
            (void)version_of(w->disk, key, NULL); // compares
    }
    chunk_thread_fini();
    return NULL;
}

static void many_threads(void **state)
{
    struct worker w[THREADS];
    struct disk_stats s;
    (void)state;
    struct disk *d = open_store(WAIT_MS);
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.disk = d, .seed = i + 1};
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
    disk_get_stats(d, &s);
    assert_int_equal(s.damaged, 0);
    assert_int_equal(s.read_errors + s.write_errors, 0);
    assert_true(s.bytes <= STORE_BYTES);
    disk_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores_over_a_restart),
        cmocka_unit_test(no_more_is_written_than_the_rate),
        cmocka_unit_test(one_process_at_a_time),
        cmocka_unit_test(what_is_removed_before_the_folder_is_ours_stays_away),
        cmocka_unit_test(a_removal_waits_for_the_index),
        cmocka_unit_test(many_threads),
    };
    int failed = cmocka_run_group_tests(tests, make_folder, remove_folder);
    chunk_thread_fini();
    arena_thread_fini();
    return failed;
}
