# SPDX-License-Identifier: Apache-2.0
"""The cache by what its users see (RFC 9111, and the project's own rules of what is keyed and what is not)."""
import email.utils
import threading
import time

import pytest

import certs
import http1
from process import run_weir

CONF = """
log access json access.log
cache main { memory 64MiB }
pool app { server 127.0.0.1:@o@ }
site * { listen 127.0.0.1:@p@
  cache main
  route * -> pool app }
proxy 127.0.0.1:@f@ { egress { allow 127.0.0.0/8 ports 1-65535 }; cache main }
"""


def date(offset=0):
    return email.utils.formatdate(time.time() + offset, usegmt=True)


class Script:
    """An origin that answers with fields and a body that counts the requests."""

    def __init__(self, *fields, status=200, body=b"", before=None):
        self.fields, self.status, self.body, self.before = list(fields), status, body, before
        self.count = 0
        self.lock = threading.Lock()

    def __call__(self, x):
        with self.lock:
            self.count += 1
            n = self.count
        if self.before:
            self.before(x, n)
        fields = self.fields(x, n) if callable(self.fields) else self.fields
        x.reply(self.status, self.body or b"answer %d" % n, fields)


@pytest.fixture
def cache(weir, origin):
    def start(handler, conf=CONF, **options):
        o = origin(handler)
        return weir(conf, o=o.port, **options), o

    return start


def get(w, target="/x", fields=(), method="GET", host="a.test", port=None, **k):
    with http1.connect(port or w.p) as c:
        c.send(http1.request(method, target, host=host, fields=fields, **k))
        return c.read_response(method)


def via_forward(w, o, target="/x", fields=(), method="GET"):
    with http1.connect(w.f) as c:
        c.send(http1.request(method, f"http://127.0.0.1:{o.port}{target}", host=f"127.0.0.1:{o.port}", fields=fields))
        return c.read_response(method)


def status_of(response):
    """Our member of Cache-Status."""
    return ", ".join(response.fields.all("Cache-Status")).split(",")[-1].strip()


FRESH = ("Cache-Control", "max-age=60")


@pytest.mark.parametrize("side", ["reverse", "forward"])
def test_a_hit_is_the_stored_answer(cache, side):
    w, o = cache(Script(FRESH, ("ETag", '"a"'), ("X-Own", "1")))
    ask = (lambda: get(w)) if side == "reverse" else (lambda: via_forward(w, o))
    first, second = ask(), ask()
    assert first.body == second.body == b"answer 1" and len(o.requests) == 1
    assert status_of(first).startswith("weir; fwd=uri-miss") and "stored" in status_of(first)
    assert status_of(second).startswith("weir; hit")
    assert second.fields["Age"] == "0" and "Age" not in first.fields
    assert second.fields["X-Own"] == "1" and second.fields["Date"] == first.fields["Date"]
    assert "weir" in second.fields["Via"]


def test_head_is_answered_by_a_stored_get(cache):
    w, o = cache(Script(FRESH))
    get(w)
    head = get(w, method="HEAD")
    assert head.fields["Content-Length"] == "8" and status_of(head).startswith("weir; hit") and len(o.requests) == 1


@pytest.mark.parametrize("fields,stored", [
    ([FRESH], True),
    ([], False),
    ([("Last-Modified", date(-1000))], True),  # a tenth of that
    ([("Last-Modified", date(-1000)), ("Set-Cookie", "a=b")], False),
    ([("Cache-Control", "no-store, max-age=60")], False),
    ([("Cache-Control", "private, max-age=60")], False),
    ([("Cache-Control", "no-cache, max-age=60")], False),
    ([FRESH, ("Vary", "*")], False),
    ([("Expires", date(6000))], True),  # made when the tests are collected
    ([("Expires", "0")], False),
    ([("CDN-Cache-Control", "max-age=60;x"), ("Cache-Control", "no-store")], True),
    ([("CDN-Cache-Control", "no-store"), FRESH], False),
    ([("CDN-Cache-Control", "max-age=60, &&"), ("Cache-Control", "no-store")], False),
    ([("CDN-Cache-Control", ""), FRESH], True),
    ([("Weir-Cache-Control", "max-age=60"), ("CDN-Cache-Control", "no-store")], True),
    ([FRESH, ("Age", "61")], False),
    ([("Cache-Control", "s-maxage=60, max-age=0")], True),
])
def test_what_is_stored(cache, fields, stored):
    w, o = cache(Script(*fields))
    get(w)
    assert (get(w).body == b"answer 1") == stored


@pytest.mark.parametrize("status", [206, 416, 400, 404, 405, 500, 501, 503])
def test_errors_and_parts_are_never_the_plain_answer(cache, status):
    # INTERFACE 28
    w, o = cache(Script(("Last-Modified", date(-100000)), status=status))
    get(w)
    assert get(w).body == b"answer 2"


