# SPDX-License-Identifier: Apache-2.0
"""Each limit and each deadline has a counter of its own, under its name in the configuration, and where a request ends by it a reason of its
own in the log. (test_timeouts.py has those of a client's message; here is what needs more of a world around it.)"""
import re
import socket
import struct

import pytest

import certs
from http1 import connect, request
from process import wait_until

TOP = "dashboard 127.0.0.1:@dash@\n"
SITE = "pool app { server 127.0.0.1:@app@; %s }\nsite a.test {\n    listen 127.0.0.1:@http@\n    %s\n    route * -> pool app\n}\n"


def refusals(w):
    with connect(w.dash) as c:
        text = c.ask(request(target="/metrics", host="127.0.0.1")).body.decode()
    return {name: int(n) for name, n in re.findall(r'^weir_limit_refusals_total\{limit="([^"]+)"\} (\d+)$', text, re.M)}


def counted(w, name, reason=None, others=()):
    """It was counted, and nothing else was; and the log has this reason."""
    wait_until(lambda: refusals(w)[name] >= 1, 20, f"a refusal counted as {name}")
    if reason:
        wait_until(lambda: f'"reason":"{reason}"' in w.stdout, 10, f"the reason {reason} in the log")
    assert not {n: v for n, v in refusals(w).items() if v and n != name and n not in others}


@pytest.fixture
def site(weir, origin):
    def start(top="", pool="", own="", handler=lambda x: x.reply(body=b"fine"), **options):
        o = origin(handler)
        w = weir(TOP + top + "\n" + SITE % (pool, own), app=o.port, **options)
        assert not any(refusals(w).values())
        return w, o
    return start


def ask(w, *args, **options):
    with connect(w.http, timeout=30) as c:
        return c.ask(request(*args, **options))


def hold(w, n):
    """So many connections that are served; those that were here before may take a moment to be gone."""
    clients = []

    def one_more():
        c = connect(w.http)
        if c.ask(request()).status == 200:
            clients.append(c)
        else:
            c.close()
        return len(clients) == n
    wait_until(one_more)
    return clients


@pytest.mark.parametrize("limit,target,reason", [
    ("response-fields 20", "/fields", "response_too_many_fields"),
    ("response-field-bytes 2KiB", "/bytes", "response_fields_too_large"),
    ("interim 3", "/interim", "response_too_many_1xx"),
])
def test_limits_on_answers(site, limit, target, reason):
    def handler(x):
        if x.request.target == "/fields":
            x.reply(fields=[(f"X-{i}", "v") for i in range(30)])
        elif x.request.target == "/bytes":
            x.reply(fields=[("X", "v" * 3000)])
        else:
            x.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 4)
            x.reply()
    w, o = site("limits { %s }" % limit, handler=handler)
    assert ask(w, target=target).status == 502
    counted(w, limit.split()[0], reason)


def test_connections(site):
    w, o = site("limits { connections 4 }")
    clients = hold(w, 4)
    assert ask(w).status == 503
    counted(w, "connections")
    for c in clients:
        c.close()


def test_per_client(site):
    w, o = site("limits { per-client 4 }")
    clients = hold(w, 4)
    assert ask(w).status == 503
    counted(w, "per-client")
    for c in clients:
        c.close()


@pytest.mark.parametrize("statement,status,reason", [
    ("limit rate 1/h by client-ip", 429, "too_many_requests"),
    ("limit requests 1 by client-ip", 429, "too_many_requests"),
    ("limit connections 1 by client-ip", 503, "too_many_connections"),
])
def test_limits_by_key(site, statement, status, reason):
    w, o = site(own=statement, handler=lambda x: x.request.target == "/wait" or x.reply(body=b"fine"))
    with connect(w.http) as first:
        if "requests" in statement:
            first.send(request(target="/wait"))
            o.wait(lambda: o.requests)
        else:
            assert first.ask(request()).status == 200
        assert ask(w).status == status
        counted(w, " ".join(statement.split()[:2]), reason)


