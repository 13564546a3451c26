# SPDX-License-Identifier: Apache-2.0
"""The forward proxy with absolute targets: where it takes the host from, whom it resolves, and where it does not go."""
import re
import socket
import threading

import pytest

from dns import DnsServer
from http1 import chunked, connect, request
from process import free_port, need, run_weir

OPEN = """
log access off
proxy 127.0.0.1:@http@ { egress { allow 127.0.0.0/8; connect-ports any } }
"""


def get(port, path="/", host="127.0.0.1", **options):
    """A request for http://HOST:PORT/PATH in absolute form."""
    method = options.pop("method", "GET")
    return request(method, f"http://{host}:{port}{path}", host=f"{host}:{port}", **options)


@pytest.fixture
def proxy(weir, origin):
    def start(*args, **options):
        o = origin(*args, **options)
        return weir(OPEN, app=o.port), o
    return start


@pytest.fixture
def dns():
    started = []

    def start(names, **options):
        started.append(DnsServer(names, **options))
        return started[-1]
    yield start
    for d in started:
        d.stop()


def test_an_absolute_target_becomes_origin_form(proxy):
    w, o = proxy()
    with connect(w.http) as c:
        r = c.ask(get(o.port, "/a/b?c=%20d"))
        assert r.status == 200 and r.body == b"hello from the origin"
        assert o.last.target == "/a/b?c=%20d" and o.last.fields.all("Host") == [f"127.0.0.1:{o.port}"]
        assert re.fullmatch(r"1\.1 \S+", r.fields["Via"])
        c.ask(request(target=f"http://127.0.0.1:{o.port}", host="x"))
        assert o.last.target == "/"
        c.ask(request(target=f"http://127.0.0.1:{o.port}?q", host="x"))
        assert o.last.target == "/?q"
        c.ask(request("OPTIONS", f"http://127.0.0.1:{o.port}", host="x"))
        assert o.last.method == "OPTIONS" and o.last.target in ("*", "/")


def test_the_host_is_taken_from_the_target(proxy):
    w, o = proxy()
    with connect(w.http) as c:
        c.ask(request(target=f"HTTP://127.0.0.1:{o.port}/", host="evil.test"))
        assert o.last.fields.all("Host") == [f"127.0.0.1:{o.port}"]
        c.ask(request(target=f"http://127.0.0.1:{o.port}/", host=None, version="HTTP/1.0"))
        assert o.last.fields.all("Host") == [f"127.0.0.1:{o.port}"]


def test_content_and_keep_alive(proxy):
    w, o = proxy()
    with connect(w.http) as c:
        for i in range(5):
            assert c.ask(get(o.port, method="POST", body=b"content %d" % i)).body == b"content %d" % i
        c.send(f"PUT http://127.0.0.1:{o.port}/ HTTP/1.1\r\nHost: 127.0.0.1:{o.port}\r\nTransfer-Encoding: chunked\r\n\r\n".encode() +
               chunked(b"a" * 100, b"b" * 5000))
        assert c.read_response().body == b"a" * 100 + b"b" * 5000
    assert o.connections == 1


def test_one_connection_for_several_origins(proxy, origin):
    w, o = proxy()
    other = origin(lambda x: x.reply(body=b"the other"))
    with connect(w.http) as c:
        for _ in range(3):
            assert c.ask(get(o.port)).body == b"hello from the origin"
            assert c.ask(get(other.port)).body == b"the other"
    assert o.connections == 1 and other.connections == 1


def test_standard_privacy_is_the_default(proxy):
    w, o = proxy()
    with connect(w.http) as c:
        c.ask(get(o.port, fields=[
            ("X-Forwarded-For", "10.1.2.3"), ("Forwarded", "for=10.1.2.3"), ("X-Client-IP", "10.1.2.3"), ("X-Real-IP", "10.1.2.3"),
            ("True-Client-IP", "10.1.2.3"), ("X-Forwarded-Host", "inner.test"), ("Proxy-Authorization", "Basic eDp5"),
            ("Proxy-Connection", "keep-alive"), ("Cookie", "a=b"), ("Authorization", "Bearer x")]))
    f = o.last.fields
    assert "10.1.2.3" not in str(f) and "inner.test" not in str(f)
    for name in ("Proxy-Authorization", "Proxy-Connection", "X-Forwarded-For", "Forwarded"):
        assert name not in f
    assert f["Cookie"] == "a=b" and f["Authorization"] == "Bearer x"
    assert re.fullmatch(r"1\.1 \S+", f["Via"]) and socket.gethostname() not in f["Via"]


