# SPDX-License-Identifier: Apache-2.0
"""What must not pass over HTTP/2, and what must not cost: the classes of ../shared/attacks of the modes h2 and h2-dos, each with its
neighbours."""
import json
import pathlib
import struct
import threading
import time

import certs
import pytest
from h2client import (CANCEL, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, INITIAL_WINDOW_SIZE, PROTOCOL_ERROR, Answer, Client, frame)
from http1 import connect, request
from hyperframe.frame import (ContinuationFrame, DataFrame, HeadersFrame, PingFrame, PriorityFrame, RstStreamFrame, SettingsFrame,
                              WindowUpdateFrame)
from process import need_shared, wait_until

CONF = """
log access json stdout
pool app { server 127.0.0.1:@app@ }
site a.test b.test {
    listen 127.0.0.1:@https@ tls
    listen 127.0.0.1:@http@ plain
    h2c
    tls cert server.pem key server.key
    deny when { path /admin /admin/* /smuggled* }
    route /hello -> respond 200 "hello"
    route *      -> pool app
}
site m.test {
    listen 127.0.0.1:@https@ tls
    tls cert m.pem key m.key
    client-cert required ca ca.pem
    route * -> respond 200 "m"
}
"""


def some_files():
    return {**certs.files("a.test", "b.test", "m.test"), **certs.files("m.test", prefix="m"), "ca.pem": certs.authority()[0].read_bytes()}


@pytest.fixture
def site(weir, origin):
    o = origin()
    w = weir(CONF, app=o.port, files=some_files())
    w.origin = o
    return w


def head(method="GET", path="/x", authority="a.test", scheme="https", extra=(), drop=()):
    return [f for f in [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)] if f[0] not in drop] + list(extra)


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"
REFUSED = {
    "H2-01": [head(extra=[("foo", v)]) for v in ("bar\r\ntransfer-encoding: chunked", "a\nb", "a\rb", "\r\n")],
    "H2-03": [head(extra=[("foo", v)]) for v in ("a\0b", "\0", "a\x01", "a\x7f", "a\x1b")],
    "H2-05": [head(extra=[(n, "x")]) for n in ("a:b", "a b", "", "A", "a\0", "a\r\nb", "a\x7f", "a\xe4", "Foo", ":foo", "a(", "a,b")],
    "H2-07": [head(extra=[("test1", v)]) for v in ("\ta\t", " a", "a ", "\ta", "a\t")],
    "H2-09": [head(extra=[f]) for f in (("connection", "close"), ("connection", "te"), ("keep-alive", "1"), ("proxy-connection", "close"),
                                         ("upgrade", "websocket"), ("transfer-encoding", "chunked"), ("transfer-encoding", "identity"),
                                         ("te", "gzip"), ("te", "trailers, deflate"), ("te", "chunked"))],
    "H2-13": [head("POST", extra=[("content-length", "42")])],
    "H2-15": [head("POST", extra=[("content-length", a), ("content-length", b)]) for a, b in (("5", "6"), ("0", "0"))] +
             [head("POST", extra=[("content-length", v)]) for v in ("-1", "+0", "0x0", "", "0 0", "0,0", "18446744073709551616", "1e0")],
    "H2-17": [head(path=p) for p in ("hello", "*", "http://a.test/x", "?x", "//../..", "/a b", "/a#b", "/\x7f", "/a\tb", "/%zz", "/%00")],
    "H2-19": [head(method=m) for m in ("GET /admin HTTP/1.1\r\nx: y", "GET /admin HTTP/1.1", "", "G\tET", "GET ", "g(", "M" * 40)],
    "H2-21": [head(authority=a) for a in ("x@b.test", "a.test,b.test", "a.test b.test", "a.test/x", "", "a.test:", "a.test:0", "a.test:99999", "a.test:x",
                                          "a.test#", "a.test?", "[::1", "a\\b", "a%2etest")],
    "H2-23": [[(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), ("foo", "x"), (":path", "/")],
              [("foo", "x")] + head()],
    "H2-25": [head(drop=d) for d in ([":path"], [":method"], [":scheme"], [":authority"], [":path", ":method"])] +
             [head(extra=[f]) for f in ((":path", "/y"), (":method", "GET"), (":status", "200"), (":unknown", "x"))] +
             [[(":method", "GET"), (":method", "GET")] + head()[1:], [(":path", "/a")] + head(), [(":protocol", "websocket")] + head()],
    "H2-27": [head(path="")],
    "H2-29": [head(extra=[("host", "b.test")]), head(extra=[("host", "a.test"), ("host", "a.test")]), head(extra=[("host", "")]),
              head(drop=[":authority"], extra=[("host", "a.test"), ("host", "b.test")]), head(extra=[("host", "a.test:81")])],
}


