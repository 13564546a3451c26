// SPDX-License-Identifier: Apache-2.0
// The slowest pace at which a client may read its answer or send its content: `limits { slowest }` over `timeouts { slow }`. A deadline that
// each octet puts off does not hold against a client that moves one octet at a time. What counts is what the client's side of TCP
// took or sent while it was being waited for; that servers are slow is nobody's fault here.
#ifndef WEIR_PROXY_LAGGARDS_H
#define WEIR_PROXY_LAGGARDS_H

#include "io/loop.h"

struct service;

struct laggards {
    struct timer tick;
};

void laggards_init(struct laggards *p);
/// An exchange begins: from now on its client is looked at, now and then.
void laggards_watch(struct service *s);
void laggards_fini(struct laggards *p);

#endif
