// SPDX-License-Identifier: Apache-2.0
// Runs a scenario in many worlds, each from one seed. A scenario sets up actors and what is tested on one
// loop; the harness sees to it that it comes to an end, that nothing is left, and that a failure names the
// seed that repeats it.
//   SIM_SEEDS=1000   how many seeds (200)
//   SIM_THOROUGH=20  for how many of them each single failure is tried
//   SIM_SEED=17      this seed alone
//   SIM_LOG=1        the proxy's access log, on stderr
#ifndef WEIR_TESTS_SIMULATION_HARNESS_H
#define WEIR_TESTS_SIMULATION_HARNESS_H

#include "io/sim.h"

enum weather {
    CALM,   // late, and little at a time; nothing fails
    ROUGH,  // connections cut, refused and never answered, descriptors and memory that cannot be had
    SINGLE, // one allocation, one system call or one answer of a resolver fails
};

struct scenario {
    const char *name;
    /// Sets up, on the loop, undisturbed. seed is for what the scenario itself wants to vary.
    void (*begin)(uint64_t seed, enum weather weather);
    /// Whether everything that was begun has come to its end.
    bool (*is_done)(void *);
    /// Checks the accounts and takes down, undisturbed. After it (and the end of the last fiber) no
    /// descriptor, no memory and no chunk may be left.
    void (*end)(enum weather weather);
    /// How many seeds, where SIM_SEEDS does not say (0: 200).
    unsigned seeds;
    /// For so many seeds every single allocation, system call and answer fails once, where SIM_THOROUGH does
    /// not say; for others some do.
    unsigned thorough_seeds;
};

/// Which answer of the resolver is to fail (0: none); and, counted up by a scenario, how many there were.
extern unsigned answer_fail_at, answers_asked;

/// For main.
int simulate(const struct scenario *s);

/// Ends the program with the seed.
NORETURN void sim_unexpected(const char *what, const char *file, int line);
/// Says more on stderr before that end, where it is set.
extern void (*sim_explain)(void);
#define EXPECT(x) ((x) ? (void)0 : sim_unexpected(#x, __FILE__, __LINE__))

/// Numbers from the scenario's seed, apart from the world's own.
uint64_t scenario_rand(uint64_t below);

#endif
