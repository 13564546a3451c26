// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include "base/check.h"

static const struct err_info infos[N_ERRS] = {
#define ERR(id, name, text, token, status, fault, retry)                                                     \
    [ERR_##id] = {name, text, token, status, ERR_FAULT_##fault, ERR_RETRY_##retry},
#include "base/err.tbl"
#undef ERR
};

const struct err_info *err_info(enum err e)
{
    CHECK((unsigned)e < N_ERRS);
    return &infos[e];
}
