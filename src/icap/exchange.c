// SPDX-License-Identifier: Apache-2.0
#include "icap/exchange.h"

#include "base/num.h"

// What a service may say at most.
static const struct h1_limits limits = {.line_bytes = 16384, .fields = 512, .fields_bytes = 65536};
enum { HEAD_MAX_BYTES = 16384 + 65536 + 4096 };

void icap_begin(struct icap_exchange *x, struct transport *t, struct h1_input *input, struct arena *a,
                uint64_t stall_ms)
{
    *x = (struct icap_exchange){.t = t, .input = input, .arena = a, .stall_ms = stall_ms};
}

bool icap_end(struct icap_exchange *x)
{
    bool clean = !x->broken && x->sent_all && x->keep_alive && icap_is_read(x) && !h1_input_len(x->input) &&
                 !transport_pending(x->t) && !(x->t->io.state & (IO_PEER_ENDED | IO_BROKEN));
    if (x->body_open)
        h1_body_in_fini(&x->body);
    x->body_open = false;
    h1_input_clear(x->input);
    return clean;
}

static enum err failed(struct icap_exchange *x, enum err e)
{
    x->broken = true;
    return e;
}

// ---- Sending

// What stands behind the last octet of content.
static struct span end_of(enum icap_part part)
{
    switch (part) {
    case ICAP_PREVIEW_END:
    case ICAP_END:
        return SPAN("0\r\n\r\n");
    case ICAP_WHOLE:
        return SPAN("0; ieof\r\n\r\n");
    case ICAP_MORE:
        break;
    }
    return SPAN("");
}

// As chunks (RFC 3507 4.2, 4.5).
static enum err wrap(struct icap_exchange *x, struct chunkq *q, enum icap_part part)
{
    struct span end = end_of(part);
    enum err e = ERR_OK;
    if (q->bytes) {
        size_t n = num_put_hex(x->line, q->bytes);
        x->line[n++] = '\r', x->line[n++] = '\n';
        e = chunkq_prepend(q, NULL, x->line, n);
        if (!e)
            e = chunkq_append(q, NULL, "\r\n", 2);
    }
    return e ? e : chunkq_append(q, NULL, end.ptr, end.len);
}

static enum err send_queue(struct icap_exchange *x, struct chunkq *q)
{
    enum err e = q->bytes ? transport_send_queue(x->t, q, x->stall_ms) : ERR_OK;
    return e ? failed(x, e) : ERR_OK;
}

enum err icap_send_head(struct icap_exchange *x, const struct icap_request *r, struct chunkq *content,
                        enum icap_part part)
{
    struct span head = icap_request_head(r, x->arena);
    enum err e = !head.ptr ? ERR_NO_MEMORY : r->has_content ? wrap(x, content, part) : ERR_OK;
    if (!e)
        e = chunkq_prepend(content, NULL, head.ptr, head.len);
    if (e)
        return failed(x, e);
    e = send_queue(x, content);
    // Behind a preview it is complete unless the service wants the rest.
    x->sent_all = !e && (!r->has_content || part != ICAP_MORE);
    return e;
}

enum err icap_send(struct icap_exchange *x, struct chunkq *content, enum icap_part part)
{
    enum err e = wrap(x, content, part);
    if (e)
        return failed(x, e);
    e = send_queue(x, content);
    x->sent_all = !e && part == ICAP_END;
    return e;
}

// ---- Reading

enum err icap_wait(struct icap_exchange *x, uint64_t deadline)
{
    return h1_input_len(x->input) ? ERR_OK : transport_wait_readable(x->t, deadline);
}

static enum err syntax(enum err e)
{
    switch (e) {
    case ERR_EOF:
    case ERR_RESET:
    case ERR_TIMEOUT:
    case ERR_NO_MEMORY:
    case ERR_CANCELED:
    case ERR_SHUTDOWN:
        return e;
    default:
        return ERR_BAD_RESPONSE;
    }
}

static enum err more(struct icap_exchange *x, size_t max_bytes, uint64_t deadline)
{
    enum err e = h1_input_more(x->input, x->t, max_bytes, deadline);
    if (e)
        return failed(x, fiber_canceled(fiber_self()) ? e : syntax(e));
    x->any_byte = true;
    return ERR_OK;
}

// Lines that are folded (obs-fold) are what a server in wide use writes: each becomes one line (RFC
// 9112 5.2).
static void unfold(char *p, size_t len)
{
    for (size_t i = 0; i + 2 < len; i++)
        if (p[i] == '\r' && p[i + 1] == '\n' && (p[i + 2] == ' ' || p[i + 2] == '\t'))
            p[i] = p[i + 1] = ' ';
}

