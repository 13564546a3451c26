// SPDX-License-Identifier: Apache-2.0
// What the files of the supervisor share.
#ifndef WEIR_MAIN_SUPERVISOR_INTERNAL_H
#define WEIR_MAIN_SUPERVISOR_INTERNAL_H

#include <sys/types.h>

#include "acme/acme.h"
#include "main/worker.h"
#include "net/listen.h"

enum {
    TICK_MS = 250,
    LISTENERS_MAX = 4096,
};

// A configuration that the worker was sent and has not put into force yet. Until it says so, the one before is the last good one.
struct proposal {
    struct generation *gen; // NULL: there is none
    unsigned first_listener; // the supervisor's from here on are new with it
    int log_fd;              // of its access log where that is another one, or -1
    int asker;               // the control connection that waits for the outcome, or -1
    bool json;               // as the admin API wants it
    char *offered;           // a file that takes the place of the configuration's own once it is in force; mem_alloc; NULL: none
    bool again;              // a worker ended over it already: it may have been the configuration's doing
    struct span change;      // what it changes
};

// What the supervisor before this one handed over (supervisor_upgrade.c), until our own worker serves.
struct handover {
    bool active;
    bool back;    // we are the one before again: its worker is ours
    pid_t worker; // of the one before; it serves meanwhile
    int channel, beats_fd, asker;
    int previous; // the binary to go back to
    unsigned n_threads;
    struct span drain, bundle; // what tells that worker to drain; the configuration's files
    struct arena arena;
};

/// What the helper process said last of a site's certificate.
struct acme_state {
    struct acme_state *next;
    char name[256], text[1024];
};
enum { ACME_STATES_MAX = 1024 };

struct watched_files {
    uint64_t last, tried; // what was seen, and what a reload was tried for
};

struct supervisor {
    const char *file;
    struct span text;          // quick mode
    struct generation *gen;
    uint64_t number;
    unsigned n_threads;
    struct listen_fd *listeners;
    unsigned n_listeners;
    struct heartbeats *beats; // memory shared with the worker
    int beats_fd;             // a memfd: it outlives us
    uint64_t seen[WORKER_THREADS_MAX];
    unsigned silent_ticks;
    pid_t worker;
    uint64_t worker_started_ms, restart_at_ms;
    unsigned restart_pause_ms;
    bool ready, said_ready, ending;
    uint64_t end_by_ms;
    struct outbox outbox;      // what the worker is yet to be sent
    int channel, signals, control, log_fd, error_fd;
    int offer; // of the worker's, or -1
    int own_stderr; // what it was at the start
    char control_path[ADDR_PATH_MAX + 1];
    struct proposal next;
    bool reload_wanted, reload_again; // a SIGHUP came when none could be begun, or its worker ended
    uint64_t look_at_ms;
    struct watched_files files, text_files; // of the configuration: what it names, and its own text
    struct {
        pid_t pid; // 0: none
        int channel;
        uint64_t identity, start_at_ms;
        struct acme_state *states;
    } acme;
    uint64_t last_tick_ms, started_ms;
    struct handover handover;
    pid_t old_worker; // of the version before, while it drains; 0: none
    uint64_t old_worker_end_ms;
    int status;
};

uint64_t supervisor_now_ms(void);

// ---- supervisor_listeners.c
/// Opens what the generation wants and is not there; all of it, or nothing and a sentence.
bool supervisor_open_missing(struct supervisor *s, const struct generation *g, char error[LISTEN_ERROR_MAX]);
/// Closes what the generation in force does not want.
void supervisor_close_unwanted(struct supervisor *s);
/// Closes all but the first n.
void supervisor_close_listeners(struct supervisor *s, unsigned n);

// ---- supervisor_worker.c
bool supervisor_start_worker(struct supervisor *s);
/// Sends the worker a message, or keeps it until the channel has room. False where there is no worker to take it.
bool supervisor_tell(struct supervisor *s, const struct channel_msg *m, int fd);
/// Notes which children have ended.
void supervisor_reap(struct supervisor *s);
/// The watchdog's look at the heartbeats; to be called often.
void supervisor_watch(struct supervisor *s);

