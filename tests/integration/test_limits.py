# SPDX-License-Identifier: Apache-2.0
"""Limits: their defaults, what a request over one gets, and that it is counted."""
import pytest

from http1 import Closed, chunked, connect, request
from process import wait_until

CONF = """
log access off
dashboard 127.0.0.1:@dash@
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@http@
    route * -> pool app
}
"""


@pytest.fixture
def proxy(weir, origin):
    def start(more="", *args, **options):
        o = origin(*args, **options)
        return weir(more + CONF, app=o.port), o
    return start


def test_what_the_defaults_let_through(proxy):
    w, o = proxy()
    with connect(w.http) as c:
        assert c.ask(request(fields=[(f"X-{i}", "v") for i in range(100)])).status == 200
        assert len([n for n, _ in o.last.fields if n.startswith("X-") and n[2:].isdigit()]) == 100
        assert c.ask(request(fields=[("X", "v" * 6000)])).status == 200 and len(o.last.fields["X"]) == 6000
        assert c.ask(request(target="/" + "a" * 7000)).status == 200 and len(o.last.target) == 7001
        assert c.ask(request(fields=[(f"X-{i}", "v" * 3000) for i in range(10)])).status == 200


@pytest.mark.parametrize("ask,statuses", [
    (request(fields=[(f"X-{i}", "v") for i in range(2000)]), {431, 400}),
    (request(fields=[("X", "v" * 300000)]), {431, 400}),
    (request(fields=[("X" * 300000, "v")]), {431, 400}),
    (request(target="/" + "a" * 60000), {414, 400}),
    (request(method="M" * 60000), {414, 400, 501}),
    (b"GET /" + b"a" * 100000, {414, 400}),
], ids=["fields", "field", "name", "target", "method", "no end"])
def test_what_the_defaults_refuse(proxy, ask, statuses):
    w, o = proxy()
    with connect(w.http) as c:
        try:
            c.send(ask)
        except ConnectionError:
            pass
        assert c.read_response().status in statuses
        assert not o.requests
        c.expect_closed()


def test_limits_that_are_set(proxy):
    w, o = proxy("limits { request-line 128B  fields 10  field-bytes 1KiB  body 1000B }\n")

    def status(data):
        with connect(w.http) as c:
            c.send(data)
            return c.read_response().status
    assert status(request(target="/" + "a" * 80)) == 200
    assert status(request(target="/" + "a" * 200)) == 414
    assert status(request(fields=[(f"X-{i}", "v") for i in range(8)])) == 200
    assert status(request(fields=[(f"X-{i}", "v") for i in range(20)])) == 431
    assert status(request(fields=[("X", "v" * 800)])) == 200
    assert status(request(fields=[("X", "v" * 2000)])) == 431
    assert status(request("POST", body=b"x" * 1000)) == 200
    seen = len(o.requests)
    assert status(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1001\r\n\r\n") == 413
    assert len(o.requests) == seen


def test_chunked_content_over_the_limit(proxy):
    """Its size shows only when the request is under way: 413 or an end, and the origin never has it whole."""
    whole = []

    def handler(x):
        try:
            x.stream.read_content(x.request, until_end=False)
            whole.append(len(x.request.body))
            x.reply()
        except Closed:
            x.close()
    w, o = proxy("limits { body 1000B }\n", handler, read_content=False)
    with connect(w.http) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 500, b"x" * 501))
        assert c.read_response().status == 413
    with connect(w.http) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 500, b"x" * 500))
        assert c.read_response().status == 200
    assert whole == [1000]


def test_trailers_count_as_fields(proxy):
    w, o = proxy("limits { fields 20  field-bytes 2KiB }\n")
    for trailers in ([(f"X-{i}", "v") for i in range(50)], [("X", "v" * 5000)]):
        with connect(w.http) as c:
            c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"x", trailers=trailers))
            assert c.read_response().status in (400, 431)


def test_chunk_extensions_have_a_limit(proxy):
    w, o = proxy()
    with connect(w.http) as c:
        try:
            c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * 1000000)
        except ConnectionError:
            pass
        assert c.read_response().status in (400, 413, 431)


def test_connections_of_one_client(proxy):
    w, o = proxy("limits { per-client 5 }\n")
    clients = [connect(w.http) for _ in range(5)]
    for c in clients:
        assert c.ask(request()).status == 200
    with connect(w.http) as extra:
        try:
            extra.send(request())
            r = extra.read_response()
            assert r.status in (429, 503)
        except (Closed, ConnectionError):
            pass
        extra.read_to_end()
    for c in clients:
        assert c.ask(request()).status == 200
    clients.pop().close()

    def served():
        with connect(w.http) as c:
            try:
                return c.ask(request()).status == 200
            except (Closed, ConnectionError):
                return False
    wait_until(served, what="room for another connection")
    for c in clients:
        c.close()


def test_connections_in_all(proxy):
    w, o = proxy("limits { connections 10 }\n")
    clients, refused = [], 0
    for _ in range(30):
        c = connect(w.http)
        clients.append(c)
        try:
            refused += c.ask(request()).status != 200
        except (Closed, ConnectionError):
            refused += 1
    assert refused >= 15
    for c in clients:
        c.close()


def test_answers_have_limits_too(proxy):
    def handler(x):
        if x.request.target == "/fields":
            x.reply(fields=[(f"X-{i}", "v") for i in range(5000)])
        else:
            x.reply(fields=[("X", "v" * 1000000)])
    w, o = proxy("", handler)
    with connect(w.http) as c:
        assert c.ask(request(target="/fields")).status == 502
        assert c.ask(request(target="/field")).status == 502


def test_refusals_are_counted(proxy):
    w, o = proxy()

    def refusals():
        with connect(w.dash) as c:
            text = c.ask(request(target="/metrics", host="127.0.0.1")).body.decode()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                if line.startswith("weir_") and ("fields_too_large" in line or "target_too_long" in line)}
    before = refusals()
    for ask in (request(fields=[("X", "v" * 300000)]), request(target="/" + "a" * 60000)):
        with connect(w.http) as c:
            try:
                c.send(ask)
            except ConnectionError:
                pass
            c.read_response()
    wait_until(lambda: sum(refusals().values()) >= sum(before.values()) + 2, what="two refusals in the metrics")


def test_no_descriptor_left(weir, origin, folder):
    """With few descriptors and many clients: nobody crashes, and when the crowd has gone the next client is served."""
    o = origin()
    w = weir(CONF, app=o.port, wait=False, open_files=256)
    wait_until(lambda: not w.running() or f"127.0.0.1:{w.http}" in w.stderr, what="a start or a refusal")
    if not w.running():
        # Too few for what is configured is a plain sentence and status 1 as well.
        assert w.wait() == 1 and "file" in w.stderr
        w.done = True
        return
    crowd = []
    for _ in range(400):
        c = connect(w.http)
        c.send(request())
        crowd.append(c)
    for c in crowd:
        c.close()

    def served():
        try:
            with connect(w.http) as c:
                return c.ask(request()).status == 200
        except (Closed, ConnectionError, TimeoutError):
            return False
    wait_until(served, what="an answer after the crowd")