def test_max_requests(site):
    w, o = site(pool="max-requests 1", handler=lambda x: None)
    with connect(w.http) as first:
        first.send(request())
        o.wait(lambda: o.requests)
        assert ask(w).status == 503
        counted(w, "max-requests", "queue_full")


def test_proxy_protocol(weir, origin):
    o = origin()
    w = weir(TOP + (SITE % ("", "")).replace("@http@", "@http@ proxy-protocol") + "trust client-ip from 192.0.2.0/24\n", app=o.port)
    with connect(w.http) as c:
        c.expect_closed()
    counted(w, "proxy-protocol")


@pytest.fixture
def deaf():
    """A port whose backlog is full: the kernel answers no more connections there."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(4):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(listener.getsockname())
        fillers.append(s)
    yield listener.getsockname()[1]
    for s in [*fillers, listener]:
        s.close()


def test_connect(weir, deaf):
    w = weir(TOP + "timeouts { connect 500ms }\n" + SITE % ("", ""), app=deaf)
    assert ask(w).status == 504
    counted(w, "connect", "connect_timeout")


def test_connect_of_a_tunnel(weir, deaf):
    w = weir(TOP + "timeouts { connect 500ms }\nproxy 127.0.0.1:@http@ { egress { allow 127.0.0.1; connect-ports any } }")
    with connect(w.http, timeout=30) as c:
        assert c.ask(f"CONNECT 127.0.0.1:{deaf} HTTP/1.1\r\nHost: 127.0.0.1:{deaf}\r\n\r\n").status == 504
    counted(w, "connect", "connect_timeout")


def test_tunnel_idle(weir):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    w = weir(TOP + "timeouts { tunnel-idle 500ms }\nproxy 127.0.0.1:@http@ { egress { allow 127.0.0.1; connect-ports any } }")
    with connect(w.http, timeout=30) as c:
        assert c.ask(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").status == 200
        c.expect_closed()
    listener.close()
    counted(w, "tunnel-idle", "tunnel_idle")


TLS_SITE = "site tls.test {\n    listen 127.0.0.1:@https@ tls\n    tls cert server.pem key server.key\n    route * -> respond 200 fine\n}\n"


@pytest.fixture
def files():
    return certs.files("tls.test")


def test_handshake(weir, files):
    w = weir(TOP + "timeouts { handshake 500ms }\n" + TLS_SITE, files=files)
    with connect(w.https, timeout=30) as c:
        c.send(b"\x16\x03\x01")
        c.expect_closed()
    counted(w, "handshake")


def test_handshakes(weir, files):
    w = weir(TOP + "limits { handshakes 1 }\ntimeouts { handshake 5s }\n" + TLS_SITE, files=files)
    with connect(w.https) as first, connect(w.https) as second:
        for c in (first, second):
            c.send(b"\x16\x03\x01")
        counted(w, "handshakes")


def test_slowest(site):
    def handler(x):
        try:
            x.reply(body=b"x" * (32 << 20))
        except OSError:
            x.close()
    w, o = site("timeouts { slow 500ms }\nlimits { slowest 1MiB/s }", handler=handler)
    with connect(w.http, timeout=30) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.send(request())
        counted(w, "slowest", "client_stalled", others={"between-bytes"})
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_every_name_has_its_test(weir, origin):
    """No row of the metric is left out here, in test_timeouts.py in test_decompress.py and, for what a whole machine is needed for, in test_overload.py."""
    import test_timeouts
    here = {"response-fields", "response-field-bytes", "interim", "connections", "per-client", "limit rate", "limit requests", "limit connections",
            "max-requests", "proxy-protocol", "connect", "tunnel-idle", "handshake", "handshakes", "slowest"}
    elsewhere = {"lag", "files", "decompress"}
    o = origin()
    w = weir(TOP + SITE % ("", ""), app=o.port)
    assert set(refusals(w)) == here | elsewhere | set(test_timeouts.LATE)
