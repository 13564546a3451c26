// SPDX-License-Identifier: Apache-2.0
#include "main/crash.h"

#include <execinfo.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sanitize.h"

enum { FRAMES_MAX = 48, STACK_BYTES = 64 * 1024 };

void crash_prepare(void)
{
    void *frame;
    (void)backtrace(&frame, 1); // the first call loads a library
}

static void say(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

// Async-signal-safe but for the unwinder, which takes a lock: where that is held for good, the supervisor's SIGKILL comes soon after.
static void on_fatal(int number)
{
    void *frames[FRAMES_MAX];
    char thread[17] = "";
    prctl(PR_GET_NAME, thread, 0, 0, 0);
    say(number == SIGABRT ? "weir: the worker is ended in thread " : "weir: the worker crashed in thread ");
    say(*thread ? thread : "?");
    say("; its stack:\n");
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
    raise(number); // the handler is gone (SA_RESETHAND), so this is the end
}

void crash_catch(void)
{
#if defined(WEIR_ASAN) || defined(WEIR_TSAN)
    static const int fatal[] = {SIGABRT}; // the sanitizers tell of the others
#else
    static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
#endif
    struct sigaction sa = {.sa_handler = on_fatal, .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK)};
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
        sigaction(fatal[i], &sa, NULL);
}

#if defined(WEIR_ASAN) || defined(WEIR_TSAN)
void *crash_stack_new(void)
{
    return NULL; // the sanitizers have set one of their own, and take it away
}
#else
void *crash_stack_new(void)
{
    stack_t st = {.ss_sp = mem_alloc(STACK_BYTES), .ss_size = STACK_BYTES};
    if (st.ss_sp && sigaltstack(&st, NULL)) {
        mem_free(st.ss_sp);
        st.ss_sp = NULL;
    }
    return st.ss_sp;
}
#endif

void crash_stack_free(void *stack)
{
    stack_t none = {.ss_flags = SS_DISABLE};
    if (stack)
        sigaltstack(&none, NULL);
    mem_free(stack);
}
