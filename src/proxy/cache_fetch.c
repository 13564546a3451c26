// SPDX-License-Identifier: Apache-2.0
#include "proxy/cache_fetch.h"

#include "base/mem.h"
#include "net/waiter.h"
#include "proxy/cache_keep.h"
#include "proxy/content.h"
#include "proxy/inspect.h"
#include "proxy/nobody.h"
#include "proxy/thread.h"

enum {
    READ_BYTES = 256 * 1024,
    AT_ONCE_BYTES = 256 * 1024, // that came with the head
    LONELY_MS = 3000,        // of content that nobody reads and that does not come
    LONELY_STEP_MS = 1000,
    NOTE_MS = 60 * 1000,        // how long it is remembered that a key is not for sharing
};

enum job_state {
    JOB_FETCHING,
    JOB_STORED,    // object is the answer
    JOB_DELIVERED, // to the leader's client, or err says why not
};

// An exchange without a client of its own. Whoever waits for it is on the same thread.
struct cache_job {
    struct list node; // of the thread's
    struct exchange x;
    struct request req;
    struct arena arena;
    struct client_conn conn;     // as much of the leader's as matters after it left
    struct nobody nobody;        // the client until the answer is known
    const struct cache_use *use;
    struct cache_key key;
    struct fiber *fiber; // NULL: not begun, or ended
    unsigned refs;
    bool unwanted;
    struct cache_flight *flight;
    struct cache_object *stale;
    uint32_t purges;           // cache_purges_of, before anything was asked
    bool wants_part;           // the request's range goes on
    bool conditions_pass;      // so do its conditions
    struct cache_object *part; // what there is of it already
    // Toward the leader
    struct exchange *leader; // NULL: there is none (any more)
    struct waiter leader_waits;
    bool lent; // the leader's client is used by this fiber
    enum job_state state;
    enum err err;
    struct cache_object *object;
    uint16_t fwd_status;
    const char *detail;
    bool stored;
    enum storable why;
    enum err broke; // the content broke off while it was stored
    int64_t sent_ms, received_ms;
    struct disk_write *spill; // what is too large for memory, on its way to disk
};

// Interim answers go to who waits (RFC 9110 15.2). Its client's failure is no failure of the fetch.
static enum err pass_interim(struct nobody *n, const struct response *r)
{
    struct cache_job *j = container_of(n, struct cache_job, nobody);
    struct exchange *leader = j->leader;
    if (!leader)
        return ERR_OK;
    j->lent = true;
    (void)!leader->client->ops->send_interim(leader->client, r);
    j->lent = false;
    waiter_wake(&j->leader_waits);
    return fiber_canceled(fiber_self());
}

// ---- Beginning

static bool keep_span(struct arena *a, struct span *s)
{
    return !s->ptr || arena_dup(a, *s, s);
}

// Conditions and ranges are answered here, from what is stored; unless a part is all that is wanted, or nothing is likely to be stored.
static bool is_ours(const struct cache_job *j, uint16_t id)
{
    bool range = id == FIELD_IF_RANGE || id == FIELD_RANGE, condition = id == FIELD_IF_NONE_MATCH || id == FIELD_IF_MODIFIED_SINCE;
    return (condition && !j->conditions_pass) || (range && !j->wants_part);
}

static bool copy_request(struct cache_job *j, const struct request *from)
{
    struct arena *a = &j->arena;
    struct request *r = &j->req;
    *r = *from;
    bool ok = keep_span(a, &r->method_text) && keep_span(a, &r->target) && keep_span(a, &r->scheme) && keep_span(a, &r->authority.text) &&
              keep_span(a, &r->authority.host) && keep_span(a, &r->path) && keep_span(a, &r->query);
    fields_init(&r->fields, a);
    for (uint32_t i = 0; ok && i < from->fields.n; i++) {
        const struct field *f = &from->fields.v[i];
        struct span name = f->name, value = f->value;
        if (f->removed || is_ours(j, f->id))
            continue;
        ok = keep_span(a, &value) && (f->id != FIELD_OTHER || keep_span(a, &name)) &&
             !(f->id == FIELD_OTHER ? fields_add_named(&r->fields, name, value) : fields_add(&r->fields, (enum field_id)f->id, value));
    }
    return ok;
}

