// SPDX-License-Identifier: Apache-2.0
// The disk tier as its users see it.
#include "disk_test.h"

#include "cache/disk_layout.h"

enum { MIB = 1024 * 1024 };

static void stores_and_finds(void **state)
{
    struct folder f;
    struct disk_stats s;
    struct disk_object o;
    unsigned edition = 9;
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 16 * MIB);
    static const size_t lengths[] = {0, 1, 1000, 65535, 65536, 65537, 262144, 262145, 1000000, 3 * MIB};
    for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
        char key[20];
        snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(version_of(d, key, NULL), -1);
        assert_true(put(d, key, i, lengths[i], 10000 + i));
        assert_int_equal(version_of(d, key, &edition), i);
        assert_int_equal(edition, 0);
    }
    assert_true(put(d, "k3", 77, 5, 5)); // in its place
    assert_int_equal(version_of(d, "k3", NULL), 77);
    disk_get_stats(d, &s);
    assert_int_equal(s.objects, ARRAY_LEN(lengths));
    assert_int_equal(s.stored, ARRAY_LEN(lengths) + 1);
    assert_int_equal(s.misses, ARRAY_LEN(lengths));
    assert_int_equal(s.damaged, 0);
    assert_int_equal(s.bytes, folder_bytes(&f));
    // Ranges
    struct chunkq q;
    chunkq_init(&q);
    assert_int_equal(disk_lookup(d, key_of("k8"), &o), ERR_OK);
    assert_int_equal(disk_read(&o, 262100, 70000, &q), ERR_OK);
    assert_int_equal(q.bytes, 70000);
    for (uint64_t at = 262100; q.bytes; at++) {
        assert_int_equal(*chunkq_first(&q).ptr, octet_at(seed_of("k8", 8), at));
        chunkq_skip(&q, 1);
    }
    disk_object_close(&o);
    disk_close(d);
    folder_fini(&f);
}

static void an_abort_leaves_no_trace(void **state)
{
    struct folder f;
    struct disk_write *w;
    struct chunkq q;
    static char text[600000];
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 16 * MIB);
    assert_true(put(d, "a", 1, 100, 100));
    chunkq_init(&q);
    assert_int_equal(chunkq_append_copy(&q, text, sizeof text), ERR_OK);
    assert_int_equal(disk_begin(d, key_of("a"), &w), ERR_OK);
    assert_int_equal(disk_append(w, &q, q.bytes), ERR_OK);
    disk_abort(w);
    chunkq_fini(&q);
    assert_int_equal(version_of(d, "a", NULL), 1);
    disk_close(d);
    d = open_in(&f, 16 * MIB);
    assert_int_equal(version_of(d, "a", NULL), 1);
    disk_close(d);
    folder_fini(&f);
}

static bool is_b2(void *arg, const struct disk_object *o)
{
    ++*(unsigned *)arg;
    return span_eq(o->key, SPAN("b/2"));
}

static void count_one(void *arg, const struct disk_object *o)
{
    assert_true(span_starts(o->key, SPAN("b/")));
    ++*(unsigned *)arg;
}

static void groups_are_found_and_removed_together(void **state)
{
    struct folder f;
    struct disk_object o;
    unsigned looked = 0, n = 0, version, edition;
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 16 * MIB);
    for (unsigned i = 0; i < 5; i++) {
        char key[20];
        snprintf(key, sizeof key, "b/%u", i);
        assert_true(put(d, key, i, 100 * i, 64));
    }
    assert_true(put(d, "bb/1", 1, 10, 10));
    assert_int_equal(disk_lookup_group(d, SPAN("b"), is_b2, &looked, &o), ERR_OK);
    assert_int_equal(looked, 3); // from the newest on: 4, 3, 2
    assert_true(verify(&o, &version, &edition, NULL, NULL));
    assert_int_equal(version, 2);
    disk_object_close(&o);
    disk_each(d, SPAN("b"), count_one, &n);
    assert_int_equal(n, 5);
    assert_true(disk_may_have_group(d, SPAN("b")));
    assert_false(disk_may_have_group(d, SPAN("c")));
    assert_true(disk_remove(d, key_of("b/3")));
    assert_false(disk_remove(d, key_of("b/3")));
    assert_int_equal(disk_remove_group(d, SPAN("b")), 4);
    assert_int_equal(disk_remove_group(d, SPAN("b")), 0);
    assert_false(disk_may_have_group(d, SPAN("b")));
    disk_close(d);
    d = open_in(&f, 16 * MIB);
    assert_false(disk_may_have_group(d, SPAN("b")));
    assert_int_equal(version_of(d, "bb/1", NULL), 1);
    disk_close(d);
    folder_fini(&f);
}

