// SPDX-License-Identifier: Apache-2.0
#include "quota/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "quota/files.h"

enum {
    BUSY_MS = 5000, // another worker, which ends, writes too
    ASIDE_MAX_BYTES = 64 << 20,
};

#define NAME "quota.db"

struct quota_store {
    int folder;
    void (*say)(const char *text);
    pthread_mutex_t lock;
    sqlite3 *db; // NULL: it could not be opened again
    sqlite3_stmt *read, *add, *forget;
};

static void say(struct quota_store *s, const char *what)
{
    char text[512];
    snprintf(text, sizeof text, "the quotas' database %s: %s", what,
             s->db ? sqlite3_errmsg(s->db) : "out of memory");
    s->say(text);
}

static void close_db(struct quota_store *s)
{
    sqlite3_finalize(s->read);
    sqlite3_finalize(s->add);
    sqlite3_finalize(s->forget);
    s->read = s->add = s->forget = NULL;
    sqlite3_close(s->db);
    s->db = NULL;
}

static bool is_broken(int code)
{
    return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

// SQLite's code.
static int open_db(struct quota_store *s)
{
    static const char begin[] = "PRAGMA journal_mode=WAL;"
                                "PRAGMA synchronous=NORMAL;"
                                "PRAGMA journal_size_limit=1048576;"
                                "CREATE TABLE IF NOT EXISTS used (scope TEXT NOT NULL, who TEXT NOT NULL, "
                                "period TEXT NOT NULL, ends INTEGER NOT NULL,"
                                " bytes INTEGER NOT NULL, PRIMARY KEY (scope, who, period)) WITHOUT ROWID;";
    int e = sqlite3_open_v2("/" NAME, &s->db,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, "unix");
    if (!e)
        e = sqlite3_busy_timeout(s->db, BUSY_MS);
    if (!e)
        e = sqlite3_exec(s->db, begin, NULL, NULL, NULL);
    if (!e)
        e = sqlite3_exec(s->db, "SELECT count(*) FROM used", NULL, NULL,
                         NULL); // every page of it is looked at
    if (!e)
        e = sqlite3_prepare_v2(s->db, "SELECT bytes FROM used WHERE scope=? AND who=? AND period=?", -1,
                               &s->read, NULL);
    if (!e)
        e = sqlite3_prepare_v2(
            s->db, "INSERT INTO used VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET bytes=bytes+excluded.bytes",
            -1, &s->add, NULL);
    if (!e)
        e = sqlite3_prepare_v2(s->db, "DELETE FROM used WHERE ends<?", -1, &s->forget, NULL);
    return e;
}

static void set_aside(struct quota_store *s)
{
    char aside[64], text[256];
    struct tm t;
    time_t now = time(NULL);
    gmtime_r(&now, &t);
    strftime(aside, sizeof aside, NAME ".broken-%Y%m%dT%H%M%SZ", &t);
    close_db(s);
    bool kept = quota_files_set_aside(s->folder, NAME, aside, ASIDE_MAX_BYTES);
    (void)quota_files_set_aside(s->folder, NAME "-wal", NAME "-wal.broken", ASIDE_MAX_BYTES);
    (void)unlinkat(s->folder, NAME "-wal", 0);
    (void)unlinkat(s->folder, NAME "-shm", 0);
    snprintf(text, sizeof text, "the quotas' database is broken: %s, and a new one is begun",
             kept ? aside : "it could not be kept");
    s->say(text);
}

// A broken one is replaced, once.
static bool open_or_replace(struct quota_store *s)
{
    int e = open_db(s);
    if (is_broken(e)) {
        set_aside(s);
        e = open_db(s);
    }
    if (e) {
        say(s, "cannot be opened");
        close_db(s);
    }
    return !e;
}

struct quota_store *quota_store_open(int folder_fd, void (*tell)(const char *text))
{
    struct quota_store *s = (struct quota_store *)mem_calloc(1, sizeof *s);
    if (!s) {
        close(folder_fd);
        return NULL;
    }
    *s = (struct quota_store){.folder = folder_fd, .say = tell};
    pthread_mutex_init(&s->lock, NULL);
    if (quota_files_in(folder_fd) && open_or_replace(s))
        return s;
    quota_store_close(s);
    return NULL;
}

void quota_store_close(struct quota_store *s)
{
    if (!s)
        return;
    close_db(s);
    close(s->folder);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

// ---- Reading and writing

static int bind_text(sqlite3_stmt *st, int at, struct span s)
{
    return sqlite3_bind_text(st, at, s.ptr, (int)s.len, SQLITE_STATIC);
}

static int bind_key(sqlite3_stmt *st, const struct quota_key *k)
{
    sqlite3_reset(st);
    int e = bind_text(st, 1, k->scope);
    if (!e)
        e = bind_text(st, 2, k->who);
    return e ? e : bind_text(st, 3, k->period);
}

// What failed: a broken database gives way to a new one. True where it did.
static bool failed(struct quota_store *s, int e, const char *what)
{
    if (!is_broken(e)) {
        say(s, what);
        return false;
    }
    set_aside(s);
    return open_or_replace(s);
}

uint64_t quota_store_read(struct quota_store *s, const struct quota_key *k)
{
    uint64_t n = 0;
    pthread_mutex_lock(&s->lock);
    int e = s->db ? bind_key(s->read, k) : SQLITE_DONE;
    if (!e)
        e = sqlite3_step(s->read);
    if (e == SQLITE_ROW) {
        sqlite3_int64 v = sqlite3_column_int64(s->read, 0);
        n = v > 0 ? (uint64_t)v : 0;
    }
    if (s->read)
        sqlite3_reset(s->read);
    if (e != SQLITE_ROW && e != SQLITE_DONE)
        (void)failed(s, e, "cannot be read");
    pthread_mutex_unlock(&s->lock);
    return n;
}

static int add_all(struct quota_store *s, const struct quota_saving *v, unsigned n)
{
    int e = sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (unsigned i = 0; i < n && !e; i++) {
        e = bind_key(s->add, v[i].key);
        if (!e)
            e = sqlite3_bind_int64(s->add, 4, v[i].key->ends_s);
        if (!e)
            e = sqlite3_bind_int64(s->add, 5, (sqlite3_int64)MIN(v[i].bytes, (uint64_t)INT64_MAX / 4));
        if (!e)
            e = sqlite3_step(s->add);
        e = e == SQLITE_DONE ? SQLITE_OK : e ? e : SQLITE_ERROR;
        sqlite3_reset(s->add);
    }
    if (!e)
        return sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL);
    return e;
}

bool quota_store_save(struct quota_store *s, const struct quota_saving *v, unsigned n, bool *ret_anew)
{
    pthread_mutex_lock(&s->lock);
    *ret_anew = false;
    int e = s->db || open_or_replace(s) ? add_all(s, v, n) : SQLITE_ERROR;
    if (e && s->db) {
        *ret_anew = failed(s, e, "cannot be written to");
        if (s->db && !*ret_anew)
            sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    }
    pthread_mutex_unlock(&s->lock);
    return !e;
}

void quota_store_forget(struct quota_store *s, int64_t before_s)
{
    pthread_mutex_lock(&s->lock);
    if (s->db) {
        sqlite3_reset(s->forget);
        if (!sqlite3_bind_int64(s->forget, 1, before_s))
            (void)sqlite3_step(s->forget);
        sqlite3_reset(s->forget);
    }
    pthread_mutex_unlock(&s->lock);
}
