# SPDX-License-Identifier: Apache-2.0
"""CONNECT over HTTP/2: a secure forward proxy with many tunnels on one connection, and WebSockets (RFC 8441) to origins of HTTP/1."""
import base64
import hashlib
import socket
import threading

import certs
import pytest
from h2client import CANCEL, CONNECT_ERROR, Answer, Client
from hyperframe.frame import DataFrame, RstStreamFrame
from process import wait_until

PROXY = """
log access json stdout
hosts { o.test 127.0.0.1; a.test 127.0.0.1 }
proxy 127.0.0.1:@plain@ {
    listen 127.0.0.1:@secure@ tls
    tls cert server.pem key server.key
    h2c
    egress { allow 127.0.0.1; connect-ports @app@ }
    policy { deny domain deny.test; default allow }
}
"""
SITE = """
log access json stdout
pool app { server 127.0.0.1:@app@ }
site a.test {
    listen 127.0.0.1:@https@ tls
    tls cert server.pem key server.key
    route /other -> pool app { upgrade other }
    route * -> pool app
}
"""


class Echo:
    """A TCP server that sends back what comes, and ends when the other side has."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ended = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        try:
            while data := s.recv(65536):
                s.sendall(data)
            self.ended.append("orderly")
        except OSError:
            self.ended.append("reset")
        s.close()


@pytest.fixture
def proxy(weir):
    echo = Echo()
    w = weir(PROXY, app=echo.port, files=certs.files("proxy.test", "a.test"))
    w.echo = echo
    yield w
    echo.listener.close()


def open_tunnel(c, authority):
    return c.headers([(":method", "CONNECT"), (":authority", authority)], end=False)


@pytest.mark.parametrize("tls", [True, False])
def test_many_tunnels_on_one_connection(proxy, tls):
    with Client(proxy.secure if tls else proxy.plain, name="proxy.test", tls=tls) as c:
        streams = [open_tunnel(c, f"o.test:{proxy.app}") for _ in range(50)]
        for s in streams:
            c.until(lambda: c.answers[s].fields, "the answer to CONNECT")
            assert c.answers[s].status == 200 and c.answers[s].field("content-length") is None
        for i, s in enumerate(streams):
            c.data(s, b"%d" % i * 100)
        for i, s in enumerate(streams):
            c.until(lambda: len(c.answers[s].body) >= len(b"%d" % i * 100), "the echo")
            assert c.answers[s].body == b"%d" % i * 100
        # An end passes through, and comes back as one.
        c.data(streams[0], b"", end=True)
        c.until(lambda: c.answers[streams[0]].ended, "the end")
        # A reset reaches the server.
        c.send(RstStreamFrame(streams[1], error_code=CANCEL))
        wait_until(lambda: len(proxy.echo.ended) >= 2, what="both ends")
        c.data(streams[2], b"still here")
        c.until(lambda: c.answers[streams[2]].body.endswith(b"still here"), "the others' echo")


def test_much_through_a_tunnel(proxy):
    content = bytes(range(256)) * 4096 * 4
    with Client(proxy.secure, name="proxy.test") as c:
        s = open_tunnel(c, f"o.test:{proxy.app}")
        from hyperframe.frame import WindowUpdateFrame
        credit, seen, sent = {0: 65535, s: 65536}, 0, 0
        while sent < len(content):
            for f in c.frames[seen:]:
                if isinstance(f, WindowUpdateFrame):
                    credit[f.stream_id] += f.window_increment
            seen = len(c.frames)
            n = min(credit[0], credit[s], 16384, len(content) - sent)
            if n <= 0:
                assert c.read_frame() is not None
                continue
            c.data(s, content[sent:sent + n])
            sent += n
            credit[0] -= n
            credit[s] -= n
        c.data(s, b"", end=True)
        assert c.answer(s).body == content


def test_what_a_proxy_refuses(proxy):
    with Client(proxy.secure, name="proxy.test") as c:
        for authority, status in (("deny.test:%d" % proxy.app, 403), ("o.test:80", 403), ("127.0.0.2:%d" % proxy.app, 403)):
            s = open_tunnel(c, authority)
            assert c.answer(s).status == status, authority
        for authority in ("o.test", "o.test:0", "u@o.test:443", "", "o.test:http"):
            a = c.answer(open_tunnel(c, authority))
            assert a.reset is not None or 400 <= a.status < 500, authority
        # A tunnel has no content-length, and its request no path.
        for extra in ([(":path", "/")], [(":scheme", "https")], [("content-length", "0")]):
            s = c.headers([(":method", "CONNECT"), (":authority", f"o.test:{proxy.app}")] + extra, end=False)
            a = c.answer(s)
            assert a.reset is not None or 400 <= a.status < 500, extra
        assert c.answer(open_tunnel(c, "o.test:1")).status >= 400  # not among connect-ports
    wait_until(lambda: '"method":"CONNECT"' in proxy.stdout, what="the log")


def test_absolute_requests_over_http2(weir, origin):
    o = origin()
    w = weir(PROXY, app=o.port, files=certs.files("proxy.test"))
    with Client(w.secure, name="proxy.test") as c:
        a = c.ask("GET", "/p?q", authority=f"a.test:{o.port}", scheme="http")
        assert a.status == 200 and "2.0 weir" in o.requests[-1].fields["Via"]
        assert (o.requests[-1].target, o.requests[-1].fields["Host"]) == ("/p?q", f"a.test:{o.port}")
        assert 400 <= c.ask("GET", "/p", authority=f"a.test:{o.port}", scheme="https").status < 500
        assert 400 <= c.ask("GET", "/p", authority=f"a.test:{o.port}", scheme="ftp").status < 500
    wait_until(lambda: f"http://a.test:{o.port}/p?q" in w.stdout, what="the log line with the absolute target")


def test_curl_through_a_secure_proxy_of_http2(weir, origin):
    """curl 7.88 speaks HTTP/1.1 to proxies; the same listener takes that too."""
    import subprocess
    from process import need
    o = origin()
    w = weir(PROXY, app=o.port, files=certs.files("proxy.test"))
    out = subprocess.run([need("curl"), "-s", "--proxy-insecure", "-x", f"https://127.0.0.1:{w.secure}", f"http://a.test:{o.port}/x"],
                         capture_output=True, check=True)
    assert out.stdout == b"hello from the origin"


# ---- WebSockets

def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def websocket(x, accept=None):
    key = x.request.fields["Sec-WebSocket-Key"]
    assert len(base64.b64decode(key)) == 16
    x.send(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {x.request.fields['Upgrade']}\r\n"
           f"Sec-WebSocket-Accept: {accept or accept_of(key)}\r\nSec-WebSocket-Protocol: chat\r\n\r\nfirst".encode())
    while x.stream.fill():
        x.send(x.stream.buffer)
        x.stream.buffer = b""
    x.close()


def extended(path="/ws", protocol="websocket", extra=()):
    return [(":method", "CONNECT"), (":protocol", protocol), (":scheme", "https"), (":path", path), (":authority", "a.test"),
            ("sec-websocket-version", "13"), ("origin", "https://a.test")] + list(extra)


def test_a_websocket_over_http2(weir, origin):
    o = origin(websocket)
    w = weir(SITE, app=o.port, files=certs.files("a.test"))
    with Client(w.https) as c:
        c.until(lambda: c.settings.get(8) == 1, "SETTINGS_ENABLE_CONNECT_PROTOCOL")
        s = c.headers(extended(), end=False)
        c.until(lambda: c.answers[s].body == b"first", "what came with the 101")
        a = c.answers[s]
        assert a.status == 200 and a.field("sec-websocket-protocol") == "chat"
        assert not any(n in ("sec-websocket-accept", "upgrade", "connection") for n, _ in a.fields)
        c.data(s, b"hello")
        c.until(lambda: a.body == b"firsthello", "the echo")
        c.data(s, b"", end=True)
        c.until(lambda: a.ended, "the end")
    seen = o.requests[-1]
    assert (seen.method, seen.target) == ("GET", "/ws") and seen.fields["Upgrade"] == "websocket"
    assert seen.fields["Connection"].lower() == "upgrade" and seen.fields["Sec-WebSocket-Version"] == "13"


def test_an_origin_that_does_not_speak_websocket(weir, origin):
    o = origin(lambda x: websocket(x, accept="bm90IHRoaXM="))
    w = weir(SITE, app=o.port, files=certs.files("a.test"))
    with Client(w.https) as c:
        assert c.answer(c.headers(extended(), end=False)).status == 502


def test_an_origin_that_refuses(weir, origin):
    o = origin(lambda x: x.reply(403, b"no"))
    w = weir(SITE, app=o.port, files=certs.files("a.test"))
    with Client(w.https) as c:
        s = c.headers(extended(), end=False)
        a = c.answers[s]
        c.until(lambda: a.ended and a.reset is not None, "the answer and the end of the stream")
        assert (a.status, a.body) == (403, b"no")
        assert c.ping()


def test_protocols_that_may_not_pass(weir, origin):
    o = origin()
    w = weir(SITE, app=o.port, files=certs.files("a.test"))
    with Client(w.https) as c:
        for fields in (extended(protocol="evil"), extended(path="/other")):
            a = c.answer(c.headers(fields, end=False))
            assert a.reset is not None or a.status >= 400
        for fields in (extended(protocol=""), extended(protocol="a b")):
            assert c.answer(c.headers(fields, end=False)).reset is not None
    assert not any("Upgrade" in r.fields for r in o.requests)
