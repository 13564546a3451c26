// SPDX-License-Identifier: Apache-2.0
// A folder in memory that may lose its process at any byte, fill up, fail and rot; and stored responses whose content tells what it
// has to be.
#ifndef WEIR_TEST_DISK_H
#define WEIR_TEST_DISK_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "cache/disk.h"
#include "cache/disk_files.h"

static inline uint32_t test_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

// ---- The folder

enum { FOLDER_FILES = 256 };

struct memory_file {
    char name[DISK_FILE_NAME_MAX];
    char *bytes;
    size_t n, cap;
    int64_t stamp;
    int refs; // its name, and each open descriptor
    bool linked;
};

struct folder {
    struct memory_file *files[FOLDER_FILES];
    uint64_t left;  // bytes and calls until the process ends (all fails then)
    uint64_t space; // in all
    bool read_fails;
    int64_t next_stamp;
};

static inline void folder_init(struct folder *f)
{
    *f = (struct folder){.left = UINT64_MAX, .space = UINT64_MAX};
}

static inline void file_unref(struct folder *f, int fd)
{
    struct memory_file *m = f->files[fd];
    if (--m->refs)
        return;
    free(m->bytes);
    free(m);
    f->files[fd] = NULL;
}

static inline void folder_fini(struct folder *f)
{
    for (int i = 0; i < FOLDER_FILES; i++)
        if (f->files[i]) {
            free(f->files[i]->bytes);
            free(f->files[i]);
        }
}

static inline uint64_t folder_bytes(const struct folder *f)
{
    uint64_t n = 0;
    for (int i = 0; i < FOLDER_FILES; i++)
        n += f->files[i] && f->files[i]->linked ? f->files[i]->n : 0;
    return n;
}

static inline bool folder_is_cut(struct folder *f, uint64_t cost)
{
    bool cut = f->left < cost;
    f->left -= cut ? f->left : cost;
    return cut;
}

static inline int mem_lock(void *arg, int folder_fd)
{
    (void)folder_fd;
    (void)arg;
    return 1000;
}

static inline int mem_list(void *arg, int folder_fd, void (*fn)(void *fn_arg, const char *name), void *fn_arg)
{
    struct folder *f = (struct folder *)arg;
    (void)folder_fd;
    fn(fn_arg, ".");
    fn(fn_arg, "lock");
    fn(fn_arg, "0000000000000001.segment.old");
    for (int i = 0; i < FOLDER_FILES; i++)
        if (f->files[i] && f->files[i]->linked)
            fn(fn_arg, f->files[i]->name);
    return 0;
}

static inline int mem_open(void *arg, int folder_fd, const char *name, bool create)
{
    struct folder *f = (struct folder *)arg;
    int free_fd = -1;
    (void)folder_fd;
    for (int i = 0; i < FOLDER_FILES; i++) {
        if (!f->files[i]) {
            free_fd = i;
        } else if (f->files[i]->linked && strcmp(f->files[i]->name, name) == 0) {
            if (create)
                return -EEXIST;
            f->files[i]->refs++;
            return i;
        }
    }
    if (!create || free_fd < 0)
        return create ? -EMFILE : -ENOENT;
    if (folder_is_cut(f, 1))
        return -EIO;
    struct memory_file *m = (struct memory_file *)calloc(1, sizeof *m);
    assert_non_null(m);
    snprintf(m->name, sizeof m->name, "%s", name);
    m->refs = 2;
    m->linked = true;
    f->files[free_fd] = m;
    return free_fd;
}

static inline int mem_remove(void *arg, int folder_fd, const char *name)
{
    struct folder *f = (struct folder *)arg;
    (void)folder_fd;
    if (folder_is_cut(f, 1))
        return -EIO;
    for (int i = 0; i < FOLDER_FILES; i++)
        if (f->files[i] && f->files[i]->linked && strcmp(f->files[i]->name, name) == 0) {
            f->files[i]->linked = false;
            file_unref(f, i);
            return 0;
        }
    return -ENOENT;
}

