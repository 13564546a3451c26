// SPDX-License-Identifier: Apache-2.0
#include "acme/staple.h"

#include "acme/store.h"
#include "tls/ocsp.h"

int64_t staple_renewal(int folder, struct arena *a, const struct acme_staple *s, int64_t now_s)
{
    struct span answer;
    int64_t next;
    if (!store_read(folder, a, s->file, &answer) || tls_ocsp_judge(s->pem, answer, &next))
        return 0;
    return now_s + (next - now_s) / 2;
}

const char *staple_fetch(const struct https *h, int folder, struct arena *a, const struct acme_staple *s)
{
    struct https_answer r;
    struct span url, name, request;
    int64_t next;
    if (!tls_ocsp_question(s->pem, a, &url, &name, &request))
        return "nothing can be asked about it";
    enum err e = https_ask(h, a, METHOD_POST, url, SPAN("application/ocsp-request"), request, &r);
    if (e)
        return err_name(e);
    if (r.head.status != 200)
        return "the responder did not answer with 200";
    const char *why = tls_ocsp_judge(s->pem, r.content, &next);
    if (why)
        return why;
    return store_write(folder, a, s->file, r.content) ? NULL : "it cannot be stored";
}
