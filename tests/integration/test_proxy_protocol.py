# SPDX-License-Identifier: Apache-2.0
"""`listen ... proxy-protocol`: who the client is, who may say so, and what happens to everything else."""
import socket
import struct
import time

import pytest

import certs
from http1 import Closed, connect, request
from process import wait_until

CONF = """
%s
pool app { server 127.0.0.1:@app@ }
site a.test {
    listen 127.0.0.1:@http@ proxy-protocol
    route * -> pool app
}
"""
TRUST = "trust client-ip from 127.0.0.1"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(src="192.0.2.7", dst="192.0.2.1", family="TCP4"):
    return f"PROXY {family} {src} {dst} 40000 443\r\n".encode()


def v2(src="192.0.2.7", dst="192.0.2.1", command=1, family=socket.AF_INET, tlvs=b""):
    addresses = socket.inet_pton(family, src) + socket.inet_pton(family, dst) + struct.pack("!HH", 40000, 443)
    kind = 0x11 if family == socket.AF_INET else 0x21
    return SIGNATURE + bytes([0x20 | command, kind]) + struct.pack("!H", len(addresses) + len(tlvs)) + addresses + tlvs


@pytest.fixture
def site(weir, origin):
    def start(top=TRUST):
        o = origin()
        w = weir(CONF % top, app=o.port, wait=False)
        wait_until(lambda: f"127.0.0.1:{w.http}" in w.stderr and w.workers(), what="a start")
        return w, o
    return start