static inline void mem_close(void *arg, int fd)
{
    if (fd < FOLDER_FILES)
        file_unref((struct folder *)arg, fd);
}

static inline int64_t mem_size(void *arg, int fd)
{
    return (int64_t)((struct folder *)arg)->files[fd]->n;
}

static inline int64_t mem_stamp(void *arg, int fd)
{
    return ((struct folder *)arg)->files[fd]->stamp;
}

static inline int64_t mem_read(void *arg, int fd, void *buf, size_t n, uint64_t offset)
{
    struct folder *f = (struct folder *)arg;
    struct memory_file *m = f->files[fd];
    if (f->read_fails)
        return -EIO;
    if (offset >= m->n)
        return 0;
    n = n < m->n - offset ? n : m->n - (size_t)offset;
    n = n > 3 ? n - n / 3 : n; // short now and then
    memcpy(buf, m->bytes + offset, n);
    return (int64_t)n;
}

static inline void mem_resize(struct memory_file *m, size_t n)
{
    if (n > m->cap) {
        m->cap = n * 2;
        m->bytes = (char *)realloc(m->bytes, m->cap);
        assert_non_null(m->bytes);
    }
    if (n > m->n)
        memset(m->bytes + m->n, 0, n - m->n);
    m->n = n;
}

static inline int64_t mem_write(void *arg, int fd, const struct iovec *iov, unsigned n_iov, uint64_t offset)
{
    struct folder *f = (struct folder *)arg;
    struct memory_file *m = f->files[fd];
    int64_t done = 0;
    for (unsigned i = 0; i < n_iov; i++) {
        size_t n = iov[i].iov_len;
        uint64_t used = folder_bytes(f);
        bool full = n && used + n > f->space && offset + n > m->n, cut = n > f->left;
        if (full)
            n = f->space > used ? (size_t)(f->space - used) : 0;
        if (n > f->left)
            n = (size_t)f->left;
        (void)folder_is_cut(f, n);
        if (n) {
            if (offset + n > m->n)
                mem_resize(m, (size_t)offset + n);
            memcpy(m->bytes + offset, iov[i].iov_base, n);
            m->stamp = ++f->next_stamp;
        }
        done += (int64_t)n;
        offset += n;
        if (full || cut)
            return done ? done : full ? -ENOSPC : -EIO;
    }
    return done;
}

static inline int mem_truncate(void *arg, int fd, uint64_t size)
{
    struct folder *f = (struct folder *)arg;
    if (folder_is_cut(f, 1))
        return -EIO;
    mem_resize(f->files[fd], (size_t)size);
    f->files[fd]->stamp = ++f->next_stamp;
    return 0;
}

static inline int mem_sync(void *arg, int fd)
{
    (void)arg;
    (void)fd;
    return 0;
}

static const struct disk_files memory_files = {
    .lock = mem_lock,
    .list = mem_list,
    .open = mem_open,
    .remove = mem_remove,
    .close = mem_close,
    .size = mem_size,
    .stamp = mem_stamp,
    .read = mem_read,
    .read_now = mem_read,
    .write = mem_write,
    .truncate = mem_truncate,
    .sync = mem_sync,
    .sendable = true,
};

static inline struct disk *open_in(struct folder *f, uint64_t size_bytes)
{
    struct disk_config c = {.folder_fd = 1001, .size_bytes = size_bytes, .files = &memory_files, .files_arg = f, .in_place = true};
    struct disk *d;
    assert_int_equal(disk_open(&c, &d), ERR_OK);
    return d;
}

// ---- Stored responses: metadata is "KEY VERSION LENGTH EDITION", content follows from key and version

static inline struct disk_key key_of(const char *text)
{
    const char *slash = strchr(text, '/');
    size_t n = strlen(text);
    return (struct disk_key){{text, n}, slash ? (size_t)(slash - text) : n};
}

