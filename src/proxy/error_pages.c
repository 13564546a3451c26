// SPDX-License-Identifier: Apache-2.0
#include "proxy/error_pages.h"

#include "proxy/api.h"
#include "proxy/page.h"

// The statement nearest to the request has the first word.
static const struct error_pages *pages_of(const struct exchange *x)
{
    if (x->route || x->site)
        return x->route ? x->route->pages : x->site->pages;
    return x->listener->kind == LISTENER_PROXY ? x->listener->proxy->pages : NULL;
}

static const struct text *find(const struct exchange *x, unsigned status)
{
    const struct error_pages *p = pages_of(x);
    for (unsigned i = 0; p && i < p->n; i++)
        if (status >= p->v[i].from && status <= p->v[i].to)
            return &p->v[i].form;
    return NULL;
}

static enum err render(struct exchange *x, struct page *p, const struct text *form)
{
    if (form) {
        x->resp.status = (uint16_t)page_status(p);
        p->form = text_render_page(form, x,
                                   &(struct page_words){page_message(p), status_reason(page_status(p)),
                                                        span_str(err_name(p->reason)), p->id});
        if (!p->form.ptr)
            return ERR_NO_MEMORY;
    }
    return page_render(p, x->req, x->arena, &x->resp, &x->content);
}

enum err error_page_answer(struct exchange *x, enum err e)
{
    struct page p = {.reason = e,
                     .id = x->id,
                     .message = x->message,
                     .allow = x->allow,
                     .as_json = x->listener->kind == LISTENER_ADMIN && api_is_asked(x),
                     .retry_after_s = x->retry_after_s};
    if (x->proxy && x->proxy->page && err_info(e)->fault == ERR_FAULT_POLICY)
        return render(x, &p, x->proxy->page);
    const struct text *form = find(x, page_status(&p));
    p.own_things = form != NULL;
    return render(x, &p, form);
}

bool error_page_take(struct exchange *x, unsigned status, enum err *ret)
{
    const struct text *form = find(x, status);
    struct page p = {.status = status,
                     .id = x->id,
                     .message = status_reason(status),
                     .own_things = true,
                     .retry_after_s = x->retry_after_s};
    if (form)
        *ret = render(x, &p, form);
    return form != NULL;
}
