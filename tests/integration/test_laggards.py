# SPDX-License-Identifier: Apache-2.0
"""Clients that move one octet at a time are ended by `limits { slowest }` over `timeouts { slow }`, and what they held is given back; those who are
merely slow, or who wait for a slow server, are not."""
import socket
import threading
import time

import pytest

from http1 import Closed, connect, request
from process import wait_until

CONF = """
timeouts { slow 1s  between-bytes 60s }
limits { slowest 2KiB/s }
dashboard 127.0.0.1:@dash@
pool app { server 127.0.0.1:@app@%s }
site a.test {
    listen 127.0.0.1:@http@
    route * -> pool app
}
"""
LARGE = 32 << 20


@pytest.fixture
def site(weir, origin):
    def start(*args, server="", **options):
        o = origin(*args, **options)
        return weir(CONF % server, app=o.port), o
    return start


def slow_reader(port):
    """A connection that takes in very little by itself."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(20)
    s.connect(("127.0.0.1", port))
    return s


def drip(action, pause=0.05):
    """Does it again and again until it fails; a thread that ends with the connection."""
    def run():
        try:
            while True:
                action()
                time.sleep(pause)
        except OSError:
            pass
    t = threading.Thread(target=run, daemon=True)
    t.start()
    return t


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_reader_of_single_octets(site, framing):
    def handler(x):
        try:
            if framing == "length":
                x.send(f"HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n".encode())
                x.send(b"x" * LARGE)
            else:
                x.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(LARGE >> 16):
                    x.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        except OSError:
            x.close()
    w, o = site(handler)
    s = slow_reader(w.http)
    s.sendall(request())
    t = drip(lambda: s.recv(1) or s.shutdown(socket.SHUT_RDWR) or 1 / len(b""[:0] or b"x"))
    o.wait(lambda: o.connections == 1 and o.open == 0, timeout=20)
    wait_until(lambda: '"reason":"client_stalled"' in w.stdout)
    s.close()
    t.join(10)
    with connect(w.dash) as c:
        assert b'weir_limit_refusals_total{limit="slowest"} 1\n' in c.ask(request(target="/metrics", host="127.0.0.1")).body


def test_a_sender_of_single_octets(site):
    w, o = site(read_content=False, handler=lambda x: x.stream.read_to_end())
    with connect(w.http, timeout=20) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n")
        o.wait(lambda: o.connections == 1)
        drip(lambda: c.send(b"x"))
        try:
            assert c.read_response().status == 408
        except (Closed, ConnectionError):
            pass
    o.wait(lambda: o.open == 0)
    wait_until(lambda: '"reason":"client_upload_stalled"' in w.stdout)


def test_who_is_merely_slow_is_served(site):
    w, o = site(read_content=False, handler=lambda x: (x.stream.read_content(x.request, until_end=False), x.reply(body=x.request.body)))
    with connect(w.http, timeout=30) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 12000\r\n\r\n")
        for _ in range(40):  # 6 KB a second for two seconds
            c.send(b"x" * 300)
            time.sleep(0.05)
        assert c.read_response().body == b"x" * 12000


def test_a_slow_server_is_not_the_clients_fault(site):
    def handler(x):
        x.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(10):
            time.sleep(0.3)
            x.send(b"1\r\nx\r\n")
        x.send(b"0\r\n\r\n")
    w, o = site(handler)
    with connect(w.http, timeout=30) as c:
        assert c.ask(request()).body == b"x" * 10


def test_a_server_that_reads_slowly_is_not_either(site):
    def handler(x):
        time.sleep(2.5)
        x.stream.read_content(x.request, until_end=False)
        x.reply()
    w, o = site(read_content=False, handler=handler)
    with connect(w.http, timeout=30) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 8000000)
        assert c.read_response().status == 200


def test_a_silent_tunnel_stays(weir):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    w = weir("timeouts { slow 500ms }\nlimits { slowest 1MiB/s }\nproxy 127.0.0.1:@http@ { egress { allow 127.0.0.1; connect-ports any } }")
    with connect(w.http) as c:
        assert c.ask(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").status == 200
        server, _ = listener.accept()
        time.sleep(1.5)  # the silence is what is tested
        c.send(b"ping")
        assert server.recv(4) == b"ping"
        server.close()
    listener.close()


def test_a_whole_answer_lets_its_server_go(site):
    """A client that does not read holds no connection of the server's once the answer is here, nor a place there."""
    w, o = site(lambda x: x.reply(body=b"x" * 60000))
    readers = []
    for _ in range(6):
        s = slow_reader(w.http)
        s.sendall(request() * 120)  # more than its socket takes: weir stands in the middle of an answer
        readers.append(s)
    o.wait(lambda: len(o.requests) >= 6)
    seen = 0
    while seen != len(o.requests):  # until all of them stand still
        seen = len(o.requests)
        time.sleep(0.3)
    opened = o.connections
    with connect(w.http) as c:
        for _ in range(5):
            assert len(c.ask(request()).body) == 60000
    assert seen < 6 * 120, "nobody stands in the middle of an answer"
    assert o.connections == opened, "connections are used again while slow readers wait"
    for s in readers:
        s.close()


def test_a_stalled_reader_is_reset(site):
    """What the kernel still holds for it goes at once, instead of waiting for a client that never reads."""
    def handler(x):
        try:
            x.send(f"HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n".encode() + b"x" * LARGE)
        except OSError:
            x.close()
    w, o = site(handler)
    s = slow_reader(w.http)
    s.sendall(request())
    o.wait(lambda: o.connections == 1 and o.open == 0, timeout=20)
    with pytest.raises(ConnectionResetError):
        while s.recv(1 << 16):
            pass
    s.close()