static enum disk_verdict drop_even(void *arg, const struct disk_object *o, struct span *ret_metadata)
{
    char key[100];
    (void)ret_metadata;
    unsigned version, edition;
    size_t length;
    (void)arg;
    metadata_of(o, key, &version, &length, &edition);
    return version % 2 == 0 ? DISK_DROP : DISK_KEEP;
}

static void what_was_removed_stays_away(void **state)
{
    struct folder f;
    char key[20];
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 16 * MIB);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%u", i);
        assert_true(put(d, key, 1000 + i, 300, 300));
        assert_true(put(d, key, i, 300, 300)); // an older one must not come back either
    }
    assert_int_equal(disk_judge(d, SPAN_NONE, drop_even, NULL), 150);
    for (int again = 0; again < 3; again++) {
        for (unsigned i = 0; i < 300; i++) {
            snprintf(key, sizeof key, "k%u", i);
            assert_int_equal(version_of(d, key, NULL), i % 2 ? (int)i : -1);
        }
        if (again == 1) { // as a killed process leaves it
            struct disk *killed = d;
            d = open_in(&f, 16 * MIB);
            f.left = 0;
            disk_close(killed);
            f.left = UINT64_MAX;
        } else {
            disk_close(d);
            d = open_in(&f, 16 * MIB);
        }
    }
    assert_int_equal(disk_remove_all(d), 150);
    assert_int_equal(disk_remove_all(d), 0);
    assert_true(put(d, "new", 1, 10, 10));
    disk_close(d);
    d = open_in(&f, 16 * MIB);
    assert_int_equal(version_of(d, "k1", NULL), -1);
    assert_int_equal(version_of(d, "new", NULL), 1);
    disk_close(d);
    folder_fini(&f);
}

// The even ones get edition 5.
static enum disk_verdict change_even(void *arg, const struct disk_object *o, struct span *ret_metadata)
{
    char key[100], *out = (char *)arg;
    unsigned version, edition;
    size_t length;
    metadata_of(o, key, &version, &length, &edition);
    if (version % 2 || edition == 5)
        return DISK_KEEP;
    *ret_metadata = span_of(out, (size_t)snprintf(out, 200, "%s %u %zu 5", key, version, length));
    return DISK_CHANGE;
}

static void everything_is_judged_and_changed(void **state)
{
    struct folder f;
    char key[20], text[200];
    unsigned edition;
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 16 * MIB);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%u", i);
        assert_true(put(d, key, i, 300 * i, 70000));
    }
    assert_int_equal(disk_judge(d, SPAN_NONE, change_even, text), 150);
    assert_int_equal(disk_judge(d, SPAN_NONE, change_even, text), 0);
    assert_true(put(d, "v/1", 2, 10, 10) && put(d, "v/2", 3, 10, 10) && put(d, "v/3", 4, 10, 10) && put(d, "w/1", 2, 10, 10));
    assert_int_equal(disk_judge(d, SPAN("v"), change_even, text), 2);
    assert_int_equal(disk_judge(d, SPAN("v"), drop_even, text), 2);
    assert_int_equal(version_of(d, "v/2", NULL), 3);
    assert_int_equal(version_of(d, "w/1", &edition), 2);
    assert_int_equal(edition, 0);
    disk_close(d);
    d = open_in(&f, 16 * MIB);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(version_of(d, key, &edition), i);
        assert_int_equal(edition, i % 2 ? 0 : 5);
    }
    disk_close(d);
    folder_fini(&f);
}

