// SPDX-License-Identifier: Apache-2.0
// The store's process ends anywhere, and its folder rots: what is found afterwards is right or not there.
#include "disk_test.h"

enum { KEYS = 40, CUTS = 10000, ROTS = 1500, STORE_BYTES = 4 * 1024 * 1024, OPS_MAX = 40, VERSIONS_NONE = -1 };

// What a key may hold: what was last said of it, and while a change is under way also what was said before.
struct known {
    int version, before;
    unsigned edition, edition_before;
};

struct world {
    struct folder folder;
    struct disk *disk;
    struct known keys[KEYS];
    unsigned next_version;
    uint32_t seed;
};

static const char *name_of(unsigned i, char out[20])
{
    snprintf(out, 20, "g%u/%u", i / 3, i % 3);
    return out;
}

static void settle(struct known *k)
{
    k->before = k->version;
    k->edition_before = k->edition;
}

// A process that was cut off says nothing after its cut; what it said before holds.
static bool ended(const struct world *w)
{
    return w->folder.left == 0;
}

static void store_one(struct world *w, unsigned i)
{
    char name[20];
    uint32_t dice = test_random(&w->seed) % 100;
    size_t length = dice < 80 ? test_random(&w->seed) % 3000 : dice < 97 ? test_random(&w->seed) % 80000 : test_random(&w->seed) % 600000;
    w->keys[i].version = (int)w->next_version++;
    w->keys[i].edition = 0;
    if (!put(w->disk, name_of(i, name), (unsigned)w->keys[i].version, length, 1 + test_random(&w->seed) % 90000) || ended(w))
        return;
    // Written in place: it is there, or the store took nothing and keeps what was.
    w->keys[i].before = w->keys[i].version;
    w->keys[i].edition_before = 0;
}

static void update_one(struct world *w, unsigned i)
{
    char name[20], key[100], metadata[200];
    unsigned version, edition;
    size_t length;
    struct disk_object o;
    if (disk_lookup(w->disk, key_of(name_of(i, name)), &o))
        return;
    metadata_of(&o, key, &version, &length, &edition);
    int n = snprintf(metadata, sizeof metadata, "%s %u %zu %u", key, version, length, edition + 1);
    w->keys[i].edition = edition + 1;
    disk_object_close(&o);
    disk_update(w->disk, key_of(name), span_of(metadata, (size_t)n));
}

static void remove_one(struct world *w, unsigned i)
{
    char name[20];
    w->keys[i].version = VERSIONS_NONE;
    (void)disk_remove(w->disk, key_of(name_of(i, name)));
}

static void remove_three(struct world *w, unsigned i)
{
    char name[20];
    name_of(i, name);
    for (unsigned k = i / 3 * 3; k < KEYS && k < i / 3 * 3 + 3; k++)
        w->keys[k].version = VERSIONS_NONE;
    (void)disk_remove_group(w->disk, span_of(name, (size_t)(strchr(name, '/') - name)));
}

static void check_one(struct world *w, unsigned i)
{
    char name[20];
    unsigned edition = 0;
    struct known *k = &w->keys[i];
    int v = version_of(w->disk, name_of(i, name), &edition);
    if (v != VERSIONS_NONE && (v != k->version || edition != k->edition) && (v != k->before || edition != k->edition_before))
        fail_msg("%s: version %d.%u where %d.%u or %d.%u was stored", name, v, edition, k->version, k->edition, k->before, k->edition_before);
}

static enum disk_verdict drop_odd(void *arg, const struct disk_object *o, struct span *ret_metadata)
{
    char key[100];
    (void)ret_metadata;
    unsigned version, edition;
    size_t length;
    (void)arg;
    metadata_of(o, key, &version, &length, &edition);
    return version % 2 == 1 ? DISK_DROP : DISK_KEEP;
}

static void remove_odd(struct world *w)
{
    for (unsigned i = 0; i < KEYS; i++)
        if (w->keys[i].version % 2 == 1)
            w->keys[i].version = VERSIONS_NONE;
    (void)disk_judge(w->disk, SPAN_NONE, drop_odd, NULL);
}

static void reopen(struct world *w)
{
    disk_close(w->disk);
    w->disk = open_in(&w->folder, STORE_BYTES);
}

