// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static struct {
    const char *name;
    enum weather weather;
    struct sim_options o;
    uint64_t rng;
} now;
unsigned answer_fail_at, answers_asked;

void (*sim_explain)(void);

void sim_unexpected(const char *what, const char *file, int line)
{
    static const char *const weathers[] = {"calm", "rough", "single"};
    fprintf(stderr,
            "%s:%d: %s does not hold\n  scenario %s, %s weather, alloc_fail_at %llu, syscall_fail_at %llu, "
            "answer_fail_at %u; repeat it with SIM_SEED=%llu\n",
            file, line, what, now.name, weathers[now.weather], (unsigned long long)now.o.alloc_fail_at,
            (unsigned long long)now.o.syscall_fail_at, answer_fail_at, (unsigned long long)now.o.seed);
    if (sim_explain)
        sim_explain();
    exit(1);
}

uint64_t scenario_rand(uint64_t below)
{
    now.rng = now.rng * 6364136223846793005u + 1442695040888963407u;
    return (now.rng >> 33) % below;
}

static bool nobody_left(void *arg)
{
    (void)arg;
    return fiber_live_count() == 0;
}

// Returns how many allocations and system calls could have failed.
static void run_world(const struct scenario *s, uint64_t *ret_allocs, uint64_t *ret_syscalls)
{
    int64_t mem_before = mem_live_count(), chunks_before = chunk_live_count();
    now.rng = now.o.seed;
    answers_asked = 0;
    sim_begin(&now.o);
    sim_faults(false);
    struct loop *l;
    EXPECT(loop_new(&l) == ERR_OK);
    s->begin(now.o.seed, now.weather);
    sim_faults(true);
    EXPECT(loop_run_until(l, s->is_done, NULL));
    sim_faults(false);
    *ret_allocs = sim_alloc_count();
    *ret_syscalls = sim_syscall_count();
    s->end(now.weather);
    EXPECT(loop_run_until(l, nobody_left, NULL));
    EXPECT(io_live_count() == 0);
    loop_free(l);
    EXPECT(sim_open_fds() == 0);
    EXPECT(chunk_live_count() == chunks_before);
    EXPECT(mem_live_count() == mem_before);
    sim_end();
}

static void calm(uint64_t seed)
{
    now.weather = CALM;
    now.o = (struct sim_options){.seed = seed};
    now.rng = ~seed;
    now.o.short_io_pm = (unsigned)scenario_rand(400);
    now.o.delay_pm = (unsigned)scenario_rand(300);
    now.o.delay_max_ms = (unsigned)scenario_rand(200);
    now.o.wall_jump_pm = scenario_rand(2) ? 20 : 0;
    now.o.socket_buffer = (size_t)1 << (9 + scenario_rand(9));
}

static void rough(uint64_t seed)
{
    calm(seed);
    now.weather = ROUGH;
    // Each fault is there in some worlds and absent in others.
    unsigned *faults[] = {&now.o.cut_pm,    &now.o.refuse_pm,     &now.o.blackhole_pm, &now.o.fd_fail_pm,
                          &now.o.vanish_pm, &now.o.alloc_fail_pm, &now.o.stall_pm};
    static const unsigned most[] = {40, 200, 200, 200, 20, 60, 10};
    now.o.stall_max_ms = (unsigned)scenario_rand(20000);
    for (unsigned i = 0; i < ARRAY_LEN(faults); i++)
        *faults[i] = scenario_rand(2) ? (unsigned)scenario_rand(most[i]) : 0;
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
    const char *v = getenv(name);
    return v ? strtoull(v, NULL, 10) : otherwise;
}

// Every allocation, every system call and every answer fails once; by strides, so that each seed takes some
// of them.
static void run_single(const struct scenario *s, uint64_t seed, uint64_t stride)
{
    uint64_t allocs, syscalls, ignored;
    now.weather = SINGLE;
    now.o = (struct sim_options){.seed = seed};
    run_world(s, &allocs, &syscalls);
    unsigned answers = answers_asked;
    for (uint64_t i = 1 + seed % stride; i <= allocs; i += stride) {
        now.o = (struct sim_options){.seed = seed, .alloc_fail_at = i};
        run_world(s, &ignored, &ignored);
    }
    for (uint64_t i = 1 + seed % stride; i <= syscalls; i += stride) {
        now.o = (struct sim_options){.seed = seed, .syscall_fail_at = i};
        run_world(s, &ignored, &ignored);
    }
    now.o = (struct sim_options){.seed = seed};
    for (answer_fail_at = 1; answer_fail_at <= answers; answer_fail_at++)
        run_world(s, &ignored, &ignored);
    answer_fail_at = 0;
}

int simulate(const struct scenario *s)
{
    enum { SEEDS = 200, STRIDE = 50, SINGLE_EVERY = 10 };
    now.name = s->name;
    uint64_t n_seeds = env_number("SIM_SEEDS", s->seeds ? s->seeds : SEEDS), only = env_number("SIM_SEED", 0),
             ignored;
    uint64_t thorough = env_number("SIM_THOROUGH", s->thorough_seeds);
    uint64_t first = only ? only : env_number("SIM_FIRST", 1), last = only ? only : n_seeds;
    for (uint64_t seed = first; seed <= last; seed++) {
        calm(seed);
        run_world(s, &ignored, &ignored);
        rough(seed);
        run_world(s, &ignored, &ignored);
        if (seed <= thorough || seed % SINGLE_EVERY == 0 || only)
            run_single(s, seed, seed <= thorough ? 1 : STRIDE);
    }
    printf("%s: seeds %llu to %llu hold\n", s->name, (unsigned long long)first, (unsigned long long)last);
    return 0;
}
