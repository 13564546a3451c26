// SPDX-License-Identifier: Apache-2.0
// The simulator's own controls. A test program that links io_sim_lib instead of io_lib runs the same code in
// a world where network, clock, randomness, helper threads and allocation come from one seed. Actors
// (clients, origins) are fibers of the same loop, using io.h; time jumps to the next event when nothing is
// ready.
#ifndef WEIR_IO_SIM_H
#define WEIR_IO_SIM_H

#include "io/io.h"

struct sim_options {
    uint64_t seed;
    // In 1/1000 of operations, from the seed:
    unsigned short_io_pm; // reads and writes that move less than asked
    unsigned delay_pm;    // segments that arrive late (up to delay_max_ms)
    unsigned delay_max_ms;
    unsigned cut_pm;          // segments at which the connection is reset
    unsigned refuse_pm;       // connects refused
    unsigned blackhole_pm;    // connects never answered
    unsigned vanish_pm;       // segments with which both sides lose each other: nothing arrives any more, no end and no reset
    unsigned wall_jump_pm;    // waits over which the wall clock is set, by up to a day in either direction
    unsigned stall_pm;        // waits after which the process was stopped for up to stall_max_ms
    unsigned stall_max_ms;
    unsigned fd_fail_pm;      // sockets that cannot be had (ERR_NO_FILES)
    unsigned alloc_fail_pm;   // allocations that fail
    uint64_t alloc_fail_at;   // the n-th allocation from now fails (0: none)
    uint64_t syscall_fail_at; // the n-th simulated system call from now fails (0: none)
    size_t socket_buffer;     // bytes a socket holds (default 64 KiB)
};
/// Begins a world; before loop_new. Again: a new world (the old one's loop must be gone).
void sim_begin(const struct sim_options *o);
/// A listening socket at an address (the port in it must not be 0), to be registered by io_open as usual. -1
/// where it is taken.
int sim_listen(const struct sockaddr *addr, socklen_t len);
/// A connected pair, for codec tests.
void sim_pair(int ret_fd[2]);
/// Turns the faults on or off (they are on after sim_begin), so that set-up and teardown can go undisturbed. Returns what was.
bool sim_faults(bool on);
/// Allocations and system calls fail for the calling fiber no more: for an actor that is not what is being
/// tested. What the network does (cuts, delays, short reads and writes) it still feels.
void sim_spare_self(void);
/// Simulated allocations and system calls since sim_begin, counted while faults are on and where the fiber is
/// not spared (to know how far alloc_fail_at and syscall_fail_at must go).
uint64_t sim_alloc_count(void);
uint64_t sim_syscall_count(void);
/// System calls by kind, counted like sim_syscall_count: what one exchange costs.
struct sim_calls {
    unsigned poll_wait, poll_add, recv, send, socket, connect, accept, shutdown, close, pread, other;
};
struct sim_calls sim_calls(void);
/// A hash of every system call so far, its result and its time: equal for equal seeds and equal code.
uint64_t sim_trace(void);
/// Descriptors of the simulated kernel that are open; the loop has two of its own.
unsigned sim_open_fds(void);
/// Ends the world (its loop must be gone) and with it the failing of allocations.
void sim_end(void);

#endif