static inline char octet_at(uint32_t seed, uint64_t i)
{
    return (char)((seed * 2654435761u + (uint32_t)i * 40503u + (uint32_t)(i >> 9) * 97u) >> 11);
}

static inline uint32_t seed_of(const char *key, unsigned version)
{
    uint32_t h = 2166136261u + version * 31u;
    while (*key)
        h = (h ^ (unsigned char)*key++) * 16777619u;
    return h;
}

/// Stores a response; false where the store did not take it.
static inline bool put(struct disk *d, const char *key, unsigned version, size_t length, size_t step)
{
    struct disk_write *w;
    if (disk_begin(d, key_of(key), &w))
        return false;
    uint32_t seed = seed_of(key, version);
    for (size_t at = 0; at < length;) {
        struct chunkq q;
        size_t n = length - at < step ? length - at : step;
        char *part = (char *)malloc(n);
        assert_non_null(part);
        for (size_t i = 0; i < n; i++)
            part[i] = octet_at(seed, at + i);
        chunkq_init(&q);
        assert_int_equal(chunkq_append_copy(&q, part, n), ERR_OK);
        free(part);
        enum err e = disk_append(w, &q, n);
        chunkq_fini(&q);
        if (e) {
            disk_abort(w);
            return false;
        }
        at += n;
    }
    char metadata[200];
    int n = snprintf(metadata, sizeof metadata, "%s %u %zu 0", key, version, length);
    disk_commit(w, span_of(metadata, (size_t)n));
    return true;
}

/// What a stored response says that it is.
static inline void metadata_of(const struct disk_object *o, char key[100], unsigned *version, size_t *length, unsigned *edition)
{
    char text[200];
    assert_true(o->metadata.len < sizeof text);
    memcpy(text, o->metadata.ptr, o->metadata.len);
    text[o->metadata.len] = '\0';
    assert_int_equal(sscanf(text, "%99s %u %zu %u", key, version, length, edition), 4);
    assert_int_equal(strlen(key), o->key.len);
    assert_memory_equal(key, o->key.ptr, o->key.len);
    assert_int_equal(*length, o->length);
}

/// Reads all of it and compares; false where it could not be read to the end. A wrong octet fails the test. folder: parts of its
/// files will do, and are counted in *folder_reads; NULL: bytes are wanted.
static inline bool verify(struct disk_object *o, unsigned *ret_version, unsigned *ret_edition, struct folder *folder, unsigned *folder_reads)
{
    char key[100];
    size_t length;
    metadata_of(o, key, ret_version, &length, ret_edition);
    uint32_t seed = seed_of(key, *ret_version);
    for (uint64_t at = 0; at < length;) {
        struct disk_piece p;
        if (disk_piece(o, at, UINT64_MAX, folder != NULL, &p))
            return false;
        assert_true(p.len > 0 && p.len <= length - at);
        const char *bytes = p.ptr;
        if (p.fd >= 0) {
            assert_true(p.fd_offset + p.len <= folder->files[p.fd]->n);
            bytes = folder->files[p.fd]->bytes + p.fd_offset;
            *folder_reads += 1;
        }
        for (size_t i = 0; i < p.len; i++)
            if (bytes[i] != octet_at(seed, at + i))
                fail_msg("wrong octet %llu of %s version %u", (unsigned long long)(at + i), key, *ret_version);
        at += p.len;
        disk_piece_release(&p);
    }
    return true;
}

/// The version that is stored, checked to its last octet; -1: none.
static inline int version_of(struct disk *d, const char *key, unsigned *ret_edition)
{
    struct disk_object o;
    unsigned version = 0, edition = 0;
    if (disk_lookup(d, key_of(key), &o))
        return -1;
    bool ok = verify(&o, &version, &edition, NULL, NULL);
    disk_object_close(&o);
    if (ret_edition)
        *ret_edition = edition;
    return ok ? (int)version : -1;
}

#endif
