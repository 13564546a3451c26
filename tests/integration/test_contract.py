# SPDX-License-Identifier: Apache-2.0
"""The configurations of ../shared/contract, verbatim apart from port numbers."""
import re
import ssl

import pytest

import certs
from certs import connect_tls
from http1 import connect, request
from process import free_port, need_shared, wait_until


def contract(name):
    """The text with every port that the contract uses replaced by one of ours."""
    text = need_shared("contract", name).read_text()
    return re.sub(r"127\.0\.0\.1:(18080|18443|13128)", r"127.0.0.1:@p\1@", re.sub(r"127\.0\.0\.1:(1808[1-9])", r"127.0.0.1:@o\1@", text))


def test_reverse_conf(weir, origin):
    o = origin()
    w = weir(contract("reverse.conf"), o18081=o.port)
    with connect(w.p18080) as c:
        for _ in range(3):
            assert c.ask(request("POST", "/x", body=b"content")).body == b"content"
    assert o.connections == 1


def test_pool_conf(weir, origin):
    healthy = {"status": 200}

    def serve(x):
        x.reply(healthy["status"] if x.request.target == "/healthz" else 200, x.request.target.encode())
    servers = [origin(serve) for _ in range(3)]
    w = weir(contract("pool.conf"), o18081=servers[0].port, o18082=servers[1].port, o18083=servers[2].port)
    for s in servers:
        s.wait(lambda: any(r.target == "/healthz" for r in s.requests))
    with connect(w.p18080) as c:
        for _ in range(40):
            assert c.ask(request(target="/x")).body == b"/x"
    seen = [sum(r.target == "/x" for r in s.requests) for s in servers]
    assert seen == [10, 10, 20]
    port = servers[0].port
    servers[0].stop()
    with connect(w.p18080) as c:
        for _ in range(40):
            assert c.ask(request(target="/x")).status == 200
        back = origin(serve, port=port)
        wait_until(lambda: c.ask(request(target="/x")).status == 200 and any(r.target == "/x" for r in back.requests), what="the server back in use")


def test_forward_conf(weir, origin):
    o = origin()
    w = weir(contract("forward.conf"))
    authority = f"127.0.0.1:{o.port}"
    with connect(w.p13128) as c:
        assert c.ask(request(target=f"http://{authority}/", host=authority)).status == 200
        assert c.ask(request(target="http://10.0.0.1/", host="10.0.0.1")).status == 403
    with connect(w.p13128) as c:
        assert c.ask(request("CONNECT", authority, host=authority)).status == 200
        assert c.ask(request()).status == 200
    with connect(w.p13128) as c:
        assert c.ask(request("CONNECT", "[::1]:443", host="[::1]:443")).status == 403


def test_tls_conf(weir, origin):
    o = origin()
    w = weir(contract("tls.conf"), o18081=o.port, files=certs.files("a.test", "localhost", "127.0.0.1"))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with connect_tls(w.p18443, least=version, most=version) as c:
            assert c.ask(request("POST", "/x", body=b"content")).body == b"content"
    c = certs.context()
    c.check_hostname = False
    for name in ("unknown.test", None):
        with connect_tls(w.p18443, name, context=c) as stream:
            assert stream.ask(request(host="other.test")).status == 200


@pytest.mark.parametrize("name", ["reverse.conf", "pool.conf", "forward.conf", "tls.conf"])
def test_check_finds_nothing(folder, cli, name):
    for file, content in certs.files("a.test").items():
        (folder / file).write_bytes(content)
    (folder / "x.conf").write_text(re.sub(r"@\w+@", lambda m: str(free_port()), contract(name)))
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 0 and "error" not in done.stderr and "warning" not in done.stderr


FRESH = [("Cache-Control", "max-age=60")]


def test_cache_conf(weir, origin):
    o = origin(lambda x: x.reply(body=b"%d" % len(o.requests), fields=FRESH))
    w = weir(contract("cache.conf"), o18081=o.port)
    with connect(w.p18080) as c:
        assert [c.ask(request(target="/x")).body for _ in range(3)] == [b"1"] * 3
    assert len(o.requests) == 1


def test_guard_conf(weir, origin):
    o = origin(lambda x: x.reply(body=b"%d" % len(o.requests), fields=FRESH))
    w = weir(contract("guard.conf"), o18081=o.port)
    with connect(w.p18080) as c:
        assert c.ask(request(target="/x", host="a.test")).body != c.ask(request(target="/x", host="a.test")).body
        first = c.ask(request(target="/cache/x", host="a.test")).body
        assert c.ask(request(target="/cache/x", host="a.test")).body == first
        assert c.ask(request(target="/cache/x", host="b.test")).body != first
        assert c.ask(request(target="/admin/x", host="a.test")).status == 403
