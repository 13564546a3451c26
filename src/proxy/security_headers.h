// SPDX-License-Identifier: Apache-2.0
// `security-headers`: fields that tell browsers to be careful, and those that tell the curious what a server
// runs taken away.
#ifndef WEIR_PROXY_SECURITY_HEADERS_H
#define WEIR_PROXY_SECURITY_HEADERS_H

#include "http/field.h"

enum security_level { SECURITY_OFF, SECURITY_BASIC, SECURITY_STRICT };

/// What the server itself says of a field stays: it knows its pages.
MUST_USE enum err security_headers_add(enum security_level level, struct fields *f);

#endif
