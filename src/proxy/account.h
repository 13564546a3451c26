// SPDX-License-Identifier: Apache-2.0
// What is noted of every exchange when it ends: metrics and the access log.
#ifndef WEIR_PROXY_ACCOUNT_H
#define WEIR_PROXY_ACCOUNT_H

#include "proxy/exchange.h"

/// The numbers of its site or proxy, or of requests that reach neither.
struct metric_set *account_metrics(const struct exchange *x);
void account(struct exchange *x);

#endif
