// SPDX-License-Identifier: Apache-2.0
// The service's side of the keeper of pools: which pools, and what of it is logged.
#ifndef WEIR_PROXY_UPKEEP_H
#define WEIR_PROXY_UPKEEP_H

#include "proxy/thread.h"

/// On the first thread. False when memory is out.
MUST_USE bool upkeep_start(struct service *s);
/// On each thread, for each generation: connections that stand ready. False when memory is out.
MUST_USE bool upkeep_preopen(struct service *s);
/// The service has another generation.
void upkeep_renew(struct service *s);

#endif
