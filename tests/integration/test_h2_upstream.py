# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 toward servers: many requests on a connection, what is refused is tried again, gRPC passes unharmed."""
import base64
import hashlib
import ssl
import threading
import time

import certs
import pytest
from h2client import CANCEL, Client
from h2origin import H2Origin
from http1 import chunked, connect, request
from hyperframe.frame import RstStreamFrame
from process import free_port, need, wait_until

CONF = """
log access json stdout
pool app { server 127.0.0.1:@app@; http2 }
site a.test {
    listen 127.0.0.1:@http@
    h2c
    route * -> pool app
}
"""


@pytest.fixture
def h2origin():
    started = []

    def start(handler, **options):
        started.append(H2Origin(handler, **options))
        return started[-1]
    yield start
    for o in started:
        o.stop()
        assert not o.errors, o.errors


def echo(r):
    r.reply(body=r.body or b"hello over h2")


def test_requests_share_a_connection(weir, h2origin):
    o = h2origin(echo)
    w = weir("threads 1\n" + CONF, app=o.port)
    with Client(w.http, tls=False) as c:
        streams = [c.headers(c.fields("POST", f"/{i}?q", scheme="http"), end=False) for i in range(60)]
        for i, s in enumerate(streams):
            c.data(s, b"%d" % i, end=True)
        assert [c.answer(s).body for s in streams] == [b"%d" % i for i in range(60)]
    with connect(w.http) as c:
        r = c.ask(request("POST", "/h1", body=b"from h1", fields=[("Cookie", "a=1"), ("TE", "trailers"), ("Connection", "TE")]))
        assert (r.status, r.body) == (200, b"from h1") and "2.0 weir" in r.fields["Via"]
    assert len(o.connections) == 1
    seen = o.requests[-1]
    assert (seen[":method"], seen[":path"], seen[":scheme"], seen[":authority"]) == ("POST", "/h1", "http", "a.test")
    assert "host" not in seen and "connection" not in seen and seen["te"] == "trailers" and seen["content-length"] == "7"
    assert seen["x-forwarded-for"] == "127.0.0.1" and seen["via"].endswith("1.1 weir") and seen["cookie"] == "a=1"


