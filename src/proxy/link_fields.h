// SPDX-License-Identifier: Apache-2.0
// The fields of an answer that may name a backend.
#ifndef WEIR_PROXY_LINK_FIELDS_H
#define WEIR_PROXY_LINK_FIELDS_H

#include "filter/links.h"
#include "http/field.h"

/// Location, Content-Location, Refresh, Link, Access-Control-Allow-Origin, Content-Security-Policy and Set-Cookie come out naming
/// the proxy; Alt-Svc, which would lead past it, goes. host: of the proxy without port, lower case. What is new lives in the
/// arena. ERR_NO_MEMORY.
MUST_USE enum err link_fields(const struct link_map *m, struct fields *f, struct span host, struct arena *a);

#endif
