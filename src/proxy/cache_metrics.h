// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_PROXY_CACHE_METRICS_H
#define WEIR_PROXY_CACHE_METRICS_H

/// Puts what the caches count where metrics_write finds it. Any thread.
void cache_metrics_update(void);

#endif
