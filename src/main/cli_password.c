// SPDX-License-Identifier: Apache-2.0
// weir hash-password: a line for a password file.
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "base/secret.h"
#include "main/cli_internal.h"
#include "policy/passwd.h"

enum { HASH_MAX = 256 };

// One line of the standard input; asked for, and not shown, where that is a terminal.
static bool read_hidden(const char *prompt, char out[PASSWD_PASSWORD_MAX + 2])
{
    struct termios before, hidden;
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        fputs(prompt, stderr);
        hidden = before;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    bool ok = fgets(out, PASSWD_PASSWORD_MAX + 2, stdin) != NULL;
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputs("\n", stderr);
    }
    size_t n = ok ? strcspn(out, "\r\n") : 0;
    ok = ok && n <= PASSWD_PASSWORD_MAX;
    if (ok)
        out[n] = '\0';
    return ok;
}

static int print_line(const char *user, const char *password)
{
    char hash[HASH_MAX];
    if (passwd_make_hash(password, hash, sizeof hash)) {
        fprintf(stderr, "weir: this system's crypt makes no yescrypt hash\n");
        return FAILED;
    }
    printf("%s:%s\n", user, hash);
    return OK;
}

int command_hash_password(const struct options *o)
{
    char password[PASSWD_PASSWORD_MAX + 2], again[PASSWD_PASSWORD_MAX + 2];
    const char *user = o->n_words ? o->words[0] : "user";
    int status = BAD_USAGE;
    if (strchr(user, ':') || strlen(user) > PASSWD_NAME_MAX || !user[0])
        fprintf(stderr, "weir: a user's name has no colon, and at most %d bytes\n", PASSWD_NAME_MAX);
    else if (!read_hidden("Password: ", password))
        fprintf(stderr, "weir: no password was given, or it is longer than %d bytes\n", PASSWD_PASSWORD_MAX);
    else if (isatty(STDIN_FILENO) && (!read_hidden("Again: ", again) || strcmp(password, again) != 0))
        fprintf(stderr, "weir: the two are not the same\n");
    else
        status = print_line(user, password);
    secret_wipe(password, sizeof password);
    secret_wipe(again, sizeof again);
    return status;
}