@pytest.mark.parametrize("ask", [
    request(), request(target="/x"), request(target="http:///x"), request(target="http://"),
    request(target="http://a.test:99999/"), request(target="http://a.test:x/"), request(target="http://a.test:0/"),
    request(target="http://user:pass@127.0.0.1/"), request(target="ftp://127.0.0.1/"), request(target="http:a.test/"),
    request(target="//a.test/"), request(target="http://[::1/"), request(target="http://a b.test/"), request(target="a.test:80")],
    ids=lambda ask: ask.split(b"\r\n")[0].decode())
def test_targets_that_are_not_for_a_proxy(weir, ask):
    w = weir(OPEN)
    with connect(w.http) as c:
        assert 400 <= c.ask(ask).status < 500


# ---- where it does not go

SPELLINGS = ["127.0.0.2", "[::1]", "[::]", "0.0.0.0", "[::ffff:127.0.0.2]", "2130706434", "0177.0.0.2", "127.2", "0x7f000002",
             "0x7f.0.0.2", "[::ffff:7f00:2]", "[64:ff9b::7f00:2]", "[2002:7f00:2::]", "[::127.0.0.2]", "10.0.0.1", "172.16.0.1",
             "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "[fe80::1]", "[fc00::1]", "[ff02::1]",
             "0.1.2.3", "127.0.0.2.", "localhost", "localhost.", "inner.test", "INNER.test", "six.test", "mapped.test"]
GUARDED = """
log access off
hosts { inner.test 127.0.0.2; six.test ::1; mapped.test ::ffff:127.0.0.2; good.test 127.0.0.1 }
resolver 127.0.0.1:@deaddns@
proxy 127.0.0.1:@http@ { egress { allow 127.0.0.1/32 ports @app@; connect-ports any } }
"""