def is_refused(a):
    return a.reset is not None or (a.status is not None and 400 <= a.status < 500)


@pytest.mark.parametrize("row", sorted(REFUSED))
def test_malformed_requests_reach_nobody(site, row):
    for fields in REFUSED[row]:
        for how in ("huffman", "plain", "split"):
            with Client(site.http, tls=False) as c:
                block = c.encoder.encode(fields, huffman=how == "huffman")
                s, c.next = c.next, c.next + 2
                c.answers[s] = Answer()
                if how == "split":
                    mid = len(block) // 2
                    c.send(HeadersFrame(s, block[:mid], flags=["END_STREAM"]), ContinuationFrame(s, block[mid:], flags=["END_HEADERS"]))
                else:
                    c.send(HeadersFrame(s, block, flags=["END_STREAM", "END_HEADERS"]))
                while not (c.answers[s].ended or is_refused(c.answers[s]) or c.goaway is not None):
                    if c.read_frame() is None:
                        break
                assert c.closed or c.goaway is not None or is_refused(c.answers[s]), (fields, how, c.answers[s])
                if not c.closed and c.goaway is None:
                    assert c.ask(path="/hello", scheme="http").body == b"hello"  # the stream alone was at fault
    assert not site.origin.requests


LENGTHS = [("0", [SMUGGLED]), ("10", [SMUGGLED]), ("10", [b"x" * 10, SMUGGLED]), ("42", [b"short"]), ("5", [b"", b"abc", b""]), ("5", [b"abcde", b"f"])]


@pytest.mark.parametrize("length, parts", LENGTHS)
@pytest.mark.parametrize("apart", [False, True])
def test_content_that_is_not_as_long_as_it_says(site, length, parts, apart):
    with Client(site.http, tls=False) as c:
        s = c.headers(head("POST", extra=[("content-length", length)]), end=False)
        for i, p in enumerate(parts):
            if apart:
                assert c.ping()
            c.data(s, p, end=i == len(parts) - 1)
        assert is_refused(c.answer(s))
        assert c.ask(path="/hello", scheme="http").body == b"hello"
    # What reached the origin, if anything, was not whole: it saw no request, and nothing behind it.
    assert not site.origin.requests
    assert not site.origin.errors or all("ended" in str(e) for e in site.origin.errors)


def test_trailers_are_checked_as_fields_are(site):
    for trailers in ([("a b", "x")], [("x", "a\nb")], [(":path", "/y")], [("connection", "close")], [("X-Up", "1")]):
        with Client(site.http, tls=False) as c:
            a = c.ask("POST", "/x", scheme="http", body=b"abc", trailers=trailers)
            assert is_refused(a), trailers
    with Client(site.http, tls=False) as c:  # trailers that do not end the stream
        s = c.headers(head("POST"), end=False)
        c.headers([("x-up", "1")], stream=s, end=False)
        assert is_refused(c.answer(s))


def test_certificates_of_clients_hold_for_their_site(site):
    with Client(site.https) as c:
        assert c.ask(authority="m.test").status == 421
        assert c.ask(path="/hello").status == 200


def test_denied_paths_are_denied(site):
    with Client(site.https) as c:
        for path in ("/admin", "/admin/x", "/x/../admin", "/%61dmin", "/smuggled", "/a/%2e%2e/admin"):
            assert c.ask(path=path).status in (400, 403), path
    assert not site.origin.requests


# ---- Floods: the connection is ended; whoever is beside it does not notice.

def until_closed(c, frames, batch=200, most=100000):
    """Sends frames (an iterator of bytes) until the other side ends the connection."""
    c.sock.settimeout(10)
    sent = 0
    out = []
    for f in frames:
        out.append(f if isinstance(f, bytes) else f.serialize())
        if len(out) == batch:
            c.send(b"".join(out))
            sent += len(out)
            out = []
            c.sock.setblocking(False)
            try:
                while c.fill():
                    pass
            except BlockingIOError:
                pass
            c.sock.setblocking(True)
            c.sock.settimeout(10)
            if c.closed or sent > most:
                break
    c.send(b"".join(out))
    code = c.to_end()
    return code


