# SPDX-License-Identifier: Apache-2.0
"""Upgrade: a tunnel begins only after a 101 that was asked for."""
import base64
import hashlib
import threading

import pytest

from http1 import connect, request

CONF = """
log access off
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@http@
    route * -> pool app
}
"""
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ASK = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", KEY)]


def accept(x, protocol="websocket"):
    key = base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    x.send(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nSec-WebSocket-Accept: {key}\r\n\r\n".encode())
    x.keep = False


def websocket(x):
    accept(x)
    while x.stream.fill():
        x.send(x.stream.take(len(x.stream.buffer)))


@pytest.fixture
def proxy(weir, origin):
    def start(handler):
        o = origin(handler)
        return weir(CONF, app=o.port), o
    return start


def test_websocket(proxy):
    w, o = proxy(websocket)
    with connect(w.http) as c:
        r = c.ask(request(target="/ws", fields=ASK))
        assert r.status == 101 and r.fields["Upgrade"] == "websocket" and "upgrade" in r.fields["Connection"].lower()
        assert r.fields["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        for data in (b"\x81\x05hello", b"\0" * 70000, b"GET / HTTP/1.1\r\n\r\n"):
            threading.Thread(target=c.send, args=(data,)).start()
            assert c.read_exactly(len(data)) == data
        c.end()
        c.expect_closed()
    f = o.last.fields
    assert f["Upgrade"].lower() == "websocket" and "upgrade" in f["Connection"].lower() and f["Sec-WebSocket-Key"] == KEY


def test_an_origin_that_speaks_at_once(proxy):
    def handler(x):
        accept(x)
        x.send(b"first")
        x.stream.read_to_end()
    w, _ = proxy(handler)
    with connect(w.http) as c:
        assert c.ask(request(fields=ASK)).status == 101
        assert c.read_exactly(5) == b"first"


def test_an_origin_that_declines(proxy):
    """An ordinary answer, and the connection goes on as HTTP."""
    w, o = proxy(lambda x: x.reply(body=b"no websocket here"))
    with connect(w.http) as c:
        assert c.ask(request(fields=ASK)).body == b"no websocket here"
        assert c.ask(request(target="/next")).status == 200


def test_bytes_behind_a_declined_upgrade_are_not_tunnelled(proxy):
    """Smuggling by Upgrade: what follows is parsed as a request of its own."""
    w, o = proxy(lambda x: x.reply(426, body=x.request.target.encode()))
    with connect(w.http) as c:
        c.send(request(target="/one", fields=ASK) + request(target="/two"))
        assert c.read_response().body == b"/one"
        assert c.read_response().body == b"/two"
    assert "Via" in o.requests[1].fields


def test_another_protocol_than_asked(proxy):
    w, o = proxy(lambda x: (accept(x, "other"), x.close()))
    with connect(w.http) as c:
        assert c.ask(request(fields=ASK)).status == 502


def test_a_token_that_is_not_let_through(proxy):
    """Only websocket passes by default: the request goes on without the field."""
    w, o = proxy(lambda x: x.reply(body=b"plain"))
    with connect(w.http) as c:
        for token in ("h2c", "TLS/1.0", "nonsense"):
            r = c.ask(request(fields=[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", token), ("HTTP2-Settings", "AAMAAABk")]))
            assert r.status in (200, 403)
            if r.status == 200:
                assert "Upgrade" not in o.last.fields and "HTTP2-Settings" not in o.last.fields


def test_upgrade_without_connection_is_no_upgrade(proxy):
    w, o = proxy(lambda x: x.reply(body=b"plain"))
    with connect(w.http) as c:
        assert c.ask(request(fields=[("Upgrade", "websocket")])).body == b"plain"
        assert "Upgrade" not in o.last.fields
        assert c.ask(request(version="HTTP/1.0", fields=ASK + [("Connection", "keep-alive")])).body == b"plain"
        assert "Upgrade" not in o.last.fields


def test_a_forward_proxy_upgrades_too(weir, origin):
    o = origin(websocket)
    w = weir("log access off\nproxy 127.0.0.1:@http@ { egress { allow 127.0.0.0/8 } }")
    with connect(w.http) as c:
        assert c.ask(request(target=f"http://127.0.0.1:{o.port}/ws", host=f"127.0.0.1:{o.port}", fields=ASK)).status == 101
        c.send(b"ping")
        assert c.read_exactly(4) == b"ping"


def test_half_close_of_an_upgraded_connection(proxy):
    def handler(x):
        accept(x)
        data = x.stream.read_to_end()
        x.send(b"%d after the end" % len(data))
    w, _ = proxy(handler)
    with connect(w.http) as c:
        assert c.ask(request(fields=ASK)).status == 101
        c.send(b"12345")
        c.end()
        assert c.read_to_end() == b"5 after the end"
