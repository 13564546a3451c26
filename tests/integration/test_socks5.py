# SPDX-License-Identifier: Apache-2.0
"""SOCKS 5 on a forward proxy's port (RFC 1928): the same rules as for CONNECT."""
import crypt
import json
import socket
import subprocess

import pytest

from http1 import request, Stream
from process import need, wait_until

CONF = """
log access json access.log
hosts { app.test 127.0.0.1; inner.test 127.0.0.2 }
proxy 127.0.0.1:@proxy@ {
    egress { allow 127.0.0.1 ports @app@; connect-ports 443 @app@ }
    policy {
        deny domain denied.test
        default allow
    }
}
"""
SUCCEEDED, FAILURE, NOT_ALLOWED, HOST_UNREACHABLE, COMMAND_UNKNOWN, ADDRESS_UNKNOWN = 0, 1, 2, 4, 7, 8


@pytest.fixture
def proxy(weir, origin):
    o = origin()
    w = weir(CONF, app=o.port)
    w.origin = o
    return w


def name(host, port, command=1):
    return b"\x05" + bytes([command]) + b"\x00\x03" + bytes([len(host)]) + host.encode() + port.to_bytes(2, "big")


def ipv4(host, port):
    return b"\x05\x01\x00\x01" + socket.inet_aton(host) + port.to_bytes(2, "big")


def ipv6(host, port):
    return b"\x05\x01\x00\x04" + socket.inet_pton(socket.AF_INET6, host) + port.to_bytes(2, "big")


class Socks:
    def __init__(self, w, methods=b"\x00"):
        self.s = socket.create_connection(("127.0.0.1", w.ports["proxy"]), timeout=10)
        self.s.sendall(b"\x05" + bytes([len(methods)]) + methods)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def take(self, n):
        data = b""
        while len(data) < n:
            part = self.s.recv(n - len(data))
            assert part, f"closed after {data!r}"
            data += part
        return data

    def command(self, message):
        """The reply's code."""
        self.s.sendall(message)
        reply = self.take(10)
        assert reply[0] == 5 and reply[2:] == b"\0\1\0\0\0\0\0\0"
        return reply[1]


@pytest.mark.parametrize("spell", [lambda p: name("app.test", p), lambda p: name("127.0.0.1", p), lambda p: ipv4("127.0.0.1", p),
                                   lambda p: ipv6("::ffff:127.0.0.1", p)])
def test_a_tunnel_to_names_and_addresses(proxy, spell):
    with Socks(proxy) as k:
        assert k.take(2) == b"\x05\x00"
        assert k.command(spell(proxy.origin.port)) == SUCCEEDED
        stream = Stream(k.s)
        for _ in range(3):
            stream.send(request("POST", "/", host="app.test", body=b"x" * 100000))
            assert stream.read_response().body == b"x" * 100000


def test_one_byte_at_a_time_and_the_tunnels_first_bytes_in_the_same_packet(proxy):
    with Socks(proxy, b"\x01\x00\x02"[:2]) as k:
        assert k.take(2) == b"\x05\x00"
        message = name("app.test", proxy.origin.port)
        for i in range(len(message) - 1):
            k.s.sendall(message[i:i + 1])
        k.s.sendall(message[-1:] + request(host="app.test"))
        assert k.take(10)[:2] == b"\x05\x00"
        assert Stream(k.s).read_response().status == 200


@pytest.mark.parametrize("message, reply", [
    (lambda p: name("denied.test", p), NOT_ALLOWED),        # the policy
    (lambda p: name("inner.test", p), NOT_ALLOWED),         # an address that egress denies
    (lambda p: ipv4("127.0.0.2", p), NOT_ALLOWED),
    (lambda p: ipv4("169.254.169.254", p), NOT_ALLOWED),
    (lambda p: ipv6("::1", p), NOT_ALLOWED),
    (lambda p: name("app.test", 25), NOT_ALLOWED),          # a port that CONNECT may not ask for
    (lambda p: name("app.test", p, command=2), COMMAND_UNKNOWN),
    (lambda p: name("app.test", p, command=3), COMMAND_UNKNOWN),
    (lambda p: b"\x05\x01\x00\x09" + bytes(10), ADDRESS_UNKNOWN),
    (lambda p: name("a b", p), ADDRESS_UNKNOWN),
    (lambda p: name("app.test\r\nX: y", p), ADDRESS_UNKNOWN),
    (lambda p: name("", p), ADDRESS_UNKNOWN),
])
def test_what_is_refused(proxy, message, reply):
    with Socks(proxy) as k:
        assert k.take(2) == b"\x05\x00"
        assert k.command(message(proxy.origin.port)) == reply
        assert k.s.recv(1) == b""
    assert proxy.origin.connections == 0


