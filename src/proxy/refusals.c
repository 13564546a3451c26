// SPDX-License-Identifier: Apache-2.0
#include "proxy/refusals.h"

#include <stdatomic.h>

#include "policy/challenge.h"
#include "proxy/page.h"
#include "proxy/request_id.h"
#include "proxy/thread.h"

enum {
    TARPIT_MAX = 1000, // who waits has a fiber's stack and a connection: these may not become many
    TARPIT_STEP_MS = 250, // so that a drain is not kept waiting
};

// ---- tarpit

static _Atomic unsigned waiting; // over all threads

enum err tarpit(struct exchange *x)
{
    enum err e = ERR_OK;
    x->client->close = true;
    if (atomic_fetch_add_explicit(&waiting, 1, memory_order_relaxed) < TARPIT_MAX) {
        uint64_t end = loop_now_ms() + x->timeouts->tarpit;
        while (!e && loop_now_ms() < end && !x->service->draining)
            e = fiber_sleep(MIN(end - loop_now_ms(), (uint64_t)TARPIT_STEP_MS));
    }
    atomic_fetch_sub_explicit(&waiting, 1, memory_order_relaxed);
    return e ? e : ERR_TARPITTED;
}

// ---- challenge

bool challenge_is_met(const struct exchange *x)
{
    int64_t now = (int64_t)(loop_wall_ms() / 1000);
    unsigned tries = 0;
    for (const struct field *f = fields_get(&x->req->fields, FIELD_COOKIE); f; f = fields_next(&x->req->fields, f)) {
        struct span rest = f->value;
        while (rest.ptr) {
            struct span value = span_cut(&rest, ';'), name = span_trim(span_cut(&value, '='));
            if (!span_eq(name, SPAN(CHALLENGE_COOKIE)))
                continue;
            if (challenge_is_solved(span_trim(value), &x->client_addr, x->req->authority.host, now))
                return true;
            if (++tries == 4)
                return false;
        }
    }
    return false;
}

// Browsers give their own SHA-256 to pages from secure origins only, so the page brings one.
static const char page_form[] =
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<meta name=\"robots\" content=\"noindex\">\n<title>One moment</title>\n<style>:root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:15vh auto;padding:0 1em}</style>\n"
    "<h1>One moment</h1>\n<p id=\"say\">Your browser is solving a small task to show that it is one. This page goes on by itself.</p>\n"
    "<noscript><p>It needs JavaScript for that.</p></noscript>\n"
    "<script nonce=\"%.*s\">\n"
    "(function(){'use strict';\n"
    "var token='%.*s',bits=%d,K=[],H=[],n=0;\n"
    "for(var p=2;n<64;p++){for(var q=2;q*q<=p&&p%%q;q++);if(q*q>p){K[n]=frac(Math.cbrt(p));if(n<8)H[n]=frac(Math.sqrt(p));n++}}\n"
    "function frac(x){return(x-Math.floor(x))*4294967296|0}\n"
    "function rot(x,k){return x>>>k|x<<(32-k)}\n"
    "function sha256(s){var w=[],i,h=H.slice(),l=s.length,m=((l+8>>6)+1)*16;\n"
    "for(i=0;i<m;i++)w[i]=0;\n"
    "for(i=0;i<l;i++)w[i>>2]|=s.charCodeAt(i)<<(24-i%%4*8);\n"
    "w[l>>2]|=128<<(24-l%%4*8);w[m-1]=l*8;\n"
    "for(var b=0;b<m;b+=16){var v=h.slice(),x=w.slice(b,b+16);\n"
    "for(i=0;i<64;i++){if(i>15){var a=x[i-15],c=x[i-2];x[i]=x[i-16]+(rot(a,7)^rot(a,18)^a>>>3)+x[i-7]+(rot(c,17)^rot(c,19)^c>>>10)|0}\n"
    "var e=v[4],f=v[0],t=v[7]+(rot(e,6)^rot(e,11)^rot(e,25))+(e&v[5]^~e&v[6])+K[i]+x[i]|0,\n"
    "u=(rot(f,2)^rot(f,13)^rot(f,22))+(f&v[1]^f&v[2]^v[1]&v[2])|0;\n"
    "v=[t+u|0,f,v[1],v[2],v[3]+t|0,e,v[5],v[6]]}\n"
    "for(i=0;i<8;i++)h[i]=h[i]+v[i]|0}return h}\n"
    "var k=0;function work(){for(var i=0;i<2000;i++,k++)if(sha256(token+'-'+k)[0]>>>(32-bits)===0){\n"
    "document.cookie='" CHALLENGE_COOKIE "='+token+'-'+k+'; Path=/; Max-Age=%d; SameSite=Lax'+(location.protocol==='https:'?'; Secure':'');\n"
    "if(navigator.cookieEnabled)location.reload();else document.getElementById('say').textContent='It needs cookies for that.';return}\n"
    "setTimeout(work,0)}work()})()\n</script>\n</html>\n";

static bool shows_pages(const struct exchange *x)
{
    return (x->req->method == METHOD_GET || x->req->method == METHOD_HEAD) && !page_wants_json(&x->req->fields);
}

enum err challenge_answer(struct exchange *x)
{
    char token[CHALLENGE_TOKEN_BYTES];
    if (!shows_pages(x))
        return ERR_CHALLENGED;
    challenge_token(&x->client_addr, x->req->authority.host, (int64_t)(loop_wall_ms() / 1000), token);
    struct fields *f = &x->resp.fields;
    struct span nonce = request_id_make(x->arena); // never one that a client brought
    struct span text = arena_printf(x->arena, page_form, SPAN_ARG(nonce), (int)sizeof token, token, CHALLENGE_BITS, CHALLENGE_SECONDS);
    struct span policy = arena_printf(x->arena, "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-%.*s'", SPAN_ARG(nonce));
    if (!nonce.ptr || !text.ptr || !policy.ptr)
        return ERR_NO_MEMORY;
    x->resp.status = (uint16_t)err_info(ERR_CHALLENGED)->status;
    x->resp.version = HTTP_1_1;
    x->resp.framing = (struct framing){FRAMING_LENGTH, text.len};
    enum err e = fields_add(f, FIELD_CONTENT_TYPE, SPAN("text/html; charset=utf-8"));
    if (!e)
        e = fields_add(f, FIELD_CACHE_CONTROL, SPAN("no-store"));
    if (!e)
        e = fields_add_named(f, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
    if (!e)
        e = fields_add(f, FIELD_CONTENT_SECURITY_POLICY, policy);
    if (!e)
        e = chunkq_append(&x->content, NULL, text.ptr, text.len);
    x->answer = ANSWER_LOCAL;
    x->reason = ERR_CHALLENGED;
    return e;
}
