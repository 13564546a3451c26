// SPDX-License-Identifier: Apache-2.0
// The simulated kernel: what sim_world.c (randomness, faults, events, TCP) and sys_sim.c (system calls)
// share. It takes its memory from mmap, so that neither its own needs nor its leaks show in what the program
// under test allocates.
#ifndef WEIR_IO_SIM_WORLD_H
#define WEIR_IO_SIM_WORLD_H

#include "io/internal.h"
#include "io/sim.h"

enum {
    SIM_FD_BASE = 10000, // far from real descriptors: confusing them fails at once
    SIM_FDS = 4096,
    SIM_ENDS = 2 * SIM_FDS,
    SIM_BACKLOG = 128,
};

enum sim_kind { SIM_FREE, SIM_FRESH, SIM_CONNECTING, SIM_STREAM, SIM_LISTENER, SIM_PIPE, SIM_POLL, SIM_WAKE };

struct sim_ref { // to an end that may be gone
    uint32_t index, gen;
};

/// One end of a connection, or a listener. Counters of bytes only grow; a byte's place in the ring is its
/// count modulo cap.
struct sim_end {
    enum sim_kind kind;
    uint32_t gen;
    bool has_fd;
    struct sockaddr_storage local, remote;
    struct sim_ref peer;
    char *ring; // what the peer sent: [head, arrived) may be read, [arrived, tail) is under way
    size_t cap, head, arrived, tail;
    uint64_t last_arrival_us; // nothing overtakes
    bool fin_sent, fin_arrived, is_reset, reset_on_close;
    bool vanished; // nothing reaches it any more
    size_t sunk;   // bytes that wait for the answer of a peer that is gone and cannot say so
    bool no_space; // a send fell short, so the peer's reading is news
    int error;     // pending, told once
    struct sim_ref backlog[SIM_BACKLOG];
    unsigned n_backlog;
    // In the poller
    bool registered, edge; // edge: something happened since it was last reported
    uint64_t data;
};

enum sim_event_kind {
    SIM_ARRIVE,
    SIM_FIN,
    SIM_RESET,
    SIM_CUT,
    SIM_SYN,
    SIM_ESTABLISHED,
    SIM_FAILED,
    SIM_SPACE
};

struct sim_event {
    uint64_t time_us, seq;
    enum sim_event_kind kind;
    struct sim_ref at, from;
    size_t n; // bytes, or the errno of SIM_FAILED
};

struct sim_world {
    struct sim_options o;
    uint64_t rng, random_rng;
    bool faults;
    uint64_t now_us, seq, trace;
    int64_t wall_offset_ms; // the wall clock was set
    uint64_t n_allocs, n_syscalls;
    struct sim_calls calls;
    struct sim_event *heap;
    size_t n_heap, cap_heap;
    uint32_t fds[SIM_FDS]; // index of the end + 1, or 0
    unsigned n_fds;
    uint16_t next_port;
    uint32_t edges[SIM_ENDS]; // ends whose edge is set
    unsigned n_edges;
    uint32_t ends_used; // ends from here on were never used
    struct sim_end ends[SIM_ENDS];
};
extern struct sim_world *sim;

uint64_t sim_rand(uint64_t below);
/// Whether a fault of so many in a thousand happens now.
bool sim_chance(unsigned per_mille);
/// Whether the system call that begins now must fail; counts it (also in *count, of sim->calls) and lets a
/// microsecond pass.
bool sim_call(unsigned *count);
bool sim_alloc_fails(void);
/// Adds a result to the trace and returns it.
int64_t sim_note(int call, int fd, int64_t result);

struct sim_end *sim_end_new(enum sim_kind kind);
struct sim_end *sim_end_at(struct sim_ref r); // NULL: gone
struct sim_ref sim_ref_of(const struct sim_end *e);
void sim_end_free(struct sim_end *e);
/// From now on a and its peer hear nothing of each other.
void sim_vanish(struct sim_end *a);
void sim_link(struct sim_end *a, struct sim_end *b);
/// The descriptor's end; NULL where it is not open.
struct sim_end *sim_end_of_fd(int fd);
/// The lowest free descriptor for e; -EMFILE.
int sim_fd_new(struct sim_end *e);

/// Something happened at e that an edge-triggered poller reports.
void sim_edge(struct sim_end *e);
uint32_t sim_mask(const struct sim_end *e);
/// Lets kind happen at `at` after a latency, in order with what went there before.
void sim_send_event(enum sim_event_kind kind, struct sim_end *at, struct sim_end *from, size_t n);
/// The last n bytes, which were taken out of e's arrived ones, arrive in a little while.
void sim_put_back(struct sim_end *e, size_t n);
/// Lets everything happen that is due by now.
void sim_run_events(void);
/// UINT64_MAX when nothing is under way.
uint64_t sim_next_event_us(void);
struct sim_end *sim_listener_at(const struct sockaddr_storage *a);
void sim_set_address(struct sockaddr_storage *to, const struct sockaddr *from, socklen_t len);
uint16_t sim_port(void);

#endif
