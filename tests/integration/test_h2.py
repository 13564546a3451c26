# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 toward clients: requests and answers as over HTTP/1, many at a time, and how connections end."""
import json
import signal
import socket
import subprocess
import threading
import time

import certs
import pytest
from h2client import CANCEL, NO_ERROR, PROTOCOL_ERROR, Client
from http1 import chunked, connect, request
from hyperframe.frame import GoAwayFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame
from process import need, wait_until

CONF = """
log access json stdout
pool app { server 127.0.0.1:@app@ }
site a.test {
    listen 127.0.0.1:@https@ tls
    listen 127.0.0.1:@http@ plain
    h2c
    tls cert server.pem key server.key
    route /hello -> respond 200 "hello"
    route *  -> pool app
}
site b.test {
    listen 127.0.0.1:@https@ tls
    tls cert b.pem key b.key
    route * -> respond 200 "site b"
}
"""


def some_files():
    return {**certs.files("a.test"), **certs.files("b.test", prefix="b")}


@pytest.fixture
def site(weir, origin):
    o = origin()
    w = weir(CONF, app=o.port, files=some_files())
    w.origin = o
    return w


def both(site):
    return [Client(site.https), Client(site.http, tls=False)]


def test_answers_over_tls_and_with_prior_knowledge(site):
    for c in both(site):
        with c:
            assert c.ask(path="/hello").body == b"hello"
            a = c.ask("POST", "/x", body=b"content")
            assert (a.status, a.body) == (200, b"content")
            assert a.field("via") and a.field("date")
            assert c.settings[8] == 1 and c.settings[9] == 1 and c.settings[3] >= 100


def test_curl_takes_http2(site):
    out = subprocess.run([need("curl"), "-skv", "--http2", "--connect-to", f"a.test:443:127.0.0.1:{site.https}",
                          "https://a.test/hello"], capture_output=True, check=True)
    assert out.stdout == b"hello" and b"HTTP/2 200" in out.stderr
    out = subprocess.run([need("curl"), "-sv", "--http2-prior-knowledge", "-H", "Host: a.test", f"http://127.0.0.1:{site.http}/hello"],
                         capture_output=True, check=True)
    assert out.stdout == b"hello" and b"HTTP/2 200" in out.stderr


def test_http1_stays_beside_it(site):
    with connect(site.http) as c:
        assert c.ask(request(target="/hello")).body == b"hello"
        # Upgrade: h2c is never followed.
        r = c.ask(request(target="/hello", fields=["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"]))
        assert (r.status, r.body) == (200, b"hello")
    with certs.connect_tls(site.https, alpn=["http/1.1"]) as c:
        assert c.ask(request(target="/hello")).body == b"hello"


def test_prior_knowledge_needs_the_statement(weir, origin):
    w = weir(CONF.replace("    h2c\n", ""), app=origin().port, files=some_files())
    with connect(w.http) as c:
        c.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert c.read_response().status in (400, 505)


def test_the_origin_sees_one_clean_request(site):
    with Client(site.https) as c:
        a = c.ask("POST", "/p?q=1", extra=[("cookie", "a=1"), ("x-one", "1"), ("cookie", "b=2"), ("content-length", "3"), ("te", "trailers"),
                                           ("expect", "100-continue"), ("accept", "x/y")], body=b"abc")
        assert a.status == 200
    seen = site.origin.requests[-1]
    assert (seen.method, seen.target, seen.version) == ("POST", "/p?q=1", "HTTP/1.1")
    assert seen.fields.all("Host") == ["a.test"]
    assert seen.fields.all("Cookie") == ["a=1; b=2"]
    assert seen.fields.all("Content-Length") == ["3"] and "Transfer-Encoding" not in seen.fields
    assert seen.fields["X-Forwarded-Proto"] == "https"
    assert "2.0 weir" in seen.fields["Via"] and seen.body == b"abc"
    assert not any(n.startswith(":") for n, _ in seen.fields)