def test_errors_with_explicit_freshness_are_stored(cache):
    w, o = cache(Script(FRESH, status=404))
    get(w)
    assert get(w).body == b"answer 1"


@pytest.mark.parametrize("directive,status", [
    ("no-cache", "fwd=request"), ("no-store", "fwd=request"), ("max-age=0", "fwd=request"), ("min-fresh=100", "fwd=request"), ("max-age=50", "hit"),
])
def test_directives_of_the_request(cache, directive, status):
    # INTERFACE 20
    w, o = cache(Script(FRESH))
    get(w)
    r = get(w, fields=[("Cache-Control", directive)])
    assert status_of(r).startswith(f"weir; {status}")
    assert (r.body == b"answer 1") == (status == "hit")


def test_only_if_cached(cache):
    w, o = cache(Script(FRESH))
    assert get(w, fields=[("Cache-Control", "only-if-cached")]).status == 504
    assert not o.requests
    get(w)
    assert get(w, fields=[("Cache-Control", "only-if-cached")]).body == b"answer 1"


def test_max_stale(cache):
    w, o = cache(Script(("Cache-Control", "max-age=60"), ("Age", "70"), ("ETag", '"a"')))
    get(w)
    assert get(w, fields=[("Cache-Control", "max-stale=1000")]).body == b"answer 1"
    assert get(w, fields=[("Cache-Control", "max-stale=5")]).body == b"answer 2"


def test_validation_updates_what_is_stored(cache):
    def handler(x):
        if x.request.fields.get("If-None-Match") == '"a"':
            return x.reply(304, fields=[("ETag", '"a"'), FRESH, ("X-New", "2")])
        x.reply(200, b"content", [("ETag", '"a"'), ("Cache-Control", "max-age=0"), ("X-Old", "1"), ("Content-Type", "text/x")])

    w, o = cache(handler)
    get(w)
    second, third = get(w), get(w)
    assert second.status == 200 and second.body == b"content"
    assert "fwd=stale" in status_of(second) and "fwd-status=304" in status_of(second)
    for r in (second, third):
        assert r.fields["X-Old"] == "1" and r.fields["X-New"] == "2" and r.fields["Content-Type"] == "text/x"
    assert status_of(third).startswith("weir; hit") and len(o.requests) == 2


def test_a_client_gets_304_from_what_is_stored(cache):
    w, o = cache(Script(FRESH, ("ETag", 'W/"a"'), ("Last-Modified", date(-1000)), ("Content-Type", "text/x")))
    get(w)
    for fields in ([("If-None-Match", '"x", "a"')], [("If-Modified-Since", date(-500))]):
        r = get(w, fields=fields)
        assert r.status == 304 and r.fields["ETag"] == 'W/"a"' and "Content-Type" not in r.fields
    assert get(w, fields=[("If-None-Match", '"b"'), ("If-Modified-Since", date())]).status == 200
    assert len(o.requests) == 1


def test_conditions_of_a_client_do_not_spoil_what_is_stored(cache):
    w, o = cache(Script(FRESH, ("ETag", '"a"')))
    assert get(w, fields=[("If-None-Match", '"a"')]).status == 304
    assert get(w).body == b"answer 1" and len(o.requests) == 1


def test_conditions_go_on_where_nothing_is_stored(cache):
    """A browser's own copy of a private page is validated by its origin, once it is known that the page is private."""
    def serve(x):
        same = x.request.fields.get("If-None-Match") == '"e"'
        x.reply(304 if same else 200, b"" if same else b"page", [("Cache-Control", "private"), ("ETag", '"e"')])
    w, o = cache(serve)
    assert get(w).body == b"page"
    assert get(w, fields=[("If-None-Match", '"e"')]).status == 304
    assert o.requests[-1].fields.get("If-None-Match") == '"e"'
    assert get(w, fields=[("If-None-Match", '"f"')]).body == b"page"
    assert get(w).body == b"page"


def test_vary(cache):
    w, o = cache(Script(FRESH, ("Vary", "Accept-Language, X-A")))
    assert get(w, fields=[("Accept-Language", "en, de")]).body == b"answer 1"
    assert get(w, fields=[("Accept-Language", "de,  EN")]).body == b"answer 1"
    r = get(w, fields=[("Accept-Language", "fr")])
    assert r.body == b"answer 2" and "fwd=vary-miss" in status_of(r)
    assert get(w, fields=[("X-A", "1")]).body == b"answer 3"
    assert get(w, fields=[("Accept-Language", "de, en")]).body == b"answer 1"


def test_vary_on_what_weir_itself_writes(cache):
    w, o = cache(Script(FRESH, ("Vary", "X-Forwarded-For")))
    get(w)
    assert get(w).body == b"answer 2"


@pytest.mark.parametrize("directives,shared", [
    ("max-age=60", False), ("public, max-age=60", True), ("s-maxage=60", True), ("must-revalidate, max-age=60", True)])
