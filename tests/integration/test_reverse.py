# SPDX-License-Identifier: Apache-2.0
"""The reverse proxy: sites, routes, pools, and what the fields look like on both sides."""
import os
import re
import threading

import pytest

from http1 import Closed, chunked, connect, request
from origin import Origin
from process import free_port, need, wait_until

PLAIN = """
log access off
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@http@
    route * -> pool app
}
"""


@pytest.fixture
def plain(weir, origin):
    """weir in front of one origin with this handler: (weir, origin)."""
    def start(*args, **options):
        o = origin(*args, **options)
        return weir(PLAIN, app=o.port), o
    return start


# ---- what reaches the origin, and what comes back

def test_a_request_and_its_answer_pass(plain):
    w, o = plain(lambda x: x.reply(201, b"made", [("X-Origin", "yes"), ("Content-Type", "text/x")], "Made Here"))
    with connect(w.http) as c:
        r = c.ask(request("POST", "/a/b?c=d%20e", fields=[("X-Client", "1"), ("Accept", "*/*")], body=b"content"))
    assert (r.version, r.status, r.body) == ("HTTP/1.1", 201, b"made")
    assert r.fields["X-Origin"] == "yes" and r.fields["Content-Type"] == "text/x"
    assert (o.last.method, o.last.target, o.last.version) == ("POST", "/a/b?c=d%20e", "HTTP/1.1")
    assert o.last.body == b"content" and o.last.fields["X-Client"] == "1" and o.last.fields["Accept"] == "*/*"


def test_host_reaches_the_origin_as_it_came(plain):
    w, o = plain()
    with connect(w.http) as c:
        for host in ("a.test", "A.Test", "a.test:8080", "127.0.0.1:%d" % w.http, "[::1]:80"):
            assert c.ask(request(host=host)).status == 200
            assert o.last.fields.all("Host") == [host]


def test_forwarding_fields_are_weirs_own(plain):
    w, o = plain()
    lies = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.test"),
            ("Forwarded", "for=6.6.6.6"), ("X-Real-IP", "6.6.6.6"), ("X-Request-Id", "lie")]
    with connect(w.http) as c:
        for extra in ([], [("Connection", "X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded, X-Request-Id")]):
            c.ask(request(host="a.test", fields=lies + extra))
            f = o.last.fields
            assert "6.6.6.6" not in str(f) and "evil.test" not in str(f) and "lie" not in f.all("X-Request-Id")
            assert f["X-Forwarded-Proto"] == "http" and f["X-Forwarded-Host"] == "a.test"
            assert "127.0.0.1" in f.get("X-Forwarded-For", "") or "127.0.0.1" in f.get("Forwarded", "")
            assert len(f.all("X-Request-Id")) == 1 and len(f["X-Request-Id"]) >= 8
    assert o.requests[0].fields["X-Request-Id"] != o.requests[1].fields["X-Request-Id"]


def test_a_trusted_peer_is_believed(weir, origin):
    o = origin()
    w = weir("trust client-ip from 127.0.0.0/8\n" + PLAIN, app=o.port)
    with connect(w.http) as c:
        c.ask(request(fields=[("X-Forwarded-For", "203.0.113.7"), ("X-Request-Id", "id-from-outside")]))
    assert "203.0.113.7" in o.last.fields["X-Forwarded-For"]
    assert o.last.fields.all("X-Request-Id") == ["id-from-outside"]


def test_via_on_both_sides_and_to_http_1_0(plain):
    w, o = plain(lambda x: x.reply(fields=[("Via", "1.1 behind")]))
    with connect(w.http) as c:
        r = c.ask(request(fields=[("Via", "1.0 before")]))
        assert re.fullmatch(r"1\.0 before, 1\.1 \S+", o.last.fields["Via"])
        assert re.fullmatch(r"1\.1 behind, 1\.1 \S+", r.fields["Via"])
    with connect(w.http) as c:
        r = c.ask(request(version="HTTP/1.0"))
        assert re.fullmatch(r"1\.0 \S+", o.last.fields["Via"]) and "Via" in r.fields


