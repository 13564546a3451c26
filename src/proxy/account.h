// SPDX-License-Identifier: Apache-2.0
// What is noted of every exchange when it ends: metrics and the access log.
#ifndef WEIR_PROXY_ACCOUNT_H
#define WEIR_PROXY_ACCOUNT_H

#include "proxy/exchange.h"

void account(struct exchange *x);

#endif
