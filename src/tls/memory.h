// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TLS_MEMORY_H
#define WEIR_TLS_MEMORY_H

/// OpenSSL takes its memory from base/spare.h from now on. Before anything else is asked of OpenSSL.
void tls_memory_init(void);

#endif