def test_hop_by_hop_fields_stop_here(plain):
    w, o = plain(lambda x: x.reply(body=b"x", fields=[
        ("Connection", "X-Private-Answer, keep-alive"), ("X-Private-Answer", "1"), ("Keep-Alive", "timeout=7"),
        ("Proxy-Connection", "keep-alive"), ("X-Public", "1")]))
    with connect(w.http) as c:
        r = c.ask(request(fields=[("Connection", "X-Private, Keep-Alive"), ("X-Private", "1"), ("Keep-Alive", "300"),
                                  ("Proxy-Connection", "keep-alive"), ("TE", "gzip"), ("Upgrade", "nonsense"), ("X-Public", "1")]))
        for name in ("X-Private", "Keep-Alive", "Proxy-Connection", "Upgrade"):
            assert name not in o.last.fields, name
        assert "gzip" not in o.last.fields.get("TE", "") and o.last.fields["X-Public"] == "1"
        for name in ("X-Private-Answer", "Keep-Alive", "Proxy-Connection"):
            assert name not in r.fields, name
        assert r.fields["X-Public"] == "1"
        assert c.ask(request()).status == 200


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Transfer-Encoding", "Authorization", "Cookie", "Via"])
def test_connection_cannot_nominate_what_the_message_needs(plain, name):
    """A client must not be able to take the fields away that frame or route a request (or hide it from the origin)."""
    w, o = plain()
    with connect(w.http) as c:
        c.send(request("POST", fields=[("Connection", name), ("Authorization", "Basic eA=="), ("Cookie", "a=b")], body=b"four"))
        r = c.read_response()
    if r.status == 200:
        assert o.last.fields["Host"] == "a.test" and o.last.body == b"four" and "Via" in o.last.fields
    else:
        assert r.status == 400 and not o.requests


def test_date_is_added_only_where_it_is_missing(plain):
    dates = iter([[], [("Date", "Tue, 15 Nov 1994 08:12:31 GMT")]])
    w, _ = plain(lambda x: x.reply(fields=next(dates)))
    with connect(w.http) as c:
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", c.ask(request()).fields["Date"])
        assert c.ask(request()).fields.all("Date") == ["Tue, 15 Nov 1994 08:12:31 GMT"]


def test_repeated_fields_keep_their_order(plain):
    w, o = plain(lambda x: x.reply(fields=[("Set-Cookie", "a=1"), ("X-A", "1"), ("Set-Cookie", "b=2, c=3"), ("X-A", "2")]))
    with connect(w.http) as c:
        r = c.ask(request(fields=[("X-B", "1"), ("X-B", "2, 3"), ("Cookie", "a=b")]))
    assert r.fields.all("Set-Cookie") == ["a=1", "b=2, c=3"]
    assert r.fields["X-A"] == "1, 2" and o.last.fields["X-B"] == "1, 2, 3"


# ---- kinds of messages

def test_answers_without_content(plain):
    def handler(x):
        status = int(x.request.target[1:])
        if status == 200:  # to HEAD: the length is that of what GET would get
            x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        else:
            x.reply(status, fields=[("ETag", '"e"')])
    w, o = plain(handler)
    with connect(w.http) as c:
        r = c.ask(request("HEAD", "/200"))
        assert r.status == 200 and r.fields["Content-Length"] == "1000"
        r = c.ask(request("GET", "/204"))
        assert r.status == 204 and "Content-Length" not in r.fields and "Transfer-Encoding" not in r.fields
        r = c.ask(request("GET", "/304"))
        assert r.status == 304 and r.fields["ETag"] == '"e"'
    assert o.connections == 1


def test_chunked_both_ways(plain):
    w, o = plain(lambda x: x.reply_chunked(b"abc", b"defgh"))
    with connect(w.http) as c:
        for _ in range(3):
            c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"one", b"two" * 100))
            assert c.read_response().body == b"abcdefgh"
            assert o.last.body == b"one" + b"two" * 100
    assert o.connections == 1


def test_chunk_extensions_are_not_passed_on(plain):
    w, o = plain()
    with connect(w.http) as c:
        c.send(b'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b;c="d;e"\r\nwxyz\r\n0\r\n\r\n')
        assert c.read_response().body == b"wxyz"


@pytest.mark.parametrize("te", ["trailers", "trailers;q=0.5, gzip", None])
def test_response_trailers_go_to_who_takes_them(plain, te):
    w, _ = plain(lambda x: x.reply_chunked(b"abc", trailers=[("X-Sum", "42")], fields=[("Trailer", "X-Sum")]))
    with connect(w.http) as c:
        r = c.ask(request(fields=[("TE", te), ("Connection", "TE")] if te else []))
        assert r.body == b"abc" and "X-Sum" not in r.fields
        assert r.trailers.get("X-Sum") == ("42" if te else None)
        assert c.ask(request()).body == b"abc"