// ---- supervisor_door.c: what the worker asks for on behalf of the admin API
/// The content of a command to come; takes over fd.
void supervisor_take_offer(struct supervisor *s, int fd);
/// Takes over fd. The text is the worker's, and not trusted.
void supervisor_obey_worker(struct supervisor *s, char *command, int fd);

// ---- supervisor_reload.c
unsigned supervisor_count_threads(const struct conf *c);
/// Reads and checks the configuration; text: the source whose text it is, and only other files are read (NULL: all).
/// in_earnest: folders that it wants are made. NULL with diagnostics.
struct generation *supervisor_load(struct supervisor *s, const struct conf_source *text, bool in_earnest, struct conf_diags *d);
/// Begins a reload; asker is the control connection to tell, or -1.
void supervisor_reload(struct supervisor *s, int asker);
/// What the admin API asks for. Status 0: the new generation's number, a line end, what changed; 2: findings as JSON; 3: another one than
/// `number` is in force; 1: a sentence. offered (NULL: the files as they are): the configuration's text; path: a file with it.
/// Takes over asker and path.
void supervisor_reload_for_api(struct supervisor *s, int asker, const struct span *offered, char *path, uint64_t number);
/// Tells asker what a reload would change, or why it would be refused, and changes nothing.
void supervisor_try_reload(struct supervisor *s, int asker);
/// Builds the configuration in force anew over its files, which have changed.
void supervisor_reload_files(struct supervisor *s);
/// The worker's word on it.
void supervisor_reload_done(struct supervisor *s, struct channel_msg *m);
/// The configuration under way does not come into force: takes back what was opened for it.
void supervisor_reject(struct supervisor *s, struct span why);

// ---- supervisor_logs.c
/// The access log's descriptor; -1 where it is off, or with a sentence on stderr.
int supervisor_open_log(const struct supervisor *s, const struct generation *g);
/// What workers to come write to.
void supervisor_keep_log(struct supervisor *s, int fd);
/// Opens the error log of the configuration in force, for workers to come. False with a sentence on stderr.
bool supervisor_open_error_log(struct supervisor *s);
/// From now on this process's stderr is the error log.
void supervisor_use_error_log(const struct supervisor *s);
/// Both, for the worker that serves too: the configuration or the file is another one now.
void supervisor_set_error_log(struct supervisor *s);
/// Opens all files anew: what was there may have been moved away.
void supervisor_reopen_logs(struct supervisor *s);

// ---- supervisor_files.c
/// Looks after the files that the configuration names; to be called often.
void supervisor_look_at_files(struct supervisor *s);

// ---- supervisor_acme.c
/// Starts, replaces and ends the helper process as the configuration in force wants it; to be called often.
void supervisor_acme_tend(struct supervisor *s);
void supervisor_acme_stop(struct supervisor *s);
/// It has ended by itself.
void supervisor_acme_ended(struct supervisor *s);
/// Takes a note from it.
void supervisor_acme_note(struct supervisor *s);
/// The worker has what it was told.
void supervisor_acme_worker_has(struct supervisor *s, const struct channel_msg *m);

// ---- supervisor_control.c
/// Opens the control socket where the configuration has one. False with a sentence on stderr.
bool supervisor_open_control(struct supervisor *s);
/// Takes one command from it.
void supervisor_accept_control(struct supervisor *s);

// ---- supervisor_upgrade.c
/// Executes the binary at our path in our place. Answers the asker where that does not come to pass.
void supervisor_upgrade(struct supervisor *s, int asker);
/// At the start: takes what another version handed over, where one did. False: it cannot be read.
MUST_USE bool supervisor_take_over(struct supervisor *s);
/// In a worker: closes what is between the versions only.
void supervisor_drop_handover(struct supervisor *s);
/// Whether a worker serves already that is ours again.
bool supervisor_adopt_worker(struct supervisor *s);
/// Our own worker serves: the one before may drain.
void supervisor_took_over(struct supervisor *s);
/// We do not get so far: the version before takes our place again. Does not return.
NORETURN void supervisor_go_back(struct supervisor *s, const char *why);
/// Ends a worker of the version before that drains for too long.
void supervisor_watch_old_worker(struct supervisor *s);

// ---- supervisor.c
void supervisor_drain(struct supervisor *s);
void supervisor_stop(struct supervisor *s);
void supervisor_notify_systemd(const char *state);

#endif
