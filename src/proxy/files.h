// SPDX-License-Identifier: Apache-2.0
// `files DIR`: a folder served by GET and HEAD; nothing outside it can be reached by any spelling or link.
#ifndef WEIR_PROXY_FILES_H
#define WEIR_PROXY_FILES_H

#include "http/message.h"

struct files_root;
/// Opens the folder, before privileges go. NULL with *ret_why, a sentence. The struct lives in the arena
/// until files_root_close. Where the kernel has no openat2 links are not followed at all; otherwise those
/// that stay beneath.
struct files_root *files_root_open(const char *path, struct arena *a, const char **ret_why);
/// The same with the folder's descriptor (O_PATH suffices), which it copies.
struct files_root *files_root_open_fd(int fd, struct arena *a, const char **ret_why);
void files_root_close(struct files_root *r);

struct files_result {
    int fd; // the caller closes it; -1: no content
    uint64_t offset, length;
};
/// path: what follows the route's prefix, normalised, still percent-encoded, without a leading slash. Only
/// regular files that are not hidden are there; a folder is its index.html. Sets the answer's status, fields
/// (which must be initialised) and framing: 200, 206, 304, 308 (a folder without its slash), 412, 416. The
/// answer to HEAD has the descriptor too. precompressed: of a type that gains from it, what a sibling with
/// `.br`, `.zst` or `.gz` behind its name holds is the content where the client accepts that coding, unless
/// the sibling is the older of the two. On a fiber (opening may wait); several fibers and threads at once
/// are fine. ERR_NOT_FOUND, ERR_METHOD_REFUSED, ERR_NO_FILES, ERR_NO_MEMORY.
MUST_USE enum err files_answer(const struct files_root *r, struct span path, const struct request *req,
                               bool precompressed, struct arena *a, struct response *ret_resp,
                               struct files_result *ret);

#endif