def requests_and_resets(c):
    while True:
        s, c.next = c.next, c.next + 2
        yield HeadersFrame(s, c.encoder.encode(head(scheme="http")), flags=["END_HEADERS", "END_STREAM"]).serialize() + \
            RstStreamFrame(s, error_code=CANCEL).serialize()


def provoked(c, bad):
    """Requests that are made to fail by us: each is reset by the server (MadeYouReset)."""
    while True:
        s, c.next = c.next, c.next + 2
        yield HeadersFrame(s, c.encoder.encode(head("POST", scheme="http")), flags=["END_HEADERS"]).serialize() + bad(s)


def forever(f):
    data = f if isinstance(f, bytes) else f.serialize()
    while True:
        yield data


def table_sizes(c):
    while True:
        s, c.next = c.next, c.next + 2
        block = b"\x20\x3f\xe1\x1f" * 2 + c.encoder.encode(head(scheme="http"))  # 0, 4096, 0, 4096: more than two updates
        yield HeadersFrame(s, block, flags=["END_HEADERS", "END_STREAM"])


FLOODS = {
    "HX-01 rapid reset": requests_and_resets,
    "HX-03 window overflow": lambda c: provoked(c, lambda s: WindowUpdateFrame(s, window_increment=0x7fffffff).serialize()),
    "HX-03 window overflow of the connection": lambda c: forever(WindowUpdateFrame(0, window_increment=0x7fffffff)),
    "HX-03 increment 0": lambda c: provoked(c, lambda s: frame(8, 0, s, b"\0\0\0\0")),
    "HX-05 priority length": lambda c: provoked(c, lambda s: frame(2, 0, s, b"\0\0\0\0")),
    "HX-05 priority on itself": lambda c: provoked(c, lambda s: PriorityFrame(s, depends_on=s, stream_weight=1).serialize()),
    "provoked by too much content": lambda c: provoked(c, lambda s: b"".join(DataFrame(s, b"x" * 16384).serialize() for _ in range(5))),
    "provoked by a second head": lambda c: provoked(c, lambda s: HeadersFrame(s, c.encoder.encode([("x", "y")]), flags=["END_HEADERS"]).serialize()),
    "HX-09 PING": lambda c: forever(PingFrame(0, b"01234567")),
    "HX-11 PRIORITY": lambda c: forever(PriorityFrame(1, depends_on=0, stream_weight=7)),
    "PRIORITY_UPDATE": lambda c: forever(frame(0x10, 0, 0, struct.pack("!I", 1) + b"u=1")),
    "SETTINGS": lambda c: forever(SettingsFrame(0, settings={4: 65535})),
    "empty SETTINGS": lambda c: forever(SettingsFrame(0)),
    "HX-15 table sizes": table_sizes,
    "WINDOW_UPDATE": lambda c: forever(WindowUpdateFrame(0, window_increment=1)),
}


@pytest.mark.parametrize("name", sorted(FLOODS))
def test_floods_end_the_connection(site, name):
    with Client(site.http, tls=False) as c, connect(site.http) as good:
        assert c.ping()
        code = until_closed(c, FLOODS[name](c))
        assert code is not None or c.closed
        assert code != 0, "that is no orderly end"
        assert good.ask(request(target="/hello")).body == b"hello"
    assert len(site.origin.requests) <= 300


def test_empty_frames_end_the_connection(site):
    with Client(site.http, tls=False) as c:
        s = c.headers(head("POST", scheme="http"), end=False)
        assert c.ping()
        assert until_closed(c, forever(DataFrame(s, b""))) == ENHANCE_YOUR_CALM


@pytest.mark.parametrize("piece", [b"", b"\x82", b"\x40\x01x\x7f\x80\x01" + b"y" * 255])
def test_continuations_without_end(site, piece):
    with Client(site.http, tls=False) as c:
        assert c.ping()
        c.send(HeadersFrame(1, c.encoder.encode(head())))
        assert until_closed(c, forever(ContinuationFrame(1, piece))) not in (None, 0)


