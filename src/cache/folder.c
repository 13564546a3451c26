// SPDX-License-Identifier: Apache-2.0
// The folders of the disk tier: configured wherever a configuration is built, opened only where somebody serves.
#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"
#include "cache/tier.h"

void cache_configure_folder(struct cache *c, const struct cache_config *config)
{
    c->disk_bytes = config->folder ? config->disk_bytes : 0;
    c->write_rate_bytes_s = config->write_rate_bytes_s;
    c->folder_fd = config->folder_fd;
    mem_free(c->folder);
    c->folder = config->folder ? mem_strdup(config->folder) : NULL;
}

static const char *open_folder(struct cache *c, unsigned wait_ms)
{
    struct disk_config config = {.folder_fd = fcntl(c->folder_fd, F_DUPFD_CLOEXEC, 0), .size_bytes = c->disk_bytes,
                                 .write_rate_bytes_s = c->write_rate_bytes_s, .wait_ms = wait_ms};
    if (c->folder_fd < 0 || config.folder_fd < 0 || !c->folder)
        return "it was not passed along";
    if (!(c->store_folder = mem_strdup(c->folder))) {
        close(config.folder_fd);
        return "out of memory";
    }
    enum err e = disk_open(&config, &c->store);
    if (!e)
        return NULL;
    close(config.folder_fd);
    mem_free(c->store_folder);
    c->store_folder = NULL;
    return e == ERR_NO_MEMORY ? "out of memory" : "it cannot be written to";
}

// A store that is open once stays so, for what is read from it may be under way on any thread; where no statement names it, it is idle.
static const char *follow(struct cache *c, unsigned wait_ms)
{
    const char *why = NULL;
    if (!c->disk_bytes) {
        atomic_store_explicit(&c->disk, NULL, memory_order_release);
        return NULL;
    }
    bool open = c->store, idle = open && !tier_of(c);
    if (!c->store)
        why = open_folder(c, wait_ms);
    else if (strcmp(c->store_folder, c->folder) != 0)
        why = "another one is in use until weir is started anew";
    if (!c->store)
        return why;
    if (idle)
        (void)disk_remove_all(c->store); // nobody told it what was purged meanwhile
    if (open) {
        disk_resize(c->store, c->disk_bytes);
        disk_set_write_rate(c->store, c->write_rate_bytes_s);
    }
    atomic_store_explicit(&c->disk, c->store, memory_order_release);
    return why;
}

void cache_open_folders(unsigned wait_ms, void (*fail)(const char *name, const char *folder, const char *why))
{
    struct cache_list l;
    cache_collect(&l);
    for (unsigned i = 0; i < l.n; i++) {
        const char *why = follow(l.v[i], wait_ms);
        if (why)
            fail(l.v[i]->name, l.v[i]->folder ? l.v[i]->folder : "", why);
    }
}

static void close_folder(void *arg, struct cache *c)
{
    (void)arg;
    atomic_store(&c->disk, NULL);
    disk_close(c->store);
    c->store = NULL;
    mem_free(c->store_folder);
    mem_free(c->folder);
    c->store_folder = c->folder = NULL;
}

void cache_close_folders(void)
{
    cache_each_ever(close_folder, NULL);
}