// The validators of what is stored (RFC 9111 4.3.1).
static bool add_conditions(struct cache_job *j)
{
    const struct cache_object *o = j->stale;
    struct fields f = cache_object_view(o);
    struct span modified = fields_value(&f, FIELD_LAST_MODIFIED);
    if (o->status != 200 || o->has_range || !cache_body_is_whole(o->body))
        return true;
    return (!o->validators.etag.len || !fields_add(&j->req.fields, FIELD_IF_NONE_MATCH, o->validators.etag)) &&
           (!modified.len || !fields_add(&j->req.fields, FIELD_IF_MODIFIED_SINCE, modified));
}

static bool copy_exchange(struct cache_job *j, const struct exchange *from)
{
    struct exchange *x = &j->x;
    struct arena *a = &j->arena;
    j->conn = (struct client_conn){.owner = from->conn->owner, .listener = from->conn->listener, .settings = from->conn->settings,
                                   .hooks = from->conn->hooks, .peer = from->conn->peer};
    j->conn.t.io.fd = -1;
    nobody_init(&j->nobody, &j->req, from->client->stall_ms, pass_interim);
    x->service = from->service;
    x->gen = generation_ref(from->gen);
    x->listener = from->listener;
    x->conn = &j->conn;
    x->inside = from->inside ? inspection_ref(from->inside) : NULL;
    x->client = &j->nobody.stream;
    x->req = &j->req;
    x->arena = a;
    x->phase = PHASE_FETCH;
    x->started_us = from->started_us;
    x->client_addr = from->client_addr;
    x->peer_trusted = from->peer_trusted;
    x->scheme = from->scheme;
    x->host = from->host;
    x->id = from->id;
    x->user = from->user;
    x->site = from->site;
    x->proxy = from->proxy;
    x->route = from->route;
    x->rest = from->rest;
    x->timeouts = from->timeouts;
    x->file_fd = -1;
    chunkq_init(&x->content);
    chunkq_init(&x->kept);
    chunkq_init(&x->ahead);
    fields_init(&x->resp.fields, a);
    j->key.hash = from->cached->key.hash;
    j->key.url = from->cached->key.url;
    j->key.extra = from->cached->key.extra;
    return keep_span(a, &x->scheme) && keep_span(a, &x->host) && keep_span(a, &x->id) && keep_span(a, &x->user) && keep_span(a, &x->rest) &&
           keep_span(a, &j->key.url) && keep_span(a, &j->key.extra);
}

static void job_free(struct cache_job *j)
{
    cache_object_unref(j->stale);
    cache_object_unref(j->part);
    cache_object_unref(j->object);
    content_drop_filters(&j->x);
    chunkq_fini(&j->x.content);
    chunkq_fini(&j->x.kept);
    chunkq_fini(&j->x.ahead);
    inspection_unref(j->x.inside);
    generation_unref(j->x.gen);
    chunk_unref(j->x.head_chunk);
    arena_fini(&j->arena);
    mem_free(j);
}

void cache_job_unref(struct cache_job *j)
{
    if (--j->refs == 0)
        job_free(j);
}

static struct cache_job *job_new(struct exchange *x, struct cache_flight *flight, struct cache_object *stale, bool wants_part)
{
    struct cache_job *j = (struct cache_job *)mem_calloc(1, sizeof *j);
    if (!j)
        return NULL;
    arena_init(&j->arena, 0);
    j->refs = 1;
    j->use = x->cached->use;
    j->purges = x->cached->purges;
    j->wants_part = wants_part;
    j->conditions_pass = x->cached->conditions_pass && !stale;
    bool ok = copy_exchange(j, x) && copy_request(j, x->req);
    if (ok && stale) {
        j->stale = cache_object_ref(stale);
        ok = add_conditions(j);
    }
    if (!ok) {
        job_free(j);
        return NULL;
    }
    j->flight = flight;
    return j;
}

// ---- What the answer means

static void end_flight(struct cache_job *j, enum flight_end how, struct cache_object *o, enum err e)
{
    if (!j->flight)
        return;
    cache_flight_end(j->flight, how, o, e);
    cache_flight_unref(j->flight);
    j->flight = NULL;
}