def test_request_trailers_never_become_fields(plain):
    w, o = plain()
    with connect(w.http) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" +
               chunked(b"abc", trailers=[("X-T", "1"), ("Content-Length", "99"), ("Host", "evil.test")]))
        assert c.read_response().body == b"abc"
        assert "X-T" not in o.last.fields and o.last.fields.all("Host") == ["a.test"]
        assert "Content-Length" not in o.last.trailers and "Host" not in o.last.trailers
        assert c.ask(request()).status == 200


def test_http_1_0_client(plain):
    w, o = plain(lambda x: x.reply_chunked(b"abc", b"def"))
    with connect(w.http) as c:
        r = c.ask(request(version="HTTP/1.0"))
        assert r.body == b"abcdef" and "Transfer-Encoding" not in r.fields
        c.expect_closed()
    assert o.last.version == "HTTP/1.1"


def test_http_1_0_client_that_keeps_its_connection(plain):
    w, o = plain(lambda x: x.reply(body=b"abc"))
    with connect(w.http) as c:
        for _ in range(2):
            r = c.ask(request(version="HTTP/1.0", fields=[("Connection", "keep-alive")]))
            assert r.body == b"abc"
            if "keep-alive" not in r.fields.get("Connection", "").lower():
                c.expect_closed()  # a proxy need not keep it, but must not leave it in doubt
                break


def test_http_1_0_origin_and_content_that_ends_with_the_connection(plain):
    def handler(x):
        x.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end")
        x.close()
    w, _ = plain(handler)
    with connect(w.http) as c:
        for _ in range(2):
            r = c.ask(request())
            assert r.version == "HTTP/1.1" and r.body == b"until the end"
    with connect(w.http) as c:
        assert c.ask(request(version="HTTP/1.0")).body == b"until the end"


def test_pipelined_requests_are_answered_in_order(plain):
    w, o = plain(lambda x: x.reply(body=x.request.target.encode() + x.request.body))
    with connect(w.http) as c:
        c.send(b"".join(request("POST", f"/{i}", body=b"#%d" % i) if i % 3 == 0 else request("GET", f"/{i}") for i in range(30)))
        for i in range(30):
            assert c.read_response().body == (b"/%d#%d" % (i, i) if i % 3 == 0 else b"/%d" % i)


def test_connection_close_from_the_client(plain):
    w, o = plain()
    with connect(w.http) as c:
        r = c.ask(request(fields=[("Connection", "close")]))
        assert r.status == 200 and "close" in r.fields["Connection"].lower()
        c.expect_closed()
    with connect(w.http) as c:
        c.ask(request())
    # The client's wish is not the origin's business: one connection, or one for each thread that a client came to.
    assert o.connections <= len(os.sched_getaffinity(0)) and all(q.fields.get("Connection", "") == "" for q in o.requests)


def test_connection_close_from_the_origin(plain):
    def handler(x):
        x.reply(body=b"last", fields=[("Connection", "close")])
        x.close()
    w, o = plain(handler)
    with connect(w.http) as c:
        for _ in range(3):
            r = c.ask(request())
            assert r.body == b"last" and "close" not in r.fields.get("Connection", "")
    assert o.connections == 3


# ---- expectations and interim answers

def test_interim_answers_are_relayed(plain):
    def handler(x):
        x.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
        x.reply(body=b"done")
    w, _ = plain(handler)
    with connect(w.http) as c:
        r = c.ask(request())
        assert r.body == b"done" and 103 in [i.status for i in r.interim]
        assert r.interim[0].fields["Link"] == "</a.css>; rel=preload"
    with connect(w.http) as c:  # an HTTP/1.0 client knows none of them (RFC 9110 section 15.2)
        r = c.ask(request(version="HTTP/1.0"))
        assert r.status == 200 and not r.interim


def test_expect_100_continue(plain):
    def handler(x):
        x.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        x.stream.read_content(x.request, until_end=False)
        x.reply(body=x.request.body)
    w, o = plain(handler, read_content=False)
    with connect(w.http) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert c.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")  # before any content was sent
        c.send(b"12345")
        r = c.read_response()
        assert r.status == 200 and r.body == b"12345"


def test_expect_100_continue_and_a_refusal(plain):
    """The origin says no before the content: the client hears it and is not left in doubt about the connection."""
    w, o = plain(lambda x: (x.reply(403, b"no"), x.close()), read_content=False)
    with connect(w.http) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        r = c.read_response()
        # An interim 100 of weir's own is allowed, the final answer is the origin's.
        assert r.status == 403 and r.body == b"no"


