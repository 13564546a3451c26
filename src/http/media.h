// SPDX-License-Identifier: Apache-2.0
// Media types by file name extension.
#ifndef WEIR_HTTP_MEDIA_H
#define WEIR_HTTP_MEDIA_H

#include "base/span.h"

/// "application/octet-stream" for an unknown extension.
struct span media_type_of(struct span file_name);

#endif