static void a_write_that_fails_takes_what_was_before_along(void **state)
{
    struct folder f;
    struct disk_write *w;
    struct chunkq q;
    static char text[100000];
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 16 * MIB);
    assert_true(put(d, "a", 1, 100, 100));
    assert_true(put(d, "b", 1, 100, 100));
    chunkq_init(&q);
    assert_int_equal(chunkq_append_copy(&q, text, sizeof text), ERR_OK);
    assert_int_equal(disk_begin(d, key_of("a"), &w), ERR_OK);
    assert_int_equal(disk_append(w, &q, q.bytes), ERR_OK);
    f.space = folder_bytes(&f) + 5000; // for the removal, not for the content
    disk_commit(w, SPAN("a 2 100000 0"));
    chunkq_fini(&q);
    assert_int_equal(version_of(d, "a", NULL), -1);
    disk_close(d);
    f.space = UINT64_MAX;
    d = open_in(&f, 16 * MIB);
    assert_int_equal(version_of(d, "a", NULL), -1);
    assert_int_equal(version_of(d, "b", NULL), 1);
    disk_close(d);
    folder_fini(&f);
}

static void a_removal_stops_what_is_being_written(void **state)
{
    struct folder f;
    struct disk_write *w[4];
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 16 * MIB);
    static const char *const keys[] = {"a/1", "a/2", "b/1", "c/1"};
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(disk_begin(d, key_of(keys[i]), &w[i]), ERR_OK);
    assert_false(disk_remove(d, key_of("a/2")));
    assert_int_equal(disk_remove_group(d, SPAN("b")), 0);
    for (unsigned i = 0; i < 4; i++) {
        char metadata[50];
        disk_commit(w[i], span_of(metadata, (size_t)snprintf(metadata, sizeof metadata, "%s 1 0 0", keys[i])));
    }
    assert_true(disk_may_have_group(d, SPAN("a")));
    assert_false(disk_may_have_group(d, SPAN("b")));
    assert_true(disk_may_have_group(d, SPAN("c")));
    assert_int_equal(version_of(d, "a/1", NULL), 1);
    assert_int_equal(disk_begin(d, key_of("e"), &w[0]), ERR_OK);
    (void)disk_judge(d, SPAN_NONE, drop_even, NULL);
    disk_commit(w[0], SPAN("e 1 0 0"));
    assert_false(disk_may_have_group(d, SPAN("e")));
    disk_close(d);
    folder_fini(&f);
}

static void metadata_is_replaced_without_the_content(void **state)
{
    struct folder f;
    struct disk_object o, old;
    struct disk_stats before, after;
    unsigned edition, version;
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 32 * MIB);
    static const size_t lengths[] = {0, 700, 200000, 2 * MIB};
    for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
        char key[20], metadata[100];
        snprintf(key, sizeof key, "k%u", i);
        assert_true(put(d, key, i, lengths[i], 50000));
        for (unsigned n = 1; n < 4; n++) {
            disk_get_stats(d, &before);
            assert_int_equal(disk_lookup(d, key_of(key), &o), ERR_OK);
            disk_object_dup(&o, &old);
            int len = snprintf(metadata, sizeof metadata, "%s %u %zu %u", key, i, lengths[i], n);
            disk_update(d, key_of(key), span_of(metadata, (size_t)len));
            disk_object_close(&o);
            assert_true(verify(&old, &version, &edition, NULL, NULL)); // what was
            assert_int_equal(edition, n - 1);
            disk_object_close(&old);
            disk_get_stats(d, &after);
            assert_true(after.bytes - before.bytes < 2048);
            assert_int_equal(version_of(d, key, &edition), i);
            assert_int_equal(edition, n);
        }
    }
    disk_update(d, key_of("k4"), SPAN("nothing there")); // and nothing comes of it
    assert_false(disk_may_have(d, key_of("k4")));
    disk_close(d);
    d = open_in(&f, 32 * MIB);
    assert_int_equal(version_of(d, "k3", &edition), 3);
    assert_int_equal(edition, 3);
    disk_close(d);
    folder_fini(&f);
}