def test_unknown_expectation(plain):
    w, o = plain()
    with connect(w.http) as c:
        r = c.ask(request(fields=[("Expect", "miracles")]))
        assert r.status == 417 and not o.requests


def test_an_early_answer_to_an_upload(plain):
    """The origin refuses a large upload after its head; the client gets the answer although it is still sending."""
    def handler(x):
        x.reply(413, b"too large", [("Connection", "close")])
        x.stream.end()
        x.stream.read_to_end()
        x.close()
    w, o = plain(handler, read_content=False)
    with connect(w.http) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 100000)
        r = c.read_response()
        assert r.status == 413 and r.body == b"too large"


# ---- streaming

def test_answers_stream(plain):
    """Each part arrives before the origin sends the next one."""
    go = threading.Semaphore(0)

    def handler(x):
        x.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(5):
            data = b"data: %d\n\n" % i
            x.send(b"%x\r\n%s\r\n" % (len(data), data))
            assert go.acquire(timeout=10)
        x.send(b"0\r\n\r\n")
    w, _ = plain(handler)
    with connect(w.http) as c:
        c.send(request())
        c.read_until(b"\r\n\r\n")
        for i in range(5):
            c.read_until(b"data: %d\n\n" % i)
            go.release()
        c.read_until(b"0\r\n\r\n")


def test_uploads_stream(plain):
    """Each part reaches the origin before the client sends the next one, with a length and chunked."""
    arrived = threading.Semaphore(0)

    def handler(x):
        for i in range(5):
            x.stream.read_until(b"part %d." % i)
            arrived.release()
        if "Transfer-Encoding" in x.request.fields:
            x.stream.read_until(b"0\r\n\r\n")
        x.reply(body=b"all")
    w, o = plain(handler, read_content=False)
    with connect(w.http) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 35\r\n\r\n")
        for i in range(5):
            c.send(b"part %d." % i)
            assert arrived.acquire(timeout=10)
        assert c.read_response().body == b"all"
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(5):
            c.send(b"7\r\npart %d.\r\n" % i)
            assert arrived.acquire(timeout=10)
        c.send(b"0\r\n\r\n")
        assert c.read_response().body == b"all"


