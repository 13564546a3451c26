// SPDX-License-Identifier: Apache-2.0
// A process with the store is killed (SIGKILL) at random points while its threads store and remove, over and over, on real files. What the next
// one finds is octet for octet some version that was stored under its key, and not from before a removal that was answered.
//   WEIR_KILLS=10000   how many times (60)
#include "disk_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLS = 60, KEYS = 24, WRITERS = 2, STORE_BYTES = 8 * 1024 * 1024, LIFE_US = 12000, WAIT_MS = 20000 };

// What the killed process had said, in memory that outlives it. A key belongs to one thread.
struct said {
    _Atomic unsigned begun[KEYS];  // the newest version that was begun
    _Atomic unsigned removed[KEYS]; // up to this version all are gone
    _Atomic bool up;
};
static struct said *said;
static char path[] = "/tmp/weir-kill-XXXXXX";

static struct disk *open_store(void)
{
    struct disk_config c = {.folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .size_bytes = STORE_BYTES, .wait_ms = WAIT_MS};
    struct disk *d = NULL;
    if (c.folder_fd < 0 || disk_open(&c, &d))
        _exit(2);
    return d;
}

struct writer {
    struct disk *disk;
    unsigned number;
    uint32_t seed;
};

static void *write_on(void *arg)
{
    struct writer *w = (struct writer *)arg;
    char key[20];
    for (;;) {
        unsigned i = test_random(&w->seed) % (KEYS / WRITERS) * WRITERS + w->number;
        snprintf(key, sizeof key, "k%u", i);
        if (test_random(&w->seed) % 4 == 0) {
            unsigned newest = said->begun[i];
            (void)disk_remove(w->disk, key_of(key));
            said->removed[i] = newest;
            continue;
        }
        unsigned version = ++said->begun[i];
        size_t length = test_random(&w->seed) % (test_random(&w->seed) % 5 ? 9000 : 400000);
        (void)put(w->disk, key, version, length, 60000);
    }
    return NULL;
}

static NORETURN void live(uint32_t seed)
{
    struct writer w[WRITERS];
    pthread_t t;
    struct disk *d = open_store();
    for (unsigned i = 0; i < WRITERS; i++) {
        w[i] = (struct writer){d, i, seed * WRITERS + i};
        if (i && pthread_create(&t, NULL, write_on, &w[i]))
            _exit(3);
    }
    said->up = true;
    write_on(&w[0]);
    _exit(4);
}

// Returns how many are there.
static unsigned look_at_all(void)
{
    struct disk *d = open_store();
    char key[20];
    unsigned n = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "k%u", i);
        int version = version_of(d, key, NULL);
        if (version < 0)
            continue;
        n++;
        assert_in_range((unsigned)version, said->removed[i] + 1, said->begun[i]);
    }
    disk_close(d);
    return n;
}

static void killed_anywhere(void **state)
{
    const char *wanted = getenv("WEIR_KILLS");
    unsigned kills = wanted ? (unsigned)strtoul(wanted, NULL, 10) : KILLS, found = 0;
    uint32_t seed = 7;
    (void)state;
    said = (struct said *)mmap(NULL, sizeof *said, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(said != MAP_FAILED && mkdtemp(path) != NULL);
    for (unsigned i = 0; i < kills; i++) {
        int status;
        said->up = false;
        pid_t p = fork();
        assert_true(p >= 0);
        if (p == 0)
            live(i + 1);
        while (!said->up && waitpid(p, &status, WNOHANG) == 0)
            usleep(200);
        usleep(test_random(&seed) % LIFE_US);
        assert_int_equal(kill(p, SIGKILL), 0);
        assert_int_equal(waitpid(p, &status, 0), p);
        assert_true(WIFSIGNALED(status));
        found += look_at_all();
    }
    assert_true(found > kills * KEYS / 4); // it does keep what it can
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_anywhere)};
    int failed = cmocka_run_group_tests(tests, NULL, remove_folder);
    chunk_thread_fini();
    arena_thread_fini();
    return failed;
}
