# SPDX-License-Identifier: Apache-2.0
"""CONNECT: tunnels, how they end, and where they do not go."""
import os
import socket
import threading

import pytest

from http1 import Stream, connect
from process import free_port, need

OPEN = """
log access off
proxy 127.0.0.1:@http@ { egress { allow 127.0.0.0/8; connect-ports any } }
"""


def ask(authority):
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()


@pytest.fixture
def server():
    """A TCP server: behave(stream) is called for each connection."""
    started = []

    def start(behave):
        listener = socket.create_server(("127.0.0.1", 0))
        started.append(listener)

        def accept():
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=behave, args=(Stream(sock, 20),), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()[1]
    yield start
    for listener in started:
        listener.close()


def copy(stream):
    """Sends everything back, then ends."""
    try:
        while stream.fill():
            stream.send(stream.take(len(stream.buffer)))
    except OSError:
        pass
    stream.close()


@pytest.fixture
def tunnel(weir, server):
    """A tunnel to a server that behaves so: (weir, stream)."""
    streams = []

    def start(behave=copy):
        port = server(behave)
        w = weir(OPEN)
        c = connect(w.http)
        streams.append(c)
        r = c.ask(ask(f"127.0.0.1:{port}"))
        assert r.status == 200 and "Content-Length" not in r.fields and "Transfer-Encoding" not in r.fields
        return w, c
    yield start
    for c in streams:
        c.close()


def test_bytes_go_both_ways(tunnel):
    _, c = tunnel()
    for data in (b"a", b"\0\r\n\r\n\xff", b"GET / HTTP/1.1\r\n\r\n"):
        c.send(data)
        assert c.read_exactly(len(data)) == data
    c.end()
    c.expect_closed()


def test_bytes_that_came_with_the_request(weir, server):
    port = server(copy)
    w = weir(OPEN)
    with connect(w.http) as c:
        c.send(ask(f"127.0.0.1:{port}") + b"early")
        assert c.read_response("CONNECT").status == 200
        assert c.read_exactly(5) == b"early"


def test_a_server_that_speaks_first(tunnel):
    _, c = tunnel(lambda s: (s.send(b"220 hello\r\n"), copy(s)))
    assert c.read_until(b"\n") == b"220 hello\r\n"
    c.send(b"x")
    assert c.read_exactly(1) == b"x"


def test_half_close_by_the_client(tunnel):
    """The server answers after the client's end."""
    def behave(s):
        data = s.read_to_end()
        s.send(b"%d bytes, then the end" % len(data))
        s.close()
    _, c = tunnel(behave)
    c.send(b"x" * 1000)
    c.end()
    assert c.read_to_end() == b"1000 bytes, then the end"


def test_half_close_by_the_server(tunnel):
    got = []
    done = threading.Event()

    def behave(s):
        s.send(b"that was all")
        s.end()
        got.append(s.read_to_end())
        done.set()
        s.close()
    _, c = tunnel(behave)
    assert c.read_to_end() == b"that was all"
    c.send(b"but I go on")
    c.end()
    assert done.wait(10) and got == [b"but I go on"]


def test_a_broken_tunnel_ends_by_a_reset(tunnel):
    """An orderly end would say that this was all."""
    def behave(s):
        s.send(b"half of")
        s.read_exactly(1)
        s.reset()
    _, c = tunnel(behave)
    assert c.read_exactly(7) == b"half of"
    c.send(b"x")
    with pytest.raises(ConnectionResetError):
        c.fill()


def test_a_tunnel_behind_a_request_with_content(weir, server):
    """The tunnel's connection may have the memory of one that sent a measured content, and is not held to its length."""
    def refuse(s):
        s.read_until(b"\r\n\r\n")
        s.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        s.close()
    first, second = server(refuse), server(copy)
    w = weir("threads 1\n" + OPEN)
    with connect(w.http) as c:
        c.send(f"POST http://127.0.0.1:{first}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".encode())
        assert c.read_response("POST").status == 200
        assert c.ask(ask(f"127.0.0.1:{second}")).status == 200
        c.send(b"longer than three octets")
        assert c.read_exactly(24) == b"longer than three octets"


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_reset_ends_both_sides(tunnel, who):
    ended = threading.Event()

    def behave(s):
        s.send(b"ready")
        if who == "server":
            s.read_exactly(1)
            s.reset()
        else:
            s.read_to_end()
        ended.set()
    _, c = tunnel(behave)
    c.read_exactly(5)
    if who == "client":
        c.reset()
        assert ended.wait(10)
    else:
        c.send(b"x")
        c.expect_closed()


def test_much_data_in_both_directions_at_once(tunnel):
    _, c = tunnel()
    block = os.urandom(1 << 16)
    sender = threading.Thread(target=lambda: ([c.send(block) for _ in range(512)], c.end()))
    sender.start()
    assert c.read_to_end() == block * 512
    sender.join()