static void the_oldest_makes_room_and_what_is_used_stays(void **state)
{
    struct folder f;
    struct disk_stats s;
    char key[20];
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 8 * MIB);
    assert_true(put(d, "used", 7, 20000, 20000));
    for (unsigned i = 0; i < 2000; i++) { // five times its size
        snprintf(key, sizeof key, "k%u", i);
        assert_true(put(d, key, i, 20000, 20000));
        if (i % 50 == 0)
            assert_int_equal(version_of(d, "used", NULL), 7);
        assert_true(folder_bytes(&f) <= 8 * MIB);
    }
    assert_int_equal(version_of(d, "k1999", NULL), 1999);
    assert_int_equal(version_of(d, "k0", NULL), -1);
    disk_get_stats(d, &s);
    assert_true(s.evicted > 1500 && s.reinserted >= 4);
    assert_true(s.objects > 250);
    assert_int_equal(s.bytes, folder_bytes(&f));
    disk_close(d);
    d = open_in(&f, 4 * MIB); // a smaller one from now on
    assert_true(folder_bytes(&f) <= 4 * MIB);
    assert_int_equal(version_of(d, "k1999", NULL), 1999);
    disk_close(d);
    folder_fini(&f);
}

static void what_is_open_stays_readable(void **state)
{
    struct folder f;
    struct disk_object o;
    char key[20];
    unsigned version, edition;
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 4 * MIB);
    assert_true(put(d, "open", 3, 200000, 60000));
    assert_int_equal(disk_lookup(d, key_of("open"), &o), ERR_OK);
    for (unsigned i = 0; i < 400; i++) {
        snprintf(key, sizeof key, "k%u", i);
        assert_true(put(d, key, i, 20000, 20000));
    }
    assert_int_equal(version_of(d, "open", NULL), -1);
    (void)disk_remove_all(d);
    assert_true(verify(&o, &version, &edition, NULL, NULL));
    assert_int_equal(version, 3);
    disk_object_close(&o);
    disk_close(d);
    folder_fini(&f);
}

static void limits(void **state)
{
    struct folder f;
    struct disk_write *w;
    static char long_key[DISK_KEY_MAX + 1], metadata[DISK_METADATA_MAX + 1];
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 8 * MIB);
    assert_int_equal(disk_begin(d, (struct disk_key){{long_key, sizeof long_key}, 1}, &w), ERR_CONTENT_TOO_LARGE);
    assert_false(put(d, "large", 1, 2 * MIB + 1, 100000)); // a quarter of the store
    assert_true(put(d, "fits", 1, 2 * MIB, 100000));
    assert_int_equal(version_of(d, "fits", NULL), 1);
    assert_int_equal(disk_begin(d, key_of("m"), &w), ERR_OK);
    disk_commit(w, span_of(metadata, sizeof metadata));
    assert_false(disk_may_have_group(d, SPAN("m")));
    disk_close(d);
    folder_fini(&f);
}

// ---- What the folder does to it

static void a_full_disk_takes_nothing_and_harms_nothing(void **state)
{
    struct folder f;
    struct disk_stats s;
    char key[20];
    (void)state;
    folder_init(&f);
    f.space = 3 * MIB;
    struct disk *d = open_in(&f, 16 * MIB);
    unsigned taken = 0, found = 0;
    for (unsigned i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%u", i);
        taken += put(d, key, i, 30000, 30000);
    }
    assert_true(taken > 50 && taken < 300);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%u", i);
        int v = version_of(d, key, NULL);
        assert_true(v == -1 || v == (int)i);
        found += v >= 0;
    }
    disk_get_stats(d, &s);
    assert_true(s.write_errors > 0 && found > 20);
    // What is removed stays away all the same.
    f.space = 0;
    for (unsigned i = 0; i < 300; i += 2) {
        snprintf(key, sizeof key, "k%u", i);
        (void)disk_remove(d, key_of(key));
    }
    disk_close(d);
    f.space = UINT64_MAX;
    d = open_in(&f, 16 * MIB);
    for (unsigned i = 0; i < 300; i += 2) {
        snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(version_of(d, key, NULL), -1);
    }
    disk_close(d);
    folder_fini(&f);
}

