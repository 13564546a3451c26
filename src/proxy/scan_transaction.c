// SPDX-License-Identifier: Apache-2.0
#include "proxy/scan_transaction.h"

#include "admin/metrics.h"
#include "proxy/thread.h"

enum { READ_BYTES = 64 * 1024 };

static struct metric_set *metrics_of(const struct exchange *x)
{
    return x->site ? x->site->metrics : x->proxy->metrics;
}

void scan_init(struct scan *s, struct exchange *x, const struct scan_rule *r,
               const struct scan_source *source)
{
    *s = (struct scan){.x = x, .rule = r, .source = source, .kept_all = true, .left = UINT64_MAX};
    chunkq_init(&s->kept);
    chunkq_init(&s->begin);
}

// ---- The source

static bool has_ended(const struct scan *s)
{
    return s->eof || s->source->ended(s);
}

static enum err note_begin(struct scan *s, const struct chunkq *q)
{
    size_t n = s->rule->trickle_ms ? MIN(q->bytes, SCAN_TRICKLE_BYTES - s->begin.bytes) : 0;
    return n ? chunkq_share(&s->begin, q, n) : ERR_OK;
}

enum err scan_take(struct scan *s, struct chunkq *q)
{
    s->n_read += q->bytes;
    enum err e = note_begin(s, q);
    return e ? e : chunkq_move(&s->kept, q, q->bytes);
}

// Into an empty queue. ERR_OK without a byte: that was the end.
static enum err read_source(struct scan *s, struct chunkq *q, size_t want)
{
    s->reading = true;
    enum err e = s->source->read(s, q, want);
    s->reading = false;
    s->progress_ms = loop_now_ms();
    s->n_read += q->bytes;
    if (!e && s->rule->refuses_larger && s->n_read > s->rule->max_bytes)
        e = ERR_SCAN_TOO_LARGE;
    if (!e)
        e = note_begin(s, q);
    s->eof |= e == ERR_EOF;
    return e == ERR_EOF ? ERR_OK : e;
}

static enum err keep(struct scan *s, const struct chunkq *q)
{
    if (!s->kept_all)
        return ERR_OK;
    if (s->kept.bytes + q->bytes <= SCAN_HELD_BYTES)
        return chunkq_share(&s->kept, q, q->bytes);
    chunkq_clear(&s->kept);
    s->kept_all = false;
    return ERR_OK;
}

// Its first bytes, up to n, or its end.
static enum err read_preview(struct scan *s, size_t n)
{
    struct chunkq q;
    enum err e = ERR_OK;
    chunkq_init(&q);
    while (!e && s->kept.bytes < n && !has_ended(s)) {
        e = read_source(s, &q, MAX(n - s->kept.bytes, (size_t)READ_BYTES));
        if (!e)
            e = chunkq_move(&s->kept, &q, q.bytes);
    }
    chunkq_fini(&q);
    s->source_err = e;
    return e;
}

// ---- The fiber that sends

static enum err send_rest(struct scan *s, struct chunkq *q)
{
    enum err e = chunkq_share(q, &s->kept, s->kept.bytes);
    chunkq_skip(q, s->preview_bytes);
    while (!e && !s->stopping) {
        bool end = has_ended(s);
        if (q->bytes || end)
            e = icap_send(&s->icap, q, end ? ICAP_END : ICAP_MORE);
        s->progress_ms = loop_now_ms();
        if (e || end)
            return ERR_OK; // what the service has to say to that is what counts
        e = read_source(s, q, READ_BYTES);
        if (!e)
            e = keep(s, q);
    }
    return e;
}

static void sender_main(void *arg)
{
    struct scan *s = (struct scan *)arg;
    struct chunkq q;
    chunkq_init(&q);
    enum err e = send_rest(s, &q);
    if (e && !s->stopping) {
        s->source_err = e;
        if (s->waiter)
            fiber_cancel(s->waiter, e);
    }
    chunkq_fini(&q);
    s->sending = false;
}

static enum err start_sender(struct scan *s)
{
    s->sending = true;
    enum err e = fiber_start(sender_main, s, &s->sender);
    if (e) {
        s->sending = false;
        s->sender = NULL;
    }
    return e;
}

static void stop_sender(struct scan *s)
{
    if (!s->sender)
        return;
    s->stopping = true;
    if (s->sending)
        fiber_cancel(s->sender, ERR_CANCELED);
    fiber_join(s->sender);
    s->stopping = false;
    s->sender = NULL;
}

// ---- The service

static void release(struct scan *s)
{
    stop_sender(s);
    if (!s->conn)
        return;
    struct upstream_conn *u = s->conn;
    s->conn = NULL;
    u->on_finish(u, icap_end(&s->icap));
}

static bool is_final(enum err e)
{
    return e == ERR_NO_MEMORY || e == ERR_CANCELED || e == ERR_SHUTDOWN || fiber_canceled(fiber_self());
}

