# SPDX-License-Identifier: Apache-2.0
"""Deadlines: each ends what it is there for, and not before its time. Only lower bounds are measured; that an end comes at all
is waited for with a long patience."""
import socket
import threading
import time

import pytest

from http1 import Closed, connect, request
from process import wait_until

CONF = """
log access off
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@http@
    route * -> pool app
}
"""
ONE_SECOND = 1.0


@pytest.fixture
def proxy(weir, origin):
    def start(timeouts, *args, **options):
        o = origin(*args, **options)
        return weir(f"timeouts {{ {timeouts} }}\n" + CONF, app=o.port), o
    return start


class Elapsed:
    def __enter__(self):
        self.start = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.start

    def at_least_half_of(self, deadline):
        assert self.seconds >= deadline / 2


def refused_or_closed(c, statuses):
    """A final answer of one of these statuses and the end, or the end alone."""
    answer = c.read_to_end()
    assert answer == b"" or int(answer.split(b" ")[1]) in statuses, answer[:200]


def test_a_request_head_that_never_ends(proxy):
    w, o = proxy("header 1s")
    with connect(w.http) as c, Elapsed() as e:
        c.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nX: ")
        refused_or_closed(c, {408})
    e.at_least_half_of(ONE_SECOND)
    assert not o.requests


def test_header_counts_for_the_whole_head(proxy):
    """A byte now and then does not put it off."""
    w, o = proxy("header 1s  idle 1s")
    stop = threading.Event()
    with connect(w.http) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nX: ")

        def drip():
            try:
                while not stop.wait(0.1):
                    c.send(b"y")
            except OSError:
                pass
        t = threading.Thread(target=drip)
        t.start()
        refused_or_closed(c, {408})
        stop.set()
        t.join()


def test_a_connection_that_says_nothing(proxy):
    w, o = proxy("idle 1s  header 1s")
    with connect(w.http) as c, Elapsed() as e:
        refused_or_closed(c, {408})
    e.at_least_half_of(ONE_SECOND)


def test_idle_between_requests(proxy):
    w, o = proxy("idle 1s")
    with connect(w.http) as c:
        assert c.ask(request()).status == 200
        with Elapsed() as e:
            c.expect_closed()
        e.at_least_half_of(ONE_SECOND)


def test_an_upload_that_stalls(proxy):
    w, o = proxy("between-bytes 1s", read_content=False, handler=lambda x: x.stream.read_to_end())
    with connect(w.http) as c, Elapsed() as e:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\nhalf")
        refused_or_closed(c, {408, 502, 504})
    e.at_least_half_of(ONE_SECOND)
    o.wait(lambda: o.open == 0)


def test_an_upload_that_stalls_in_a_chunk_size(proxy):
    """What came with the head is less than an octet of content."""
    w, o = proxy("between-bytes 1s", read_content=False, handler=lambda x: x.stream.read_to_end())
    with connect(w.http, timeout=30) as c, Elapsed() as e:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5")
        refused_or_closed(c, {408, 502, 504})
    e.at_least_half_of(ONE_SECOND)


def test_an_answer_that_stalls_in_a_chunk_size(proxy):
    def handler(x):
        x.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5")
        x.stream.read_to_end()
    w, o = proxy("between-bytes 1s", handler)
    with connect(w.http, timeout=30) as c, Elapsed() as e:
        assert c.ask(request()).status in (502, 504)
    e.at_least_half_of(ONE_SECOND)


def test_a_reader_that_does_not_read(proxy):
    """The connection ends although the client never reads; the origin is let go."""
    gone = threading.Event()

    def handler(x):
        try:
            x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            for _ in range(16):
                x.send(b"x" * (60 << 20))
        except OSError:
            pass
        gone.set()
        x.close()
    w, o = proxy("between-bytes 1s", handler)
    with connect(w.http) as c:
        c.send(request())
        assert gone.wait(20)


def test_an_origin_that_does_not_answer(proxy):
    w, o = proxy("first-byte 1s", lambda x: x.stream.read_to_end())
    with connect(w.http) as c, Elapsed() as e:
        assert c.ask(request("POST", body=b"")).status == 504
    e.at_least_half_of(ONE_SECOND)
    o.wait(lambda: o.open == 0)


def test_an_origin_that_stops_in_its_head(proxy):
    w, o = proxy("first-byte 1s  between-bytes 1s", lambda x: (x.send(b"HTTP/1.1 200 OK\r\nX: "), x.stream.read_to_end()))
    with connect(w.http) as c:
        assert c.ask(request("POST", body=b"")).status == 504


def test_an_origin_that_stops_in_its_content(proxy):
    def handler(x):
        x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        x.stream.read_to_end()
    w, o = proxy("between-bytes 1s", handler)
    with connect(w.http) as c, Elapsed() as e:
        with pytest.raises((Closed, ConnectionError)):
            c.ask(request())
    e.at_least_half_of(ONE_SECOND)
    o.wait(lambda: o.open == 0)


def test_an_answer_that_goes_on_is_not_cut(proxy):
    """between-bytes is for a pause, not for the whole."""
    def handler(x):
        x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n")
        for _ in range(30):
            time.sleep(0.1)  # the pause is what is tested
            x.send(b"x")
    w, o = proxy("between-bytes 1s  first-byte 1s  header 1s", handler)
    with connect(w.http) as c:
        assert c.ask(request()).body == b"x" * 30