def test_a_tunnel_is_not_followed_by_requests(tunnel):
    """What goes through a tunnel is never looked at, whatever it looks like."""
    _, c = tunnel()
    data = b"GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: x\r\n\r\n" * 3
    c.send(data)
    assert c.read_exactly(len(data)) == data


@pytest.mark.parametrize("authority", [
    "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", ":443", "user@127.0.0.1:443", "user:pw@127.0.0.1:443",
    "http://127.0.0.1:443/", "/", "[::1:443", "127.0.0.1:443/x", "a b:443", "127.0.0.1:+443", "*", "[127.0.0.1]:443", "127.0.0.1:443?x"])
def test_authorities_that_are_none(weir, authority):
    w = weir(OPEN)
    with connect(w.http) as c:
        assert 400 <= c.ask(ask(authority)).status < 500


def test_without_connect_ports_it_is_443(weir, server):
    port = server(copy)
    w = weir("log access off\nproxy 127.0.0.1:@http@ { egress { allow 127.0.0.0/8 } }")
    for authority, statuses in ((f"127.0.0.1:{port}", (403,)), ("127.0.0.1:80", (403,)), ("127.0.0.1:443", range(200, 600))):
        with connect(w.http) as c:
            r = c.ask(ask(authority))
            assert r.status in statuses and (authority.endswith(":443") or "port" in r.body.decode())


def test_connect_ports_any_keeps_private_addresses_out(weir, server):
    port = server(copy)
    w = weir("log access off\nproxy 127.0.0.1:@http@ { egress { connect-ports any } }")
    with connect(w.http) as c:
        assert c.ask(ask(f"127.0.0.1:{port}")).status == 403


def test_a_list_of_connect_ports(weir, server):
    port, other = server(copy), server(copy)
    w = weir("log access off\nproxy 127.0.0.1:@http@ { egress { allow 127.0.0.0/8; connect-ports 443 @app@ } }", app=port)
    with connect(w.http) as c:
        assert c.ask(ask(f"127.0.0.1:{port}")).status == 200
    with connect(w.http) as c:
        assert c.ask(ask(f"127.0.0.1:{other}")).status == 403


def test_a_server_that_refuses(weir):
    w = weir(OPEN)
    with connect(w.http) as c:
        r = c.ask(ask(f"127.0.0.1:{free_port()}"))
        assert r.status in (502, 503, 504)


def test_a_name_that_does_not_resolve(weir):
    w = weir("resolver 127.0.0.1:@dead@\n" + OPEN)
    with connect(w.http, timeout=20) as c:
        assert c.ask(ask("nobody.test:443")).status in (502, 503, 504)


def test_itself(weir):
    w = weir(OPEN)
    with connect(w.http) as c:
        assert c.ask(ask(f"127.0.0.1:{w.http}")).status == 508


def test_http_1_0(weir, server):
    port = server(copy)
    w = weir(OPEN)
    with connect(w.http) as c:
        c.send(f"CONNECT 127.0.0.1:{port} HTTP/1.0\r\n\r\n")
        assert c.read_response("CONNECT").status == 200
        c.send(b"x")
        assert c.read_exactly(1) == b"x"


def test_a_request_after_a_refused_tunnel(weir, origin):
    """A refusal is an answer like any other: either the connection goes on, or it is closed; nothing hangs."""
    o = origin()
    w = weir("log access off\nproxy 127.0.0.1:@http@ { egress { allow 127.0.0.0/8 } }")
    with connect(w.http) as c:
        r = c.ask(ask("127.0.0.1:80"))
        assert r.status == 403
        if "close" in r.fields.get("Connection", ""):
            c.expect_closed()
        else:
            assert c.ask(f"GET http://127.0.0.1:{o.port}/ HTTP/1.1\r\nHost: 127.0.0.1:{o.port}\r\n\r\n").status == 200


def test_policy_sees_the_authority(weir, server):
    port = server(copy)
    w = weir("""
        log access off
        hosts { deny.test 127.0.0.1; good.test 127.0.0.1 }
        proxy 127.0.0.1:@http@ {
            egress { allow 127.0.0.0/8; connect-ports any }
            policy { deny domain deny.test; default allow }
        }""")
    with connect(w.http) as c:
        assert c.ask(ask(f"Deny.Test.:{port}")).status == 403
    with connect(w.http) as c:
        # Host says another name than the target: the target counts.
        assert c.ask(f"CONNECT deny.test:{port} HTTP/1.1\r\nHost: good.test:{port}\r\n\r\n").status in (400, 403)
    with connect(w.http) as c:
        assert c.ask(ask(f"good.test:{port}")).status == 200


def test_curl_tunnels(weir, origin, process):
    o = origin()
    w = weir(OPEN)
    url = f"http://127.0.0.1:{o.port}/"
    p = process([need("curl"), "-sS", "-p", "-x", f"http://127.0.0.1:{w.http}", url, url])
    assert p.wait() == 0 and p.stdout == "hello from the origin" * 2
    assert "Via" not in o.last.fields
