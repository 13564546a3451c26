// SPDX-License-Identifier: Apache-2.0
// The lines of an HTTP/1 head, for what reads messages: this room, and ICAP, whose heads are made of the same lines.
#ifndef WEIR_HTTP_H1_LINES_H
#define WEIR_HTTP_H1_LINES_H

#include "http/h1.h"

/// Field lines, each with its CRLF, up to an empty one or the end. ERR_BAD_FIELD, ERR_NO_MEMORY.
MUST_USE enum err h1_lines_parse(struct span lines, struct fields *ret);
/// Without their CRLF.
MUST_USE enum err h1_request_line(struct span line, struct span *ret_method, struct span *ret_target, enum http_version *ret_version);
MUST_USE enum err h1_status_line(struct span line, enum http_version *ret_version, unsigned *ret_status, struct span *ret_reason);

#endif