def test_authorization(cache, directives, shared):
    w, o = cache(Script(("Cache-Control", directives)))
    get(w, fields=[("Authorization", "Basic YTpi")])
    assert (get(w).body == b"answer 1") == shared


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"])
def test_invalidation(cache, method):
    # INTERFACE 23
    def handler(x):
        if x.request.method != "GET":
            return x.reply(200 if x.request.target != "/fails" else 500, b"", [("Location", "/l?q"), ("Content-Location", "http://a.test/cl")])
        x.reply(200, b"%d" % len(o.requests), [FRESH])

    w, o = cache(handler)
    urls = ("/x", "/l?q", "/cl", "/other")
    first = {u: get(w, u).body for u in urls}
    r = get(w, "/x", method=method, body=b"z")
    assert "fwd=method" in status_of(r)
    assert get(w, "/other").body == first["/other"]
    for u in ("/x", "/l?q", "/cl"):
        assert get(w, u).body != first[u]
    get(w, "/fails")
    kept = get(w, "/fails").body
    get(w, "/fails", method=method, body=b"z")
    assert get(w, "/fails").body == kept


def test_location_of_another_host_is_left_alone(cache):
    def handler(x):
        if x.request.method == "POST":
            return x.reply(200, b"", [("Location", "http://b.test/x"), ("Content-Location", "//b.test/x")])
        x.reply(200, b"%d" % len(o.requests), [FRESH])

    w, o = cache(handler)
    first = get(w, "/x", host="b.test").body
    get(w, "/y", method="POST", body=b"z", host="a.test")
    assert get(w, "/x", host="b.test").body == first


def test_stale_while_revalidate(cache):
    w, o = cache(Script(("Cache-Control", "max-age=60, stale-while-revalidate=60"), ("Age", "61")))
    get(w)
    assert get(w).body == b"answer 1"  # stale, at once
    o.wait(lambda: len(o.requests) >= 2)
    until = time.time() + 10
    while get(w).body == b"answer 1" and time.time() < until:
        pass
    assert int(get(w).body.split()[1]) >= 2


@pytest.mark.parametrize("more", ["must-revalidate", "proxy-revalidate", "s-maxage=60"])
def test_what_forbids_stale_answers(cache, more):
    # INTERFACE 21
    w, o = cache(Script(("Cache-Control", f"max-age=60, stale-while-revalidate=600, stale-if-error=600, {more}"), ("Age", "61")))
    get(w)
    assert get(w).body == b"answer 2"
    o.handler = lambda x: x.reply(503, b"down")
    assert get(w).status == 503


@pytest.mark.parametrize("failure", ["status", "close", "refuse"])
def test_stale_if_error(cache, failure):
    w, o = cache(Script(("Cache-Control", "max-age=60, stale-if-error=60"), ("Age", "61")))
    get(w)
    if failure == "refuse":
        o.stop()
    else:
        o.handler = (lambda x: x.reply(502, b"down")) if failure == "status" else (lambda x: x.close())
    r = get(w)
    assert r.status == 200 and r.body == b"answer 1" and "fwd=stale" in status_of(r)


def test_stale_answers_by_statement(cache):
    """Where the origin says nothing of them; its own word, and what it forbids, goes before the statement."""
    conf = CONF.replace("memory 64MiB }", "memory 64MiB; stale while-revalidate 60s if-error 600s }").replace(
        "  route *", "  route /own/* -> pool app { stale while-revalidate 0s }\n  route *")
    age, control = ("Age", "70"), "max-age=60"
    w, o = cache(lambda x: x.reply(200, b"answer", [("Cache-Control", x.request.fields.get("X-Say", control)), age]), conf)
    for target in ("/x", "/own/x", "/must"):
        get(w, target, fields=[("X-Say", "max-age=60, must-revalidate" if target == "/must" else control)])
    assert status_of(get(w, "/x")).startswith("weir; hit") and "ttl=-1" in status_of(get(w, "/x"))
    assert "fwd=stale" in status_of(get(w, "/own/x"))  # the inner word
    o.handler = lambda x: x.reply(503, b"down")
    r = get(w, "/own/x")
    assert r.body == b"answer" and "fwd=stale" in status_of(r)  # the other option still holds
    assert get(w, "/must").status == 503
    assert get(w, "/new").status == 503


def test_without_permission_a_stale_answer_is_not_used(cache):
    w, o = cache(Script(("Cache-Control", "max-age=60"), ("Age", "61"), ("ETag", '"a"')))
    get(w)
    o.handler = lambda x: x.reply(500, b"broken")
    assert get(w).status == 500


# ---- One fetch for many (INTERFACE 25)


