// SPDX-License-Identifier: Apache-2.0
// Errors are values. err.tbl gives each its name, text, RFC 9209 token, response status, fault and whether a
// retry is allowed.
#ifndef WEIR_BASE_ERR_H
#define WEIR_BASE_ERR_H

#include "base/macros.h"

enum err {
#define ERR(id, name, text, token, status, fault, retry) ERR_##id,
#include "base/err.tbl"
#undef ERR
    N_ERRS
};

enum err_fault { ERR_FAULT_NOBODY, ERR_FAULT_CLIENT, ERR_FAULT_UPSTREAM, ERR_FAULT_SELF, ERR_FAULT_POLICY };
enum err_retry { ERR_RETRY_NEVER, ERR_RETRY_IDEMPOTENT, ERR_RETRY_ANY };

struct err_info {
    const char *name, *text, *proxy_status;
    uint16_t status;
    uint8_t fault, retry; // enum err_fault, enum err_retry
};

/// Never NULL for a valid error.
const struct err_info *err_info(enum err e);
static inline const char *err_name(enum err e)
{
    return err_info(e)->name;
}

#endif
