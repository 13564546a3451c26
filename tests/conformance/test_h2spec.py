# SPDX-License-Identifier: Apache-2.0
"""What h2spec asks of a server, written anew as a table: each row sends frames on a fresh connection and names what may come of it.
Sections are RFC 9113's (of HPACK: RFC 7541's)."""
import struct

import certs
import pytest
from h2client import (CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS,
                      MAX_FRAME_SIZE, PREFACE, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED, Answer, Client, frame)
from hyperframe.frame import (ContinuationFrame, DataFrame, GoAwayFrame, HeadersFrame, PingFrame, PriorityFrame, RstStreamFrame, SettingsFrame,
                              WindowUpdateFrame)

CONF = """
pool app { server 127.0.0.1:@app@ }
site a.test {
    listen 127.0.0.1:@http@
    listen 127.0.0.1:@https@ tls
    plain
    h2c
    tls cert server.pem key server.key
    route /hello -> respond 200 "hello"
    route *      -> pool app
}
"""
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, PRIO = 1, 4, 8, 32
ACK = 1


@pytest.fixture(scope="module")
def ports(tmp_path_factory):
    from origin import Origin
    from process import Weir
    home = tmp_path_factory.mktemp("h2spec")
    for path in [home, *home.parents]:
        if str(path) == "/tmp":
            break
        path.chmod(0o755)
    o = Origin()
    w = Weir(home, CONF, app=o.port, files=certs.files("a.test"))
    w.wait_ports([w.http, w.https])
    yield w
    w.stop()
    o.stop()


def get(extra=(), method="GET", path="/hello", drop=()):
    f = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a.test")]
    return [x for x in f if x[0] not in drop] + list(extra)


def post(extra=()):
    return get(extra, "POST", "/echo")


def block(c, fields, huffman=True):
    return c.encoder.encode(fields, huffman=huffman)


def open_stream(c, fields=None):
    """A request whose content is still to come; its stream is open."""
    return c.headers(fields or post(), end=False)


def half_closed(c):
    """A request that has ended, to an origin that takes its time: half-closed (remote) as long as nobody reads what comes of it."""
    c.send(SettingsFrame(0, settings={INITIAL_WINDOW_SIZE: 0}))
    return c.headers(get(path="/echo"))


def done(c):
    """A stream that has ended on both sides."""
    s = c.headers(get())
    c.answer(s)
    return s


def reset(c):
    s = open_stream(c)
    c.send(RstStreamFrame(s, error_code=CANCEL))
    return s


def raw_headers(c, stream, data, flags=END_HEADERS | END_STREAM):
    c.answers.setdefault(stream, Answer())
    c.next = max(c.next, stream + 2)
    c.send(frame(HEADERS, flags, stream, data))
    return stream


def send(*frames):
    return lambda c: c.send(*frames)


# ---- What is lawful: each of these is answered, and the connection lives.

def window_of_one(c):
    c.auto_window = False
    c.send(SettingsFrame(0, settings={INITIAL_WINDOW_SIZE: 1}))
    s = c.headers(get())
    c.until(lambda: len(c.answers[s].body) == 1, "one octet")
    assert c.ping() and c.answers[s].body == b"h"
    c.send(WindowUpdateFrame(s, window_increment=1))
    c.until(lambda: len(c.answers[s].body) == 2, "another")
    c.send(WindowUpdateFrame(s, window_increment=100))
    return s


def window_that_grows_later(c):
    c.auto_window = False
    c.send(SettingsFrame(0, settings={INITIAL_WINDOW_SIZE: 0}))
    s = c.headers(get())
    c.until(lambda: c.answers[s].fields, "the head")
    assert c.ping() and c.answers[s].body == b""
    c.send(SettingsFrame(0, settings={INITIAL_WINDOW_SIZE: 1}))
    c.until(lambda: c.answers[s].body, "an octet")
    c.send(SettingsFrame(0, settings={INITIAL_WINDOW_SIZE: 65535}))
    return s