// There is an answer for all who wait.
static void announce(struct cache_job *j, struct cache_object *o)
{
    j->object = cache_object_ref(o);
    j->state = JOB_STORED;
    // The leader reads from the beginning, even where the content should turn out to be too large to keep.
    if (j->leader && !cache_body_is_whole(o->body) && !body_reader_open(&j->leader->cached->reader, o->body, 0))
        j->err = ERR_INTERNAL;
    end_flight(j, FLIGHT_STORED, o, ERR_OK);
    waiter_wake(&j->leader_waits);
}

static bool serve_stale(struct cache_job *j, const char *why)
{
    const struct cache_control *directives = j->leader ? cached_directives(j->leader->cached) : NULL;
    if (!j->stale || !cache_body_is_whole(j->stale->body) || !freshness_serves_error(&j->stale->fresh, directives, (int64_t)loop_wall_ms()))
        return false;
    j->detail = why;
    announce(j, j->stale);
    return true;
}

static bool is_server_error(unsigned status)
{
    return status == 500 || status == 502 || status == 503 || status == 504;
}

// The stored response is right still (RFC 9111 4.3.4): its validator is the only one that was sent, so it is the one that is meant,
// whatever tag the 304 has.
static void take_not_modified(struct cache_job *j)
{
    struct cache_object *o = cache_update(&j->x, j->use, j->stale, j->sent_ms, j->received_ms);
    if (!o) {
        // Not to be stored any more: it answers who asked, and goes.
        cache_remove(j->use->cache, j->stale);
        j->object = cache_object_ref(j->stale);
        j->state = JOB_STORED;
        end_flight(j, FLIGHT_PASS, NULL, ERR_OK);
        waiter_wake(&j->leader_waits);
        return;
    }
    bool replaced = cache_replace(j->use->cache, j->stale, o);
    j->stored = replaced || cache_insert_since(j->use->cache, o, j->purges);
    announce(j, o);
    if (!replaced)
        cache_completed(j->use->cache, o);
    cache_object_unref(o);
}

static uint64_t expected_length(const struct response *r)
{
    return r->framing.kind == FRAMING_LENGTH ? r->framing.length : r->framing.kind == FRAMING_NONE || r->no_content ? 0 : UINT64_MAX;
}

// o: all of it came. NULL: it is not to be stored.
static void end_spill(struct cache_job *j, const struct cache_object *o)
{
    if (j->spill && o)
        cache_spill_commit(j->spill, o);
    else if (j->spill)
        disk_abort(j->spill);
    j->spill = NULL;
}

static enum err read_some(struct cache_job *j, struct cache_body *b, uint64_t deadline)
{
    struct upstream_stream *u = j->x.upstream;
    struct chunkq q;
    chunkq_init(&q);
    enum err e = u->ops->read(u, &q, READ_BYTES, deadline);
    if (j->spill && q.bytes && disk_append(j->spill, &q, q.bytes))
        end_spill(j, NULL);
    if (!e || e == ERR_EOF) {
        enum err e2 = cache_body_append(b, &q);
        e = e2 ? e2 : e;
    }
    chunkq_fini(&q);
    return e;
}

static enum err read_at_hand(struct cache_job *j, struct cache_body *b)
{
    struct upstream_stream *u = j->x.upstream;
    enum err ahead = cache_body_append(b, &j->x.ahead);
    if (ahead)
        return ahead;
    while (!u->response_complete && cache_body_length(b) < AT_ONCE_BYTES && u->ops->ready(u)) {
        enum err e = read_some(j, b, DEADLINE_NONE);
        if (e)
            return e == ERR_EOF ? ERR_OK : e;
    }
    return ERR_OK;
}

// Waits for more. Where nobody reads it any more, a server that stalls, or that says no length, is not waited for long.
static enum err wait_for_more(struct cache_job *j, struct cache_body *b, uint64_t *lonely_since_ms)
{
    struct upstream_stream *u = j->x.upstream;
    uint64_t until = deadline_in(j->x.timeouts->between_bytes);
    for (;;) {
        if (cache_body_has_readers(b))
            *lonely_since_ms = 0;
        else if (!*lonely_since_ms)
            *lonely_since_ms = loop_now_ms();
        else if (loop_now_ms() - *lonely_since_ms > LONELY_MS)
            return ERR_CANCELED;
        enum err e = u->ops->ready(u) ? ERR_OK : u->ops->wait(u, MIN(until, loop_now_ms() + LONELY_STEP_MS));
        if (!e && cache_body_expected(b) != UINT64_MAX)
            *lonely_since_ms = 0; // it goes on, and its end is known
        if (e != ERR_TIMEOUT)
            return e;
        if (loop_now_ms() >= until)
            return ERR_UPSTREAM_STALLED;
    }
}