@pytest.mark.parametrize("size", [1, 1000, 16383, 16384, 65536, 1 << 20, (8 << 20) + 17])
def test_content_of_any_size_is_exact(plain, size):
    w, o = plain()
    content = os.urandom(min(size, 1 << 16)) * (size // (1 << 16) + 1)
    content = content[:size]
    with connect(w.http) as c:
        sender = threading.Thread(target=c.send, args=(request("PUT", "/with-length", body=content),))
        sender.start()
        assert c.read_response("PUT").body == content
        sender.join()
        parts = [content[i:i + 70000] for i in range(0, size, 70000)]
        sender = threading.Thread(target=c.send, args=(
            b"PUT /chunked HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(*parts),))
        sender.start()
        assert c.read_response("PUT").body == content
        sender.join()
    assert o.requests[0].body == content and o.requests[1].body == content


def test_a_reader_that_does_not_read_holds_the_origin_back(plain):
    """Backpressure: weir takes no more from the origin than fits buffers, and nothing is lost."""
    block, sent = bytes(range(256)) * 256, [0]

    def handler(x):
        x.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(block) * 1024))
        for _ in range(1024):
            x.send(block)
            sent[0] += len(block)
    w, o = plain(handler)
    with connect(w.http) as c:
        c.send(request())
        # Until the origin no longer gets on: the same figure fifty looks in a row.
        seen = [-1, 0]

        def stuck():
            seen[:] = [sent[0], seen[1] + 1 if sent[0] == seen[0] else 0]
            return seen[1] >= 50
        wait_until(stuck, 30, "a standstill")
        assert 0 < sent[0] < 48 << 20
        r = c.read_response()
        assert len(r.body) == 64 << 20 and r.body == block * 1024


# ---- clients that go away

def test_a_half_closed_client_gets_its_answer(plain):
    w, _ = plain()
    with connect(w.http) as c:
        c.send(request(fields=[("Connection", "close")]))
        c.end()
        assert c.read_response().body == b"hello from the origin"
        c.expect_closed()


@pytest.mark.parametrize("flows", [False, True])
def test_a_client_that_resets_frees_the_origin(plain, flows):
    gone = threading.Event()

    def handler(x):
        x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nstart")
        try:
            if flows:
                while True:
                    x.send(b"x" * 65536)
            x.stream.read_to_end()
        except OSError:
            pass
        gone.set()
        x.close()
    w, _ = plain(handler)
    c = connect(w.http)
    c.send(request())
    c.read_until(b"start")
    c.reset()
    assert gone.wait(10)


def test_a_client_that_resets_before_the_answer_frees_the_origin(plain):
    gone, asked = threading.Event(), threading.Event()

    def handler(x):
        asked.set()
        x.stream.read_to_end()
        gone.set()
        x.close()
    w, _ = plain(handler)
    c = connect(w.http)
    c.send(request())
    assert asked.wait(10)
    c.reset()
    assert gone.wait(10)


# ---- sites

SITES = """
log access off
site exact.test other.test { listen 127.0.0.1:@http@
    route * -> respond 200 "exact" }
site *.wild.test { listen 127.0.0.1:@http@
    route * -> respond 200 "wild" }
site deep.wild.test { listen 127.0.0.1:@http@
    route * -> respond 200 "deep" }
"""


@pytest.mark.parametrize("host,body", [
    ("exact.test", b"exact"), ("EXACT.Test", b"exact"), ("other.test", b"exact"), ("exact.test:1234", b"exact"),
    ("exact.test.", b"exact"), ("a.wild.test", b"wild"), ("deep.wild.test", b"deep")])
def test_sites_by_host(weir, host, body):
    w = weir(SITES)
    with connect(w.http) as c:
        r = c.ask(request(host=host))
        assert (r.status, r.body) == (200, body)


@pytest.mark.parametrize("host", ["nobody.test", "wild.test", "xexact.test", "exact.test.evil", "127.0.0.1", "awild.test"])
def test_unknown_hosts_are_misdirected(weir, host):
    w = weir(SITES)
    with connect(w.http) as c:
        assert c.ask(request(host=host)).status == 421
        assert c.ask(request(host="exact.test")).body == b"exact"  # the connection goes on


def test_the_default_site_takes_the_rest(weir):
    w = weir(SITES + 'site * { listen 127.0.0.1:@http@\n route * -> respond 200 "default" }')
    with connect(w.http) as c:
        assert c.ask(request(host="nobody.test")).body == b"default"
        assert c.ask(request(host="exact.test")).body == b"exact"
        assert c.ask(request(host=None, version="HTTP/1.0")).body == b"default"


def test_a_client_without_host(weir, origin):
    """HTTP/1.1 wants a Host from us all the same, an empty one (RFC 9112 3.2)."""
    o = origin(lambda x: x.reply(body=repr(x.request.fields.all("Host")).encode()))
    w = weir("log access off\npool app { server 127.0.0.1:@app@ }\nsite * { listen 127.0.0.1:@http@; route * -> pool app }", app=o.port)
    with connect(w.http) as c:
        assert c.ask(request(host=None, version="HTTP/1.0")).body == b"['']"


def test_an_absolute_target_overrules_host(weir):
    w = weir(SITES)
    with connect(w.http) as c:
        assert c.ask(request(target="http://exact.test/", host="a.wild.test")).body == b"exact"


# ---- routes

ROUTES = """
log access off
site * {
    listen 127.0.0.1:@http@
    set response-header X-Site yes
    remove response-header X-Gone
    route /a                                       -> respond 200 "exact a"
    route /a/*                                     -> respond 200 "below a"
    route /when/* when { method POST PUT }         -> respond 200 "post"
    route /when/* when { header X-Version 2; method GET } -> respond 200 "v2"
    route /when/* when { query mode fast }         -> respond 200 "query"
    route /when/* when { cookie who ann }          -> respond 200 "cookie"
    route /when/* when { header User-Agent *Robot* } -> respond 200 "robot"
    route /when/* when { not client 127.0.0.0/8 }  -> respond 200 "far"
    route /when/* when { path ~^/when/[0-9]+$ }    -> respond 200 "number"
    route /when/*                                  -> respond 200 "else"
    route /old/*                                   -> redirect 301 http://shop.test/new/{rest}
    route /gone                                    -> respond 410
    route /api/*                                   -> pool app { strip /api }
    route /raw/*                                   -> pool app { set request-header X-Tenant shop; set response-header X-Frame DENY; remove response-header X-Powered-By }
}
pool app { server 127.0.0.1:@app@ }
"""


@pytest.fixture
def routes(weir, origin):
    o = origin(lambda x: x.reply(body=x.request.target.encode(), fields=[("X-Powered-By", "magic"), ("X-Frame", "ALLOW")]))
    return weir(ROUTES, app=o.port), o


def first_line(value):
    """Names a case by its request line."""
    return value.split(b"\r\n")[0].decode()


@pytest.mark.parametrize("ask,body", [
    (request(target="/a"), b"exact a"), (request(target="/a/"), b"below a"), (request(target="/a/b/c?d"), b"below a"),
    (request("POST", "/when/x"), b"post"), (request("PUT", "/when/x"), b"post"),
    (request(target="/when/x", fields=[("X-Version", "2")]), b"v2"), (request(target="/when/x", fields=[("X-Version", "22")]), b"else"),
    (request("DELETE", "/when/x", fields=[("X-Version", "2")]), b"else"),
    (request(target="/when/x?a=b&mode=fast"), b"query"), (request(target="/when/x?mode=faster"), b"else"),
    (request(target="/when/x", fields=[("Cookie", "a=b; who=ann")]), b"cookie"),
    (request(target="/when/x", fields=[("Cookie", "who=anna")]), b"else"),
    (request(target="/when/x", fields=[("User-Agent", "My Robot/1.0")]), b"robot"),
    (request(target="/when/123"), b"number"), (request(target="/when/123x"), b"else"),
    (request(target="/when/../a"), b"exact a"), (request(target="/%61"), b"exact a"), (request(target="/./a/./b"), b"below a"),
], ids=first_line)
def test_the_first_route_that_matches(routes, ask, body):
    with connect(routes[0].http) as c:
        r = c.ask(ask)
        assert (r.status, r.body.rstrip(b"\n")) == (200, body)
        assert r.fields["X-Site"] == "yes"


def test_no_route(routes):
    with connect(routes[0].http) as c:
        for target in ("/", "/A", "/ab", "/api"):
            assert c.ask(request(target=target)).status == 404, target


def test_redirect_with_the_rest(routes):
    with connect(routes[0].http) as c:
        r = c.ask(request(target="/old/a%20b/c?d=e"))
        assert r.status == 301 and r.fields["Location"] in ("http://shop.test/new/a%20b/c", "http://shop.test/new/a%20b/c?d=e")
        assert c.ask(request(target="/old/")).fields["Location"] == "http://shop.test/new/"
        assert c.ask(request("HEAD", "/old/x")).status == 301


def test_a_redirect_cannot_be_split(routes):
    with connect(routes[0].http) as c:
        r = c.ask(request(target="/old/x%0d%0aSet-Cookie:%20a=b"))
        assert "Set-Cookie" not in r.fields


def test_respond_without_text(routes):
    with connect(routes[0].http) as c:
        assert c.ask(request(target="/gone")).status == 410
        assert c.ask(request("HEAD", "/a")).body == b""
        assert c.ask(request(target="/a")).body.rstrip(b"\n") == b"exact a"


def test_strip(routes):
    w, o = routes
    with connect(w.http) as c:
        assert c.ask(request(target="/api/")).body == b"/"
        assert c.ask(request(target="/api/x/y?z=%2F")).body == b"/x/y?z=%2F"
        assert c.ask(request(target="/api/%2e%2e/%2e/x")).status == 404  # that is /x
        assert c.ask(request(target="/api//x")).body == b"//x"


def test_set_and_remove(routes):
    w, o = routes
    with connect(w.http) as c:
        r = c.ask(request(target="/raw/x", fields=[("X-Tenant", "other")]))
        assert o.last.fields.all("X-Tenant") == ["shop"] and r.fields.all("X-Frame") == ["DENY"]
        assert "X-Powered-By" not in r.fields and r.fields["X-Site"] == "yes"


def test_deny_when(weir):
    w = weir("""
        log access off
        site * {
            listen 127.0.0.1:@http@
            deny when { path /admin /admin/* }
            deny when { method DELETE; not header X-Key letmein }
            route * -> respond 200 "in"
        }""")
    with connect(w.http) as c:
        assert c.ask(request()).body.rstrip() == b"in"
        for target in ("/admin", "/admin/x", "/x/../admin", "/%61dmin/", "/./admin/"):
            r = c.ask(request(target=target))
            assert r.status == 403, target
            text = r.body.decode().lower()
            assert re.search(r"block|den|polic|rule|list|forbid", text) and "weir.conf" not in text and "127.0.0.1" not in text
        r = c.ask(request(target="/admin", fields=[("Accept", "application/json")]))
        assert r.status == 403 and r.fields["Content-Type"].startswith("application/problem+json")
        assert c.ask(request("DELETE")).status == 403
        assert c.ask(request("DELETE", fields=[("X-Key", "letmein")])).status == 200


# ---- methods that a proxy does not pass

@pytest.mark.parametrize("ask", [
    request("TRACE"), request("CONNECT", "a.test:443"), request("GET", "*"), request("PURGE"), request("CONNECT", "/")], ids=first_line)
def test_refused_methods(plain, ask):
    w, o = plain()
    with connect(w.http) as c:
        r = c.ask(ask)
        assert 400 <= r.status < 600 and not o.requests


def test_options_honours_max_forwards(plain):
    w, o = plain()
    with connect(w.http) as c:
        r = c.ask(request("OPTIONS", "/", fields=[("Max-Forwards", "0")]))
        assert r.status in (200, 204) and not o.requests
        r = c.ask(request("OPTIONS", "*", fields=[("Max-Forwards", "3")]))
        assert o.last.method == "OPTIONS" and o.last.target == "*" and o.last.fields["Max-Forwards"] == "2"


def test_unusual_methods_pass(plain):
    w, o = plain()
    with connect(w.http) as c:
        for method in ("PATCH", "DELETE", "PROPFIND", "M-SEARCH", "REPORT"):
            assert c.ask(request(method)).status == 200
            assert o.last.method == method


# ---- pools and connections to servers

def test_round_robin(weir, origin):
    origins = [origin() for _ in range(3)]
    w = weir("""
        log access off
        pool app { server 127.0.0.1:@o0@; server 127.0.0.1:@o1@; server 127.0.0.1:@o2@ weight 2; balance round-robin }
        site * { listen 127.0.0.1:@http@
            route * -> pool app }""", **{f"o{i}": o.port for i, o in enumerate(origins)})
    with connect(w.http) as c:
        for _ in range(40):
            assert c.ask(request()).status == 200
    assert [len(o.requests) for o in origins] == [10, 10, 20]


def test_connections_to_the_origin_are_kept(plain):
    w, o = plain()
    for _ in range(200):
        with connect(w.http) as c:
            assert c.ask(request()).status == 200
    assert o.connections <= 8 + 2 * len(os.sched_getaffinity(0))


def test_get_is_repeated_on_a_new_connection(plain):
    """The origin closes a kept connection unanswered: the request goes out again, without any retry statement."""
    def handler(x):
        if x.request.target == "/again" and x.request.connection == 1:
            x.close()
        else:
            x.reply(body=b"fine")
    w, o = plain(handler)
    with connect(w.http) as c:
        assert c.ask(request()).body == b"fine"
        assert c.ask(request(target="/again")).body == b"fine"
    assert o.connections == 2


def test_post_that_was_read_is_never_repeated(plain):
    def handler(x):
        if x.request.method == "POST":
            x.close()
        else:
            x.reply()
    w, o = plain(handler)
    with connect(w.http) as c:
        assert c.ask(request()).status == 200
        assert c.ask(request("POST", body=b"once")).status == 502
    assert [r.method for r in o.requests].count("POST") == 1


def test_post_after_the_origin_closed_an_idle_connection(plain):
    w, o = plain()
    with connect(w.http) as c:
        assert c.ask(request()).status == 200
        for s in list(o.streams):
            s.sock.shutdown(2)
        o.wait(lambda: o.open == 0)
        assert c.ask(request("POST", body=b"new connection")).body == b"new connection"


def test_a_get_on_stale_connections_is_tried_at_most_five_times(plain):
    """An origin that closes every connection unanswered: an end, and not an endless loop."""
    warm = threading.Barrier(8)

    def handler(x):
        if x.request.target == "/warm":
            warm.wait(10)
            x.reply()
        else:
            x.close()
    w, o = plain(handler)
    clients = [connect(w.http) for _ in range(8)]
    for c in clients:
        c.send(request(target="/warm"))
    for c in clients:
        assert c.read_response().status == 200
    r = clients[0].ask(request(target="/closed"))
    assert r.status == 502
    assert 1 <= len([q for q in o.requests if q.target == "/closed"]) <= 5
    for c in clients:
        c.close()


def test_a_server_that_refuses_is_passed_over(weir, origin):
    o = origin()
    w = weir("""
        log access off
        pool app { server 127.0.0.1:@dead@; server 127.0.0.1:@live@; balance round-robin }
        site * { listen 127.0.0.1:@http@
            route * -> pool app }""", live=o.port)
    with connect(w.http) as c:
        for i in range(10):
            assert c.ask(request("POST", f"/{i}", body=b"content")).body == b"content"
    assert [r.target for r in o.requests] == [f"/{i}" for i in range(10)]


def test_no_server_at_all(weir):
    w = weir(PLAIN.replace("@app@", "@dead@"))
    with connect(w.http) as c:
        r = c.ask(request())
        assert r.status in (502, 503) and str(w.dead) not in r.body.decode()
        assert r.fields["Content-Type"].startswith("text/html")
        r = c.ask(request(fields=[("Accept", "application/problem+json")]))
        assert r.fields["Content-Type"].startswith("application/problem+json")
        assert str(w.dead) not in r.body.decode() and str(r.status) in r.body.decode()


def test_a_server_that_comes_back_is_used_with_the_next_request(weir):
    port = free_port()
    w = weir(PLAIN, app=port)
    with connect(w.http) as c:
        assert c.ask(request()).status in (502, 503)
        o = Origin(port=port)
        try:
            assert c.ask(request()).status == 200
        finally:
            o.stop()
        o.wait(lambda: o.open == 0)
        assert c.ask(request()).status in (502, 503)
        o = Origin(port=port)
        try:
            assert c.ask(request()).status == 200
        finally:
            o.stop()


def test_an_answer_with_something_behind_it_ends_the_connection(plain):
    def handler(x):
        x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        if x.request.connection > 1:
            x.close()
    w, o = plain(handler)
    with connect(w.http) as c:
        for _ in range(3):
            r = c.ask(request())
            assert r.status == 502 or r.body == b"ok"
    assert all(a.connection != b.connection for a, b in zip(o.requests, o.requests[1:]))


def test_a_broken_off_answer_is_not_a_whole_one(plain):
    """The client can tell: with a length bytes are missing, with chunks the last one."""
    def handler(x):
        if x.request.target == "/length":
            x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
        else:
            x.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n")
        x.close()
    w, o = plain(handler)
    for target in ("/length", "/chunked"):
        with connect(w.http) as c:
            c.send(request(target=target))
            r = c.read_response(content=False)
            if r.status != 502:
                with pytest.raises((Closed, ConnectionResetError)):
                    c.read_content(r, until_end=True)
    assert o.connections == 2


# ---- real peers

def test_nginx_behind(weir, nginx, www):
    port = nginx()
    w = weir(PLAIN, app=port)
    with connect(w.http) as c:
        large = (www / "large.bin").read_bytes()
        for _ in range(3):
            assert c.ask(request(target="/large.bin")).body == large
            assert c.ask(request(target="/small.txt")).body == (www / "small.txt").read_bytes()
            r = c.ask(request(target="/large.bin", fields=[("Range", "bytes=10-19")]))
            assert r.status == 206 and r.body == large[10:20]
            assert c.ask(request("HEAD", "/small.txt")).fields["Content-Length"] == "120"


def test_apache_behind(weir, apache, www):
    port = apache()
    w = weir(PLAIN, app=port)
    with connect(w.http) as c:
        assert c.ask(request(target="/large.bin")).body == (www / "large.bin").read_bytes()
        r = c.ask(request(target="/small.txt"))
        assert r.body == (www / "small.txt").read_bytes()
        assert c.ask(request(target="/small.txt", fields=[("If-None-Match", r.fields["ETag"])])).status == 304


def test_pythons_server_behind(weir, python_server, www):
    port = python_server()
    w = weir(PLAIN, app=port)
    with connect(w.http) as c:
        for _ in range(3):
            assert c.ask(request(target="/small.txt")).body == (www / "small.txt").read_bytes()
        assert c.ask(request(target="/missing")).status == 404


def test_curl_in_front(plain, process, folder):
    w, o = plain()
    big = folder / "upload"
    big.write_bytes(os.urandom(1 << 20))
    curl = need("curl")
    url = f"http://127.0.0.1:{w.http}/"
    p = process([curl, "-sS", "--data-binary", f"@{big}", "-o", folder / "got", url, "--next", "-sS", "-T", big, "-o", folder / "got2", url])
    assert p.wait() == 0, p.stderr
    assert (folder / "got").read_bytes() == (folder / "got2").read_bytes() == big.read_bytes()
    assert [r.method for r in o.requests] == ["POST", "PUT"]