def crowd(w, n, target="/x", act=None, fields=()):
    """n clients at once; returns what they got."""
    out = [None] * n

    def one(i):
        out[i] = get(w, target, fields=fields)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    if act:
        act()
    for t in threads:
        t.join(30)
    return out


def test_fifty_ask_and_one_is_fetched(cache):
    release = threading.Event()
    w, o = cache(Script(FRESH, before=lambda x, n: release.wait(10)))
    done = threading.Timer(0.5, release.set)
    done.start()
    out = crowd(w, 50)
    assert {r.body for r in out} == {b"answer 1"} and len(o.requests) == 1


def test_the_first_to_ask_leaves(cache):
    release = threading.Event()
    w, o = cache(Script(FRESH, before=lambda x, n: release.wait(10)))
    first = http1.connect(w.p)
    first.send(http1.request("GET", "/x", host="a.test"))
    o.wait(lambda: o.requests)

    def act():
        time.sleep(0.3)  # the others are there; nothing outside tells
        first.reset()
        time.sleep(0.2)
        release.set()

    out = crowd(w, 20, act=act)
    assert {r.body for r in out} == {b"answer 1"} and len(o.requests) == 1


def test_a_thousand_ask(cache):
    # Attack row CA-17
    release = threading.Event()
    w, o = cache(Script(FRESH, before=lambda x, n: release.wait(20)), "limits { per-client 2000 }\n" + CONF)
    clients = [http1.connect(w.p) for _ in range(1000)]
    for c in clients:
        c.send(http1.request("GET", "/x", host="a.test"))
    release.set()
    assert {c.read_response("GET").body for c in clients} == {b"answer 1"} and len(o.requests) == 1
    for c in clients:
        c.close()


def test_what_is_not_storable_goes_side_by_side(cache):
    together = []
    gate = threading.Barrier(20)

    def before(x, n):
        if n > 1:
            gate.wait(10)  # all others are here at the same time, or this fails
            together.append(n)

    w, o = cache(Script(("Cache-Control", "private"), before=before))
    out = crowd(w, 21)
    assert sorted(r.body for r in out) == sorted(b"answer %d" % n for n in range(1, 22))
    assert len(together) == 20


def test_waiters_get_content_while_it_arrives(cache):
    go_on = threading.Event()

    def handler(x):
        x.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nfirst")
        go_on.wait(10)
        x.send(b"-last")

    w, o = cache(handler)
    clients = [http1.connect(w.p) for _ in range(3)]
    for c in clients:
        c.send(http1.request("GET", "/x", host="a.test"))
    for c in clients:
        c.read_until(b"first")
    go_on.set()
    for c in clients:
        assert c.read_exactly(5) == b"-last"
        c.close()
    assert len(o.requests) == 1


def test_content_that_breaks_off_is_never_whole(cache):
    def handler(x):
        x.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nfirst")
        x.close()

    w, o = cache(handler)
    for _ in range(2):
        with http1.connect(w.p) as c:
            c.send(http1.request("GET", "/x", host="a.test"))
            assert not c.read_to_end().endswith(b"first-last")
    o.handler = Script(FRESH)
    assert get(w).body == b"answer 1"


# ---- Ranges


BODY = bytes(range(256)) * 40


def test_ranges_from_what_is_stored(cache):
    w, o = cache(Script(FRESH, ("ETag", '"a"'), ("Content-Type", "text/x"), body=BODY))
    get(w)
    for value, first, last in (("bytes=0-0", 0, 0), ("bytes=100-199", 100, 199), ("bytes=10200-", 10200, 10239), ("bytes=-5", 10235, 10239)):
        r = get(w, fields=[("Range", value)])
        assert r.status == 206 and r.body == BODY[first:last + 1]
        assert r.fields["Content-Range"] == f"bytes {first}-{last}/10240"
    assert get(w, fields=[("Range", "bytes=20000-")]).status == 416
    assert get(w, fields=[("Range", "bytes=0-5"), ("If-Range", '"b"')]).status == 200
    assert get(w, fields=[("Range", "bytes=0-5"), ("If-Range", '"a"')]).status == 206
    r = get(w, fields=[("Range", "bytes=0-1,5-6")])
    boundary = r.fields["Content-Type"].split("boundary=")[1]
    assert r.status == 206 and r.body == (
        f"\r\n--{boundary}\r\nContent-Type: text/x\r\nContent-Range: bytes 0-1/10240\r\n\r\n".encode() + BODY[0:2] +
        f"\r\n--{boundary}\r\nContent-Type: text/x\r\nContent-Range: bytes 5-6/10240\r\n\r\n".encode() + BODY[5:7] +
        f"\r\n--{boundary}--\r\n".encode())
    assert len(o.requests) == 1