def test_idle_does_not_cut_a_slow_answer(proxy):
    go = threading.Event()

    def handler(x):
        go.wait(3)
        x.reply(body=b"late")
    w, o = proxy("idle 1s  header 1s  between-bytes 1s  first-byte 30s", handler)
    with connect(w.http) as c:
        assert c.ask(request()).body == b"late"


def test_an_idle_tunnel(weir):
    listener = socket.create_server(("127.0.0.1", 0))
    w = weir("""
        log access off
        timeouts { tunnel-idle 1s }
        proxy 127.0.0.1:@http@ { egress { allow 127.0.0.0/8; connect-ports any } }""")
    with connect(w.http) as c:
        port = listener.getsockname()[1]
        assert c.ask(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").status == 200
        server, _ = listener.accept()
        server.settimeout(15)
        with Elapsed() as e:
            # Traffic in one direction keeps it; then silence ends both sides.
            for _ in range(15):
                server.sendall(b"x")
                assert c.read_exactly(1) == b"x"
                time.sleep(0.1)  # the pause is what is tested
            c.expect_closed()
        assert e.seconds >= 1.5
        assert server.recv(1) == b""
        server.close()
    listener.close()


def test_a_server_that_cannot_be_reached(weir):
    """connect: 192.0.2.0/24 is nowhere; either the kernel says so at once, or the deadline does."""
    w = weir("timeouts { connect 1s }\n" + CONF.replace("127.0.0.1:@app@", "192.0.2.1:9"))
    with connect(w.http, timeout=30) as c:
        assert c.ask(request()).status in (502, 503, 504)


def test_a_route_may_have_its_own(weir, origin):
    o = origin(lambda x: x.stream.read_to_end())
    w = weir("""
        log access off
        pool app { server 127.0.0.1:@app@ }
        site * { listen 127.0.0.1:@http@
            route /quick/* -> pool app { timeout first-byte 1s }
            route *        -> pool app
        }""", app=o.port)
    with connect(w.http) as c:
        assert c.ask(request("POST", "/quick/x", body=b"")).status == 504


def test_a_resolver_that_hangs_has_a_deadline(weir):
    silent = socket.socket(type=socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    w = weir("log access off\nresolver 127.0.0.1:@dns@\nproxy 127.0.0.1:@http@ { }", dns=silent.getsockname()[1])
    with connect(w.http, timeout=20) as c:
        assert c.ask(request(target="http://a.test/")).status in (502, 503, 504)
    silent.close()


# ---- Each has its counter

def refusals(w):
    with connect(w.dash) as c:
        text = c.ask(request(target="/metrics", host="127.0.0.1")).body.decode()
    return {line.split('"')[1]: int(line.rsplit(" ", 1)[1]) for line in text.splitlines()
            if line.startswith("weir_limit_refusals_total{")}


def say_and_wait(data):
    """Sends this and waits for the end."""
    def ask(w):
        with connect(w.http, timeout=30) as c:
            c.send(data)
            c.read_to_end()
    return ask


def ask_for(target):
    return lambda w: say_and_wait(request(target=target, fields=[("Connection", "close")]))(w)


def read_nothing(w):
    with connect(w.http, timeout=30) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.send(request(target="/much"))
        wait_until(lambda: refusals(w)["between-bytes"], what="the reader's end")


LATE = {
    "request-line": say_and_wait(request(target="/" + "a" * 9000)),
    "fields": say_and_wait(request(fields=[(f"X-{i}", "v") for i in range(200)])),
    "field-bytes": say_and_wait(request(fields=[("X", "v" * 40000)])),
    "body": say_and_wait(request("POST", fields=[("Content-Length", "2049")])),
    "header": say_and_wait(b"GET / HTTP/1.1\r\nHost: a"),
    "idle": say_and_wait(request()),
    "first-byte": ask_for("/silent"),
    "between-bytes": read_nothing,
}


@pytest.mark.parametrize("name", LATE)
def test_each_limit_and_deadline_is_counted_by_its_name(weir, origin, name):
    def handler(x):
        if x.request.target == "/silent":
            x.stream.read_to_end()
        elif x.request.target == "/much":
            try:
                x.reply(body=b"x" * (32 << 20))
            except OSError:
                pass
        else:
            x.reply(body=b"fine")
    o = origin(handler)
    w = weir("timeouts { header 1s; idle 1s; first-byte 1s; between-bytes 1s }\nlimits { body 2KiB }\n"
             "dashboard 127.0.0.1:@dash@\n" + CONF, app=o.port)
    assert refusals(w)[name] == 0
    LATE[name](w)
    wait_until(lambda: refusals(w)[name] == 1, what=f"a refusal counted as {name}")
    others = {n: v for n, v in refusals(w).items() if v and n != name and n != "idle"}
    assert not others


@pytest.mark.parametrize("piece", [b"5", b"5\r\n", b"0\r\n", b"0\r\nX: "])
def test_a_chunk_that_is_only_begun(proxy, piece):
    """What has arrived of it is no content yet, and waiting for the rest has a deadline on both sides."""
    w, o = proxy("between-bytes 1s  first-byte 5s", read_content=False, handler=lambda x: x.stream.read_to_end())
    with connect(w.http) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + piece)
        refused_or_closed(c, {408, 502, 504})
    o.wait(lambda: o.open == 0)
    o.handler = lambda x: (x.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + piece), x.stream.read_to_end())
    with connect(w.http) as c:
        try:
            assert c.ask(request()).status == 504
        except Closed:
            pass
    o.wait(lambda: o.open == 0)