enum err icap_read_head(struct icap_exchange *x, uint64_t deadline, struct icap_answer *ret)
{
    struct h1_head head;
    h1_head_init(&head);
    for (;;) {
        struct span b = h1_input_span(x->input);
        enum err e = b.len ? h1_head_scan(&head, b.ptr, b.len, false, &limits) : ERR_AGAIN;
        if (!e)
            break;
        if (e != ERR_AGAIN)
            return failed(x, ERR_BAD_RESPONSE);
        if ((e = more(x, HEAD_MAX_BYTES, deadline)))
            return e;
    }
    char *text = arena_bytes(x->arena, head.end);
    if (!text)
        return failed(x, ERR_NO_MEMORY);
    memcpy(text, h1_input_span(x->input).ptr, head.end);
    x->input->pos += head.end;
    unfold(text, head.end);
    enum err e = icap_parse_answer(span_of(text, head.end), x->arena, ret);
    if (e)
        return failed(x, e);
    if (ret->status == 100) {
        x->sent_all = false; // it wants more than the preview
        return ERR_OK;
    }
    x->answered = true;
    x->keep_alive = ret->keep_alive;
    if (ret->parts.body > ICAP_BODY_NULL) {
        h1_body_in_init(&x->body, &(struct framing){FRAMING_CHUNKED, 0}, &limits);
        x->body_open = true;
    }
    return ERR_OK;
}

// The head of HTTP in an answer: exactly as long as was said, and nothing behind its end.
static enum err read_http_head(struct icap_exchange *x, const struct icap_answer *answer, bool is_request,
                               uint64_t deadline, struct h1_head *ret_head, struct span *ret)
{
    size_t n = answer->parts.head_bytes;
    while (h1_input_len(x->input) < n) {
        enum err e = more(x, HEAD_MAX_BYTES + n, deadline);
        if (e)
            return e;
    }
    if (!arena_dup(x->arena, span_first(h1_input_span(x->input), n), ret))
        return failed(x, ERR_NO_MEMORY);
    x->input->pos += (uint32_t)n;
    h1_head_init(ret_head);
    if (h1_head_scan(ret_head, ret->ptr, ret->len, is_request, &limits) || ret_head->end != n)
        return failed(x, ERR_BAD_RESPONSE);
    return ERR_OK;
}

enum err icap_read_response(struct icap_exchange *x, const struct icap_answer *answer,
                            enum http_method to_method, uint64_t deadline, struct response *ret)
{
    struct h1_head head;
    struct span text;
    if (!answer->parts.res_head)
        return failed(x, ERR_BAD_RESPONSE);
    enum err e = read_http_head(x, answer, false, deadline, &head, &text);
    if (e)
        return e;
    memset(ret, 0, sizeof *ret);
    fields_init(&ret->fields, x->arena);
    e = h1_parse_response(text.ptr, &head, to_method, x->arena, ret);
    if (e)
        return failed(x, syntax(e));
    bool content = answer->parts.body == ICAP_BODY_RES;
    if (ret->status < 200 || (content && ret->no_content))
        return failed(x, ERR_BAD_RESPONSE);
    if (ret->no_content)
        ret->framing = (struct framing){FRAMING_NONE, 0};
    else if (!content)
        ret->framing = (struct framing){FRAMING_LENGTH, 0};
    else if (ret->framing.kind != FRAMING_LENGTH)
        ret->framing = (struct framing){FRAMING_CHUNKED, 0};
    h1_strip_hop_fields(&ret->fields);
    ret->lines = SPAN_NONE;
    ret->n_lines = 0;
    return ERR_OK;
}

enum err icap_read_request(struct icap_exchange *x, const struct icap_answer *answer, uint64_t deadline,
                           struct request *ret)
{
    struct h1_head head;
    struct span text;
    if (!answer->parts.req_head)
        return failed(x, ERR_BAD_RESPONSE);
    enum err e = read_http_head(x, answer, true, deadline, &head, &text);
    if (e)
        return e;
    memset(ret, 0, sizeof *ret);
    fields_init(&ret->fields, x->arena);
    e = h1_parse_request(text.ptr, &head, SPAN("http"), x->arena, ret);
    return e ? failed(x, syntax(e)) : ERR_OK;
}

enum err icap_read(struct icap_exchange *x, struct chunkq *q, size_t want, uint64_t deadline)
{
    if (icap_is_read(x))
        return ERR_EOF;
    enum err e = h1_body_in_read(&x->body, x->input, x->t, q, want, deadline);
    if (!e || e == ERR_EOF)
        return e;
    return failed(x, fiber_canceled(fiber_self()) ? e : syntax(e));
}