def parts_of(body, *fields):
    """An origin that answers ranges with 206."""
    def handler(x):
        r = x.request.fields.get("Range")
        if not r:
            return x.reply(200, body, fields)
        first, last = r.split("=")[1].split("-")
        first, last = (int(first), int(last) if last else len(body) - 1) if first else (len(body) - int(last), len(body) - 1)
        x.reply(206, body[first:last + 1], [*fields, ("Content-Range", f"bytes {first}-{last}/{len(body)}")])
    return handler


def test_parts_are_stored_and_put_together(cache):
    w, o = cache(parts_of(BODY, FRESH, ("ETag", '"a"')))
    part = lambda value: get(w, fields=[("Range", value)])
    r = part("bytes=100-199")
    assert r.status == 206 and r.body == BODY[100:200] and r.fields["Content-Range"] == "bytes 100-199/10240" and "stored" in status_of(r)
    r = part("bytes=150-160")
    assert r.status == 206 and r.body == BODY[150:161] and status_of(r).startswith("weir; hit") and len(o.requests) == 1
    assert part("bytes=200-299").body == BODY[200:300]  # meets the first
    assert part("bytes=150-250").body == BODY[150:251] and len(o.requests) == 2
    assert get(w, "/other").body == BODY  # a part is nobody's whole answer
    assert part("bytes=300-").body == BODY[300:] and part("bytes=0-99").body == BODY[:100]
    before = len(o.requests)
    r = get(w)
    assert r.status == 200 and r.body == BODY and "Content-Range" not in r.fields
    assert status_of(r).startswith("weir; hit") and len(o.requests) == before


@pytest.mark.parametrize("lie", ["length", "no validator", "weak", "other"])
def test_parts_that_are_not_kept(cache, lie):
    def handler(x):
        tag = {"no validator": [], "weak": [("ETag", 'W/"a"')], "other": [("ETag", f'"{len(o.requests)}"')]}.get(lie, [("ETag", '"a"')])
        first = int(x.request.fields["Range"].split("=")[1].split("-")[0])
        x.reply(206, BODY[first:first + 100], [FRESH, *tag, ("Content-Range", f"bytes {first}-{first + (98 if lie == 'length' else 99)}/200")])

    w, o = cache(handler)
    get(w, fields=[("Range", "bytes=0-99")])
    get(w, fields=[("Range", "bytes=100-199")])
    before = len(o.requests)
    r = get(w, fields=[("Range", "bytes=50-149")])
    assert len(o.requests) == before + 1 and "fwd=" in status_of(r)


# ---- Keys (INTERFACE 26 and 27, attack rows CA-01 to CA-07)


