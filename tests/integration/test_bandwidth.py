# SPDX-License-Identifier: Apache-2.0
"""`bandwidth`: bytes a second of a client or user. Nothing here measures how exactly (the benchmark does): a rate at which the whole
content would take minutes must hold it back, and one that is not used up must not."""
import pytest

from http1 import connect, request
from process import wait_until

SIZE = 300000
SLOW = "bandwidth 20KiB/s"  # a quarter of a minute for SIZE
CONF = """
log access off
proxy 127.0.0.1:@proxy@ {
    egress { allow 127.0.0.1; connect-ports any }
    %s
}
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@http@
    %s
    route /files/* -> files www { strip /files }
    route * -> pool app
}
"""


def run(weir, app, proxy="", site=""):
    return weir(CONF % (proxy, site), app=app.port, files={"www/big": "y" * SIZE})


@pytest.fixture
def app(origin):
    return origin(lambda exchange: exchange.reply(body=b"%d" % len(exchange.request.body) if exchange.request.body else b"x" * SIZE))


def test_an_answer_through_the_proxy(weir, app):
    w = run(weir, app, SLOW)
    with connect(w.ports["proxy"]) as c:
        c.send(request("GET", f"http://127.0.0.1:{app.port}/", host=f"127.0.0.1:{app.port}"))
        first = c.sock.recv(65536)
        assert first and len(first) < SIZE / 2


@pytest.mark.parametrize("path", ["/", "/files/big"])
def test_an_answer_of_a_site(weir, app, path):
    w = run(weir, app, site=SLOW)
    with connect(w.http) as c:
        c.send(request("GET", path))
        received = 0
        while received < 20000:
            received += len(c.sock.recv(4096))
        c.sock.setblocking(False)
        with pytest.raises(BlockingIOError):  # the rest is not there
            for _ in range(100):
                received += len(c.sock.recv(65536))
        assert received < SIZE / 2


def test_a_tunnel_each_way(weir, app):
    w = run(weir, app, "bandwidth 400KiB/s")
    with connect(w.ports["proxy"]) as c:
        c.send(request("CONNECT", f"127.0.0.1:{app.port}", host="x"))
        assert c.read_response(method="CONNECT").status == 200
        c.send(request("POST", "/", body=b"z" * SIZE))
        assert c.read_response().body == b"%d" % SIZE
        c.send(request("GET", "/"))
        assert c.read_response().body == b"x" * SIZE


def test_an_upload(weir, origin):
    seen = []

    def handler(exchange):
        stream = exchange.stream
        while len(stream.buffer) < 10000:
            stream.fill()
        stream.sock.setblocking(False)
        try:
            while True:
                stream.buffer += stream.sock.recv(65536)
        except BlockingIOError:
            seen.append(len(stream.buffer))  # what is there now; the rest is held back
        exchange.close()

    w = run(weir, origin(handler, read_content=False), site=SLOW)
    with connect(w.http) as c:
        c.send(request("POST", "/", body=b"z" * SIZE))
        wait_until(lambda: seen)
    assert 10000 <= seen[0] < SIZE / 2


def test_what_stays_below_is_not_held_back_and_whole(weir, app):
    w = run(weir, app, "bandwidth 100MiB/s", "bandwidth 100MiB/s by client-ip")
    for port, path in ((w.ports["proxy"], f"http://127.0.0.1:{app.port}/"), (w.http, "/"), (w.http, "/files/big")):
        with connect(port) as c:
            assert len(c.ask(request("GET", path, host=f"127.0.0.1:{app.port}")).body) == SIZE


def test_one_key_is_shared_by_its_connections_and_another_has_its_own(weir, app):
    w = run(weir, app, site="bandwidth 20KiB/s by header X-Who")
    busy = [connect(w.http) for _ in range(2)]
    for c in busy:
        c.send(request("GET", "/", fields=["X-Who: ann"]))
        assert c.sock.recv(1024)
    with connect(w.http) as c:  # ann's bytes are spoken for; bob has a rate of his own
        c.send(request("GET", "/", fields=["X-Who: bob"]))
        received = 0
        while received < 10000:
            received += len(c.sock.recv(4096))
    for c in busy:
        c.close()


@pytest.mark.parametrize("statement, word", [("bandwidth 0B/s", "rate"), ("bandwidth 10MiB", "10MiB"), ("bandwidth 1MiB/s by moon", "by")])
def test_mistakes(cli, folder, statement, word):
    (folder / "weir.conf").write_text(f"proxy 127.0.0.1:3128 {{\n    {statement}\n}}\n")
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 2 and "weir.conf:2" in done.stderr and word in done.stderr