static void a_read_error_is_a_miss(void **state)
{
    struct folder f;
    struct disk_stats s;
    struct disk_object o;
    struct disk_piece p;
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 16 * MIB);
    assert_true(put(d, "small", 1, 100, 100));
    assert_true(put(d, "large", 1, 500000, 50000));
    assert_int_equal(disk_lookup(d, key_of("large"), &o), ERR_OK);
    f.read_fails = true;
    assert_int_equal(version_of(d, "small", NULL), -1);
    assert_int_equal(disk_piece(&o, 0, 10, true, &p), ERR_NOT_FOUND);
    disk_object_close(&o);
    f.read_fails = false;
    assert_int_equal(version_of(d, "small", NULL), -1);
    assert_int_equal(version_of(d, "large", NULL), -1);
    disk_get_stats(d, &s);
    assert_int_equal(s.read_errors, 2);
    disk_close(d);
    folder_fini(&f);
}

static struct memory_file *file_of(struct folder *f, const char *name)
{
    for (int i = 0; i < FOLDER_FILES; i++)
        if (f->files[i] && f->files[i]->linked && strcmp(f->files[i]->name, name) == 0)
            return f->files[i];
    fail_msg("no %s", name);
    return NULL;
}

static void parts_of_files_are_given_out_once_checked_and_while_unchanged(void **state)
{
    struct folder f;
    struct disk_object o;
    unsigned version, edition, reads = 0;
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 64 * MIB);
    assert_true(put(d, "large", 1, 700000, 50000));
    assert_true(put(d, "fills", 1, 400000, 50000)); // the next segment begins
    for (int i = 0; i < 3; i++) {
        assert_int_equal(disk_lookup(d, key_of("large"), &o), ERR_OK);
        assert_true(verify(&o, &version, &edition, &f, &reads));
        disk_object_close(&o);
        assert_int_equal(reads, 3 * i); // its three runs
    }
    // Somebody else writes: everything is compared again, and found out.
    struct memory_file *m = file_of(&f, "0000000000000001.segment");
    m->stamp = ++f.next_stamp;
    assert_int_equal(disk_lookup(d, key_of("large"), &o), ERR_OK);
    assert_true(verify(&o, &version, &edition, &f, &reads));
    assert_int_equal(reads, 6);
    disk_object_close(&o);
    m->bytes[300000] ^= 4;
    m->stamp = ++f.next_stamp;
    assert_int_equal(disk_lookup(d, key_of("large"), &o), ERR_OK);
    assert_false(verify(&o, &version, &edition, &f, &reads));
    disk_object_close(&o);
    assert_int_equal(version_of(d, "large", NULL), -1);
    disk_close(d);
    folder_fini(&f);
}

static void another_layout_or_a_strange_file_is_not_read(void **state)
{
    struct folder f;
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 16 * MIB);
    assert_true(put(d, "a", 1, 100, 100));
    disk_close(d);
    struct memory_file *m = file_of(&f, "0000000000000001.segment");
    m->bytes[8] = m->bytes[64 + 8] = 2; // the version
    d = open_in(&f, 16 * MIB);
    assert_int_equal(version_of(d, "a", NULL), -1);
    assert_true(put(d, "a", 2, 100, 100));
    disk_close(d);
    d = open_in(&f, 16 * MIB);
    assert_int_equal(version_of(d, "a", NULL), 2);
    disk_close(d);
    folder_fini(&f);
}

