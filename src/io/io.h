// SPDX-License-Identifier: Apache-2.0
// Operations on descriptors. They look like blocking calls with a deadline: they try at once, and only what
// would block makes the calling fiber wait. A wait ends with ERR_OK, ERR_TIMEOUT, the fiber's cancellation,
// ERR_EOF or ERR_RESET. Two implementations behind this header: epoll (edge-triggered, one registration for a
// descriptor's life) and the simulator.
#ifndef WEIR_IO_IO_H
#define WEIR_IO_IO_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "base/chunk.h"
#include "io/fiber.h"
#include "io/loop.h"

enum {
    IO_READABLE = 1, // may have bytes (or an end) to read; cleared by a short read
    IO_WRITABLE = 2,
    IO_PEER_ENDED = 4, // the other side sends no more (RDHUP): bytes before that may still be unread
    IO_BROKEN = 8,     // reset or error: nothing goes any more
};

/// A registered descriptor, embedded in what it belongs to; 48 bytes. It must stay at its address while it is
/// open (io_move gives it another); the memory may be reused right after io_close. Belongs to the thread that
/// opened it.
struct io {
    int fd; // -1: closed
    uint32_t gen;
    uint8_t state;                 // IO_* bits
    struct fiber *reader, *writer; // who waits
    struct fiber *watcher;         // who is canceled when the connection breaks
    /// Where nobody waits, an event calls this on the loop (not on a fiber); NULL: it is only noted in state.
    /// May close and free io. That it is writable is an event only after IO_WRITABLE was cleared (by a write
    /// that fell short, or by hand).
    void (*on_event)(struct io *io);
};

/// Takes fd over (non-blocking is set) and registers it; everything in io is set anew. On failure fd is
/// closed.
MUST_USE enum err io_open(struct io *io, int fd);
/// The same for what io_accept_now gave, which is non-blocking already.
MUST_USE enum err io_open_accepted(struct io *io, int fd);
/// Deregisters and closes; nobody may be waiting. Does nothing where fd is -1.
void io_close(struct io *io);
/// Like io_close, but with a reset instead of an orderly end.
void io_close_reset(struct io *io);
/// Deregisters without closing and returns the descriptor, which is the caller's again. Nobody may be
/// waiting.
MUST_USE int io_release(struct io *io);
/// Makes to what from was, which is closed afterwards. Nobody may be waiting.
void io_move(struct io *to, struct io *from);
/// While set, ERR_CANCELED is sent to f as soon as the connection breaks (not at a half-close), or is broken
/// already. NULL ends it, which must happen before f ends.
void io_watch(struct io *io, struct fiber *f);

/// Reads what is there, at most cap bytes, waiting for the first. ERR_EOF at an orderly end. *ret_n > 0 with
/// ERR_OK.
MUST_USE enum err io_recv(struct io *io, void *buf, size_t cap, uint64_t deadline, size_t *ret_n);
/// Like io_recv without a wait: ERR_AGAIN where nothing is there.
MUST_USE enum err io_recv_now(struct io *io, void *buf, size_t cap, size_t *ret_n);
/// Waits until io_recv_now is worth trying.
MUST_USE enum err io_wait_readable(struct io *io, uint64_t deadline);
MUST_USE enum err io_wait_writable(struct io *io, uint64_t deadline);
/// Sends at least one byte of the vectors; more: MSG_MORE. *ret_n bytes went.
MUST_USE enum err io_sendv(struct io *io, const struct iovec *iov, unsigned n_iov, bool more,
                           uint64_t deadline, size_t *ret_n);
/// Like io_sendv without a wait: ERR_AGAIN where the socket is full.
MUST_USE enum err io_sendv_now(struct io *io, const struct iovec *iov, unsigned n_iov, bool more,
                               size_t *ret_n);
