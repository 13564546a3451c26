// SPDX-License-Identifier: Apache-2.0
// What the worker asks for on behalf of the admin API: a reload, or another configuration. The worker reads
// what strangers send, so it is believed nothing: who may change the configuration is looked at here again,
// by the token itself, and only where a statement allows it.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "main/control.h"
#include "main/supervisor_internal.h"
#include "proxy/api.h"

enum { ANSWER_WAIT_S = 1 };

void supervisor_take_offer(struct supervisor *s, int fd)
{
    if (s->offer >= 0)
        close(s->offer);
    s->offer = fd;
}

// Once, into memory of our own: the worker could still write to it.
static bool read_offer(int fd, struct arena *a, struct span *ret)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size < 0 || st.st_size > API_CONTENT_MAX)
        return false;
    char *p = arena_bytes(a, (size_t)st.st_size + 1);
    ssize_t n = p ? pread(fd, p, (size_t)st.st_size, 0) : -1;
    *ret = span_of(p, n > 0 ? (size_t)n : 0);
    return n == st.st_size;
}

static bool fill(int fd, struct span text, const struct stat *like)
{
    return write(fd, text.ptr, text.len) == (ssize_t)text.len &&
           fchown(fd, like->st_uid, like->st_gid) == 0 && fchmod(fd, like->st_mode & 0777) == 0 &&
           fsync(fd) == 0;
}

// A file beside the configuration's own, with its mode and owner; it becomes that one by a rename. NULL:
// errno says why.
static char *write_beside(const char *file, struct span text)
{
    static const char ending[] = ".weir-offered";
    struct stat st;
    size_t len = strlen(file);
    char *path = (char *)mem_alloc(len + sizeof ending);
    if (!path)
        return NULL;
    memcpy(path, file, len);
    memcpy(path + len, ending, sizeof ending);
    (void)unlink(path); // of one that ended in the middle
    int fd = stat(file, &st) ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && fill(fd, text, &st);
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (ok)
        return path;
    if (fd >= 0)
        (void)unlink(path);
    mem_free(path);
    errno = why;
    return NULL;
}

// `configure NUMBER TOKEN`
static void configure(struct supervisor *s, struct span rest, int offer, int asker)
{
    struct arena a;
    struct span token = rest, number_text = span_cut(&token, ' '), text;
    uint64_t number;
    char *path;
    arena_init(&a, 0);
    if (!api_may_configure(s->gen, token) || !num_parse_dec(number_text, UINT64_MAX, &number))
        control_answer(asker, 1, SPAN("the configuration does not allow this\n"));
    else if (!read_offer(offer, &a, &text))
        control_answer(asker, 1, SPAN("the configuration did not arrive\n"));
    else if (!s->file)
        control_answer(asker, 1, SPAN("there is no configuration file\n"));
    else if (number != s->number)
        control_answer(asker, 3, SPAN("another configuration is in force\n"));
    else if ((path = write_beside(s->file, text)))
        supervisor_reload_for_api(s, asker, &text, path, number);
    else
        control_answer(asker, 1, arena_printf(&a, "%s cannot be written: %s\n", s->file, strerror(errno)));
    arena_fini(&a);
}

void supervisor_obey_worker(struct supervisor *s, char *command, int fd)
{
    struct timeval t = {.tv_sec = ANSWER_WAIT_S};
    struct span rest = span_str(command), word = span_cut(&rest, ' ');
    int offer = s->offer;
    s->offer = -1;
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) == 0) {
        if (span_eq(word, SPAN("reload")))
            supervisor_reload_for_api(s, fd, NULL, NULL, s->number);
        else if (span_eq(word, SPAN("configure")))
            configure(s, rest, offer, fd);
        else
            control_answer(fd, 2, SPAN("this weir does not know that command\n"));
    } else if (fd >= 0) {
        close(fd);
    }
    if (offer >= 0)
        close(offer);
}