@pytest.mark.parametrize("host", SPELLINGS)
def test_private_addresses_are_denied_in_any_spelling(weir, origin, host):
    """Somebody listens on all of 127/8 and on ::1, and hears nothing."""
    o = origin()
    port = o.port
    everywhere = []
    for family, address in ((socket.AF_INET, "127.0.0.2"), (socket.AF_INET6, "::1")):
        s = socket.socket(family)
        s.bind((address, port))
        s.listen(4)
        s.settimeout(0)
        everywhere.append(s)
    w = weir(GUARDED, app=port)
    with connect(w.http) as c:
        if host.startswith("localhost"):  # it may be 127.0.0.1, which is allowed here; ::1 is not
            assert c.ask(get(port, host=host)).status in (200, 403, 502, 503, 504)
        else:
            r = c.ask(get(port, host=host))
            assert 400 <= r.status < 600 and r.status != 508
            assert not o.requests
    with connect(w.http) as c:
        r = c.ask(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")
        assert r.status >= 400 or host.startswith("localhost")
    for s in everywhere:
        with pytest.raises(BlockingIOError):
            s.accept()
        s.close()


@pytest.mark.parametrize("host", ["127.0.0.2", "10.0.0.1", "169.254.169.254", "[::1]", "inner.test", "[::ffff:127.0.0.2]"])
def test_what_egress_denies_is_403(weir, host):
    w = weir(GUARDED, app=free_port())
    with connect(w.http) as c:
        assert c.ask(get(8080, host=host)).status == 403
        r = c.ask(get(8080, host=host, fields=[("Accept", "application/json")]))
        assert r.status == 403 and r.fields["Content-Type"].startswith("application/problem+json")


def test_allow_with_ports(weir, origin):
    allowed, other = origin(), origin()
    w = weir(GUARDED, app=allowed.port)
    with connect(w.http) as c:
        assert c.ask(get(allowed.port)).status == 200
        assert c.ask(get(allowed.port, host="good.test")).status == 200
        assert allowed.last.fields["Host"] == f"good.test:{allowed.port}"
        assert c.ask(get(other.port)).status == 403 and not other.requests


def test_by_default_loopback_is_private(weir, origin):
    o = origin()
    w = weir("log access off\nproxy 127.0.0.1:@http@ { }")
    with connect(w.http) as c:
        assert c.ask(get(o.port)).status == 403 and o.connections == 0


def test_allow_of_ipv4_loopback_does_not_open_ipv6(weir):
    s = socket.socket(socket.AF_INET6)
    s.bind(("::1", 0))
    s.listen(1)
    w = weir(OPEN)
    with connect(w.http) as c:
        assert c.ask(get(s.getsockname()[1], host="[::1]")).status == 403
    s.close()


def test_a_request_for_itself(weir):
    w = weir(OPEN)
    with connect(w.http) as c:
        assert c.ask(get(w.http)).status == 508
    with connect(w.http) as c:
        assert c.ask(get(w.http, host="127.0.0.3")).status in (403, 502, 508)


def test_two_that_ask_each_other(weir):
    """A loop over two proxies ends too."""
    w = weir(OPEN + "pool p { server 127.0.0.1:@http@ }\nsite * { listen 127.0.0.1:@front@\n route * -> pool p }")
    with connect(w.front) as c:
        r = c.ask(request(host=f"127.0.0.1:{w.front}", target=f"http://127.0.0.1:{w.front}/"))
        assert r.status >= 400


def test_an_open_proxy_beyond_loopback_is_refused(folder):
    (folder / "weir.conf").write_text(f"proxy 0.0.0.0:{free_port()} {{ }}\n")
    for arguments in (["run", "-c", "weir.conf"], ["check", "-c", "weir.conf"]):
        done = run_weir(folder, *arguments)
        assert done.returncode == 2
        assert re.search(r"weir\.conf:1:\d+: error: .*(auth|client|loopback|open)", done.stderr)


# ---- names

def test_names_from_hosts(weir, origin):
    o = origin()
    w = weir("hosts { a.test 127.0.0.1; b.test 127.0.0.1 }\nresolver 127.0.0.1:1\n" + OPEN, app=o.port)
    with connect(w.http) as c:
        for name in ("a.test", "b.test", "A.TEST", "a.test."):
            assert c.ask(get(o.port, host=name)).status == 200
        assert c.ask(get(o.port, host="c.test")).status in (502, 503, 504)


def test_names_from_a_resolver(weir, origin, dns):
    o = origin()
    d = dns({"a.test": ["127.0.0.1"], "alias.test": ["a.test"]})
    w = weir("resolver 127.0.0.1:@dns@\n" + OPEN, dns=d.port)
    with connect(w.http) as c:
        assert c.ask(get(o.port, host="a.test")).status == 200
        assert o.last.fields["Host"] == f"a.test:{o.port}"
        assert ("a.test", 1, "udp") in d.asked
        assert c.ask(get(o.port, host="missing.test")).status in (502, 503, 504)


def test_a_truncated_answer_is_asked_for_by_tcp(weir, origin, dns):
    o = origin()
    d = dns({"a.test": ["127.0.0.1"]}, truncate=["a.test"])
    w = weir("resolver 127.0.0.1:@dns@\n" + OPEN, dns=d.port)
    with connect(w.http) as c:
        assert c.ask(get(o.port, host="a.test")).status == 200
    assert ("a.test", 1, "tcp") in d.asked


def test_answers_are_cached_for_their_ttl(weir, origin, dns):
    o = origin()
    d = dns({"a.test": ["127.0.0.1"]}, ttl=300)
    w = weir("threads 1\nresolver 127.0.0.1:@dns@\n" + OPEN, dns=d.port)
    for _ in range(5):
        with connect(w.http) as c:
            assert c.ask(get(o.port, host="a.test", fields=[("Connection", "close")])).status == 200
    assert [q for q in d.asked if q[1] == 1] == [("a.test", 1, "udp")]
    with connect(w.http) as c:  # what does not exist is remembered too
        for _ in range(3):
            assert c.ask(get(o.port, host="missing.test")).status in (502, 503, 504)
    assert len([q for q in d.asked if q[0] == "missing.test" and q[1] == 1]) <= 2


def test_a_name_that_resolves_to_a_private_address_is_denied(weir, origin, dns):
    """Rebinding: the address that is dialled is the one that was checked."""
    o = origin()
    d = dns({"rebind.test": ["127.0.0.2"], "six.test": ["::1"], "mapped.test": ["::ffff:127.0.0.2"], "both.test": ["127.0.0.2", "127.0.0.1"]})
    w = weir("""
        log access off
        resolver 127.0.0.1:@dns@
        proxy 127.0.0.1:@http@ { egress { allow 127.0.0.1/32 } }""", dns=d.port)
    with connect(w.http) as c:
        for name in ("rebind.test", "six.test", "mapped.test"):
            assert c.ask(get(o.port, host=name)).status == 403, name
        assert not o.requests
        # One of two addresses is allowed: that one may be used, the other is not tried.
        assert c.ask(get(o.port, host="both.test")).status in (200, 403)


def test_the_next_address_is_tried(weir, origin, dns):
    """Happy eyeballs: ::1 refuses (nobody listens there), 127.0.0.1 answers."""
    o = origin()
    d = dns({"dual.test": ["::1", "127.0.0.1"], "two.test": ["127.0.0.9", "127.0.0.1"]})
    w = weir("""
        log access off
        resolver 127.0.0.1:@dns@
        proxy 127.0.0.1:@http@ { egress { allow 127.0.0.0/8; allow ::1 } }""", dns=d.port)
    with connect(w.http) as c:
        assert c.ask(get(o.port, host="dual.test")).status == 200
        assert c.ask(get(o.port, host="two.test")).status == 200


def test_a_resolver_that_is_silent(weir, dns):
    d = dns({}, silent=["slow.test"])
    w = weir("resolver 127.0.0.1:@dns@\n" + OPEN, dns=d.port)
    with connect(w.http, timeout=20) as c:
        assert c.ask(get(80, host="slow.test")).status in (502, 503, 504)


def test_an_origin_that_refuses(weir):
    w = weir(OPEN)
    dead = free_port()
    with connect(w.http) as c:
        r = c.ask(get(dead))
        assert r.status in (502, 503, 504)
        assert c.ask(get(dead)).status == r.status


# ---- rules

def test_policy(weir, origin):
    o = origin()
    w = weir("""
        log access off
        hosts { deny.test 127.0.0.1; x.deny.test 127.0.0.1; good.test 127.0.0.1 }
        proxy 127.0.0.1:@http@ {
            egress { allow 127.0.0.0/8 }
            policy {
                deny domain .deny.test
                deny method DELETE
                deny path /secret /secret/*
                default allow
            }
        }""")
    with connect(w.http) as c:
        for host in ("deny.test", "x.deny.test", "X.DENY.Test", "deny.test."):
            assert c.ask(get(o.port, host=host)).status == 403, host
        assert c.ask(get(o.port, host="good.test")).status == 200
        assert c.ask(get(o.port, host="good.test", method="DELETE")).status == 403
        for path in ("/secret", "/secret/a", "/a/../secret", "/%73ecret"):
            assert c.ask(get(o.port, path, host="good.test")).status == 403, path
    assert len(o.requests) == 1


def test_curl_through_it(proxy, process):
    w, o = proxy()
    url = f"http://127.0.0.1:{o.port}/"
    p = process([need("curl"), "-sS", "-x", f"http://127.0.0.1:{w.http}", url, url])
    assert p.wait() == 0 and p.stdout == "hello from the origin" * 2


def test_the_address_that_is_connected_from(weir, cli, folder):
    seen = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            while len(seen) < 2:
                s, peer = listener.accept()
                with s:
                    s.recv(65536)
                    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                seen.append(peer[0])
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        at = f"127.0.0.1:{listener.getsockname()[1]}"
        w = weir("proxy 127.0.0.1:@proxy@ { egress { allow 127.0.0.0/8; connect-ports any; source 127.0.0.77 } }")
        with connect(w.proxy) as c:
            assert c.ask(request("GET", f"http://{at}/", host=at)).status == 200
        with connect(w.proxy) as c:
            assert c.ask(request("CONNECT", at, host=at)).status == 200
            assert c.ask(request("GET", "/", host=at)).status == 200
        thread.join(10)
    assert seen == ["127.0.0.77", "127.0.0.77"]
    for line in ("source eth0", "source 127.0.0.1 127.0.0.2", "source 127.0.0.1:80"):
        (folder / "x.conf").write_text(f"proxy 127.0.0.1:3128 {{\n    egress {{ {line} }}\n}}\n")
        done = cli("check", "-c", "x.conf")
        assert done.returncode == 2 and "x.conf:2:" in done.stderr, line
