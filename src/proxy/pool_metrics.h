// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_PROXY_POOL_METRICS_H
#define WEIR_PROXY_POOL_METRICS_H

#include "proxy/generation.h"

/// Puts how the servers of this generation are where metrics_write finds it. Any thread that may ask for targets.
void pool_metrics_update(const struct generation *g);

/// The same, and when its certificates expire.
void generation_put_metrics(const struct generation *g);

#endif