static void change_something(struct world *w)
{
    unsigned i = test_random(&w->seed) % KEYS;
    uint32_t dice = test_random(&w->seed) % 100;
    if (dice < 60)
        store_one(w, i);
    else if (dice < 70)
        update_one(w, i);
    else if (dice < 80)
        remove_one(w, i);
    else if (dice < 85)
        remove_three(w, i);
    else if (dice < 86)
        remove_odd(w);
    else if (dice < 88)
        reopen(w);
    else
        check_one(w, i);
    if (ended(w))
        return;
    for (i = 0; i < KEYS; i++)
        settle(&w->keys[i]);
}

static void world_init(struct world *w, uint32_t seed)
{
    *w = (struct world){.seed = seed, .next_version = 1};
    folder_init(&w->folder);
    for (unsigned i = 0; i < KEYS; i++)
        w->keys[i] = (struct known){VERSIONS_NONE, VERSIONS_NONE, 0, 0};
    w->disk = open_in(&w->folder, STORE_BYTES);
}

static void world_fini(struct world *w)
{
    disk_close(w->disk);
    folder_fini(&w->folder);
}

static void check_all(struct world *w)
{
    for (unsigned i = 0; i < KEYS; i++)
        check_one(w, i);
}

static void a_process_that_ends_anywhere(void **state)
{
    static struct world w;
    uint64_t found = 0;
    (void)state;
    world_init(&w, 1);
    for (unsigned cut = 0; cut < CUTS; cut++) {
        w.folder.left = test_random(&w.seed) % 3 ? test_random(&w.seed) % 20000 : test_random(&w.seed) % 300000;
        for (unsigned n = 0; n < OPS_MAX && !ended(&w); n++)
            change_something(&w);
        w.folder.left = 0;
        disk_close(w.disk);
        w.folder.left = UINT64_MAX;
        w.disk = open_in(&w.folder, STORE_BYTES);
        check_all(&w);
        for (unsigned i = 0; i < KEYS; i++) { // what was under way is decided now
            char name[20];
            struct known *k = &w.keys[i];
            int v = version_of(w.disk, name_of(i, name), &k->edition);
            k->version = v;
            found += v != VERSIONS_NONE;
            settle(k);
        }
    }
    assert_true(found > CUTS * KEYS / 3); // it does keep what it can
    world_fini(&w);
}

// Bits flip, runs of zeros appear and ends are missing: whatever is found must be octet for octet some version that was stored
// under its key and not removed since.
static void a_folder_that_rots(void **state)
{
    static struct world w;
    uint64_t found = 0;
    (void)state;
    for (unsigned round = 0; round < ROTS; round++) {
        world_init(&w, round + 7);
        for (unsigned n = 0; n < 60; n++)
            change_something(&w);
        if (test_random(&w.seed) % 2)
            w.folder.left = 0;
        struct disk_stats s;
        disk_close(w.disk);
        w.folder.left = UINT64_MAX;
        for (unsigned hits = 1 + test_random(&w.seed) % 20; hits--;) {
            struct memory_file *m = w.folder.files[test_random(&w.seed) % FOLDER_FILES];
            if (!m || !m->n)
                continue;
            size_t at = (test_random(&w.seed) << 12 ^ test_random(&w.seed)) % m->n;
            if (test_random(&w.seed) % 4)
                m->bytes[at] ^= (char)(1 << test_random(&w.seed) % 8);
            else if (test_random(&w.seed) % 4)
                memset(m->bytes + at, 0, m->n - at < 4096 ? m->n - at : 4096);
            else
                m->n = at;
        }
        w.disk = open_in(&w.folder, STORE_BYTES);
        for (unsigned i = 0; i < KEYS; i++) {
            char name[20];
            found += version_of(w.disk, name_of(i, name), NULL) != VERSIONS_NONE; // compares each octet
        }
        for (unsigned n = 0; n < 20; n++) { // and it goes on
            unsigned i = test_random(&w.seed) % KEYS;
            store_one(&w, i);
            w.keys[i].before = w.keys[i].version;
            check_one(&w, i);
        }
        disk_get_stats(w.disk, &s);
        world_fini(&w);
    }
    assert_true(found > ROTS * KEYS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_that_ends_anywhere),
        cmocka_unit_test(a_folder_that_rots),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    chunk_thread_fini();
    arena_thread_fini();
    return failed;
}