static enum err as_ours(enum err e)
{
    if (e == ERR_TIMEOUT)
        return ERR_SCAN_TIMEOUT;
    return e == ERR_SCAN_TIMEOUT || e == ERR_SCAN_DOWN || e == ERR_SCAN_BUSY ? e : ERR_SCAN_FAILED;
}

// The service failed: content that is still all here passes, where the rule says so.
static enum err settle(struct scan *s, enum err e)
{
    if (s->source_err || is_final(e)) {
        release(s);
        return s->source_err ? s->source_err : e;
    }
    release(s);
    if (s->source_err)
        return s->source_err;
    metric_add(metrics_of(s->x), METRIC_SCAN_FAILURES, 1);
    e = as_ours(e);
    s->x->scan_said = span_str(err_name(e));
    s->x->rule = s->rule->where;
    if (!s->rule->fail_open || !s->kept_all)
        return e;
    s->state = SCAN_PASSING;
    return ERR_OK;
}

// Sends the head with what there is of a preview, or with all content where that is here.
static enum err ask(struct scan *s, bool fresh)
{
    struct chunkq q;
    enum err e = scan_connect(s->x, s->rule, s->peer, fresh, &s->conn);
    if (e)
        return e;
    bool ended = has_ended(s), preview = s->request.has_preview;
    bool whole = ended && (!preview || s->kept.bytes <= s->request.preview);
    icap_begin(&s->icap, &s->conn->t, &s->conn->input, s->x->arena, s->rule->timeout_ms);
    s->preview_bytes = preview && !whole ? s->request.preview : 0;
    s->previewing = preview && !whole;
    s->progress_ms = loop_now_ms();
    chunkq_init(&q);
    e = chunkq_share(&q, &s->kept, whole ? s->kept.bytes : s->preview_bytes);
    if (!e)
        e = icap_send_head(&s->icap, &s->request, &q,
                           whole     ? (preview ? ICAP_WHOLE : ICAP_END)
                           : preview ? ICAP_PREVIEW_END
                                     : ICAP_MORE);
    chunkq_fini(&q);
    if (e == ERR_EOF || e == ERR_RESET || e == ERR_TIMEOUT)
        e = ERR_OK; // it may have said why
    return e || whole || preview ? e : start_sender(s);
}

// Whether the service offers what is wanted, and wants this content. False: the content passes.
static enum err consider(struct scan *s, bool *ret)
{
    const struct icap_options *o = &s->peer->options;
    bool offers = s->request.method == ICAP_REQMOD ? o->reqmod : o->respmod;
    *ret = false;
    if (!offers)
        return s->rule->named ? ERR_SCAN_FAILED : ERR_OK;
    enum icap_transfer t = icap_transfer_of(o, s->x->req->path);
    if (t == ICAP_TRANSFER_IGNORE) {
        s->x->scan_said = SPAN("ignored");
        return ERR_OK;
    }
    s->request.has_preview = t == ICAP_TRANSFER_PREVIEW && o->has_preview;
    s->request.preview = o->preview;
    *ret = true;
    return ERR_OK;
}

enum err scan_begin(struct scan *s, uint64_t length)
{
    bool wanted = false;
    enum err e = scan_peer_get(s->x, s->rule, &s->peer);
    if (!e)
        e = consider(s, &wanted);
    if (e)
        return settle(s, e);
    if (!wanted) {
        s->state = SCAN_PASSING;
        return ERR_OK;
    }
    bool allow = s->peer->options.allow_204;
    s->asked = true;
    metric_add(metrics_of(s->x), METRIC_SCANS, 1);
    if ((e = read_preview(s, s->request.has_preview ? (size_t)s->request.preview + 1 : 0)))
        return settle(s, e);
    if (has_ended(s))
        length = s->n_read;
    s->request.has_content = true;
    s->request.allow_204 = allow && length <= SCAN_HELD_BYTES;
    e = ask(s, false);
    if (e == ERR_SCAN_DOWN)
        scan_note_down(s->peer, e);
    return e ? settle(s, e) : ERR_OK;
}

// ---- The verdict

// What a wait for the service came to: the source's failure ends it too.
static enum err waited(struct scan *s, enum err e)
{
    s->waiter = NULL;
    if (!s->source_err)
        return e;
    if (fiber_canceled(fiber_self()) == s->source_err)
        fiber_uncancel();
    return s->source_err;
}

// ERR_OK: something has come. ERR_TIMEOUT: nothing until then.
static enum err wait_for_service(struct scan *s, uint64_t until)
{
    for (;;) {
        if (s->source_err)
            return s->source_err;
        s->waiter = fiber_self();
        enum err e = waited(s, icap_wait(&s->icap, MIN(until, s->progress_ms + s->rule->timeout_ms)));
        if (e != ERR_TIMEOUT || loop_now_ms() >= until)
            return e;
        if (s->reading)
            s->progress_ms = loop_now_ms(); // it is the source that is slow
        else if (loop_now_ms() >= s->progress_ms + s->rule->timeout_ms)
            return ERR_SCAN_TIMEOUT;
    }
}

