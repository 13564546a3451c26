// SPDX-License-Identifier: Apache-2.0
#include "main/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

const char *control_path(const struct conf *c, struct arena *a)
{
    const struct conf_stmt *s = conf_child(conf_root(c), CONF_ADMIN);
    struct span p = s && s->n_args ? s->args[0].text : SPAN_NONE;
    if (!span_starts(p, SPAN("unix:")))
        return NULL;
    p = span_skip(p, 5);
    if (p.len && p.ptr[0] == '/')
        return arena_cstr(a, p);
    return arena_printf(a, "%s/%.*s", conf_folder(c), SPAN_ARG(p)).ptr;
}

static bool address(const char *path, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof ret->sun_path) {
        fprintf(stderr, "weir: the path of the control socket is too long: %s\n", path);
        return false;
    }
    memcpy(ret->sun_path, path, strlen(path) + 1);
    return true;
}

int control_dial(const char *path)
{
    struct sockaddr_un sa;
    int fd = address(path, &sa) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&sa, sizeof sa)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

int control_listen(const char *path)
{
    struct sockaddr_un sa;
    char folder[sizeof sa.sun_path];
    if (!address(path, &sa))
        return -1;
    int other = control_dial(path);
    if (other >= 0) {
        close(other);
        fprintf(stderr, "weir: another weir listens at the control socket %s\n", path);
        return -1;
    }
    memcpy(folder, sa.sun_path, sizeof folder);
    char *slash = strrchr(folder, '/');
    if (slash && slash != folder) {
        *slash = '\0';
        mkdir(folder, 0755);
    }
    unlink(path);
    mode_t old = umask(0177);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool ok = fd >= 0 && bind(fd, (const struct sockaddr *)&sa, sizeof sa) == 0 && listen(fd, 16) == 0;
    umask(old);
    if (ok)
        return fd;
    fprintf(stderr, "weir: the control socket %s cannot be opened: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

// The answer of the weir behind a socket, behind its status; NULL after a sentence.
static FILE *open_answer(const char *path, const char *command, int *ret_status)
{
    int fd = control_dial(path), status;
    FILE *f = fd >= 0 ? fdopen(fd, "r+") : NULL;
    if (!f) {
        fprintf(stderr, "weir: nobody listens at %s: no weir runs with this configuration (`weir run` starts one)\n", path);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    if (fprintf(f, "%s\n", command) < 0 || fflush(f) || fscanf(f, "%d", &status) != 1 || fgetc(f) != '\n') {
        fprintf(stderr, "weir: the weir at %s ended before it answered\n", path);
        fclose(f);
        return NULL;
    }
    *ret_status = status;
    return f;
}

int control_ask(const char *path, const char *command)
{
    int status = 1, c;
    FILE *f = open_answer(path, command, &status), *to = status ? stderr : stdout;
    if (!f)
        return 1;
    while ((c = fgetc(f)) != EOF) {
        fputc(c, to);
        if (c == '\n' && fflush(to)) // nobody reads us any more
            break;
    }
    fclose(f);
    return status;
}

const char *control_fetch(const char *path, const char *command, struct arena *a, int *ret_status)
{
    char part[4096];
    size_t n;
    struct span text = SPAN("");
    FILE *f = open_answer(path, command, ret_status);
    if (!f)
        return NULL;
    while (text.ptr && (n = fread(part, 1, sizeof part, f)) > 0)
        text = arena_join(a, text, span_of(part, n));
    fclose(f);
    return text.ptr;
}

static bool write_all(int fd, const char *p, size_t len)
{
    while (len) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

void control_answer(int fd, int status, struct span text)
{
    char head[16];
    int n = status == CONTROL_NO_STATUS ? 0 : snprintf(head, sizeof head, "%d\n", status);
    if (write_all(fd, head, (size_t)n) && text.len)
        (void)write_all(fd, text.ptr, text.len);
    close(fd);
}