// Every bit of a small store flips once. What is found is what was stored, and a removed one is not found.
static void every_bit(void **state)
{
    struct folder f;
    unsigned lost = 0;
    (void)state;
    for (int closed = 0; closed < 2; closed++) {
        folder_init(&f);
        struct disk *d = open_in(&f, 4 * MIB);
        assert_true(put(d, "a", 1, 100, 100) && put(d, "r/1", 1, 10, 10) && put(d, "r/2", 1, 10, 10) && put(d, "b", 2, 0, 1));
        assert_int_equal(disk_remove_group(d, SPAN("r")), 2);
        if (!closed)
            f.left = 0;
        disk_close(d);
        f.left = UINT64_MAX;
        struct memory_file *m = file_of(&f, "0000000000000001.segment");
        size_t n = m->n;
        char *sound = (char *)malloc(n);
        assert_non_null(sound);
        memcpy(sound, m->bytes, n);
        for (size_t bit = 0; bit < n * 8; bit++) {
            m = file_of(&f, "0000000000000001.segment");
            mem_resize(m, n);
            memcpy(m->bytes, sound, n);
            m->bytes[bit / 8] ^= (char)(1 << bit % 8);
            d = open_in(&f, 4 * MIB);
            int a = version_of(d, "a", NULL), b = version_of(d, "b", NULL);
            assert_true((a == 1 || a == -1) && (b == 2 || b == -1));
            assert_false(disk_may_have_group(d, SPAN("r")));
            lost += (a < 0) + (b < 0);
            f.left = 0; // nothing more is written
            disk_close(d);
            f.left = UINT64_MAX;
        }
        free(sound);
        folder_fini(&f);
    }
    assert_true(lost > 1000); // the octets of two objects, twice
}

// An origin's content is a record, of which it even guessed the store's key and its place. The record before it is damaged, so that
// the walk comes by.
static void content_cannot_pass_for_a_record(void **state)
{
    enum { METADATA = 57, CONTENT_AT = 128 + 64 + 32 + 24 + 8 + 7 + METADATA };
    struct folder f;
    struct disk_write *w;
    struct disk_segment_head head;
    struct chunkq q;
    char metadata[METADATA], text[512];
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 4 * MIB);
    assert_true(put(d, "first", 1, 10, 10));
    (void)disk_remove_all(d); // its key stays
    assert_true(put(d, "x", 1, 0, 1));
    disk_close(d);
    struct memory_file *m = file_of(&f, "0000000000000002.segment");
    assert_true(disk_get_segment_head(m->bytes, &head));
    for (int guessed = 0; guessed < 2; guessed++) {
        size_t at = m->n % 64 ? 0 : m->n;
        d = open_in(&f, 4 * MIB);
        struct hash_key seal = guessed ? head.segment_key : (struct hash_key){1, 2};
        struct disk_object_head oh = {6, 6, 12, 0, 0};
        struct disk_record r = {.type = DISK_OBJECT, .descriptor_bytes = (uint32_t)disk_descriptor_bytes(&oh), .first_segment = head.number,
                                .hash = hash_keyed_with(&head.store_key, SPAN("victim")), .offset = at + CONTENT_AT - 128};
        r.tag = (uint32_t)r.hash;
        disk_put_object_head(text + 64, &oh);
        memcpy(text + 64 + 32, "victimvictim 9 0 0", 18);
        r.descriptor_sum = disk_sum(span_of(text + 64, r.descriptor_bytes), &head.store_key);
        disk_put_record(text, &r, &seal);
        memset(metadata, 'm', sizeof metadata);
        chunkq_init(&q);
        assert_int_equal(chunkq_append_copy(&q, text, 192), ERR_OK);
        assert_int_equal(disk_begin(d, key_of("carrier"), &w), ERR_OK);
        assert_int_equal(disk_append(w, &q, q.bytes), ERR_OK);
        disk_commit(w, span_of(metadata, sizeof metadata));
        chunkq_fini(&q);
        f.left = 0; // killed
        disk_close(d);
        f.left = UINT64_MAX;
        m->bytes[at + 5] ^= 1;
        d = open_in(&f, 4 * MIB);
        assert_int_equal(version_of(d, "victim", NULL), guessed ? 9 : -1); // with the seal's key it would: the test tests something
        f.left = 0;
        disk_close(d);
        f.left = UINT64_MAX;
    }
    folder_fini(&f);
}

