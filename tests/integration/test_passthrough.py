# SPDX-License-Identifier: Apache-2.0
"""`tls-passthrough`: connections go to a server by the name in their ClientHello, as they are."""
import os
import socket
import ssl
import struct

import pytest

import certs
from certs import connect_tls, context, server_context
from http1 import connect, request
from process import wait_until

CONF = """
log access json stdout
timeouts { handshake 1s }
pool one { server 127.0.0.1:@dead_one@;  server 127.0.0.1:@one@ }
pool two { server 127.0.0.1:@two@ }
site one.test *.wild.test {
    listen 127.0.0.1:@https@ tls
    listen 127.0.0.1:@http@
    route * -> tls-passthrough pool one
}
site two.test {
    listen 127.0.0.1:@https@ tls
    deny when { client 127.0.0.2/32 }
    route * -> tls-passthrough pool two
}
site here.test {
    listen 127.0.0.1:@https@ tls
    tls cert server.pem key server.key
    route * -> respond 200 "here"
}
"""


@pytest.fixture
def site(weir, origin):
    one, two = origin(tls=server_context("one.test", "*.wild.test")), origin(tls=server_context("two.test"))
    w = weir(CONF, one=one.port, two=two.port, files=certs.files("here.test"))
    w.one, w.two = one, two
    return w


def test_the_name_decides_and_the_server_speaks_for_itself(site):
    for name, o in (("one.test", site.one), ("x.wild.test", site.one), ("two.test", site.two)):
        with connect_tls(site.https, name) as c:  # its certificate is the server's own
            assert c.ask(request(host=name)).body == b"hello from the origin"
            assert c.ask(request("POST", "/x", host=name, body=b"z" * 300000)).body == b"z" * 300000
        assert o.last.fields.get("Via") is None and o.last.fields.get("Host") == name
    with connect_tls(site.https, "here.test") as c:
        assert c.ask(request(host="here.test")).body == b"here"
    wait_until(lambda: site.stdout.count('"reason":"ok"') >= 4, what="lines of the log")
    assert '"site":"two.test"' in site.stdout


def hello(name="one.test"):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return tls, incoming, outgoing


def finish(sock, tls, incoming, outgoing):
    sock.settimeout(10)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            if outgoing.pending:
                sock.sendall(outgoing.read())
            data = sock.recv(65536)
            assert data, "the connection ended in the handshake"
            incoming.write(data)
    sock.sendall(outgoing.read())
    return tls.getpeercert()["subject"]


def test_a_hello_in_many_packets(site):
    for name in ("one.test", "here.test"):
        tls, incoming, outgoing = hello(name)
        first = outgoing.read()
        with socket.create_connection(("127.0.0.1", site.https)) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(first)):
                s.sendall(first[i:i + 1])
            assert name in str(finish(s, tls, incoming, outgoing))


def test_a_hello_in_many_records(site):
    for name in ("one.test", "here.test"):
        tls, incoming, outgoing = hello(name)
        message = outgoing.read()[5:]
        with socket.create_connection(("127.0.0.1", site.https)) as s:
            s.sendall(b"".join(b"\x16\3\1" + struct.pack(">H", len(message[i:i + 16])) + message[i:i + 16] for i in range(0, len(message), 16)))
            assert name in str(finish(s, tls, incoming, outgoing))


def test_unknown_names_and_what_is_no_hello(site):
    with pytest.raises(ssl.SSLError) as e:
        connect_tls(site.https, "unknown.test")
    assert "unrecognized name" in str(e.value).lower().replace("_", " ")
    for data in (request(), os.urandom(64), b"\x16\3\1\x40\0" + b"\1\0\xff\xff" + b"x" * 16380):
        with connect(site.https) as c:
            c.send(data)
            assert b"HTTP/1.1 200" not in c.read_to_end()
    with connect(site.https) as c:  # and silence, or half a hello, ends with the deadline
        c.send(hello()[2].read()[:40])
        c.read_to_end()
    assert not site.one.handshakes and not site.two.handshakes


def test_rules_on_clients_count(site):
    with socket.create_connection(("127.0.0.1", site.https), source_address=("127.0.0.2", 0)) as s:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context().wrap_socket(s, server_hostname="two.test")
    assert not site.two.handshakes


def test_half_closes_go_through(weir, origin):
    seen = []

    def handler(exchange):
        seen.append(exchange.request.body)
        exchange.reply(body=b"after the end")
    o = origin(handler, tls=server_context("one.test"))
    w = weir(CONF, one=o.port, two=o.port, files=certs.files("here.test"))
    with connect_tls(w.https, "one.test") as c:
        c.send(request(host="one.test"))
        with socket.socket(fileno=os.dup(c.sock.fileno())) as bare:
            bare.shutdown(socket.SHUT_WR)
        assert c.read_response().body == b"after the end"


def test_plain_clients_are_sent_to_https(site):
    with connect(site.http) as c:
        answer = c.ask(request(target="/p?q", host="one.test"))
        assert answer.status == 308 and answer.fields["Location"] == f"https://one.test:{site.https}/p?q"


@pytest.mark.parametrize("body, word", [
    ("route /a -> respond 200\n    route * -> tls-passthrough pool p", "only route"),
    ("route /a -> tls-passthrough pool p", "only route"),
    ("tls cert x\n    route * -> tls-passthrough pool p", "no certificate"),
    ("route * -> tls-passthrough pool q", "q"),
    ("route * -> tls-passthrough", "the form is"),
    ("listen :8080\n    route * -> tls-passthrough pool p", "listens with `tls`"),
])
def test_mistakes_are_named(folder, cli, body, word):
    (folder / "weir.conf").write_text(f"pool p {{ server 127.0.0.1:1 }}\nsite a.test {{\n    {body}\n}}\n")
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 2 and word in done.stderr
