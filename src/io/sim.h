// SPDX-License-Identifier: Apache-2.0
// The simulator's own controls. A test program that links io_sim instead of io_epoll runs the same code in a
// world where network, clock, randomness, helper threads and allocation come from one seed. Actors (clients,
// origins) are fibers of the same loop, using io.h; time jumps to the next event when nothing is ready.
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
/// Turns the faults on or off (they are on after sim_begin), so that set-up and teardown can go undisturbed.
void sim_faults(bool on);
/// Simulated allocations and system calls since sim_begin (to know how far alloc_fail_at and syscall_fail_at
/// must go).
uint64_t sim_alloc_count(void);
uint64_t sim_syscall_count(void);
/// Descriptors of the simulated kernel that are open.
unsigned sim_open_fds(void);

#endif