/// Sends the whole queue with as few calls as possible and empties it. ERR_TIMEOUT when nothing moves for
/// stall_ms.
MUST_USE enum err io_send_queue(struct io *io, struct chunkq *q, uint64_t stall_ms);
/// Ends our direction (FIN).
void io_shutdown_write(struct io *io);
/// Bytes that were sent and that the other side has not acknowledged yet.
size_t io_unacked(const struct io *io);

/// A kernel pipe for splice, from a small pool of the thread.
struct io_pipe {
    int r, w;
    size_t cap, held; // held: bytes inside
    struct io_pipe *next;
};
/// NULL where there is no descriptor, or none with enough room: copy then.
struct io_pipe *io_pipe_get(void);
/// Gives it back; one that holds bytes is closed.
void io_pipe_put(struct io_pipe *p);
/// Fills an empty pipe from a socket, at most max bytes, waiting for the first. ERR_EOF at the end.
MUST_USE enum err io_splice_in(struct io *from, struct io_pipe *p, size_t max, uint64_t deadline,
                               size_t *ret_n);
/// Empties the pipe into a socket. ERR_TIMEOUT when nothing moves for stall_ms.
MUST_USE enum err io_splice_out(struct io_pipe *p, struct io *to, bool more, uint64_t stall_ms);
/// Sends a part of a regular file (sendfile, or read and send where the backend has none). ERR_EOF where the
/// file is shorter.
MUST_USE enum err io_sendfile(struct io *to, int file_fd, uint64_t offset, uint64_t len, uint64_t stall_ms);
/// Reads a part of a regular file: from the page cache at once, otherwise on a helper thread. *ret_n 0 at the
/// file's end.
MUST_USE enum err io_file_pread(int file_fd, void *buf, size_t n, uint64_t offset, size_t *ret_n);

/// Connects a new stream socket (TCP with NODELAY, or unix). bind_to may be NULL. Errors:
/// ERR_CONNECT_REFUSED, _TIMEOUT, _FAILED, ERR_NO_FILES, ERR_NO_MEMORY, the fiber's cancellation.
MUST_USE enum err io_connect(struct io *ret_io, const struct sockaddr *to, socklen_t to_len,
                             const struct sockaddr *bind_to, socklen_t bind_len, uint64_t deadline);
/// Two connected stream sockets, not registered yet. ERR_NO_FILES.
MUST_USE enum err io_pair(int ret_fd[2]);
/// Accepts one connection (TCP with NODELAY) without waiting: ERR_AGAIN, ERR_NO_FILES, ERR_IO (this
/// connection was lost: try the next). A listener's event comes once, so go on until ERR_AGAIN; after
/// ERR_NO_FILES try again later, by a timer. ret_peer may be NULL.
MUST_USE enum err io_accept_now(struct io *listener, int *ret_fd, struct sockaddr_storage *ret_peer);
/// How many connections wait to be accepted; 0 where nobody can tell.
unsigned io_backlog(const struct io *listener);
/// Closes an accepted descriptor that nobody wants.
void io_discard(int fd);
/// Says a text to an accepted descriptor that nobody will serve, as far as that goes without waiting, and closes it. What has come
/// from it already is read and thrown away, up to a bound, since the kernel would send a reset otherwise, which overtakes the text.
void io_refuse(int fd, struct span text);
/// The first descriptor that is no client's: from here on they are for connections upstream, names, logs and whoever administers
/// this process.
uint64_t io_files_for_clients(void);
/// Whether the next descriptor would be one of those.
bool io_files_are_short(void);
/// Octets that the other side has acknowledged, and that have come from it, since the connection began, as the kernel counts them.
/// False where it does not count.
bool io_progress(const struct io *io, uint64_t *ret_acked, uint64_t *ret_received);
/// The address that the other side, and we, have on this connection.
MUST_USE enum err io_peer_address(const struct io *io, struct sockaddr_storage *ret);
MUST_USE enum err io_local_address(const struct io *io, struct sockaddr_storage *ret);
/// Descriptors registered on this thread's loop (leak tests, metrics).
unsigned io_live_count(void);

#endif
