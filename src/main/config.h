// SPDX-License-Identifier: Apache-2.0
// A configuration as the processes of weir handle it: read from the disk (or from a quick mode's text), checked, and packed
// into one run of bytes from which a worker makes the very same configuration without reading a file.
#ifndef WEIR_MAIN_CONFIG_H
#define WEIR_MAIN_CONFIG_H

#include "admin/log.h"
#include "conf/conf.h"
#include "proxy/service.h"

enum { CONFIG_THREADS_MAX = 250 };

/// Where a configuration comes from.
struct config_origin {
    const char *path; // as given on the command line
    struct span text; // of a quick mode, which has no file; otherwise NULL
};

/// What the supervisor needs to know of a configuration. Everything is in its arena.
struct config {
    struct arena arena;
    struct conf *conf;
    uint64_t number;                // of its generation, from 1
    struct listener_spec *listeners;
    unsigned n_listeners;
    unsigned threads;
    const char *access_log, *error_log; // "stdout", "stderr" or a path that can be opened from here; access_log NULL: off
    enum log_level error_level;
    const char *control;    // path of the control socket, or NULL
    const char **folders;   // that are served from, n_folders
    unsigned n_folders;
    uint64_t connections;   // the limit on client connections
    struct span packed;
};

/// Reads, compiles, and runs the tests. NULL with errors in the diagnostics.
struct config *config_read(const struct config_origin *o, uint64_t number, struct conf_diags *diags);
void config_free(struct config *c);
/// The generation of a packed configuration. NULL with errors in the diagnostics.
struct generation *config_unpack(struct span packed, const char *path, uint64_t number, struct conf_diags *diags);
/// The control socket of the file, also where it has mistakes; in the arena. NULL where it has none.
const char *config_control_socket(const char *path, struct arena *a);

#endif