def test_many_streams_at_a_time(site):
    with Client(site.https) as c:
        streams = [c.headers(c.fields("POST", f"/{i}"), end=False) for i in range(100)]
        for i, s in reversed(list(enumerate(streams))):
            c.data(s, b"%d" % i, end=True)
        for i, s in enumerate(streams):
            assert c.answer(s).body == b"%d" % i


def test_large_content_each_way(site):
    body = bytes(range(256)) * 4096 * 3
    with Client(site.https, settings={4: 1 << 20}) as c:
        # What goes up is echoed: windows must open both ways.
        stream = c.headers(c.fields("POST", "/x"), end=False)
        credit = {0: 65535, stream: 65536}
        sent = 0
        seen = 0

        def take_updates():
            nonlocal seen
            for f in c.frames[seen:]:
                if isinstance(f, WindowUpdateFrame):
                    credit[f.stream_id] = credit.get(f.stream_id, 0) + f.window_increment
            seen = len(c.frames)

        while sent < len(body):
            take_updates()
            n = min(credit[0], credit[stream], 16384, len(body) - sent)
            if n <= 0:
                assert c.read_frame() is not None
                continue
            c.data(stream, body[sent:sent + n], end=sent + n == len(body))
            sent += n
            credit[0] -= n
            credit[stream] -= n
        assert c.answer(stream).body == body