def ended(c):
    """No answer: the connection just ends."""
    try:
        return c.read_to_end() == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("header,client", [
    (v1(), "192.0.2.7"),
    (v1("2001:db8::7", "2001:db8::1", "TCP6"), "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    (b"PROXY UNKNOWN whatever 1 2 3\r\n", "127.0.0.1"),
    (v2(), "192.0.2.7"),
    (v2("2001:db8::7", "2001:db8::1", family=socket.AF_INET6), "2001:db8::7"),
    (v2("::ffff:192.0.2.8", "::1", family=socket.AF_INET6), "192.0.2.8"),
    (v2(command=0), "127.0.0.1"),
    (v2(tlvs=b"\x02\0\x06a.test\x04\0\x03abc"), "192.0.2.7"),
], ids=["v1", "v1 v6", "v1 unknown", "v1 unknown and more", "v2", "v2 v6", "v2 mapped", "v2 local", "v2 tlvs"])
def test_who_the_client_is(site, header, client):
    w, o = site()
    for pieces in ([header + request()], [header, request()], [bytes([b]) for b in header] + [request()]):
        with connect(w.http) as c:
            for p in pieces:
                c.send(p)
            assert c.read_response().status == 200
            assert o.last.fields["X-Forwarded-For"] == client
            # A client that is trusted by nobody is not believed what it says about others.
            c.ask(request(fields=["X-Forwarded-For: 203.0.113.1"]))
            assert o.last.fields["X-Forwarded-For"] == (client if client != "127.0.0.1" else "203.0.113.1, 127.0.0.1")
    wait_until(lambda: w.stdout.count(f'"client":"{client}') >= 3)


@pytest.mark.parametrize("data", [
    request(),
    b"PROXY TCP4 192.0.2.7 192.0.2.1 40000\r\n" + request(),
    b"PROXY TCP4 2001:db8::7 192.0.2.1 40000 443\r\n" + request(),
    b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\n" + request(),
    b"PROXY TCP4 192.0.2.7  192.0.2.1 40000 443\r\n" + request(),
    b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 65536\r\n" + request(),
    b"proxy TCP4 192.0.2.7 192.0.2.1 40000 443\r\n" + request(),
    b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n" + request(),
    SIGNATURE + b"\x31\x11\0\x0c" + bytes(12) + request(),
    SIGNATURE + b"\x21\x11\0\x04" + bytes(4) + request(),
    SIGNATURE + b"\x21\x11\xff\xff" + bytes(70000),
    v2(tlvs=b"\x02\xff\xff") + request(),
    SIGNATURE[:-1] + b"X" + request(),
], ids=range(13))
def test_anything_else_is_closed_unanswered(site, data):
    w, o = site()
    with connect(w.http) as c:
        try:
            c.send(data)
        except ConnectionError:
            pass
        assert ended(c)
    assert not o.requests


def test_a_second_header_is_no_request(site):
    w, o = site()
    with connect(w.http) as c:
        c.send(v1() + v1("192.0.2.8") + request())
        assert c.read_response().status == 400
    assert not o.requests


@pytest.mark.parametrize("top", ["", "trust client-ip from 192.0.2.0/24"], ids=["nobody", "others"])
def test_who_is_not_trusted_is_closed(site, top):
    w, o = site(top)
    with connect(w.http) as c:
        try:
            c.send(v1() + request())
        except ConnectionError:
            pass
        assert ended(c)
    assert not o.requests


def test_a_header_has_a_deadline(site):
    w, o = site(TRUST + "\ntimeouts { handshake 1s }")
    with connect(w.http) as c:
        c.send(b"PROXY TCP4 192.")
        start = time.monotonic()
        assert ended(c)
        assert time.monotonic() - start > 0.4


def test_clients_are_counted_each_for_itself(site):
    w, o = site(TRUST + "\nlimits { per-client 2 }")
    held = []
    for client in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        for _ in range(2):
            c = connect(w.http)
            held.append(c)
            c.send(v1(client) + request())
            assert c.read_response().status == 200
    with connect(w.http) as c:
        c.send(v1("192.0.2.2") + request())
        assert ended(c)
    held.pop(2).close()

    def served():
        with connect(w.http) as c:
            c.send(v1("192.0.2.2") + request())
            try:
                return c.read_response().status == 200
            except (Closed, ConnectionError):
                return False
    wait_until(served)
    for c in held:
        c.close()


def test_before_tls(weir, origin):
    o = origin()
    w = weir((CONF % TRUST).replace("proxy-protocol", "tls proxy-protocol\n tls cert server.pem key server.key"), app=o.port, wait=False,
             files=certs.files("a.test"))
    wait_until(lambda: f"127.0.0.1:{w.http}" in w.stderr and w.workers(), what="a start")
    for header in (v1(), v2()):
        sock = socket.create_connection(("127.0.0.1", w.http), timeout=10)
        sock.sendall(header)
        with certs.connect_tls(w.http, sock=sock) as c:
            assert c.ask(request()).status == 200
            assert o.last.fields["X-Forwarded-For"] == "192.0.2.7" and o.last.fields["X-Forwarded-Proto"] == "https"


def test_in_front_of_a_forward_proxy(weir, origin):
    o = origin()
    w = weir(TRUST + """
        proxy { listen 127.0.0.1:@http@ proxy-protocol
                egress { allow 127.0.0.1 ports @app@ }
                deny when { client 192.0.2.9 }
                allow when { client 0.0.0.0/0 } }""".replace("proxy {", "proxy 127.0.0.1:@other@ {"), app=o.port, wait=False)
    w.wait_ports([w.other])
    target = f"http://127.0.0.1:{o.port}/"
    for client, status in (("192.0.2.7", 200), ("192.0.2.9", 403)):
        with connect(w.http) as c:
            c.send(v1(client) + request(target=target, host=f"127.0.0.1:{o.port}"))
            assert c.read_response().status == status


def test_check_says_what_is_wrong(cli, folder):
    conf = folder / "weir.conf"
    conf.write_text("site a.test { listen 127.0.0.1:8080 proxy-protocol\n route * -> respond 200 }\n")
    done = cli("check")
    assert done.returncode == 0 and "warning" in done.stderr and "trust client-ip" in done.stderr
    conf.write_text("trust client-ip from 10.0.0.0/8\nsite a.test { listen 127.0.0.1:8080 proxy-protocol\n route * -> respond 200 }\n"
                    "site b.test { listen 127.0.0.1:8080\n route * -> respond 200 }\n")
    done = cli("check")
    assert done.returncode == 2 and "weir.conf:4:" in done.stderr and "proxy-protocol" in done.stderr