// Waits for the slowest reader. Without any it goes on only where the content is still to be stored.
static enum err wait_for_readers(struct cache_job *j, struct cache_body *b)
{
    enum err e = cache_body_wait_room(b);
    if (e != ERR_CANCELED || !j->spill || fiber_canceled(j->fiber))
        return e;
    cache_body_drop_read(b);
    return ERR_OK;
}

// The rest of the content, however many read along. What turns out to be too large for memory leaves the index and only passes through, to
// disk too where there is one.
static enum err fill(struct cache_job *j, struct cache_object *o)
{
    struct upstream_stream *u = j->x.upstream;
    struct cache_body *b = o->body;
    struct cache *c = j->use->cache;
    bool passing = false;
    uint64_t lonely_since_ms = 0;
    while (!u->response_complete) {
        enum err e = passing ? wait_for_readers(j, b) : ERR_OK;
        if (!e)
            e = wait_for_more(j, b, &lonely_since_ms);
        if (!e)
            e = read_some(j, b, deadline_in(j->x.timeouts->between_bytes));
        if (e && e != ERR_EOF)
            return e;
        if (!passing && (cache_body_length(b) > cache_max_in_memory(c) || !cache_make_room(c))) {
            passing = true;
            cache_remove(c, o);
            j->spill = j->stored ? cache_spill(c, o) : NULL;
            cache_body_pass_through(b);
        }
        if (j->spill && cache_body_length(b) > cache_max_object(c))
            end_spill(j, NULL);
    }
    return ERR_OK;
}

static void fill_or_remove(struct cache_job *j, struct cache_object *o)
{
    enum err e = fill(j, o);
    end_spill(j, e ? NULL : o);
    if (e) {
        j->broke = e;
        cache_remove(j->use->cache, o);
        cache_body_break(o->body, e == ERR_EOF ? ERR_RESPONSE_INCOMPLETE : e);
        return;
    }
    cache_body_finish(o->body);
    cache_completed(j->use->cache, o);
}

// Stores what may be stored. Once something of the content was read only an error ends it early.
static enum err store(struct cache_job *j)
{
    struct cache *c = j->use->cache;
    struct cache_object *o = NULL;
    struct cache_body *b = cache_body_new(c, expected_length(&j->x.resp));
    enum err e = b ? read_at_hand(j, b) : ERR_NO_MEMORY;
    bool whole = j->x.upstream->response_complete;
    if (!e && whole)
        cache_body_finish(b);
    if (!e && cache_keep(&j->x, j->use, &j->key, j->sent_ms, j->received_ms, b, &o))
        e = ERR_NO_MEMORY;
    if (!e) {
        j->stored = cache_insert_since(c, o, j->purges); // whoever asked gets it either way
        announce(j, o);
        if (!whole)
            fill_or_remove(j, o);
        else
            cache_completed(c, o);
    }
    cache_object_unref(o);
    cache_body_unref(b);
    return e;
}

// A part: it answers who asked as it comes, and others once it is there, together with what was there.
static enum err store_part(struct cache_job *j)
{
    struct cache *c = j->use->cache;
    struct cache_object *o = NULL, *joined = NULL;
    struct cache_body *b = cache_body_new(c, expected_length(&j->x.resp));
    enum err e = b ? read_at_hand(j, b) : ERR_NO_MEMORY;
    if (!e && cache_keep_part(&j->x, j->use, &j->key, j->sent_ms, j->received_ms, b, &o))
        e = ERR_NO_MEMORY;
    if (!e) {
        j->stored = true;
        announce(j, o);
        fill_or_remove(j, o);
        if (cache_body_is_whole(b)) {
            joined = j->part ? cache_join_parts(&j->x, j->use, j->part, o) : NULL;
            (void)cache_insert_since(c, joined ? joined : o, j->purges);
            if (joined && !joined->has_range) {
                cache_remove(c, j->part);
                cache_completed(c, joined);
            }
        }
    }
    cache_object_unref(joined);
    cache_object_unref(o);
    cache_body_unref(b);
    return e;
}