def test_head_and_bodiless_answers(weir, origin):
    def handler(x):
        r = x.request
        if r.target == "/204":
            x.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        elif r.target == "/304":
            x.send(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 99\r\n\r\n")
        elif r.method == "HEAD":
            x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
        else:
            x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    w = weir(CONF, app=origin(handler).port, files=some_files())
    with Client(w.https) as c:
        a = c.ask("HEAD", "/x")
        assert (a.status, a.field("content-length"), a.body) == (200, "1234", b"")
        assert c.ask(path="/204").status == 204
        assert c.ask(path="/304").status == 304
        a = c.ask(path="/empty")
        assert (a.status, a.field("content-length"), a.body) == (200, "0", b"")


def test_trailers_both_ways_and_interim_answers(weir, origin):
    def handler(x):
        r = x.request
        x.send(b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\n")
        x.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
                    chunked(b"con", b"tent", trailers=[("X-Sum", "7"), ("Content-Length", "3"), ("X-Seen", r.trailers.get("X-Up", "none"))]))
    o = origin(handler)
    w = weir(CONF, app=o.port, files=some_files())
    with Client(w.https) as c:
        a = c.ask("POST", "/x", body=b"abc", trailers=[("x-up", "yes"), ("content-length", "77"), ("host", "evil.test")])
        assert [dict(i)[":status"] for i in a.interim] == ["103"] and dict(a.interim[0])["link"] == "</s.css>"
        assert a.body == b"content" and dict(a.trailers) == {"x-sum": "7", "x-seen": "yes"}
    seen = o.requests[-1]
    assert seen.trailers.all("X-Up") == ["yes"] and "X-Up" not in seen.fields
    assert "Content-Length" not in seen.trailers and "Host" not in seen.trailers and seen.fields.all("Host") == ["a.test"]


def test_an_origin_that_breaks_off_resets_the_stream_alone(weir, origin):
    def handler(x):
        r = x.request
        if r.target == "/cut":
            x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            x.close()
        else:
            x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    w = weir(CONF, app=origin(handler).port, files=some_files())
    with Client(w.https) as c:
        a = c.ask(path="/cut")
        assert a.reset not in (None, NO_ERROR) and not a.ended
        assert c.ask(path="/x").body == b"ok"


def test_a_reset_frees_the_origin(weir, origin):
    gone = threading.Event()

    def handler(x):
        r = x.request
        try:
            x.stream.read_to_end()
        finally:
            gone.set()
    o = origin(handler)
    w = weir(CONF, app=o.port, files=some_files())
    with Client(w.https) as c:
        s = c.headers(c.fields(path="/wait"))
        wait_until(lambda: o.requests, what="the request")
        c.send(RstStreamFrame(s, error_code=CANCEL))
        assert gone.wait(6)
        assert c.ask(path="/hello").body == b"hello"
        wait_until(lambda: '"reason":"canceled"' in w.stdout, what="the log line")


def test_an_early_answer_ends_the_upload(site):
    with Client(site.https) as c:
        s = c.headers(c.fields("POST", "/hello"), end=False)
        a = c.answers[s]
        c.until(lambda: a.ended, "the answer")
        c.until(lambda: a.reset is not None, "the reset")
        assert (a.status, a.body, a.reset) == (200, b"hello", NO_ERROR)
        assert c.ping()


def test_hosts_of_another_certificate_are_misdirected(site):
    with Client(site.https) as c:
        assert c.ask(authority="b.test").status == 421
        assert c.ask(authority="nobody.test").status == 421
        assert c.ask(path="/hello").status == 200


def test_log_line(site):
    with Client(site.https) as c:
        assert c.ask(path="/hello?x").status == 200
    wait_until(lambda: "/hello?x" in site.stdout, what="the log line")
    line = [json.loads(x) for x in site.stdout.splitlines() if "/hello?x" in x][0]
    assert line["protocol"] == "HTTP/2" and line["status"] == 200 and line["reason"] == "ok" and line["tls"] == "TLSv1.3"
    assert line["target"] == "/hello?x" and line["host"] == "a.test" and line["bytes_out"] > 5


def test_drain_completes_what_is_in_flight(weir, origin):
    go = threading.Event()

    def handler(x):
        r = x.request
        assert go.wait(10)
        x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
    o = origin(handler)
    w = weir(CONF, app=o.port, files=some_files())
    with Client(w.https) as busy, Client(w.https) as idle:
        s = busy.headers(busy.fields(path="/slow"))
        assert idle.ask(path="/hello").status == 200
        wait_until(lambda: o.requests, what="the request")
        w.signal(signal.SIGTERM)
        assert idle.to_end() == NO_ERROR
        busy.until(lambda: busy.goaway is not None, "a GOAWAY")
        assert busy.goaway == NO_ERROR
        go.set()
        assert busy.answer(s).body == b"done"
        assert busy.to_end() == NO_ERROR
        # In two steps (RFC 9113 6.8): requests that are on their way meanwhile are not lost.
        assert [f.last_stream_id for f in busy.frames if isinstance(f, GoAwayFrame)] == [2**31 - 1, s]
        assert w.wait(10) == 0


def test_a_reload_keeps_the_connection(site):
    with Client(site.https) as c:
        assert c.ask(path="/hello").body == b"hello"
        site.rewrite(CONF.replace('"hello"', '"new"'))
        site.signal(signal.SIGHUP)
        wait_until(lambda: c.ask(path="/hello").body == b"new", what="the new configuration")
        assert c.goaway is None


def test_silence_is_ended(weir, origin):
    w = weir(CONF + "timeouts { handshake 1s idle 1s header 1s }\n", app=origin().port, files=some_files())
    began = time.monotonic()
    with Client(w.https, greet=False) as silent, Client(w.https) as idle, Client(w.https) as half:
        half.headers(half.fields(path="/hello"), flags=())  # no END_HEADERS
        silent.to_end()
        assert idle.to_end() == NO_ERROR
        assert half.to_end() is not None
    assert time.monotonic() - began < 6


def test_a_window_that_never_opens_ends_the_stream(weir, origin):
    def handler(x):
        r = x.request
        x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" if r.target == "/small" else
                    b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000000)
    w = weir(CONF + "timeouts { between-bytes 1s }\n", app=origin(handler).port, files=some_files())
    with Client(w.https, settings={4: 0}) as c:
        small, large = c.headers(c.fields(path="/small")), c.headers(c.fields(path="/large"))
        assert c.answer(small).reset is not None and c.answer(large).reset is not None
        assert c.ping()
        c.send(SettingsFrame(0, settings={4: 65535}))
        assert c.ask(path="/hello").body == b"hello"
