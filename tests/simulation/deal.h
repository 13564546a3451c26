// SPDX-License-Identifier: Apache-2.0
// A deal is one exchange that client and origin have agreed on beforehand: what the one asks and sends, what
// the other answers. Each looks at what reaches it through the proxy and compares.
#ifndef WEIR_TESTS_SIMULATION_DEAL_H
#define WEIR_TESTS_SIMULATION_DEAL_H

#include "harness.h"
#include "net/addr.h"
#include "strict.h"

enum { DEALS_MAX = 80, CONTENT_MAX = 40000, FILE_BYTES = 30000, PATIENCE_MS = 150 * 1000 };

enum deal_kind { DEAL_SITE, DEAL_FORWARD, DEAL_RESPOND, DEAL_FILE, DEAL_CONNECT, DEAL_UPGRADE, N_DEAL_KINDS };
enum deal_framing { DOWN_LENGTH, DOWN_CHUNKED, DOWN_UNTIL_END };
/// How it ended for the client.
enum deal_end {
    DEAL_NOT_TRIED,
    DEAL_WHOLE,   // exactly as agreed
    DEAL_REFUSED, // by an answer of the proxy's own, whole
    DEAL_BROKEN,  // visibly: no answer, or one that breaks off
};

struct deal {
    unsigned id; // from 1
    enum deal_kind kind;
    const char *method;
    unsigned minor;                                    // of the client's HTTP/1
    size_t up, down;                                   // octets of content (or tunnelled) each way
    bool up_chunked, up_trailers, expect, te_trailers; // the client's
    enum deal_framing framing;                         // the origin's, and what follows too
    unsigned status;
    bool interim, down_trailers, origin_closes, early; // early: answers before it has read the content
    // What happened
    unsigned heads, wholes; // requests that the origin saw begin, and saw whole
    unsigned logged;
    bool idled; // a tunnel that ended in order before its time
    enum deal_end end;
};

extern struct deal deals[DEALS_MAX];
extern unsigned n_deals;
extern enum weather weather_now; // of the world that runs

/// All of them, on stderr.
void deals_show(void);
/// Agrees on what happens next, by scenario_rand.
struct deal *deal_new(void);
/// The octet at a place of a deal's content; up: from the client.
char deal_octet(const struct deal *d, bool up, size_t at);
/// Whether these are the first n octets of it.
bool deal_is(const struct deal *d, bool up, const char *p, size_t n);
/// The deal of an id in text, or NULL.
struct deal *deal_of(struct strict_text id);
bool deal_tunnels(const struct deal *d);
/// No content goes up, and the connection goes on afterwards: others may be asked for behind it at once.
bool deal_may_be_followed(const struct deal *d);

/// Bytes that came over a connection, and are not consumed yet.
enum { WIRE_BYTES = 2 * CONTENT_MAX + 16384 };
struct wire {
    struct io io;
    size_t n;
    bool ended;     // in order
    enum err error; // otherwise
    char p[WIRE_BYTES], content[WIRE_BYTES];
};
/// Reads what comes next; false: nothing comes any more.
bool wire_read(struct wire *w);
void wire_consume(struct wire *w, size_t n);
/// Sends in pieces, with pauses at random.
enum err wire_send(struct io *io, const char *p, size_t n);
/// Reads the final end of a tunnel's direction: checks that it is the deal's octets; true where all came and
/// an orderly end.
bool wire_tunnel_in(struct wire *w, struct deal *d, bool up);
enum err wire_tunnel_out(struct io *io, const struct deal *d, bool up);

#endif