// ---- What may not be stored: it goes to the one who asked first, on this fiber

static void note_private(struct cache_job *j, enum storable why)
{
    struct cache_object *o;
    if (j->wants_part || !storable_is_lasting(why) || !(o = cache_object_new_note(j->use->cache, &j->key, SPAN(""), why, (int64_t)loop_wall_ms(), NOTE_MS)))
        return;
    (void)cache_insert(j->use->cache, o);
    cache_object_unref(o);
}

static enum err deliver_to_leader(struct cache_job *j)
{
    struct exchange *x = &j->x, *leader = j->leader;
    if (!leader)
        return ERR_CANCELED;
    j->lent = true;
    leader->cached->why = j->why;
    x->client = leader->client;
    x->conn = leader->conn;
    x->cached = leader->cached;
    x->quotas = leader->quotas;
    x->fiber = j->fiber;
    x->client->ops->watch(x->client, j->fiber);
    x->phase = PHASE_EXAMINE;
    enum err e = phase_examine(x);
    if (!e) {
        x->phase = PHASE_DELIVER;
        e = phase_deliver(x);
    }
    x->client->ops->watch(x->client, leader->fiber);
    x->client = &j->nobody.stream;
    x->conn = &j->conn;
    x->cached = NULL;
    x->quotas = NULL;
    j->lent = false;
    return e;
}

static enum err pass(struct cache_job *j, enum storable why)
{
    j->why = why;
    note_private(j, why);
    end_flight(j, FLIGHT_PASS, NULL, ERR_OK);
    return deliver_to_leader(j);
}

// ---- The fiber

static enum err fetch_once(struct cache_job *j)
{
    j->sent_ms = (int64_t)loop_wall_ms();
    enum err e = phase_fetch(&j->x);
    j->received_ms = (int64_t)loop_wall_ms();
    if (!e)
        j->fwd_status = j->x.resp.status;
    return e;
}

static enum err run(struct cache_job *j)
{
    struct exchange *x = &j->x;
    enum err e = fetch_once(j);
    if (e)
        return serve_stale(j, err_name(e)) ? ERR_OK : e;
    if (x->resp.status == 304 && j->stale) {
        h1_strip_hop_fields(&x->resp.fields);
        take_not_modified(j);
        return ERR_OK;
    }
    if (is_server_error(x->resp.status) && serve_stale(j, "stale-if-error"))
        return ERR_OK;
    bool trailers = fields_get(&x->resp.fields, FIELD_TRAILER) != NULL;
    if ((e = exchange_pass_on(x)))
        return e;
    if (j->wants_part && x->resp.status == 206) {
        struct byte_range range;
        uint64_t size;
        enum storable why = cache_may_keep_part(x, j->use, j->sent_ms, j->received_ms, &range, &size);
        return why ? pass(j, why) : store_part(j);
    }
    enum storable s = trailers ? STORABLE_TRAILERS : cache_may_keep(x, j->use, expected_length(&x->resp), j->sent_ms, j->received_ms);
    return s ? pass(j, s) : store(j);
}

static void job_main(void *arg)
{
    struct cache_job *j = (struct cache_job *)arg;
    j->fiber = j->x.fiber = fiber_self();
    enum err e = j->unwanted ? ERR_CANCELED : run(j);
    exchange_end_upstream(&j->x);
    exchange_leave_server(&j->x, e ? e : j->broke);
    // Whoever waits still has no answer of ours: an error that is nobody's own holds for all of them.
    end_flight(j, e == ERR_CANCELED ? FLIGHT_ORPHAN : FLIGHT_FAILED, NULL, e);
    if (j->state == JOB_FETCHING) {
        j->err = e;
        j->state = JOB_DELIVERED;
    }
    if (j->stale)
        atomic_store_explicit(&j->stale->revalidating, false, memory_order_relaxed);
    j->fiber = NULL;
    list_remove(&j->node);
    waiter_wake(&j->leader_waits);
    struct service *s = j->x.service;
    cache_job_unref(j);
    service_check_drained(s);
}

static bool start(struct cache_job *j)
{
    j->refs++;
    list_push_back(&j->x.service->fetches, &j->node);
    if (!fiber_start(job_main, j, NULL))
        return true;
    list_remove(&j->node);
    j->refs--;
    return false;
}