@pytest.mark.parametrize("name", ["x", "cookie"])
def test_hpack_bomb(site, name):
    """One entry of 4,000 octets, and then references to it of one octet each; windows closed."""
    with Client(site.http, tls=False, settings={INITIAL_WINDOW_SIZE: 0}) as c:
        block = c.encoder.encode(head(scheme="http")) + b"\x40" + bytes([len(name)]) + name.encode() + b"\x7f\x81\x1e" + b"v" * 3968
        for n in range(40):
            c.next += 2
            c.answers[c.next] = Answer()
            c.send(HeadersFrame(c.next, (block if n == 0 else c.encoder.encode(head(scheme="http"))) + b"\xbe" * 8000,
                                flags=["END_HEADERS", "END_STREAM"]))
            if c.closed:
                break
        assert c.to_end() == ENHANCE_YOUR_CALM
    assert not site.origin.requests


@pytest.mark.parametrize("extra", [[("x", "y" * 300000)], [(f"x{i}", "y") for i in range(12000)], [("cookie", "y")] * 12000])
def test_heads_that_are_too_large(site, extra):
    with Client(site.http, tls=False) as c:
        block = c.encoder.encode(head(scheme="http", extra=extra))
        parts = [block[i:i + 16384] for i in range(0, len(block), 16384)]
        c.answers[1] = Answer()
        c.send(HeadersFrame(1, parts[0], flags=["END_STREAM"]), *[ContinuationFrame(1, p) for p in parts[1:]],
               ContinuationFrame(1, b"", flags=["END_HEADERS"]))
        while not is_refused(c.answers[1]) and c.goaway is None:
            if c.read_frame() is None:
                break
        assert c.closed or c.goaway is not None or c.answers[1].status == 431 or c.answers[1].reset is not None
    assert not site.origin.requests


def test_what_is_large_but_lawful_passes(site):
    with Client(site.http, tls=False) as c:
        extra = [(f"x-{i}", "y" * 40) for i in range(90)] + [("cookie", f"c{i}=v") for i in range(180)]
        assert c.ask(path="/" + "p" * 7000, scheme="http", extra=extra).status == 200
        assert c.ask(path="/x", scheme="http", extra=[("x", "y" * 6000)]).status == 200
        s, c.next = c.next, c.next + 2
        block = c.encoder.encode(head(path="/" + "!" * 60000, scheme="http"), huffman=False)
        c.answers[s] = Answer()
        c.send(HeadersFrame(s, block[:16000], flags=["END_STREAM"]), *[ContinuationFrame(s, block[i:i + 16000]) for i in range(16000, len(block), 16000)],
               ContinuationFrame(s, b"", flags=["END_HEADERS"]))
        assert c.answer(s).status == 414
    assert len(site.origin.requests) == 2


def test_requests_left_open(weir, origin):
    go = threading.Event()

    def handler(x):
        go.wait(20)
        x.reply(body=b"late")
    o = origin(handler)
    w = weir(CONF, app=o.port, files=some_files())
    try:
        with Client(w.http, tls=False) as c:
            for _ in range(2000):
                c.headers(head(scheme="http"))
            c.to_end()
            assert c.goaway not in (None, 0) or any(a.reset is not None for a in c.answers.values())
        assert len(o.requests) <= 100
    finally:
        go.set()


def test_streams_that_were_reset_count_until_their_work_ends(weir, origin):
    """The origin sees no more requests at a time than there may be streams, however fast they are given up."""
    go = threading.Event()
    o = origin(lambda x: (go.wait(20), x.reply(body=b"late")))
    w = weir(CONF, app=o.port, files=some_files())
    try:
        with Client(w.http, tls=False) as c:
            for _ in range(90):
                s = c.headers(head(scheme="http"))
                c.send(RstStreamFrame(s, error_code=CANCEL))
                assert c.ping()
            assert c.ask(path="/hello", scheme="http").body == b"hello"
    finally:
        go.set()