CLAIMS = ["X-Forwarded-Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Anything", "Forwarded", "X-Real-IP", "True-Client-IP",
          "X-Host", "X-Original-Host", "X-HTTP-Host-Override", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override"]


@pytest.mark.parametrize("side", ["reverse", "forward"])
def test_claims_never_reach_another_client(cache, side):
    def reflect(x):
        x.reply(200, repr(list(x.request.fields)).encode() + x.request.body, [FRESH])

    w, o = cache(reflect)
    ask = get if side == "reverse" else (lambda w, t, fields=(): via_forward(w, o, t, fields))
    for i, name in enumerate(CLAIMS):
        ask(w, f"/{i}", fields=[(name, "evil.example")])
        assert b"evil" not in ask(w, f"/{i}").body


def test_claims_that_may_pass_are_not_stored(cache):
    w, o = cache(lambda x: x.reply(200, repr(list(x.request.fields)).encode(), [FRESH]), CONF.replace("cache main }", "privacy off; cache main }"))
    assert b"evil" in via_forward(w, o, fields=[("X-Forwarded-Host", "evil.example")]).body
    assert b"evil" not in via_forward(w, o).body


def test_content_of_a_get_reaches_nobody_else(cache):
    w, o = cache(lambda x: x.reply(200, b"seen:" + x.request.body, [FRESH]))
    assert get(w, body=b"evil").body == b"seen:evil"
    assert get(w).body == b"seen:"
    assert get(w, body=b"evil").body == b"seen:evil"


def test_no_two_urls_are_one(cache):
    w, o = cache(lambda x: x.reply(200, f"{x.request.fields['Host']} {x.request.target}".encode(), [FRESH]))
    urls = [("a.test", "/b?c"), ("a.test", "/b/c"), ("a.test", "/b"), ("a.test", "/b?"), ("a.test", "/b%3Fc"), ("a.test:81", "/b?c"), ("a.test:8", "/1/b?c"),
            ("b.test", "/b?c"), ("a.test", "/B?c"), ("a.test", "/b?c&d"), ("a.test", "/b?d&c"), ("a.test", "//b?c"), ("a.test", "/b%2Fc")]
    for _ in range(2):
        for host, target in urls:
            assert get(w, target, host=host).body == f"{host} {target}".encode()
    assert len(o.requests) == len(urls)


def test_schemes_and_hosts_are_told_apart(weir, origin):
    """Row CA-03: one path on two hosts, with and without TLS, is four answers."""
    o = origin(lambda x: x.reply(200, f"{x.request.fields['X-Forwarded-Proto']} {x.request.fields['Host']}".encode(), [FRESH]))
    w = weir("""
log access off
cache main { memory 8MiB }
pool app { server 127.0.0.1:@o@ }
site a.test b.test { listen 127.0.0.1:@p@; listen 127.0.0.1:@s@ tls; plain
  tls cert server.pem key server.key
  cache main
  route * -> pool app }
""", o=o.port, files=certs.files("a.test", "b.test"))
    for _ in range(2):
        for host in ("a.test", "b.test"):
            assert get(w, host=host).body == f"http {host}".encode()
            with certs.connect_tls(w.s, host) as c:
                assert c.ask(http1.request(host=host)).body == f"https {host}".encode()
    assert len(o.requests) == 4


@pytest.mark.parametrize("odd, status", [(("X-Big", "y" * 6000), 400), (("X-Meta", "a/../%00"), 400), (("X-HTTP-Method-Override", "DELETE"), 405),
                                         (("X-Method-Override", "POST"), 501), (("X-Odd", "1"), 404)])
def test_an_error_that_one_request_provoked_is_nobody_elses(cache, odd, status):
    """Row CA-15 (CPDoS): also where the origin gives errors a Last-Modified."""
    def serve(x):
        bad = odd[0] in x.request.fields
        x.reply(status if bad else 200, b"error" if bad else b"page", [("Last-Modified", date(-100000))] if bad else [FRESH])
    w, o = cache(serve)
    get(w, fields=[odd])
    assert get(w).body == b"page"
    assert get(w, fields=[odd]).body == b"page" and len(o.requests) <= 2


def test_two_pools_are_two_answers(weir, origin):
    one, two = origin(lambda x: x.reply(200, b"one", [FRESH])), origin(lambda x: x.reply(200, b"two", [FRESH]))
    w = weir("""
cache main { memory 8MiB }
pool one { server 127.0.0.1:@a@ }
pool two { server 127.0.0.1:@b@ }
site * { listen 127.0.0.1:@p@
  cache main
  route * when { header X-Version 2 } -> pool two
  route * -> pool one }
""", a=one.port, b=two.port)
    for _ in range(2):
        assert get(w).body == b"one"
        assert get(w, fields=[("X-Version", "2")]).body == b"two"


def test_keys_by_statement(cache):
    conf = CONF.replace("cache main { memory 64MiB }",
                        "cache main { memory 64MiB; key ignore-query utm_* fbclid; key sort-query; key header X-Device; key cookie region }")
    w, o = cache(Script(FRESH), conf)
    assert get(w, "/x?b=1&utm_source=z&a=2").body == b"answer 1"
    assert get(w, "/x?a=2&b=1&fbclid=q").body == b"answer 1"
    assert get(w, "/x?a=2&b=2").body == b"answer 2"
    assert get(w, "/x?a=2&b=1", fields=[("X-Device", "phone")]).body == b"answer 3"
    assert get(w, "/x?a=2&b=1", fields=[("Cookie", "q=1; region=eu")]).body == b"answer 4"
    assert get(w, "/x?a=2&b=1", fields=[("Cookie", "region=eu; q=2")]).body == b"answer 4"


PHONE = ("User-Agent", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/120.0.0.0 Mobile Safari/537.36")
OTHER_PHONE = ("User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Mobile/15E148 Safari/604.1")
TABLET = ("User-Agent", "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) Version/16.6 Mobile/15E148 Safari/604.1")
DESKTOP = ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0")
BOT = ("User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")


@pytest.mark.parametrize("vary", [(), (("Vary", "User-Agent, Sec-CH-UA-Mobile"),), (("Vary", "X-Device"),)])
def test_one_answer_for_each_class_of_devices(cache, vary):
    """Two phones get one answer, also where it varies by what the class stands for; the origin is told the class."""
    conf = CONF.replace("  cache main\n", "  cache main\n  key device\n  set request-header X-Device {device}\n")
    w, o = cache(Script(FRESH, *vary), conf)
    seen = {}
    for agent, kind in [(PHONE, b"mobile"), (TABLET, b"tablet"), (DESKTOP, b"desktop"), (BOT, b"bot")]:
        r = get(w, fields=[agent, ("X-Device", "forged")])
        assert "fwd=" in status_of(r) and r.body not in seen
        seen[r.body] = kind
        assert o.requests[-1].fields.get("x-device") == kind.decode()
        assert [v for k, v in r.fields if k.lower() == "vary"] == [v for _, v in vary]  # as it came, for caches behind us
        assert get(w, fields=[agent]).body == r.body
    assert get(w, fields=[OTHER_PHONE]).body == get(w, fields=[PHONE]).body
    assert get(w, fields=[("Sec-CH-UA-Mobile", "?1")]).body == get(w, fields=[PHONE]).body
    assert get(w).body == get(w, fields=[DESKTOP]).body
    assert len(o.requests) == 4


def test_without_a_key_each_user_agent_has_its_own(cache):
    w, o = cache(Script(FRESH, ("Vary", "User-Agent")))
    assert get(w, fields=[PHONE]).body != get(w, fields=[OTHER_PHONE]).body


def test_vary_on_what_a_statement_writes_for_each_client(cache):
    """The origin saw {header:X-Lang}, which the key does not have: nobody else gets that answer. A literal is the same for all."""
    conf = CONF.replace("  cache main\n", "  cache main\n  set request-header X-Copy {header:X-Lang}\n  set request-header X-Fixed 1\n", 1)
    w, o = cache(lambda x: x.reply(200, x.request.fields.get("x-copy", "none").encode(), [FRESH, ("Vary", "X-Copy" if x.request.target == "/x" else "X-Fixed")]), conf)
    assert get(w, fields=[("X-Lang", "de")]).body == b"de"
    assert get(w, fields=[("X-Lang", "fr")]).body == b"fr"
    assert status_of(get(w, "/y")).startswith("weir; fwd=") and status_of(get(w, "/y")).startswith("weir; hit")


def test_statements_about_storing(cache):
    conf = CONF.replace("  route * -> pool app", """
  ttl 60s
  ttl 60s status 404
  bypass when { cookie session }
  route /no/* -> pool app { no-cache }
  route /twice/* -> pool app { min-uses 2 }
  route /over/* -> pool app { override 60s }
  route /deaf/* -> pool app { client-directives ignore }
  route * -> pool app""")
    w, o = cache(Script(), conf)
    assert get(w, "/x").body == get(w, "/x").body
    assert "fwd=bypass" in status_of(get(w, "/x", fields=[("Cookie", "session=1")]))
    assert get(w, "/no/x").body != get(w, "/no/x").body
    assert "fwd=bypass" in status_of(get(w, "/no/x"))
    assert get(w, "/twice/x").body != get(w, "/twice/x").body
    assert status_of(get(w, "/twice/x")).startswith("weir; hit")
    assert get(w, "/deaf/x").body == get(w, "/deaf/x", fields=[("Cache-Control", "no-cache")]).body
    assert "stored" in status_of(get(w, "/deaf/y", fields=[("Cache-Control", "no-store")])) and status_of(get(w, "/deaf/y")).startswith("weir; hit")
    o.handler = Script(("Cache-Control", "no-cache"))
    assert get(w, "/over/x").body == get(w, "/over/x").body
    o.handler = Script(status=404)
    assert get(w, "/missing").body == get(w, "/missing").body


def test_every_answer_says_so(cache):
    w, o = cache(lambda x: x.reply(200, b"", [("Cache-Status", "inner; hit")]))
    r = get(w)
    assert r.fields.all("Cache-Status")[0] == "inner; hit" and status_of(r).startswith("weir; fwd=")
    o.stop()
    assert status_of(get(w)).startswith("weir; fwd=") and get(w).status == 502


def test_answers_of_our_own_say_so_too(cache):
    # INTERFACE 24: every answer of a site with a cache
    conf = CONF.replace("  route * -> pool app", """
  deny path /secret
  route /r -> redirect 301 http://b.test/
  route /s -> respond 200 "hello"
  route /x -> pool app
  route /secret -> pool app""")
    w, o = cache(Script(FRESH), conf)
    for target, status in (("/secret", 403), ("/r", 301), ("/s", 200), ("/none", 404), ("/x", 200)):
        r = get(w, target)
        assert r.status == status and status_of(r).startswith("weir; fwd="), target


def test_a_fetch_that_nobody_reads_and_that_stalls_is_ended(cache):
    # INTERFACE 58
    def handler(x):
        x.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100000\r\n\r\nfirst")
        assert x.stream.read_to_end() == b""
        x.close()

    w, o = cache(handler)
    with http1.connect(w.p) as c:
        c.send(http1.request("GET", "/x", host="a.test"))
        c.read_until(b"first")
        c.reset()
    o.wait(lambda: o.open == 0, timeout=6)
    o.handler = Script(FRESH)
    assert get(w).body == b"answer 1"


def test_memory_keeps_its_limit(cache):
    conf = CONF.replace("64MiB", "2MiB")
    w, o = cache(Script(FRESH, body=b"x" * 100_000), conf)
    for i in range(60):
        get(w, f"/{i}")
    hits = sum(status_of(get(w, f"/{i}")).startswith("weir; hit") for i in range(59, 39, -1))
    assert 0 < hits <= 20
    assert get(w, "/59").body == b"x" * 100_000


def test_what_is_larger_than_max_object_passes(cache):
    conf = CONF.replace("memory 64MiB", "memory 64MiB; max-object 1MiB")
    big = b"0123456789abcdef" * 300_000
    w, o = cache(lambda x: x.reply_chunked(*[big[i:i + 100_000] for i in range(0, len(big), 100_000)], fields=[FRESH]), conf)
    for n in (1, 2):
        assert get(w).body == big and len(o.requests) == n


# ---- The second tier (INTERFACE 29)


def on_disk(folder):
    return CONF.replace("memory 64MiB", f"memory 8MiB; disk {folder}/store 64MiB write-rate 100MiB/s")


def test_what_is_stored_survives_a_restart(cache, weir, folder):
    w, o = cache(Script(FRESH, ("Vary", "X-A"), ("X-Own", "1"), ("Cache-Tag", "t1, t2"), body=b"y" * 5000), on_disk(folder))
    for i in range(30):
        get(w, f"/{i}", fields=[("X-A", "b")])
    get(w, "/big")
    before = len(o.requests)
    w.stop()
    again = weir(on_disk(folder), **w.ports)
    again.wait_ports([again.p])
    hits = [get(again, f"/{i}", fields=[("X-A", "b")]) for i in range(30)]
    assert [status_of(r)[:9] for r in hits] == ["weir; hit"] * 30 and len(o.requests) == before
    assert hits[0].body == b"y" * 5000 and hits[0].fields["X-Own"] == "1" and int(hits[0].fields["Age"]) >= 0
    assert "fwd=" in status_of(get(again, "/0", fields=[("X-A", "c")]))


def test_more_than_memory_comes_from_the_disk(cache, folder):
    w, o = cache(Script(FRESH, body=b"z" * 400_000), on_disk(folder))
    for i in range(40):
        get(w, f"/{i}")
    # What memory has given up is there still; the store may be slower than we are, so the first ones are asked for.
    for i in range(5):
        r = get(w, f"/{i}")
        assert r.body == b"z" * 400_000
    assert len(o.requests) <= 42


def test_invalidation_reaches_the_disk(cache, weir, folder):
    def handler(x):
        x.reply(200, b"%d" % len(o.requests), [FRESH] if x.request.method == "GET" else [])

    w, o = cache(handler, on_disk(folder))
    first = get(w).body
    get(w, method="POST", body=b"z")
    w.stop()
    again = weir(on_disk(folder), **w.ports)
    again.wait_ports([again.p])
    assert get(again).body != first


def test_purge_by_method(cache):
    conf = CONF.replace("  cache main\n  route", "  cache main\n  purge from 127.0.0.1\n  route /no/* -> pool app { purge from 10.0.0.0/8 }\n  route /off/* -> pool app { no-cache }\n  route")
    w, o = cache(Script(FRESH, ("Vary", "X-A")), conf)
    get(w), get(w, fields=[("X-A", "1")])
    r = get(w, method="PURGE")
    assert (r.status, r.body) == (200, b"2 stored responses purged\n")
    assert get(w, method="PURGE").body == b"0 stored responses purged\n"
    assert get(w).body == b"answer 3"
    for refused in ("/no/x", "/off/x"):
        assert get(w, refused, method="PURGE").status == 405
    assert via_forward(w, o, method="PURGE").status == 405
    assert all(q.method != "PURGE" for q in o.requests)


def test_purge_is_refused_by_default(cache):
    w, o = cache(Script(FRESH))
    get(w)
    assert get(w, method="PURGE").status == 405 and get(w).body == b"answer 1"


def test_what_check_says_of_caches(folder):
    def check(text):
        (folder / "c.conf").write_text(text)
        done = run_weir(folder, "check", "-c", "c.conf")
        return done.returncode, done.stdout + done.stderr

    site = "pool app {{ server 127.0.0.1:1 }}\nsite * {{ listen 127.0.0.1:1080\n  cache {}\n  route * -> pool app {}\n}}\n"
    assert check("cache main { memory 8MiB }\n" + site.format("main", ""))[0] == 0
    status, text = check("cache main { memory 8MiB }\n" + site.format("mian", ""))
    assert status == 2 and "c.conf:4:9: error: there is no cache `mian`; did you mean `main`?" in text
    status, text = check("cache main { memory 8MiB }\n" + site.format("main", "{ no-cache }"))
    assert status == 0 and "warning: no route of this site uses its cache" in text
    status, text = check("cache main { memory 8MiB }\ncache other { memory 8MiB }\n" + site.format("main", ""))
    assert status == 0 and "warning: nothing uses the cache `other`" in text
    status, text = check("cache main { memory 8MiB; disk store 1MiB write-rate 1KiB/s; key header; key device x }\n" + site.format("main", "{ bypass }"))
    assert status == 2 and all(part in text for part in ("4MiB at least", "64KiB/s at least", "`key header` needs names", "`key device` takes no names", "`bypass` needs its conditions"))
    assert not (folder / "store").exists()
