// SPDX-License-Identifier: Apache-2.0
// weir ca new: an authority for `intercept-tls`.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "main/cli_internal.h"
#include "tls/ca.h"

enum { NAME_MAX_BYTES = 64 }; // of a common name (RFC 5280, ub-common-name)

static int complain(const char *path)
{
    fprintf(stderr, "weir: %s: %s\n", path,
            errno == EEXIST ? "it is there already; an authority is not replaced" : strerror(errno));
    return FAILED;
}

static bool write_new(const char *path, struct span text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return false;
    bool ok = true;
    while (ok && text.len) {
        ssize_t n = write(fd, text.ptr, text.len);
        ok = n > 0 || (n < 0 && errno == EINTR);
        text = span_skip(text, n > 0 ? (size_t)n : 0);
    }
    ok = ok && fsync(fd) == 0;
    int failed = errno;
    close(fd);
    if (!ok)
        unlink(path);
    errno = failed;
    return ok;
}

// The key first: a certificate whose key could not be written is of no use to anybody.
static int store(const char *folder, struct arena *a, const struct tls_ca *ca)
{
    const char *cert = arena_cstr(a, arena_printf(a, "%s/weir-ca.pem", folder)),
               *key = arena_cstr(a, arena_printf(a, "%s/weir-ca.key", folder));
    if (!cert || !key) {
        fprintf(stderr, "weir: out of memory\n");
        return FAILED;
    }
    if (access(cert, F_OK) == 0) {
        errno = EEXIST;
        return complain(cert);
    }
    if (!write_new(key, ca->key, 0600))
        return complain(key);
    if (!write_new(cert, ca->cert, 0644)) {
        int status = complain(cert);
        unlink(key);
        return status;
    }
    printf("%s   the certificate, for the devices that are to trust it\n%s   its key; whoever has it can be "
           "any server to them\n"
           "SHA-256 %.*s\n\nIn the configuration, in a proxy:\n"
           "    intercept-tls ca %s key %s bypass list NAME when { ... }\n",
           cert, key, SPAN_ARG(ca->fingerprint), cert, key);
    return OK;
}

int command_ca(const struct options *o)
{
    struct span name = o->name ? span_str(o->name) : SPAN("weir interception authority");
    struct tls_ca ca;
    struct arena a;
    int status = BAD_USAGE;
    if (o->n_words != 1 || strcmp(o->words[0], "new") != 0)
        return cli_usage("ca", "there is only `new`");
    if (name.len == 0 || name.len > NAME_MAX_BYTES) {
        fprintf(stderr, "weir: a name has 1 to %d bytes\n", NAME_MAX_BYTES);
        return BAD_USAGE;
    }
    arena_init(&a, 0);
    if (tls_ca_make(name, &a, &ca)) {
        status = store(o->out ? o->out : ".", &a, &ca);
        secret_wipe((void *)(uintptr_t)ca.key.ptr, ca.key.len);
    } else {
        fprintf(stderr, "weir: the authority cannot be made: its name is no UTF-8, or OpenSSL refuses\n");
        status = FAILED;
    }
    arena_fini(&a);
    return status;
}
