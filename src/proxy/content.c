// SPDX-License-Identifier: Apache-2.0
#include "proxy/content.h"

#include "proxy/pace.h"

// Content of unknown length is made while it goes: a client may be waiting for the part that is there (event streams).
static enum filter_more more_to_come(const struct exchange *x, bool end, bool idle)
{
    return end ? FILTER_END : idle && x->resp.framing.kind != FRAMING_LENGTH ? FILTER_FLUSH : FILTER_MORE;
}

// `throttle` and `bandwidth`: in pieces, each followed by the time that it costs.
static enum err send_paced(struct exchange *x, struct chunkq *q, bool end, const struct fields *trailers)
{
    struct chunkq piece;
    chunkq_init(&piece);
    enum err e = ERR_OK;
    do {
        size_t n = pace_piece(x, SIZE_MAX);
        n = MIN(n, q->bytes);
        e = pace_check(x);
        if (!e)
            e = chunkq_move(&piece, q, n);
        bool last = end && !q->bytes;
        if (!e)
            e = x->client->ops->send(x->client, &piece, last, last ? trailers : NULL);
        if (!e)
            e = pace_down(x, n);
    } while (!e && q->bytes);
    chunkq_fini(&piece);
    return e;
}

static enum err send_out(struct exchange *x, struct chunkq *q, bool end, const struct fields *trailers)
{
    return pace_is_set(x) ? send_paced(x, q, end, trailers) : x->client->ops->send(x->client, q, end, trailers);
}

// The head, with what content may go with it.
static enum err send_out_head(struct exchange *x, struct chunkq *q, bool end)
{
    struct chunkq none;
    if (!pace_is_set(x) || !q->bytes || x->req->method == METHOD_HEAD)
        return x->client->ops->send_head(x->client, &x->resp, q, end);
    chunkq_init(&none);
    enum err e = x->client->ops->send_head(x->client, &x->resp, &none, false);
    return e ? e : send_paced(x, q, end, NULL);
}

// What the filters make of q, step by step.
static enum err send_filtered(struct exchange *x, struct chunkq *q, enum filter_more more, const struct fields *trailers)
{
    struct chunkq out;
    chunkq_init(&out);
    enum err e = ERR_OK;
    for (bool done = false; !e && !done;) {
        e = filter_chain_run(x->filters, q, &out, more, &done);
        bool last = done && more == FILTER_END;
        if (!e && (out.bytes || last))
            e = send_out(x, &out, last, last ? trailers : NULL);
    }
    chunkq_fini(&out);
    return e;
}

enum err content_send(struct exchange *x, struct chunkq *q, bool end, const struct fields *trailers, bool idle)
{
    if (likely(!x->filters))
        return send_out(x, q, end, trailers);
    return send_filtered(x, q, more_to_come(x, end, idle), trailers);
}

enum err content_send_head(struct exchange *x, struct chunkq *q, bool end)
{
    if (likely(!x->filters) || x->req->method == METHOD_HEAD)
        return send_out_head(x, q, end);
    enum filter_more more = more_to_come(x, end, q->bytes > 0);
    struct chunkq out;
    chunkq_init(&out);
    bool done = false;
    // Before the head: content that is broken from its beginning becomes an error page.
    enum err e = filter_chain_run(x->filters, q, &out, more, &done);
    bool whole = done && end;
    if (whole)
        x->resp.framing = (struct framing){FRAMING_LENGTH, out.bytes};
    if (!e)
        e = send_out_head(x, &out, whole);
    chunkq_fini(&out);
    return e || done ? e : send_filtered(x, q, more, NULL);
}

void content_drop_filters(struct exchange *x)
{
    if (x->filters)
        filter_chain_fini(x->filters);
    x->filters = NULL;
}
