// SPDX-License-Identifier: Apache-2.0
#include "policy/passwd.h"

#include <crypt.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/secret.h"
#include "policy/lines.h"

enum {
    BCRYPT_COST_MAX = 16,     // some seconds; more would hold a helper thread for minutes
    SHA512_ROUNDS_MAX = 5000000,
};

struct entry {
    struct span user; // empty: no entry
    const char *hash;
};

struct passwd {
    struct entry *slots; // open addressing by hash_keyed
    size_t n_slots;      // a power of two
    const char *dummy;   // what unknown users are held against
};

// ---- Which hashes

// What stands before the first `$` behind the kind, as a number.
static bool cost_of(struct span hash, const char *before, uint64_t max)
{
    uint64_t cost;
    struct span rest = span_skip(hash, strlen(before)), digits = span_cut(&rest, '$');
    return num_parse_dec(digits, max, &cost);
}

// NULL where the hash is of a kind that is good enough; otherwise a sentence.
static const char *refusal(struct span h)
{
    if (span_starts(h, SPAN("$apr1$")))
        return "the hash is apr1 (a form of MD5), which is too quick to guess; make a new one with `weir hash-password`";
    if (span_starts(h, SPAN("$1$")))
        return "the hash is MD5 crypt, which is too quick to guess; make a new one with `weir hash-password`";
    if (span_starts(h, SPAN("{SHA}")) || span_starts(h, SPAN("{SSHA}")))
        return "the hash is SHA-1, which is too quick to guess; make a new one with `weir hash-password`";
    if (span_starts(h, SPAN("{PLAIN}")))
        return "the password is plain; make a hash of it with `weir hash-password`";
    if (span_starts(h, SPAN("$2a$")) || span_starts(h, SPAN("$2b$")) || span_starts(h, SPAN("$2y$")))
        return cost_of(h, "$2y$", BCRYPT_COST_MAX) ? NULL : "the bcrypt hash has no cost that is possible here (at most 16)";
    if (span_starts(h, SPAN("$6$rounds=")))
        return cost_of(h, "$6$rounds=", SHA512_ROUNDS_MAX) ? NULL : "the sha-512 hash has more rounds than are possible here";
    if (span_starts(h, SPAN("$6$")) || span_starts(h, SPAN("$y$")))
        return NULL;
    if (h.len && h.ptr[0] == '$')
        return "the hash is none of bcrypt, sha-512 crypt and yescrypt; make a new one with `weir hash-password`";
    return "the password is plain, or its hash is DES crypt; make a hash of it with `weir hash-password`";
}

// How long the hash behind the last `$` is, by its kind.
static bool is_whole(struct span h)
{
    size_t digest = h.len - span_rfind(h, '$') - 1;
    if (span_starts(h, SPAN("$2")))
        return h.len == 60;
    return digest == (span_starts(h, SPAN("$6$")) ? 86 : 43);
}

// ---- Reading

static struct entry *slot_of(const struct passwd *p, struct span user)
{
    size_t i = hash_keyed(user) & (p->n_slots - 1);
    while (p->slots[i].user.len && !span_eq(p->slots[i].user, user))
        i = (i + 1) & (p->n_slots - 1);
    return &p->slots[i];
}

static size_t count_lines(struct span text)
{
    size_t n = 1;
    while (text.len)
        span_cut(&text, '\n'), n++;
    return n;
}

static bool read_line(struct lines *l, struct span line, struct passwd *p)
{
    struct span hash = line, user = span_cut(&hash, ':');
    const char *why = !hash.ptr ? "this is no line of a password file: NAME:HASH"
                      : user.len == 0 || user.len > PASSWD_NAME_MAX ? "the name is empty or too long"
                                                                    : refusal(hash);
    struct entry *e = why ? NULL : slot_of(p, user);
    if (e && e->user.len)
        why = "this user stands in the file a second time";
    char *copy = e && !why ? arena_cstr(l->context->arena, hash) : NULL;
    if (!why && !copy)
        why = "out of memory";
    if (!why && (!is_whole(hash) || crypt_checksalt(copy) != CRYPT_SALT_OK))
        why = "the hash is damaged";
    if (why) {
        lines_error(l, why);
        return false;
    }
    *e = (struct entry){user, copy};
    if (!p->dummy)
        p->dummy = copy;
    return true;
}

const struct passwd *passwd_new(struct condition_context *k, const struct conf_value *file)
{
    struct lines l;
    struct span line;
    struct passwd *p = (struct passwd *)condition_alloc(k, sizeof *p);
    if (!p || !lines_open(&l, k, file))
        return NULL;
    size_t n = count_lines(l.rest);
    for (p->n_slots = 4; p->n_slots < n * 2;)
        p->n_slots *= 2;
    p->slots = (struct entry *)condition_alloc(k, p->n_slots * sizeof *p->slots);
    bool ok = p->slots != NULL;
    while (p->slots && lines_next(&l, &line)) {
        if (line.len && line.ptr[0] != '#')
            ok &= read_line(&l, line, p);
    }
    // Nobody's password has this hash.
    if (!p->dummy)
        p->dummy = "$2b$10$abcdefghijklmnopqrstuuFH6ofXUxh13lbp/kgvDtvUZu1tORWui";
    return ok ? p : NULL;
}

const char *passwd_hash_of(const struct passwd *p, struct span user, bool *ret_known)
{
    const struct entry *e = user.len ? slot_of(p, user) : NULL;
    *ret_known = e && e->user.len;
    return *ret_known ? e->hash : p->dummy;
}

// ---- Hashing

// Without a way out at the first difference.
static bool same(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned char different = n != m;
    for (size_t i = 0; i < n && i < m; i++)
        different |= (unsigned char)(a[i] ^ b[i]);
    return !different;
}

enum err passwd_verify(const char *hash, const char *password, bool *ret_fits)
{
    struct crypt_data *d = (struct crypt_data *)mem_calloc(1, sizeof *d);
    if (!d)
        return ERR_NO_MEMORY;
    const char *out = crypt_r(password, hash, d);
    *ret_fits = out && out[0] != '*' && same(out, hash);
    secret_wipe(d, sizeof *d);
    mem_free(d);
    return ERR_OK;
}

enum err passwd_make_hash(const char *password, char *out, size_t cap)
{
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *d = (struct crypt_data *)mem_calloc(1, sizeof *d);
    if (!d)
        return ERR_NO_MEMORY;
    const char *hash = crypt_gensalt_rn("$y$", 0, NULL, 0, salt, sizeof salt) ? crypt_r(password, salt, d) : NULL;
    size_t n = hash ? strlen(hash) : 0;
    bool ok = hash && hash[0] != '*' && n < cap;
    if (ok)
        memcpy(out, hash, n + 1);
    secret_wipe(d, sizeof *d);
    mem_free(d);
    return ok ? ERR_OK : ERR_IO;
}
