// SPDX-License-Identifier: Apache-2.0
// The worker process: threads that serve, and a channel to the supervisor.
#ifndef WEIR_MAIN_WORKER_H
#define WEIR_MAIN_WORKER_H

#include <stdatomic.h>

#include "proxy/service.h"

enum { WORKER_THREADS_MAX = 128, CHANNEL_TEXT_MAX = 4096 };

/// One listening socket for one thread.
struct listen_fd {
    struct addr addr; // a unix path is owned by whoever has the struct
    char path[ADDR_PATH_MAX + 1];
    unsigned thread;
    int fd;
};

enum channel_type {
    CHANNEL_LISTENER, // supervisor to worker: a socket for the next generation, fd attached
    CHANNEL_FOLDER,   // the descriptor of a folder to serve, for the next generation; in the order of its bundle
    CHANNEL_RELOAD,   // the bundle of files as a memfd; number
    CHANNEL_DRAIN,
    CHANNEL_ASK,      // a command of the control socket for proxy/ask.h (text); fd: whom to answer
    CHANNEL_LOG,      // the access log's file: from now on (number 0), or with the generation of this number
    CHANNEL_ERROR_LOG, // the error log's file, from now on
    CHANNEL_ACME,     // a note of the helper (text: acme/acme.h); the worker sends it back (ok) once it has it
    CHANNEL_READY,    // worker to supervisor: it accepts
    CHANNEL_DONE,     // a reload is in force (ok) or failed
    CHANNEL_OFFER,    // of the admin API: a configuration as a memfd, for the next command
    CHANNEL_COMMAND,  // and a command (text); fd: whom to answer
};
struct channel_msg {
    enum channel_type type;
    bool ok;
    uint64_t number;
    struct listen_fd listener;
    char text[CHANNEL_TEXT_MAX]; // the configuration's path; of CHANNEL_DONE: why it failed
};
/// One message over a SOCK_SEQPACKET pair; fd -1: none attached. False at the end of the channel.
bool channel_send(int channel, const struct channel_msg *m, int fd);
bool channel_receive(int channel, struct channel_msg *ret, int *ret_fd);

/// Messages that the channel has no room for yet: the supervisor never waits for a worker. All zero: empty.
struct outbox {
    struct outbox_item *first, *last;
};
/// Takes copies of both. False when memory or descriptors are out.
bool outbox_put(struct outbox *o, const struct channel_msg *m, int fd);
/// Sends what the channel has room for. False when the channel is broken.
bool outbox_flush(struct outbox *o, int channel);
void outbox_clear(struct outbox *o);

struct heartbeat {
    _Alignas(64) _Atomic uint64_t turns; // counts up while the thread's loop answers; each has a cache line of its own
    _Atomic int tid;                     // whom to ask for its stack when it does not
};
struct heartbeats {
    struct heartbeat threads[WORKER_THREADS_MAX];
};

struct worker_start {
    struct generation *gen; // taken over
    struct listen_fd *listeners;
    unsigned n_listeners, n_threads;
    int channel, log_fd;
    struct heartbeats *beats; // shared memory
};
/// Runs the worker in the calling (forked) process and gives its exit status.
int worker_run(const struct worker_start *s);

#endif