ONE_BY_ONE = {
    "a frame that is too large": (frame(0, 0, 1, b"x" * 16385), FRAME_SIZE_ERROR),
    "DATA on stream 0": (DataFrame(1, b"x").serialize()[:5] + b"\0\0\0\0x", PROTOCOL_ERROR),
    "an even stream": (lambda c: HeadersFrame(2, c.encoder.encode(head()), flags=["END_HEADERS", "END_STREAM"]), PROTOCOL_ERROR),
    "HEADERS on stream 0": (lambda c: frame(1, 5, 0, c.encoder.encode(head())), PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", sorted(ONE_BY_ONE))
def test_errors_of_framing_end_the_connection(site, name):
    data, code = ONE_BY_ONE[name]
    with Client(site.http, tls=False) as c:
        assert c.ping()
        c.send(data(c) if callable(data) else data)
        assert c.to_end() == code


def test_a_stream_id_that_goes_back(site):
    with Client(site.http, tls=False) as c:
        assert c.ask(path="/hello", scheme="http").status == 200
        c.next = 9
        assert c.ask(path="/hello", scheme="http").status == 200
        c.headers(head(scheme="http"), stream=5)
        # nghttp2 cannot tell it from a late frame of a stream that was closed; nothing comes of it.
        assert c.ping() is False or not c.answers[5].ended
        assert not site.origin.requests


def test_every_row_of_the_table_has_its_test():
    rows = [json.loads(line) for line in pathlib.Path(need_shared("attacks", "rows.jsonl")).read_text().splitlines()]
    here = pathlib.Path(__file__).read_text()
    elsewhere = {"H2-11": "LENGTHS", "H2-31": "m.test", "HX-07": "test_hpack_bomb", "HX-13": "test_zero_windows", "HX-17": "ONE_BY_ONE"}
    for row in rows:
        if row["mode"] in ("h2", "h2-dos"):
            assert row["id"] in here and elsewhere.get(row["id"], row["id"]) in here, row["id"]


def test_zero_windows_cost_little(weir, origin):
    """HX-13: answers that nobody takes, on many connections. The ones that have stood longest are ended; whoever is beside them is served."""
    o = origin(lambda x: x.reply(body=b"x" * 1024))
    w = weir("threads 1\n" + CONF.replace("respond 200 \"hello\"", "respond 200 \"" + "h" * 900 + "\""), app=o.port, files=some_files())
    clients = []
    try:
        with connect(w.http) as good:
            for _ in range(30):
                c = Client(w.http, tls=False, settings={INITIAL_WINDOW_SIZE: 0})
                clients.append(c)
                c.answers = {1 + 2 * i: Answer() for i in range(100)}
                block = b"".join(HeadersFrame(1 + 2 * i, c.encoder.encode(head(path="/hello", scheme="http")), flags=["END_HEADERS", "END_STREAM"]).serialize()
                                 for i in range(100))
                c.send(block)
                assert c.ping() or c.goaway == ENHANCE_YOUR_CALM
                assert good.ask(request(target="/hello")).status == 200
            ended = 0
            for c in clients[:10]:
                c.sock.settimeout(0.5)
                try:
                    ended += c.to_end() == ENHANCE_YOUR_CALM
                except TimeoutError:
                    pass
            assert ended >= 3
    finally:
        for c in clients:
            c.sock.close()


def test_windows_that_open_by_an_octet_are_shut(weir, origin):
    """A reader that takes an octet now and then is one that does not read (INTERFACE 65)."""
    o = origin(lambda x: x.reply(body=b"x" * 200000))
    w = weir(CONF + "timeouts { between-bytes 1s }\n", app=o.port, files=some_files())
    with Client(w.http, tls=False, settings={INITIAL_WINDOW_SIZE: 0}) as c:
        c.auto_window = False
        s = c.headers(head(scheme="http"))
        began = time.monotonic()
        while c.answers[s].reset is None and time.monotonic() < began + 8:
            c.send(WindowUpdateFrame(s, window_increment=1))
            c.sock.settimeout(0.1)
            try:
                if c.read_frame() is None:
                    break
            except TimeoutError:
                pass
        assert c.answers[s].reset is not None or c.closed
        assert time.monotonic() < began + 6


def test_a_client_that_leaves_in_the_middle_of_its_request(site):
    """The end of the connection is the end of every request that was not whole."""
    with Client(site.http, tls=False) as c:
        c.headers(head("POST", scheme="http"), end=False)
        assert c.ping()
        import socket
        c.sock.shutdown(socket.SHUT_WR)
        began = time.monotonic()
        c.to_end()
        assert time.monotonic() < began + 8
    assert not site.origin.requests


def test_empty_crumbs_of_cookies_leave_no_trace(site):
    with Client(site.http, tls=False) as c:
        c.ask(path="/x", scheme="http", extra=[("cookie", ""), ("cookie", "a=1"), ("cookie", ""), ("cookie", "b=2"), ("cookie", "")])
    assert site.origin.requests[-1].fields.all("Cookie") == ["a=1; b=2"]
