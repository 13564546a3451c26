# SPDX-License-Identifier: Apache-2.0
"""`pre-open`: connections that stand ready before a request asks for them."""
import signal
import socket

import pytest

import certs
from certs import server_context
from h2origin import H2Origin
from http1 import connect, request
from process import wait_until

SITE = """
threads %d
log access off
hosts { app.test 127.0.0.1 }
admin unix:admin.sock
timeouts { connect 1s  handshake 2s  idle %s }
pool app {
    %s
}
site * {
    listen 127.0.0.1:@http@
    route * -> pool app
}
"""


def ask(port, **options):
    with connect(port) as c:
        return c.ask(request(**options))


def stands(o, n):
    wait_until(lambda: o.open == n, what=f"{n} connections that stand ready")


def test_connections_stand_ready_and_requests_take_them(weir, origin):
    o = origin()
    w = weir(SITE % (1, "60s", f"server 127.0.0.1:{o.port}\n pre-open 3"))
    stands(o, 3)
    assert not o.requests
    for _ in range(5):
        assert ask(w.http).status == 200
    assert o.connections == 3, "they are used"


def test_each_thread_has_its_own(weir, origin):
    o = origin()
    weir(SITE % (2, "60s", f"server 127.0.0.1:{o.port}\n pre-open 2"))
    stands(o, 4)


@pytest.mark.parametrize("tls", ["verify ca.pem", "verify off"])
def test_the_handshake_is_done(weir, origin, tls):
    o = origin(tls=server_context("app.test"))
    w = weir(SITE % (1, "60s", f"server app.test:{o.port}\n tls {{ {tls} }}\n pre-open 2"), files={"ca.pem": certs.authority("ca")[0].read_bytes()})
    wait_until(lambda: len(o.handshakes) == 2, what="two handshakes")
    assert ask(w.http).body == b"hello from the origin"
    assert o.connections == 2


def test_a_certificate_that_is_not_trusted_gives_none_and_is_not_hammered(weir, origin):
    o = origin(tls=server_context("app.test"))
    other = certs.authority("other")[0].read_bytes()
    w = weir(SITE % (1, "60s", f"server app.test:{o.port}\n tls {{ verify other.pem }}\n pre-open 1"), files={"other.pem": other})
    wait_until(lambda: o.connections, what="a try")
    assert ask(w.http).status == 502
    assert o.connections <= 4


@pytest.mark.parametrize("tls", ["", "tls { verify off }"])
def test_one_of_http2_stands_ready_and_carries_all(weir, tls):
    context = server_context("app.test") if tls else None
    if tls:
        context.set_alpn_protocols(["h2"])
    o = H2Origin(lambda r: r.reply(body=b"over h2"), ssl=context)
    try:
        w = weir(SITE % (1, "60s", f"server app.test:{o.port}\n http2\n pre-open 4\n {tls}"))
        wait_until(lambda: len(o.connections) == 1, what="a connection")
        for _ in range(3):
            assert ask(w.http).body == b"over h2"
        assert len(o.connections) == 1
    finally:
        o.stop()


def test_a_server_that_wants_no_http2_gets_one_of_http1(weir, origin):
    o = origin(tls=server_context("app.test"))
    w = weir(SITE % (1, "60s", f"server app.test:{o.port}\n http2\n tls {{ verify off }}\n pre-open 4"))
    wait_until(lambda: len(o.handshakes) == 1, what="a connection")
    for _ in range(3):
        assert ask(w.http).status == 200
    assert o.connections == 1


def test_what_a_server_closes_is_opened_again(weir, origin):
    o = origin()
    weir(SITE % (1, "60s", f"server 127.0.0.1:{o.port}\n pre-open 2"))
    stands(o, 2)
    for s in list(o.streams):
        s.sock.shutdown(2)
    wait_until(lambda: o.connections == 4, what="two new ones")
    stands(o, 2)


def test_what_stood_too_long_is_opened_anew(weir, origin):
    o = origin()
    weir(SITE % (1, "300ms", f"server 127.0.0.1:{o.port}\n pre-open 1"))
    wait_until(lambda: o.connections >= 3, what="another after its time")
    assert o.open <= 2


def test_whoever_is_taken_out_gets_none_and_who_comes_back_does(weir, origin, cli):
    out, well = origin(), origin()
    w = weir(SITE % (1, "60s", f"server 127.0.0.1:{out.port}\n server 127.0.0.1:{well.port}\n pre-open 2"))
    stands(out, 2)
    stands(well, 2)
    assert cli("server", "-c", "weir.conf", "app", f"127.0.0.1:{out.port}", "disable").returncode == 0
    for o in (out, well):
        for s in list(o.streams):
            s.sock.shutdown(2)
    wait_until(lambda: well.connections == 4, what="new ones to who is well")
    assert out.connections == 2
    assert cli("server", "-c", "weir.conf", "app", f"127.0.0.1:{out.port}", "enable").returncode == 0
    wait_until(lambda: out.connections == 4, what="new ones to who is back")
    assert ask(w.http).status == 200


def test_whoever_fails_its_checks_gets_none(weir, origin):
    state = {"status": 500}
    tries = []

    def handler(x):
        tries.append(x.request.target)
        x.reply(state["status"], b"ok", [("Connection", "close")])
        x.keep = False
    o = origin(handler)
    w = weir(SITE % (1, "60s", f"server 127.0.0.1:{o.port}\n pre-open 2\n check GET /healthz every 20ms rise 1"))
    wait_until(lambda: "is down" in w.stderr, what="the verdict")
    for s in list(o.streams):
        s.sock.shutdown(2)
    before = len(tries)
    wait_until(lambda: len(tries) >= before + 60, what="a second or so of checks")  # more than two looks
    assert o.open <= 1, "only a check's"
    state["status"] = 200
    wait_until(lambda: o.open >= 2, what="connections to who is back")


def test_a_server_that_comes_by_reload_gets_its_own_and_a_reload_opens_no_other(weir, origin):
    a, b = origin(), origin()
    w = weir(SITE % (1, "60s", f"server 127.0.0.1:{a.port}\n pre-open 2"))
    stands(a, 2)
    w.rewrite(SITE % (1, "60s", f"server 127.0.0.1:{a.port}\n server 127.0.0.1:{b.port}\n pre-open 2"))
    w.signal(signal.SIGHUP)
    stands(b, 2)
    assert a.connections == 2
    w.rewrite(SITE % (1, "60s", f"server 127.0.0.1:{a.port}\n server 127.0.0.1:{b.port}"))
    w.signal(signal.SIGHUP)
    wait_until(lambda: "generation 3" in w.stderr, what="the reload")
    assert ask(w.http).status == 200


def test_a_server_that_hangs_holds_up_neither_requests_nor_the_end(weir, origin):
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", 0))
    deaf.listen(0)
    fill = [socket.socket() for _ in range(4)]
    for f in fill:
        f.setblocking(False)
        f.connect_ex(deaf.getsockname())
    o = origin()
    w = weir(SITE % (1, "60s", f"server 127.0.0.1:{o.port}\n server 127.0.0.1:{deaf.getsockname()[1]} backup\n pre-open 8"))
    stands(o, 8)
    assert ask(w.http).status == 200
    w.signal(signal.SIGTERM)
    assert w.wait(5) == 0
    for s in (deaf, *fill):
        s.close()