static void what_a_lost_segment_may_have_removed_goes_too(void **state)
{
    struct folder f;
    char key[20];
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 16 * MIB);
    for (unsigned i = 0; i < 100; i++) { // some three segments
        snprintf(key, sizeof key, "k%u", i);
        assert_true(put(d, key, i, 30000, 30000));
    }
    assert_true(disk_remove(d, key_of("k1")));
    disk_close(d);
    struct memory_file *m = file_of(&f, "0000000000000003.segment");
    m->bytes[20] ^= 1;
    d = open_in(&f, 16 * MIB);
    assert_int_equal(version_of(d, "k0", NULL), 0); // its head is there twice
    disk_close(d);
    m->bytes[64 + 20] ^= 1;
    d = open_in(&f, 16 * MIB);
    assert_int_equal(version_of(d, "k1", NULL), -1);
    assert_int_equal(folder_bytes(&f), 0);
    disk_close(d);
    folder_fini(&f);
}

static void what_replaced_something_and_is_gone_does_not_bring_it_back(void **state)
{
    struct folder f;
    struct disk_write *w;
    struct chunkq q;
    static char text[400000];
    char key[20];
    (void)state;
    folder_init(&f);
    struct disk *d = open_in(&f, 16 * MIB);
    // Its first piece is in the first segment, which goes; its record, and an older version, are in later ones.
    chunkq_init(&q);
    assert_int_equal(chunkq_append_copy(&q, text, sizeof text), ERR_OK);
    assert_int_equal(disk_begin(d, key_of("a"), &w), ERR_OK);
    assert_int_equal(disk_append(w, &q, q.bytes), ERR_OK);
    chunkq_fini(&q);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "k%u", i);
        assert_true(put(d, key, i, 30000, 30000));
    }
    assert_true(put(d, "a", 1, 100, 100));
    disk_commit(w, SPAN("a 2 400000 0"));
    assert_true(disk_may_have_group(d, SPAN("a")));
    disk_close(d);
    assert_int_equal(mem_remove(&f, 0, "0000000000000001.segment"), 0);
    d = open_in(&f, 16 * MIB);
    assert_int_equal(version_of(d, "k39", NULL), 39);
    assert_int_equal(version_of(d, "a", NULL), -1);
    disk_close(d);
    folder_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores_and_finds),
        cmocka_unit_test(an_abort_leaves_no_trace),
        cmocka_unit_test(groups_are_found_and_removed_together),
        cmocka_unit_test(what_was_removed_stays_away),
        cmocka_unit_test(everything_is_judged_and_changed),
        cmocka_unit_test(a_write_that_fails_takes_what_was_before_along),
        cmocka_unit_test(a_removal_stops_what_is_being_written),
        cmocka_unit_test(metadata_is_replaced_without_the_content),
        cmocka_unit_test(the_oldest_makes_room_and_what_is_used_stays),
        cmocka_unit_test(what_is_open_stays_readable),
        cmocka_unit_test(limits),
        cmocka_unit_test(a_full_disk_takes_nothing_and_harms_nothing),
        cmocka_unit_test(a_read_error_is_a_miss),
        cmocka_unit_test(parts_of_files_are_given_out_once_checked_and_while_unchanged),
        cmocka_unit_test(every_bit),
        cmocka_unit_test(content_cannot_pass_for_a_record),
        cmocka_unit_test(what_a_lost_segment_may_have_removed_goes_too),
        cmocka_unit_test(what_replaced_something_and_is_gone_does_not_bring_it_back),
        cmocka_unit_test(another_layout_or_a_strange_file_is_not_read),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    chunk_thread_fini();
    arena_thread_fini();
    return failed;
}