def test_large_content_each_way(weir, h2origin):
    o = h2origin(echo)
    w = weir(CONF, app=o.port)
    body = bytes(range(256)) * 4096 * 4
    with connect(w.http, timeout=30) as c:
        t = threading.Thread(target=c.send, args=(request("POST", "/x", body=body),))
        t.start()
        r = c.read_response("POST")
        t.join()
        assert r.body == body
        r = c.ask(b"POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"abc", b"def"))
        assert r.body == b"abcdef"


def test_a_slow_reader_does_not_hold_up_others(weir, h2origin):
    big = b"x" * (8 << 20)
    o = h2origin(lambda r: r.reply(body=big if r[":path"] == "/big" else b"small"))
    w = weir("threads 1\n" + CONF, app=o.port)
    with connect(w.http) as slow, connect(w.http) as quick:
        slow.send(request(target="/big"))
        slow.sock.recv(1)
        for _ in range(20):
            assert quick.ask(request(target="/small")).body == b"small"
    assert len(o.connections) == 1


def test_heads_without_content_trailers_and_interim(weir, h2origin):
    def handler(r):
        if r[":path"] == "/trailers":
            r.head(103, [("link", "</x>")])
            r.head(200)
            r.data(b"con")
            r.data(b"tent")
            r.end([("x-sum", "7"), ("x-up", dict(r.trailers or []).get("x-up", "none"))])
        elif r[":path"] == "/204":
            r.head(204, end=True)
        elif r[":path"] == "/304":
            r.head(304, [("etag", '"x"')], end=True)
        elif r[":method"] == "HEAD":
            r.head(200, [("content-length", "99")], end=True)
        else:
            r.head(200, end=True)
    o = h2origin(handler)
    w = weir(CONF, app=o.port)
    with connect(w.http) as c:
        r = c.ask(request(target="/trailers", fields=["TE: trailers", "Connection: TE"]))
        assert r.body == b"content" and r.trailers["X-Sum"] == "7" and r.interim[0].status == 103
        r = c.ask(b"POST /trailers HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n" +
                  chunked(b"x", trailers=[("X-Up", "yes")]))
        assert r.trailers["X-Up"] == "yes"
        assert c.ask(request(target="/204")).status == 204
        assert c.ask(request(target="/304")).status == 304
        assert c.ask(request("HEAD", "/x")).fields["Content-Length"] == "99"
        assert c.ask(request(target="/empty")).body == b""


BAD = {
    "two heads": [(":status", "200"), (":status", "200")],
    "no status": [("x", "y")],
    "a status that is none": [(":status", "20")],
    "101": [(":status", "101")],
    "upper case": [(":status", "200"), ("X-Up", "1")],
    "connection": [(":status", "200"), ("connection", "close")],
    "transfer-encoding": [(":status", "200"), ("transfer-encoding", "chunked")],
    "line ends": [(":status", "200"), ("x", "a\r\nb: c")],
    "two lengths": [(":status", "200"), ("content-length", "1"), ("content-length", "1")],
    "a bad length": [(":status", "200"), ("content-length", "-1")],
    "a request's pseudo-field": [(":status", "200"), (":path", "/")],
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_answers_are_502(weir, h2origin, name):
    def handler(r):
        if r[":path"] == "/good":
            r.reply(body=b"good")
            return
        with r.connection.lock:
            import hpack
            block = r.connection.h2.encoder.encode(BAD[name])
            from hyperframe.frame import HeadersFrame
            r.connection.sock.sendall(HeadersFrame(r.stream, block, flags=["END_HEADERS", "END_STREAM"]).serialize())
    o = h2origin(handler)
    w = weir(CONF, app=o.port)
    with connect(w.http) as c:
        r = c.ask(request(target="/bad"))
        assert r.status == 502
    with connect(w.http) as c:
        assert c.ask(request(target="/good")).body == b"good"


def test_content_that_is_not_as_long_as_it_says(weir, h2origin):
    def handler(r):
        r.head(200, [("content-length", "5")])
        from hyperframe.frame import DataFrame
        with r.connection.lock:
            r.connection.sock.sendall(DataFrame(r.stream, b"abc" if r[":path"] == "/less" else b"abcdefgh", flags=["END_STREAM"]).serialize())
    o = h2origin(handler)
    w = weir(CONF, app=o.port)
    for path in ("/less", "/more"):
        with connect(w.http) as c:
            c.send(request(target=path, fields=["Connection: close"]))
            data = c.read_to_end()
            assert b" 502 " in data.split(b"\r\n")[0] or len(data.split(b"\r\n\r\n", 1)[1]) < 5


def test_what_was_refused_is_tried_again(weir, h2origin):
    def handler(r):
        if len(o.requests) == 1:
            r.refuse(7)
        else:
            r.reply(body=r.body or b"second")
    o = h2origin(handler)
    w = weir(CONF, app=o.port)
    with connect(w.http) as c:
        assert c.ask(request("POST", "/x")).body == b"second"  # not idempotent, but surely not processed
    assert len(o.requests) == 2


def test_goaway_moves_on_to_another_connection(weir, h2origin):
    def handler(r):
        if r[":path"] == "/first" and len(o.requests) == 1:
            r.connection.do(lambda c: c.close_connection(last_stream_id=0))
        else:
            r.reply(body=b"ok")
    o = h2origin(handler)
    w = weir("threads 1\n" + CONF, app=o.port)
    with connect(w.http) as c:
        assert c.ask(request("POST", "/first")).body == b"ok"
        assert c.ask(request(target="/second")).body == b"ok"
    assert len(o.connections) == 2


def test_a_connection_that_breaks(weir, h2origin):
    def handler(r):
        if r[":path"] == "/die":
            import socket
            r.connection.sock.shutdown(socket.SHUT_RDWR)
        else:
            r.reply(body=b"ok")
    o = h2origin(handler)
    w = weir(CONF, app=o.port)
    with connect(w.http) as c:
        assert c.ask(request(target="/x")).body == b"ok"
        assert c.ask(request("POST", "/die", body=b"x")).status == 502
    with connect(w.http) as c:
        assert c.ask(request(target="/x")).body == b"ok"


def test_no_more_streams_than_the_server_allows(weir, h2origin):
    most, now, lock = [0], [0], threading.Lock()

    def handler(r):
        with lock:
            now[0] += 1
            most[0] = max(most[0], sum(1 for x in r.connection.requests.values() if not x.done))
        time.sleep(0.05)
        r.reply(body=b"ok")
        r.done = True
    o = h2origin(handler, streams=5)
    import h2origin as module
    module.Request.done = False
    w = weir("threads 1\n" + CONF, app=o.port)
    with Client(w.http, tls=False) as c:
        assert c.ask(path="/warm", scheme="http").status == 200
        streams = [c.headers(c.fields(path=f"/{i}", scheme="http")) for i in range(40)]
        assert all(c.answer(s).status == 200 for s in streams)
    assert len(o.connections) >= 8 and most[0] <= 5


def test_a_client_that_leaves_resets_its_stream_alone(weir, h2origin):
    go = threading.Event()

    def handler(r):
        if r[":path"] == "/wait":
            go.wait(10)
            return
        r.reply(body=b"ok")
    o = h2origin(handler)
    w = weir("threads 1\n" + CONF, app=o.port)
    with Client(w.http, tls=False) as c:
        s = c.headers(c.fields(path="/wait", scheme="http"))
        wait_until(lambda: o.requests, what="the request")
        c.send(RstStreamFrame(s, error_code=CANCEL))
        wait_until(lambda: o.requests[0].reset is not None, what="the reset")
        assert c.ask(path="/x", scheme="http").body == b"ok"
    go.set()
    assert len(o.connections) == 1


def test_alpn_decides(weir, h2origin, origin):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert, key = certs.leaf("a.test")
    path = certs.home() / "h2origin.pem"
    path.write_bytes(cert + key)
    c.load_cert_chain(path)
    c.set_alpn_protocols(["h2"])
    o = h2origin(echo, ssl=c)
    conf = CONF.replace("http2 }", "http2; tls { verify ca.pem; name a.test } }")
    w = weir(conf, app=o.port, files={"ca.pem": certs.authority()[0].read_bytes()})
    with connect(w.http) as c:
        for _ in range(3):
            assert c.ask(request()).body == b"hello over h2"
    assert o.requests[-1][":scheme"] == "https"


def test_a_server_that_does_not_agree_is_spoken_to_by_http1(weir, origin):
    """Offered are both; each exchange has a connection of its own then, and an upgrade is HTTP/1's."""
    o = origin(lambda x: x.reply(body=x.request.version.encode()), tls=certs.server_context("a.test"))
    conf = CONF.replace("http2 }", "http2; tls { verify ca.pem; name a.test } }")
    w = weir("threads 1\n" + conf, app=o.port, files={"ca.pem": certs.authority()[0].read_bytes()})
    with connect(w.http) as c, connect(w.http) as d:
        for _ in range(3):
            c.send(request())
            d.send(request())
            assert c.read_response().body == d.read_response().body == b"HTTP/1.1"
    assert o.connections <= 2


def test_a_pool_without_http2_offers_http1_alone(weir, h2origin, origin):
    seen = []
    c = certs.server_context("a.test", alpn=("h2", "http/1.1"))
    o = origin(lambda x: (seen.append(x.stream.sock.selected_alpn_protocol()), x.reply(body=b"one"))[1], tls=c)
    conf = CONF.replace("http2 }", "tls { verify ca.pem; name a.test } }")
    w = weir(conf, app=o.port, files={"ca.pem": certs.authority()[0].read_bytes()})
    with connect(w.http) as s:
        assert s.ask(request()).body == b"one"
    assert seen == ["http/1.1"]


def test_nghttpd(weir, process, folder):
    www = folder / "www"
    www.mkdir()
    (www / "small.txt").write_bytes(b"small\n")
    (www / "large.bin").write_bytes(bytes(range(256)) * 4096 * 3)
    port = free_port()
    process([need("nghttpd"), "--no-tls", "-d", www, str(port)], [port])
    w = weir(CONF, app=port)
    with connect(w.http, timeout=30) as c:
        assert c.ask(request(target="/small.txt")).body == b"small\n"
        assert c.ask(request(target="/large.bin")).body == bytes(range(256)) * 4096 * 3
        assert c.ask(request(target="/none")).status == 404


def test_checks_speak_http2_too(weir, h2origin):
    o = h2origin(echo)
    w = weir(CONF.replace("http2 }", "http2; check GET /healthz every 100ms }"), app=o.port)
    wait_until(lambda: sum(r[":path"] == "/healthz" for r in o.requests) >= 3, what="the checks")
    with connect(w.http) as c:
        assert c.ask(request()).body == b"hello over h2"


# ---- WebSockets

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", KEY)]


def ws(r):
    assert r[":method"] == "CONNECT" and r[":protocol"] == "websocket" and "sec-websocket-key" not in r
    r.head(200, [("sec-websocket-protocol", "chat")])
    seen = 0
    while True:
        with r.connection.lock:
            while len(r.body) == seen and not r.ended and r.reset is None:
                r.connection.lock.wait(10)
            if r.reset is not None:
                return
            part, seen = r.body[seen:], len(r.body)
        if part:
            r.data(part)
        if r.ended:
            r.end()
            return


def test_a_websocket_of_http1_to_a_server_of_http2(weir, h2origin):
    o = h2origin(ws, at_once=True)
    w = weir(CONF, app=o.port)
    with connect(w.http) as c:
        r = c.ask(request(target="/ws", fields=UPGRADE))
        assert r.status == 101 and r.fields["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert r.fields["Upgrade"] == "websocket" and r.fields["Sec-WebSocket-Protocol"] == "chat"
        c.send(b"frames")
        assert c.read_exactly(6) == b"frames"


def test_a_websocket_of_http2_on_both_sides(weir, h2origin):
    o = h2origin(ws, at_once=True)
    w = weir(CONF, app=o.port)
    with Client(w.http, tls=False) as c:
        s = c.headers([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/ws"), (":authority", "a.test")], end=False)
        c.until(lambda: c.answers[s].fields, "the answer")
        assert c.answers[s].status == 200
        c.data(s, b"frames")
        c.until(lambda: c.answers[s].body == b"frames", "the echo")
        c.data(s, b"", end=True)
        c.until(lambda: c.answers[s].ended, "the end")
