# SPDX-License-Identifier: Apache-2.0
"""The two packet flows that weir is for, in network namespaces of their own, with captures on both sides."""
import os
import subprocess

import pytest

from dns import A, DnsServer
from http1 import connect, request
from netns import Capture, World
from origin import Origin
from process import need, wait_until

CLIENT, PROXY = "192.168.1.100", "10.0.0.1"


@pytest.fixture
def world():
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    need("ip")
    worlds = []

    def make(*names):
        try:
            worlds.append(World(*names))
        except subprocess.CalledProcessError as e:
            pytest.skip(f"no network namespaces here: {e.stderr.strip()}")
        return worlds[-1]
    yield make
    for w in worlds:
        w.close()


def start(world, name, make):
    with world.inside(name):
        return make()


def test_reverse(world, weir):
    """A client asks the reverse proxy for a host; the proxy picks the server by it. Neither end sees the other."""
    server, other = "192.168.1.200", "192.168.1.201"
    net = world("client", "proxy", "server")
    net.link("client", CLIENT, "proxy", PROXY)
    net.link("proxy", PROXY, "server", server)
    net.link("proxy", PROXY, "server", other)
    www = start(net, "server", lambda: Origin(lambda x: x.reply(body=b"www"), host=server, port=8080))
    shop = start(net, "server", lambda: Origin(lambda x: x.reply(body=b"shop"), host=other, port=8080))
    with net.inside("proxy"):
        weir(f"""
            log access off
            pool www {{ server {server}:8080 }}
            pool shop {{ server {other}:8080 }}
            site www.example.com {{ listen {PROXY}:80
                route * -> pool www }}
            site shop.example.com {{ listen {PROXY}:80
                route * -> pool shop }}""", wait=False)
    at_client, at_server = start(net, "client", Capture), start(net, "server", Capture)

    def reachable():
        try:
            return start(net, "client", lambda: connect(80, PROXY))
        except ConnectionRefusedError:
            return None
    with wait_until(reachable, what="weir in its namespace") as c:
        r = c.ask(request(host="www.example.com"))
        assert (r.status, r.body) == (200, b"www")
        r = c.ask(request(host="shop.example.com"))
        assert (r.status, r.body) == (200, b"shop")
        with pytest.raises(OSError):  # the client has no way to the server but the proxy
            start(net, "client", lambda: connect(8080, server, timeout=1))
    www.stop(), shop.stop()
    assert [q.fields["Host"] for q in www.requests + shop.requests] == ["www.example.com", "shop.example.com"]

    wait_until(lambda: b"shop" in at_client.stream(PROXY, CLIENT), what="the answers in the capture")
    assert at_client.addresses() - {"127.0.0.1"} == {CLIENT, PROXY}
    assert at_server.addresses() - {"127.0.0.1"} == {PROXY, server, other}
    assert {(p.source, p.target, p.target_port) for p in at_client.packets if p.is_syn()} == {(CLIENT, PROXY, 80)}
    assert {(p.source, p.target, p.target_port) for p in at_server.packets if p.is_syn()} == {(PROXY, server, 8080), (PROXY, other, 8080)}
    assert b"GET / HTTP/1.1\r\nHost: www.example.com\r\n" in at_client.stream(CLIENT, PROXY)
    assert b"Host: www.example.com\r\n" in at_server.stream(PROXY, server)
    assert b"shop.example.com" not in at_server.stream(PROXY, server)


def test_forward(world, weir):
    """A client asks the forward proxy for a URL; the proxy takes the host from it, asks the DNS, fetches, answers and stores. A second
    client is answered from what is stored: the server sees none of it."""
    server, resolver = "93.184.216.34", "10.0.0.53"
    second = "192.168.1.101"
    net = world("client", "second", "proxy", "dns", "server")
    net.link("client", CLIENT, "proxy", PROXY)
    net.link("second", second, "proxy", PROXY)
    net.link("proxy", PROXY, "dns", resolver)
    net.link("proxy", PROXY, "server", server)
    dns = start(net, "dns", lambda: DnsServer({"www.example.com": [server]}, host=resolver, port=53))
    origin = start(net, "server", lambda: Origin(lambda x: x.reply(body=b"the page", fields=[("Cache-Control", "max-age=60")]), host=server, port=80))
    with net.inside("proxy"):
        weir(f"""
            log access off
            resolver {resolver}
            cache main {{ memory 8MiB }}
            proxy {PROXY}:3128 {{ cache main
                policy {{ deny when {{ client not in 192.168.1.0/24 }}; default allow }} }}""", wait=False)
    captures = {name: start(net, name, Capture) for name in ("client", "dns", "server")}

    def reachable():
        try:
            return start(net, "client", lambda: connect(3128, PROXY))
        except ConnectionRefusedError:
            return None
    with wait_until(reachable, what="weir in its namespace") as c:
        r = c.ask(request(target="http://www.example.com/", host="www.example.com"))
        assert (r.status, r.body) == (200, b"the page")
    wait_until(lambda: b"the page" in captures["server"].stream(server, PROXY), what="the server's answer in the capture")
    before = len(captures["server"].packets)
    with start(net, "second", lambda: connect(3128, PROXY)) as c:
        r = c.ask(request(target="http://www.example.com/", host="www.example.com"))
        assert (r.status, r.body) == (200, b"the page")
        assert r.fields["Cache-Status"].startswith("weir; hit") and "Age" in r.fields
    assert len(origin.requests) == 1
    assert not any(p.payload for p in captures["server"].packets[before:])
    origin.stop()
    dns.stop()
    assert origin.last.target == "/" and origin.last.fields["Host"] == "www.example.com"
    assert ("www.example.com", A, "udp") in dns.asked

    wait_until(lambda: b"the page" in captures["client"].stream(PROXY, CLIENT), what="the answer in the capture")
    assert captures["client"].addresses() - {"127.0.0.1"} == {CLIENT, PROXY}
    assert captures["dns"].addresses() - {"127.0.0.1"} == {PROXY, resolver}
    assert captures["server"].addresses() - {"127.0.0.1"} == {PROXY, server}
    assert b"GET http://www.example.com/ HTTP/1.1\r\n" in captures["client"].stream(CLIENT, PROXY)
    sent = captures["server"].stream(PROXY, server)
    assert sent.startswith(b"GET / HTTP/1.1\r\n") and b"Host: www.example.com\r\n" in sent
    assert CLIENT.encode() not in sent
    assert any(p.protocol == "udp" and p.target_port == 53 and b"\3www\7example\3com\0" in p.payload.lower() for p in captures["dns"].packets)