def test_a_server_that_refuses(proxy, weir):
    w = weir(CONF.replace("@app@", "@dead@"))
    with Socks(w) as k:
        assert k.take(2) == b"\x05\x00"
        assert k.command(name("app.test", w.ports["dead"])) == HOST_UNREACHABLE


def test_no_method_that_fits(proxy):
    with Socks(proxy, b"\x01\x80") as k:
        assert k.take(2) == b"\x05\xff"
        assert k.s.recv(1) == b""


@pytest.mark.parametrize("rest", [b"\x04\x01", b"\x05\x01\x01\x01" + bytes(6)])
def test_what_is_no_socks_ends_the_connection(proxy, rest):
    with Socks(proxy) as k:
        assert k.take(2) == b"\x05\x00"
        k.s.sendall(rest + bytes(8))
        assert k.s.recv(10) == b""


def test_a_half_closed_client_still_gets_its_answer(proxy):
    with Socks(proxy) as k:
        assert k.take(2) == b"\x05\x00"
        assert k.command(name("app.test", proxy.origin.port)) == SUCCEEDED
        k.s.sendall(request(host="app.test"))
        k.s.shutdown(socket.SHUT_WR)
        assert Stream(k.s).read_response().status == 200


def test_a_client_that_dawdles_is_ended(weir):
    w = weir(CONF.replace("hosts", "timeouts { header 500ms }\nhosts", 1).replace("@app@", "@dead@"))
    with Socks(w) as k:
        assert k.take(2) == b"\x05\x00"
        k.s.sendall(b"\x05\x01")
        assert k.s.recv(1) == b""


def test_the_log_says_socks5(proxy):
    with Socks(proxy) as k:
        k.take(2)
        assert k.command(name("denied.test", 443)) == NOT_ALLOWED
    log = proxy.folder / "access.log"
    line = wait_until(lambda: log.read_text().splitlines() if log.exists() else None)[0]
    record = json.loads(line)
    assert record["protocol"] == "SOCKS5" and record["method"] == "CONNECT" and record["target"] == "denied.test:443" and record["reason"] == "denied"


@pytest.mark.parametrize("option", ["--socks5", "--socks5-hostname"])
def test_curl(proxy, option):
    need("curl")
    done = subprocess.run(["curl", "-sS", option, f"127.0.0.1:{proxy.ports['proxy']}", f"http://127.0.0.1:{proxy.origin.port}/"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and done.stdout == "hello from the origin", done.stderr


def test_a_site_speaks_no_socks(weir):
    w = weir('site * {\n    listen 127.0.0.1:@proxy@\n    route * -> respond 200 "x"\n}\n')
    with Socks(w) as k:
        assert k.take(12) == b"HTTP/1.1 400"


@pytest.mark.parametrize("password, reply", [(b"right", SUCCEEDED), (b"wrong", NOT_ALLOWED)])
def test_users_show_who_they_are_as_elsewhere(weir, origin, folder, password, reply):
    o = origin()
    (folder / "users").write_text(f"ann:{crypt.crypt('right', crypt.mksalt(crypt.METHOD_SHA512, rounds=1000))}\n")
    w = weir(CONF.replace("    policy", "    auth basic file users\n    policy"), app=o.port)
    with Socks(w, b"\x00\x02") as k:
        assert k.take(2) == b"\x05\x02"
        k.s.sendall(b"\x01\x03ann" + bytes([len(password)]) + password)
        assert k.take(2) == b"\x01\x00"
        assert k.command(name("app.test", o.port)) == reply
    with Socks(w) as k:  # without a word of it
        assert k.take(2) == b"\x05\x00"
        assert k.command(name("app.test", o.port)) == NOT_ALLOWED