// ---- Who waits

static void cancel(struct cache_job *j)
{
    j->unwanted = true;
    if (j->fiber)
        fiber_cancel(j->fiber, ERR_CANCELED);
}

// The leader leaves. What others wait for, or what is on its way into the cache, goes on.
static void leave(struct cache_job *j)
{
    if (j->lent) {
        cancel(j);
        fiber_uncancel();
        while (j->lent)
            (void)!waiter_park(&j->leader_waits, DEADLINE_NONE);
    }
    j->leader = NULL;
    if (j->state == JOB_FETCHING && !(j->flight && cache_flight_waiters(j->flight)))
        cancel(j);
}

static enum err wait_for_answer(struct exchange *x, struct cache_job *j)
{
    while (j->state == JOB_FETCHING) {
        enum err e = waiter_park(&j->leader_waits, DEADLINE_NONE);
        if (e && e != ERR_TIMEOUT && j->state == JOB_FETCHING) {
            leave(j);
            return e;
        }
    }
    j->leader = NULL;
    struct cached *c = x->cached;
    c->now_ms = (int64_t)loop_wall_ms();
    c->fwd_status = j->fwd_status;
    c->stored = j->stored;
    c->detail = j->detail;
    c->why = j->why;
    if (j->state == JOB_STORED)
        return cache_answer(x, cache_object_ref(j->object));
    if (j->err)
        return j->err;
    x->resp = j->x.resp;
    x->answer = ANSWER_DONE;
    return ERR_OK;
}

static enum err fetch_for(struct exchange *x, struct cache_flight *flight, struct cache_object *stale, bool wants_part, struct cache_object *part)
{
    struct cache_job *j = job_new(x, flight, stale, wants_part);
    if (j && part)
        j->part = cache_object_ref(part);
    if (!j) {
        if (flight) {
            cache_flight_end(flight, FLIGHT_ORPHAN, NULL, ERR_OK);
            cache_flight_unref(flight);
        }
        return ERR_NO_MEMORY;
    }
    if (x->cached->job)
        cache_job_unref(x->cached->job);
    x->cached->job = j; // until the exchange ends: the answer may be in its memory
    j->leader = x;
    j->leader_waits.fiber = fiber_self();
    if (!start(j)) {
        j->leader = NULL;
        end_flight(j, FLIGHT_ORPHAN, NULL, ERR_OK);
        return ERR_NO_MEMORY;
    }
    return wait_for_answer(x, j);
}

enum err cache_fetch(struct exchange *x, struct cache_flight *flight, struct cache_object *stale)
{
    return fetch_for(x, flight, stale, false, NULL);
}

enum err cache_fetch_part(struct exchange *x, struct cache_object *part)
{
    return fetch_for(x, NULL, NULL, true, part);
}

void cache_fetch_behind(struct exchange *x, struct cache_flight *flight, struct cache_object *stale)
{
    struct cache_job *j = job_new(x, flight, stale, false);
    if (!j) {
        cache_flight_end(flight, FLIGHT_ORPHAN, NULL, ERR_OK);
        cache_flight_unref(flight);
        atomic_store_explicit(&stale->revalidating, false, memory_order_relaxed);
        return;
    }
    j->req.method = METHOD_GET; // whoever asks with HEAD: its answer would be of no use
    j->req.method_text = SPAN("GET");
    if (!start(j)) {
        end_flight(j, FLIGHT_ORPHAN, NULL, ERR_OK);
        atomic_store_explicit(&stale->revalidating, false, memory_order_relaxed);
    }
    cache_job_unref(j);
}

void cache_job_account(const struct cache_job *j, struct exchange *x)
{
    x->upstream_addr = j->x.upstream_addr;
    x->upstream_status = j->x.upstream_status;
    x->tries = j->x.tries;
    x->connect_us = j->x.connect_us;
    x->first_byte_us = j->x.first_byte_us;
    if (unlikely(j->x.scan_said.len)) {
        x->scan_said = j->x.scan_said;
        x->log_reason = j->x.log_reason ? j->x.log_reason : x->log_reason;
        x->rule = j->x.rule.len ? j->x.rule : x->rule;
    }
}

void cache_fetch_cancel_all(struct service *s)
{
    LIST_FOREACH (it, &s->fetches)
        cancel(container_of(it, struct cache_job, node));
}
