// SPDX-License-Identifier: Apache-2.0
#include "proxy/cache_metrics.h"

#include "admin/metrics.h"
#include "cache/cache.h"

static void put_disk(struct metric_set *set, const struct disk_stats *d)
{
    const struct {
        enum metric metric;
        uint64_t value;
    } rows[] = {
        {METRIC_CACHE_DISK_BYTES, d->bytes},
        {METRIC_CACHE_DISK_OBJECTS, d->objects},
        {METRIC_CACHE_DISK_LOADING, d->loading},
        {METRIC_CACHE_DISK_HITS, d->hits},
        {METRIC_CACHE_DISK_MISSES, d->misses},
        {METRIC_CACHE_DISK_STORED, d->stored},
        {METRIC_CACHE_DISK_DROPPED, d->dropped},
        {METRIC_CACHE_DISK_WRITTEN, d->written_bytes},
        {METRIC_CACHE_DISK_EVICTED, d->evicted},
        {METRIC_CACHE_DISK_REINSERTED, d->reinserted},
        {METRIC_CACHE_DISK_DAMAGED, d->damaged},
        {METRIC_CACHE_DISK_READ_ERRORS, d->read_errors},
        {METRIC_CACHE_DISK_WRITE_ERRORS, d->write_errors},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        metric_put(set, rows[i].metric, rows[i].value);
}

static void put(void *arg, struct cache *c)
{
    (void)arg;
    struct metric_set *set = metrics_cache(cache_name(c));
    if (!set)
        return;
    struct cache_stats s = cache_stats_of(c);
    metric_put(set, METRIC_CACHE_BYTES, s.used_bytes);
    metric_put(set, METRIC_CACHE_OBJECTS, s.objects);
    metric_put(set, METRIC_CACHE_STORED, s.inserted);
    metric_put(set, METRIC_CACHE_EVICTED, s.evicted);
    put_disk(set, &s.disk);
}

void cache_metrics_update(void)
{
    cache_for_each(put, NULL);
}