static enum err take_clean(struct scan *s)
{
    bool read = icap_is_read(&s->icap);
    release(s); // while the fiber that sends still runs more may be read than can be kept
    if (!s->kept_all || !read || s->source_err)
        return s->source_err ? s->source_err : ERR_SCAN_FAILED;
    s->state = SCAN_PASSING;
    s->x->scan_said = SPAN("clean");
    return ERR_OK;
}

static void note_blocked(struct scan *s, struct span finding)
{
    struct exchange *x = s->x;
    s->blocked = true;
    x->log_reason = ERR_SCAN_BLOCKED;
    metric_add(metrics_of(x), METRIC_SCAN_BLOCKED, 1);
    x->scan_said = finding.len ? finding : SPAN("blocked");
    x->rule = s->rule->where;
}

static enum err take_adapted(struct scan *s)
{
    const struct icap_answer *a = &s->answer;
    struct span finding = icap_finding(&a->fields);
    uint64_t deadline = deadline_in(s->rule->timeout_ms);
    bool of_request = s->request.method == ICAP_REQMOD && a->parts.req_head;
    enum err e = of_request ? icap_read_request(&s->icap, a, deadline, &s->req)
                            : icap_read_response(&s->icap, a, s->x->req->method, deadline, &s->resp);
    if (e)
        return e;
    const struct framing *f = of_request ? &s->req.framing : &s->resp.framing;
    s->left = icap_is_read(&s->icap) ? 0 : f->kind == FRAMING_LENGTH ? f->length : UINT64_MAX;
    s->state = SCAN_ADAPTED;
    bool refused =
        !of_request && (s->request.method == ICAP_REQMOD || (s->resp.status >= 400 && s->status < 400));
    if (finding.len || refused)
        note_blocked(s, finding);
    else
        s->x->scan_said = SPAN("clean");
    return s->blocked && s->resp.status ? fields_set(&s->resp.fields, FIELD_CACHE_CONTROL, SPAN("no-store"))
                                        : ERR_OK;
}

// A kept connection that ended before the service had said a word: it may have been closing it.
static bool was_stale(const struct scan *s, enum err e)
{
    return (e == ERR_EOF || e == ERR_RESET) && !s->icap.any_byte && s->conn->n_exchanges && s->kept_all &&
           !s->retried && !s->source_err;
}

static enum err take_answer(struct scan *s)
{
    enum err e = icap_read_head(&s->icap, deadline_in(s->rule->timeout_ms), &s->answer);
    if (e && was_stale(s, e)) {
        s->retried = true;
        release(s);
        return s->source_err ? s->source_err : ask(s, true);
    }
    if (e)
        return e;
    scan_note_tag(s->peer, &s->answer.fields);
    switch (s->answer.status) {
    case 100:
        if (!s->previewing)
            return ERR_SCAN_FAILED;
        s->previewing = false;
        return start_sender(s);
    case 204:
        return take_clean(s);
    case 200:
        return take_adapted(s);
    default:
        return ERR_SCAN_FAILED;
    }
}

enum err scan_wait(struct scan *s, uint64_t until)
{
    while (s->state == SCAN_WAITING) {
        enum err e = wait_for_service(s, until);
        if (e == ERR_TIMEOUT)
            return e;
        if (!e)
            e = take_answer(s);
        if (e && (e = settle(s, e)))
            return e;
    }
    return ERR_OK;
}

// ---- Behind it

static enum err read_adapted(struct scan *s, struct chunkq *q, size_t want)
{
    size_t before = q->bytes;
    enum err e = icap_ready(&s->icap) ? ERR_OK : wait_for_service(s, DEADLINE_NONE);
    if (!e) {
        s->waiter = fiber_self();
        e = waited(s, icap_read(&s->icap, q, want, deadline_in(s->rule->timeout_ms)));
    }
    size_t got = q->bytes - before;
    s->progress_ms = loop_now_ms();
    if (s->left != UINT64_MAX) {
        if (got > s->left || (icap_is_read(&s->icap) && got != s->left))
            return ERR_SCAN_FAILED;
        s->left -= got;
    }
    return e && e != ERR_EOF && !s->source_err && !is_final(e) ? as_ours(e) : e;
}

enum err scan_read(struct scan *s, struct chunkq *q, size_t want)
{
    if (s->state == SCAN_ADAPTED)
        return s->conn ? read_adapted(s, q, want) : ERR_EOF;
    if (s->kept.bytes)
        return chunkq_move(q, &s->kept, MIN(s->kept.bytes, want));
    return has_ended(s) ? ERR_EOF : s->source->read(s, q, want);
}

bool scan_is_ready(const struct scan *s)
{
    return s->state == SCAN_ADAPTED ? icap_ready(&s->icap)
                                    : s->state == SCAN_PASSING && (s->kept.bytes || has_ended(s));
}

bool scan_is_complete(const struct scan *s)
{
    if (s->state == SCAN_ADAPTED)
        return icap_is_read(&s->icap);
    return s->state == SCAN_PASSING && !s->kept.bytes && has_ended(s);
}

void scan_end(struct scan *s)
{
    release(s);
    chunkq_clear(&s->kept);
    chunkq_clear(&s->begin);
}
