// SPDX-License-Identifier: Apache-2.0
// The process_* metrics. The worker cannot open files any more when it is asked, so what is read stays open.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "admin/metrics_internal.h"

static int statm_fd = -1, fds_fd = -1;
static double started_s;

void metrics_process_open(void)
{
    if (statm_fd >= 0)
        close(statm_fd);
    if (fds_fd >= 0)
        close(fds_fd);
    // Both name the calling process from now on, whatever it is allowed later.
    statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    fds_fd = open("/proc/self/fd", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    started_s = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void add(struct metric_text *t, const char *name, const char *type, const char *help, const char *value)
{
    metric_text_add(t, "# HELP process_%s %s\n# TYPE process_%s %s\nprocess_%s %s\n", name, help, name, type, name, value);
}

static void add_number(struct metric_text *t, const char *name, const char *type, const char *help, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    add(t, name, type, help, text);
}

static void add_memory(struct metric_text *t)
{
    char text[128];
    ssize_t n = statm_fd < 0 ? -1 : pread(statm_fd, text, sizeof(text) - 1, 0);
    uint64_t virtual_pages, resident_pages, page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (n <= 0)
        return;
    text[n] = '\0';
    if (sscanf(text, "%" SCNu64 " %" SCNu64, &virtual_pages, &resident_pages) != 2)
        return;
    add_number(t, "resident_memory_bytes", "gauge", "Resident memory.", resident_pages * page);
    add_number(t, "virtual_memory_bytes", "gauge", "Virtual memory.", virtual_pages * page);
}

struct entry_head { // linux_dirent64, up to its name
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
} __attribute__((packed));

// -1 where it cannot be told. Without opendir, which needs a descriptor and memory of its own.
static int count_fds(void)
{
    char buffer[4096] __attribute__((aligned(8)));
    int count = 0;
    if (fds_fd < 0 || lseek(fds_fd, 0, SEEK_SET) < 0)
        return -1;
    for (;;) {
        long n = syscall(SYS_getdents64, fds_fd, buffer, sizeof(buffer));
        if (n < 0)
            return -1;
        if (n == 0)
            return count;
        for (long at = 0; at < n;) {
            const struct entry_head *e = (const struct entry_head *)(const void *)(buffer + at);
            count += e->name[0] != '.';
            at += e->length;
        }
    }
}

void metric_text_process(struct metric_text *t)
{
    add_memory(t);
    int fds = count_fds();
    if (fds >= 0)
        add_number(t, "open_fds", "gauge", "Open file descriptors.", (uint64_t)fds);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        add_number(t, "max_fds", "gauge", "File descriptors that may be open.", limit.rlim_cur);
    struct rusage usage;
    char text[64];
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        double s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
        snprintf(text, sizeof(text), "%.6f", s);
        add(t, "cpu_seconds_total", "counter", "User and system time.", text);
    }
    snprintf(text, sizeof(text), "%.3f", started_s);
    add(t, "start_time_seconds", "gauge", "When the worker process started, in seconds since 1970.", text);
}