def window_below_zero(c):
    c.auto_window = False
    c.send(SettingsFrame(0, settings={INITIAL_WINDOW_SIZE: 3}))
    s = c.headers(get())
    c.until(lambda: len(c.answers[s].body) == 3, "three octets")
    c.send(SettingsFrame(0, settings={INITIAL_WINDOW_SIZE: 2}), WindowUpdateFrame(s, window_increment=1))
    assert c.ping() and len(c.answers[s].body) == 3  # 2 - 3 + 1 = 0
    c.send(WindowUpdateFrame(s, window_increment=2))
    return s


def settings_in_order(c):
    c.auto_window = False
    c.send(frame(SETTINGS, 0, 0, struct.pack("!HIHI", INITIAL_WINDOW_SIZE, 100, INITIAL_WINDOW_SIZE, 1)))
    s = c.headers(get())
    c.until(lambda: c.answers[s].body, "an octet")
    assert c.ping() and len(c.answers[s].body) == 1
    c.send(WindowUpdateFrame(s, window_increment=100))
    return s


def settings_are_acknowledged(c):
    n = sum(isinstance(f, SettingsFrame) and "ACK" in f.flags for f in c.frames)
    c.send(SettingsFrame(0, settings={0x99: 7}))
    c.until(lambda: sum(isinstance(f, SettingsFrame) and "ACK" in f.flags for f in c.frames) > n, "the acknowledgement")


def ping_is_answered(c):
    assert c.ping(b"\1\2\3\4\5\6\7\x08")


def acknowledged_ping_is_not(c):
    c.send(PingFrame(0, b"unasked!", flags=["ACK"]))
    assert c.ping()
    assert not any(isinstance(f, PingFrame) and f.opaque_data == b"unasked!" for f in c.frames)


def padded_data(c):
    s = open_stream(c)
    c.send(frame(DATA, PADDED | END_STREAM, s, b"\x05hello" + b"\0" * 5))
    assert c.answer(s).body == b"hello"
    return s


def several_data(c):
    s = open_stream(c)
    c.data(s, b"he")
    c.data(s, b"")
    c.data(s, b"llo", end=True)
    assert c.answer(s).body == b"hello"
    return s


def full_frame(c):
    s = open_stream(c)
    c.data(s, b"x" * 16384, end=True)
    assert len(c.answer(s).body) == 16384
    return s


