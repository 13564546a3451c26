// SPDX-License-Identifier: Apache-2.0
// check, fmt, explain: commands on a file, without anything running.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "main/commands.h"
#include "main/config.h"
#include "main/options.h"

static void print(FILE *to, struct span s)
{
    if (s.len)
        fwrite(s.ptr, 1, s.len, to);
}

// False where standard output could not take it all.
static bool print_out(struct span s)
{
    print(stdout, s);
    if (fflush(stdout) == 0)
        return true;
    fprintf(stderr, "weir: cannot write to standard output: %s\n", strerror(errno));
    return false;
}

static int check_json(const struct config *c, struct conf_diags *diags)
{
    struct arena a;
    arena_init(&a, ARENA_NO_LIMIT);
    struct span findings = conf_diags_json(diags);
    struct span tree = c ? conf_json(c->conf, &a) : SPAN("null");
    struct span all = arena_printf(&a, "{\"ok\": %s, \"findings\": %.*s, \"configuration\": ", c ? "true" : "false",
                                   SPAN_ARG(findings));
    bool ok = print_out(arena_join(&a, arena_join(&a, all, tree), SPAN("}\n")));
    arena_fini(&a);
    return !c ? EXIT_USAGE : ok ? EXIT_FINE : EXIT_RUN_TIME;
}

int command_check(int argc, char **argv)
{
    const char *path = "weir.conf";
    bool json = false;
    unsigned n;
    const struct option_spec specs[] = {{"config", 'c', &path, NULL}, {"json", '\0', NULL, &json}};
    if (!options_parse("check", argc, argv, specs, ARRAY_LEN(specs), NULL, 0, &n))
        return EXIT_USAGE;
    struct conf_diags *diags = conf_diags_new();
    if (!diags)
        return EXIT_RUN_TIME;
    struct config *c = config_read(&(struct config_origin){.path = path}, 1, diags);
    int status = c ? EXIT_FINE : EXIT_USAGE;
    if (json)
        status = check_json(c, diags);
    else
        print(stderr, conf_diags_text(diags));
    config_free(c);
    conf_diags_free(diags);
    return status;
}

// ---- fmt

// A new file in the old one's place, so that nobody ever sees half of it.
static bool replace_file(const char *path, struct span text, struct arena *a)
{
    struct stat st;
    const char *temporary = arena_printf(a, "%s.weir-fmt", path).ptr;
    int fd = temporary && stat(path, &st) == 0
                 ? open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st.st_mode & 07777)
                 : -1;
    if (fd < 0)
        return false;
    bool ok = fchmod(fd, st.st_mode & 07777) == 0 && (geteuid() != 0 || fchown(fd, st.st_uid, st.st_gid) == 0);
    while (ok && text.len) {
        ssize_t n = write(fd, text.ptr, text.len);
        ok = n > 0;
        text = span_skip(text, ok ? (size_t)n : 0);
    }
    ok = ok && fsync(fd) == 0;
    ok = close(fd) == 0 && ok && rename(temporary, path) == 0;
    int number = errno;
    if (!ok)
        unlink(temporary);
    errno = number;
    return ok;
}

static int format(const char *path, bool write_back, struct conf_source *src, struct conf_diags *diags)
{
    struct span text, out;
    const char *why;
    if (!conf_source_read(src, path, &text, &why)) {
        fprintf(stderr, "weir fmt: %s cannot be read: %s\n", path, why);
        return EXIT_USAGE;
    }
    if (!conf_fmt(text, path, diags, &src->arena, &out)) {
        print(stderr, conf_diags_text(diags));
        return EXIT_USAGE;
    }
    if (!write_back)
        return print_out(out) ? EXIT_FINE : EXIT_RUN_TIME;
    if (span_eq(text, out) || replace_file(path, out, &src->arena))
        return EXIT_FINE;
    fprintf(stderr, "weir fmt: %s cannot be written: %s\n", path, strerror(errno));
    return EXIT_RUN_TIME;
}

int command_fmt(int argc, char **argv)
{
    const char *path = "weir.conf";
    bool write_back = false;
    unsigned n;
    const struct option_spec specs[] = {{"config", 'c', &path, NULL}, {"write", '\0', NULL, &write_back}};
    if (!options_parse("fmt", argc, argv, specs, ARRAY_LEN(specs), NULL, 0, &n))
        return EXIT_USAGE;
    struct conf_diags *diags = conf_diags_new();
    struct conf_source src;
    conf_source_init(&src, true);
    int status = diags ? format(path, write_back, &src, diags) : EXIT_RUN_TIME;
    conf_source_fini(&src);
    conf_diags_free(diags);
    return status;
}

// ---- explain

static int explain(struct config *c, const char *question, struct conf_diags *diags)
{
    struct generation *g = generation_new(c->conf, diags, 1);
    struct span text = SPAN_NONE;
    bool ok = g && generation_explain(g, span_str(question), &c->arena, &text);
    if (ok)
        ok = print_out(text);
    else
        fprintf(stderr, "weir explain: %.*s\n", SPAN_ARG(text));
    generation_unref(g);
    return ok ? EXIT_FINE : EXIT_USAGE;
}

int command_explain(int argc, char **argv)
{
    const char *path = "weir.conf", *question;
    unsigned n;
    const struct option_spec specs[] = {{"config", 'c', &path, NULL}};
    if (!options_parse("explain", argc, argv, specs, ARRAY_LEN(specs), &question, 1, &n))
        return EXIT_USAGE;
    if (n == 0) {
        fprintf(stderr, "weir explain: a question is missing, for instance 'site GET https://shop.example/x'\n");
        return EXIT_USAGE;
    }
    struct conf_diags *diags = conf_diags_new();
    struct config *c = diags ? config_read(&(struct config_origin){.path = path}, 1, diags) : NULL;
    int status = EXIT_USAGE;
    if (c)
        status = explain(c, question, diags);
    else if (diags)
        print(stderr, conf_diags_text(diags));
    config_free(c);
    conf_diags_free(diags);
    return status;
}
