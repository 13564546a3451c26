// SPDX-License-Identifier: Apache-2.0
#include "main/worker_door.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/num.h"
#include "main/worker.h"
#include "proxy/api.h"

enum { WAIT_S = 60, ANSWER_MAX = 1 << 20 };

static int channel = -1;

static bool offer(struct span content)
{
    struct channel_msg m = {.type = CHANNEL_OFFER};
    int fd = memfd_create("weir-offer", MFD_CLOEXEC);
    bool ok = fd >= 0 && write(fd, content.ptr, content.len) == (ssize_t)content.len &&
              channel_send(channel, &m, fd);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool read_answer(int fd, struct arena *a, int *ret_status, struct span *ret)
{
    struct span all = SPAN("");
    char part[4096];
    uint64_t status;
    ssize_t n;
    while (all.ptr && all.len < ANSWER_MAX && (n = read(fd, part, sizeof part)) > 0)
        all = arena_join(a, all, span_of(part, (size_t)n));
    struct span head = all.ptr ? span_cut(&all, '\n') : SPAN_NONE;
    if (!head.ptr || !num_parse_dec(head, 9, &status))
        return false;
    *ret_status = (int)status;
    *ret = all.ptr ? all : SPAN("");
    return true;
}

// On a helper thread, where waiting is allowed; one at a time (api_supervisor.c).
static bool ask(const char *command, struct span content, struct arena *a, int *ret_status, struct span *ret)
{
    struct channel_msg m = {.type = CHANNEL_COMMAND};
    struct timeval t = {.tv_sec = WAIT_S};
    int pair[2];
    if (snprintf(m.text, sizeof m.text, "%s", command) >= (int)sizeof m.text ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return false;
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    bool ok = (!content.ptr || offer(content)) && channel_send(channel, &m, pair[1]);
    close(pair[1]);
    ok = ok && read_answer(pair[0], a, ret_status, ret);
    close(pair[0]);
    return ok;
}

void worker_door_open(int ch)
{
    channel = ch;
    api_set_supervisor(ask);
}