def continuations(n):
    def run(c):
        b = block(c, get())
        s, c.next = c.next, c.next + 2
        c.answers[s] = Answer()
        step = -(-len(b) // (n + 1))
        parts = [b[i:i + step] for i in range(0, len(b), step)]
        c.send(HeadersFrame(s, parts[0], flags=["END_STREAM"]), *[ContinuationFrame(s, p) for p in parts[1:-1]],
               ContinuationFrame(s, parts[-1], flags=["END_HEADERS"]))
        return s
    return run


def literal(kind, indexed=True, huffman=False):
    def run(c):
        import hpack
        value = hpack.huffman.HuffmanEncoder(hpack.huffman_constants.REQUEST_CODES, hpack.huffman_constants.REQUEST_CODES_LENGTH).encode(b"/hello") \
            if huffman else b"/hello"
        v = bytes([len(value) | (0x80 if huffman else 0)]) + value
        name = {0x40: b"\x44", 0: b"\x04", 0x10: b"\x14"}[kind] if indexed else bytes([kind]) + b"\x05:path"
        return raw_headers(c, c.next, b"\x82\x86" + name + v + b"\x01\x06a.test")
    return run


GOOD = {
    "3.4 the preface is answered by SETTINGS": lambda c: c.until(lambda: c.settings, "SETTINGS"),
    "4.1 a frame of an unknown type": send(frame(0x16, 0, 0, b"\0" * 8)),
    "4.1 undefined flags of a PING": send(frame(PING, 0x16, 0, b"\0" * 8)),
    "4.1 the reserved bit": send(frame(PING, 0, 0x80000000, b"\0" * 8)),
    "4.2 content of 2^14 octets": full_frame,
    "5.1 PRIORITY for an idle stream": send(PriorityFrame(1, depends_on=0, stream_weight=255)),
    "5.1 PRIORITY for a lower stream than what follows": lambda c: (c.send(PriorityFrame(5, depends_on=0, stream_weight=0)), c.headers(get()))[1],
    "5.1 WINDOW_UPDATE, half-closed": lambda c: (lambda s: (c.send(WindowUpdateFrame(s, window_increment=100)), s)[1])(half_closed(c)),
    "5.1 PRIORITY, half-closed": lambda c: (lambda s: (c.send(PriorityFrame(s, depends_on=0, stream_weight=1), WindowUpdateFrame(s, window_increment=100)),
                                                       s)[1])(half_closed(c)),
    "5.1 RST_STREAM, half-closed": lambda c: c.send(RstStreamFrame(half_closed(c), error_code=CANCEL)),
    "5.1 PRIORITY, closed": lambda c: c.send(PriorityFrame(done(c), depends_on=0, stream_weight=1)),
    "5.1 WINDOW_UPDATE, just closed": lambda c: c.send(WindowUpdateFrame(done(c), window_increment=1)),
    "5.1 RST_STREAM, just closed": lambda c: c.send(RstStreamFrame(done(c), error_code=0)),
    "5.5 an unknown extension": send(frame(0xff, 0xff, 0, b"x" * 100)),
    "6.1 DATA": lambda c: (lambda s: (c.data(s, b"hello", end=True), s)[1])(open_stream(c)),
    "6.1 several DATA": several_data,
    "6.1 padded DATA": padded_data,
    "6.2 HEADERS": lambda c: c.headers(get()),
    "6.2 padded HEADERS": lambda c: raw_headers(c, 1, b"\x03" + block(c, get()) + b"\0" * 3, END_HEADERS | END_STREAM | PADDED),
    "6.2 HEADERS with priority": lambda c: raw_headers(c, 1, b"\0\0\0\0\xff" + block(c, get()), END_HEADERS | END_STREAM | PRIO),
    "6.2 HEADERS with priority and padding": lambda c: raw_headers(c, 1, b"\x02\x80\0\0\0\xff" + block(c, get()) + b"\0\0", END_HEADERS | END_STREAM | PRIO | PADDED),
    "6.3 PRIORITY, exclusive": send(PriorityFrame(1, depends_on=0, stream_weight=1), PriorityFrame(3, depends_on=1, stream_weight=1, exclusive=True)),
    "6.4 RST_STREAM": lambda c: reset(c) and None,
    "6.5.2 an unknown parameter": send(SettingsFrame(0, settings={0xff: 1})),
    "6.5.3 parameters count in their order": settings_in_order,
    "6.5.3 SETTINGS are acknowledged": settings_are_acknowledged,
    "6.5.2 the largest MAX_FRAME_SIZE": send(SettingsFrame(0, settings={MAX_FRAME_SIZE: 2 ** 24 - 1})),
    "6.7 PING is answered": ping_is_answered,
    "6.7 an answer to PING is not": acknowledged_ping_is_not,
    "6.9 WINDOW_UPDATE of the connection": send(WindowUpdateFrame(0, window_increment=1)),
    "6.9 WINDOW_UPDATE of a stream": lambda c: (lambda s: (c.send(WindowUpdateFrame(s, window_increment=1)), c.data(s, b"x", end=True), s)[2])(open_stream(c)),
    "6.9.1 the largest window": send(WindowUpdateFrame(0, window_increment=2 ** 31 - 1 - 65535)),
    "6.9.1 no more than the window": window_of_one,
    "6.9.2 a window that grows by SETTINGS": window_that_grows_later,
    "6.9.2 a window below zero": window_below_zero,
    "6.10 one CONTINUATION": continuations(1),
    "6.10 several CONTINUATION": continuations(5),
    "7 RST_STREAM with an unknown code": lambda c: c.send(RstStreamFrame(open_stream(c), error_code=0xff)),
    "8.1 HEAD": lambda c: c.headers(get(method="HEAD")),
    "8.1 POST with trailers": lambda c: (lambda s: (c.data(s, b"x"), c.headers([("x-t", "1")], stream=s), s)[2])(open_stream(c)),
    "8.2.2 te: trailers": lambda c: c.headers(get([("te", "trailers")])),
    "HPACK 6.1 indexed": lambda c: raw_headers(c, 1, b"\x82\x86\x84" + b"\x41\x06a.test"),
    "HPACK 6.2.1 literal, indexed name": literal(0x40),
    "HPACK 6.2.1 literal, indexed name, Huffman": literal(0x40, huffman=True),
    "HPACK 6.2.1 literal, new name": literal(0x40, indexed=False),
    "HPACK 6.2.2 literal without indexing, indexed name": literal(0),
    "HPACK 6.2.2 literal without indexing, new name": literal(0, indexed=False),
    "HPACK 6.2.3 never indexed, indexed name": literal(0x10),
    "HPACK 6.2.3 never indexed, new name": literal(0x10, indexed=False),
    "HPACK 6.3 table sizes": lambda c: raw_headers(c, 1, b"\x20\x3f\xe1\x1f" + block(c, get())),
    "HPACK 2.3.3 dynamic entries": lambda c: (c.headers(get([("x-first", "1")])), c.headers(get([("x-first", "1")])))[1],
}


@pytest.mark.parametrize("case", GOOD)
@pytest.mark.parametrize("tls", [False, True], ids=["h2c", "tls"])
def test_lawful(ports, case, tls):
    with Client(ports.https if tls else ports.http, tls=tls) as c:
        s = GOOD[case](c)
        if s is not None:
            assert c.answer(s).status in (200, 404)
        c.send(SettingsFrame(0, settings={INITIAL_WINDOW_SIZE: 65535}))
        assert c.ask(path="/hello", scheme="http").body == b"hello"
        assert c.goaway is None


def goaway_of_client(c):
    c.send(GoAwayFrame(0, last_stream_id=0, error_code=0xff))
    c.to_end()


def test_goaway_of_the_client_ends_the_connection(ports):
    with Client(ports.http, tls=False) as c:
        s = c.headers(get())
        c.send(GoAwayFrame(0, last_stream_id=0, error_code=0))
        assert c.answer(s).body == b"hello"


# ---- What is not. CONNECTION: a GOAWAY with one of the codes, and the end; STREAM: that, or RST_STREAM with one of them.

CONNECTION, STREAM = "connection", "stream"


def exceed_streams(c):
    c.send(SettingsFrame(0, settings={INITIAL_WINDOW_SIZE: 0}))
    c.until(lambda: c.settings, "SETTINGS")
    for _ in range(c.settings[MAX_CONCURRENT_STREAMS] + 1):
        c.headers(get(path="/echo"))


def headers_then(*frames, stream=1, flags=()):
    """A head without its end, and these frames behind it."""
    return lambda c: c.send(HeadersFrame(stream, block(c, get()), flags=list(flags)), *[f(c) if callable(f) else f for f in frames])


BAD = {
    "4.2 DATA that is too large": (lambda c: c.send(frame(DATA, 0, open_stream(c), b"x" * 16385)), STREAM, {FRAME_SIZE_ERROR}),
    "4.2 HEADERS that are too large": (lambda c: raw_headers(c, 1, block(c, get()) + b"\0" * 17000), CONNECTION, {FRAME_SIZE_ERROR}),
    "4.3 a block that cannot be decoded": (lambda c: raw_headers(c, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), CONNECTION, {COMPRESSION_ERROR}),
    "4.3 PRIORITY within a block": (headers_then(PriorityFrame(1, depends_on=0, stream_weight=1)), CONNECTION, {PROTOCOL_ERROR}),
    "4.3 HEADERS of another stream within a block": (headers_then(lambda c: HeadersFrame(3, block(c, get()), flags=["END_HEADERS"])), CONNECTION, {PROTOCOL_ERROR}),
    "5.1 DATA, idle": (send(DataFrame(1, b"x", flags=["END_STREAM"])), CONNECTION, {PROTOCOL_ERROR}),
    "5.1 RST_STREAM, idle": (send(RstStreamFrame(1, error_code=CANCEL)), CONNECTION, {PROTOCOL_ERROR}),
    "5.1 WINDOW_UPDATE, idle": (send(WindowUpdateFrame(1, window_increment=100)), CONNECTION, {PROTOCOL_ERROR}),
    "5.1 CONTINUATION, idle": (lambda c: c.send(ContinuationFrame(1, block(c, get()), flags=["END_HEADERS"])), CONNECTION, {PROTOCOL_ERROR}),
    "5.1 DATA, half-closed": (lambda c: c.data(half_closed(c), b"x", end=True), STREAM, {STREAM_CLOSED}),
    "5.1 HEADERS, half-closed": (lambda c: c.headers(get(), stream=half_closed(c)), STREAM, {STREAM_CLOSED}),
    "5.1 CONTINUATION, half-closed": (lambda c: c.send(ContinuationFrame(half_closed(c), block(c, get()), flags=["END_HEADERS"])), CONNECTION, {STREAM_CLOSED, PROTOCOL_ERROR}),
    "5.1 CONTINUATION, reset": (lambda c: c.send(ContinuationFrame(reset(c), block(c, get()), flags=["END_HEADERS"])), CONNECTION, {STREAM_CLOSED, PROTOCOL_ERROR}),
    "5.1 CONTINUATION, closed": (lambda c: c.send(ContinuationFrame(done(c), block(c, get()), flags=["END_HEADERS"])), CONNECTION, {STREAM_CLOSED, PROTOCOL_ERROR}),
    "5.1.1 an even stream": (lambda c: c.headers(get(), stream=2), CONNECTION, {PROTOCOL_ERROR}),
    "5.1.2 too many streams": (exceed_streams, STREAM, {PROTOCOL_ERROR, REFUSED_STREAM}),
    "5.5 an unknown frame within a block": (headers_then(frame(0xff, 0, 0, b"x")), CONNECTION, {PROTOCOL_ERROR}),
    "6.1 DATA on stream 0": (send(frame(DATA, END_STREAM, 0, b"x")), CONNECTION, {PROTOCOL_ERROR}),
    "6.1 more padding than payload": (lambda c: c.send(frame(DATA, PADDED | END_STREAM, open_stream(c), b"\x10test")), CONNECTION, {PROTOCOL_ERROR}),
    "6.2 HEADERS on stream 0": (lambda c: c.send(frame(HEADERS, END_HEADERS | END_STREAM, 0, block(c, get()))), CONNECTION, {PROTOCOL_ERROR}),
    "6.2 more padding than payload": (lambda c: raw_headers(c, 1, b"\xff" + block(c, get()), END_HEADERS | END_STREAM | PADDED), CONNECTION, {PROTOCOL_ERROR}),
    "6.3 PRIORITY on stream 0": (send(frame(PRIORITY, 0, 0, b"\0\0\0\0\1")), CONNECTION, {PROTOCOL_ERROR}),
    "6.3 PRIORITY of four octets": (lambda c: c.send(frame(PRIORITY, 0, open_stream(c), b"\0\0\0\1")), STREAM, {FRAME_SIZE_ERROR}),
    "6.4 RST_STREAM on stream 0": (send(frame(RST_STREAM, 0, 0, b"\0\0\0\1")), CONNECTION, {PROTOCOL_ERROR}),
    "6.4 RST_STREAM of three octets": (lambda c: c.send(frame(RST_STREAM, 0, open_stream(c), b"\0\0\1")), CONNECTION, {FRAME_SIZE_ERROR}),
    "6.5 an acknowledgement with content": (send(frame(SETTINGS, ACK, 0, b"\0" * 6)), CONNECTION, {FRAME_SIZE_ERROR}),
    "6.5 SETTINGS on a stream": (send(frame(SETTINGS, 0, 1, b"\0\3\0\0\0\x64")), CONNECTION, {PROTOCOL_ERROR}),
    "6.5 SETTINGS of three octets": (send(frame(SETTINGS, 0, 0, b"\0\3\0")), CONNECTION, {FRAME_SIZE_ERROR}),
    "6.5.2 ENABLE_PUSH 2": (send(frame(SETTINGS, 0, 0, b"\0\2\0\0\0\2")), CONNECTION, {PROTOCOL_ERROR}),
    "6.5.2 INITIAL_WINDOW_SIZE 2^31": (send(frame(SETTINGS, 0, 0, b"\0\4\x80\0\0\0")), CONNECTION, {FLOW_CONTROL_ERROR}),
    "6.5.2 MAX_FRAME_SIZE 2^14 - 1": (send(frame(SETTINGS, 0, 0, b"\0\5\0\0\x3f\xff")), CONNECTION, {PROTOCOL_ERROR}),
    "6.5.2 MAX_FRAME_SIZE 2^24": (send(frame(SETTINGS, 0, 0, b"\0\5\1\0\0\0")), CONNECTION, {PROTOCOL_ERROR}),
    "6.5.2 ENABLE_CONNECT_PROTOCOL 2": (send(frame(SETTINGS, 0, 0, b"\0\x08\0\0\0\2")), CONNECTION, {PROTOCOL_ERROR}),
    "6.7 PING on a stream": (send(frame(PING, 0, 1, b"\0" * 8)), CONNECTION, {PROTOCOL_ERROR}),
    "6.7 PING of six octets": (send(frame(PING, 0, 0, b"\0" * 6)), CONNECTION, {FRAME_SIZE_ERROR}),
    "6.8 GOAWAY on a stream": (send(frame(GOAWAY, 0, 1, b"\0" * 8)), CONNECTION, {PROTOCOL_ERROR}),
    "6.9 increment 0 of the connection": (send(frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0")), CONNECTION, {PROTOCOL_ERROR}),
    "6.9 increment 0 of a stream": (lambda c: c.send(frame(WINDOW_UPDATE, 0, open_stream(c), b"\0\0\0\0")), STREAM, {PROTOCOL_ERROR}),
    "6.9 WINDOW_UPDATE of three octets": (send(frame(WINDOW_UPDATE, 0, 0, b"\0\0\1")), CONNECTION, {FRAME_SIZE_ERROR}),
    "6.9.1 a window of more than 2^31 - 1": (send(WindowUpdateFrame(0, window_increment=2 ** 31 - 1), WindowUpdateFrame(0, window_increment=2 ** 31 - 1)), CONNECTION, {FLOW_CONTROL_ERROR}),
    "6.9.1 a stream's window of more than 2^31 - 1": (lambda c: (lambda s: c.send(*[WindowUpdateFrame(s, window_increment=2 ** 31 - 1)] * 2))(open_stream(c)), STREAM, {FLOW_CONTROL_ERROR}),
    "6.9.2 a window of more than 2^31 - 1 by SETTINGS": (lambda c: (open_stream(c) and c.send(WindowUpdateFrame(1, window_increment=2 ** 31 - 65536), SettingsFrame(0, settings={INITIAL_WINDOW_SIZE: 2 ** 31 - 1}))), STREAM, {FLOW_CONTROL_ERROR}),
    "6.10 CONTINUATION followed by DATA": (headers_then(ContinuationFrame(1, b""), DataFrame(1, b"x")), CONNECTION, {PROTOCOL_ERROR}),
    "6.10 CONTINUATION on stream 0": (headers_then(frame(CONTINUATION, END_HEADERS, 0, b"")), CONNECTION, {PROTOCOL_ERROR}),
    "6.10 CONTINUATION behind the end of a block": (headers_then(ContinuationFrame(1, b"", flags=["END_HEADERS"]), flags=["END_HEADERS"]), CONNECTION, {PROTOCOL_ERROR}),
    "6.10 CONTINUATION behind the end of CONTINUATION": (headers_then(ContinuationFrame(1, b"", flags=["END_HEADERS"]), ContinuationFrame(1, b"", flags=["END_HEADERS"])), CONNECTION, {PROTOCOL_ERROR}),
    "6.10 CONTINUATION behind DATA": (lambda c: (lambda s: c.send(DataFrame(s, b"x"), ContinuationFrame(s, b"", flags=["END_HEADERS"])))(open_stream(c)), CONNECTION, {PROTOCOL_ERROR}),
    "8.1 a second head": (lambda c: (lambda s: c.headers(post(), stream=s, end=False))(open_stream(c)), STREAM, {PROTOCOL_ERROR}),
    "8.1 a pseudo-field in trailers": (lambda c: (lambda s: (c.data(s, b"x"), c.headers([(":method", "GET")], stream=s)))(open_stream(c)), STREAM, {PROTOCOL_ERROR}),
    "8.1.1 content-length of less than DATA": (lambda c: c.data(open_stream(c, post([("content-length", "1")])), b"test", end=True), STREAM, {PROTOCOL_ERROR}),
    "8.1.1 content-length of less than several DATA": (lambda c: (lambda s: (c.data(s, b"te"), c.data(s, b"st", end=True)))(open_stream(c, post([("content-length", "1")]))), STREAM, {PROTOCOL_ERROR}),
    "8.1.1 content-length of more than DATA": (lambda c: c.data(open_stream(c, post([("content-length", "9")])), b"test", end=True), STREAM, {PROTOCOL_ERROR}),
    "8.2.1 upper case": (lambda c: raw_headers(c, 1, block(c, get()) + b"\x40\x06X-TEST\x01x"), STREAM, {PROTOCOL_ERROR}),
    "8.2.2 connection": (lambda c: c.headers(get([("connection", "keep-alive")])), STREAM, {PROTOCOL_ERROR}),
    "8.2.2 te: trailers, deflate": (lambda c: c.headers(get([("te", "trailers, deflate")])), STREAM, {PROTOCOL_ERROR}),
    "8.3 an unknown pseudo-field": (lambda c: c.headers(get([(":test", "x")])), STREAM, {PROTOCOL_ERROR}),
    "8.3 a response's pseudo-field": (lambda c: c.headers([(":status", "200")] + get()), STREAM, {PROTOCOL_ERROR}),
    "8.3 a pseudo-field behind others": (lambda c: c.headers([("x-test", "x")] + get()), STREAM, {PROTOCOL_ERROR}),
    "8.3.1 an empty :path": (lambda c: c.headers(get(path="")), STREAM, {PROTOCOL_ERROR}),
    "8.3.1 no :method": (lambda c: c.headers(get(drop=[":method"])), STREAM, {PROTOCOL_ERROR}),
    "8.3.1 no :scheme": (lambda c: c.headers(get(drop=[":scheme"])), STREAM, {PROTOCOL_ERROR}),
    "8.3.1 no :path": (lambda c: c.headers(get(drop=[":path"])), STREAM, {PROTOCOL_ERROR}),
    "8.3.1 :method twice": (lambda c: c.headers([(":method", "GET")] + get()), STREAM, {PROTOCOL_ERROR}),
    "8.3.1 :scheme twice": (lambda c: c.headers([(":scheme", "http")] + get()), STREAM, {PROTOCOL_ERROR}),
    "8.3.1 :path twice": (lambda c: c.headers([(":path", "/")] + get()), STREAM, {PROTOCOL_ERROR}),
    "8.4 PUSH_PROMISE": (lambda c: c.send(frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block(c, get()))), CONNECTION, {PROTOCOL_ERROR}),
    "HPACK 2.3.3 an index that is not there": (lambda c: raw_headers(c, 1, b"\xc6"), CONNECTION, {COMPRESSION_ERROR}),
    "HPACK 2.3.3 a name's index that is not there": (lambda c: raw_headers(c, 1, b"\x7f\x27\x01x"), CONNECTION, {COMPRESSION_ERROR}),
    "HPACK 4.2 a table size at the end of a block": (lambda c: raw_headers(c, 1, block(c, get()) + b"\x3f\x01"), CONNECTION, {COMPRESSION_ERROR}),
    "HPACK 5.1 an integer without end": (lambda c: raw_headers(c, 1, b"\x7f" + b"\x80" * 20), CONNECTION, {COMPRESSION_ERROR}),
    "HPACK 5.2 a Huffman padding of more than 7 bits": (lambda c: raw_headers(c, 1, block(c, get()) + b"\x00\x01x\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"), CONNECTION, {COMPRESSION_ERROR}),
    "HPACK 5.2 a Huffman padding of zeros": (lambda c: raw_headers(c, 1, block(c, get()) + b"\x00\x01x\x83\x49\x50\x90"), CONNECTION, {COMPRESSION_ERROR}),
    "HPACK 5.2 EOS in a string": (lambda c: raw_headers(c, 1, block(c, get()) + b"\x00\x01x\x88\x49\x52\xff\xff\xff\xfa\x82\x53"), CONNECTION, {COMPRESSION_ERROR}),
    "HPACK 6.1 index 0": (lambda c: raw_headers(c, 1, block(c, get()) + b"\x80"), CONNECTION, {COMPRESSION_ERROR}),
    "HPACK 6.3 a table larger than was allowed": (lambda c: raw_headers(c, 1, b"\x3f\xe2\x1f" + block(c, get())), CONNECTION, {COMPRESSION_ERROR}),
    "HPACK a string longer than its block": (lambda c: raw_headers(c, 1, block(c, get()) + b"\x40\x01x\x7e"), CONNECTION, {COMPRESSION_ERROR}),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("tls", [False, True], ids=["h2c", "tls"])
def test_unlawful(ports, case, tls):
    run, scope, codes = BAD[case]
    with Client(ports.https if tls else ports.http, tls=tls) as c:
        assert c.ping()
        run(c)
        while c.goaway is None and not (scope == STREAM and any(a.reset is not None for a in c.answers.values())):
            assert c.read_frame() is not None, "the end without a word"
        if c.goaway is not None:
            assert c.goaway in codes, f"GOAWAY with {c.goaway}"
            c.to_end()
        else:
            assert {a.reset for a in c.answers.values() if a.reset is not None} <= codes
            c.send(SettingsFrame(0, settings={INITIAL_WINDOW_SIZE: 65535}))
            assert c.ping()


# What a peer may have sent before it knew that the stream was gone is passed over; it is never acted upon.
LATE = {
    "5.1 DATA, reset": lambda c: c.data(reset(c), b"x", end=True),
    "5.1 HEADERS, reset": lambda c: c.headers(get(), stream=reset(c)),
    "5.1 DATA, closed": lambda c: c.data(done(c), b"x", end=True),
    "5.1 HEADERS, closed": lambda c: c.headers(get(), stream=done(c)),
    "5.1.1 a stream that is numerically smaller": lambda c: (c.headers(get(), stream=5), c.headers(get(), stream=3))[1],
    "5.3.1 PRIORITY that depends on itself": lambda c: c.send(PriorityFrame(open_stream(c), depends_on=1, stream_weight=1)),
    "5.3.1 HEADERS that depend on themselves": lambda c: raw_headers(c, 1, b"\0\0\0\1\xff" + block(c, get()), END_HEADERS | END_STREAM | PRIO),
}


@pytest.mark.parametrize("case", LATE)
def test_late(ports, case):
    with Client(ports.http, tls=False) as c:
        assert c.ping()
        LATE[case](c)
        if c.ping():
            c.next = max(c.next, 101)
            assert c.ask(path="/hello", scheme="http").body == b"hello"
        else:
            assert c.goaway in (STREAM_CLOSED, PROTOCOL_ERROR)


@pytest.mark.parametrize("data", [b"INVALID CONNECTION PREFACE\r\n\r\n", PREFACE[:-2] + b"XX" + SettingsFrame(0).serialize(),
                                  PREFACE + PingFrame(0, b"12345678").serialize()])
@pytest.mark.parametrize("tls", [False, True], ids=["h2c", "tls"])
def test_a_bad_preface(ports, tls, data):
    with Client(ports.https if tls else ports.http, tls=tls, greet=False) as c:
        c.send(data)
        if tls or data.startswith(b"PRI * HTTP/2.0\r\n\r\n"):
            assert c.to_end() in (PROTOCOL_ERROR, None)
        else:
            assert b"400" in c.sock.recv(100)  # HTTP/1 answers in its own words
