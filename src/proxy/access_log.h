// SPDX-License-Identifier: Apache-2.0
// Lines of the access log: one record, as JSON or in the combined form that every log tool reads. A line is
// always whole and always valid, whatever a client sent.
#ifndef WEIR_PROXY_ACCESS_LOG_H
#define WEIR_PROXY_ACCESS_LOG_H

#include "base/span.h"

enum {
    ACCESS_LINE_MAX_BYTES = 16 * 1024,
    ACCESS_TARGET_MAX_BYTES = 8 * 1024, // of the target, escaped; the rest is cut off
};

/// What CONFIG.md ("What it writes") names. An empty text is left out. Nothing in it is a credential; user
/// names and passwords in a target or referrer are masked here.
struct access_record {
    uint64_t wall_ms; // since 1970, of the request's end
    struct span id, client, user, listener, site, proxy, route, method, scheme, host, target, protocol;
    unsigned status; // 0: no answer was begun
    uint64_t bytes_in, bytes_out, duration_us;
    struct span phase;
    struct span upstream;     // the server's address; empty: none was asked, and nothing of it is written
    unsigned upstream_status; // 0: it did not answer
    uint64_t upstream_connect_us, upstream_first_byte_us;
    unsigned retries;
    struct span cache, reason, rule, noted, scan, tls, inspected;
    struct span referer, user_agent; // in the combined form only
    const struct access_phase *phases; // in the JSON form, for `weir explain`; NULL: not written
    unsigned n_phases;
};

/// How long a phase of the request took.
struct access_phase {
    struct span name;
    uint32_t us;
};

/// Writes the line with its newline and returns its length.
size_t access_log_json(const struct access_record *r, char out[ACCESS_LINE_MAX_BYTES]);
size_t access_log_combined(const struct access_record *r, char out[ACCESS_LINE_MAX_BYTES]);
/// What a person wants to see go by: time, client, method, URL, status, duration, where it went, and why where it did not end well.
size_t access_log_brief(const struct access_record *r, char out[ACCESS_LINE_MAX_BYTES]);

#endif
