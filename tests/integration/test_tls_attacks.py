# SPDX-License-Identifier: Apache-2.0
"""The attack rows of mode `tls`: each has a test, here or elsewhere; what sslscan finds; a crowd of handshakes."""
import importlib
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import xml.etree.ElementTree

import certs
import pytest
from certs import connect_tls
from http1 import connect, request
from process import need, need_shared, wait_until

CONF = """
log access off
limits { per-client 2000 }
site a.test {
    listen 127.0.0.1:@https@ tls
    listen 127.0.0.1:@http@ plain
    tls cert server.pem key server.key
    tls cert rsa.pem key rsa.key
    route * -> respond 200 "hello"
}
"""

# Unit tests are named by their folder and file.
TESTS = {
    "TL-01": "test_https:test_another_sites_demands_are_not_met_by_this_handshake",
    "TL-03": "unit:tls/test_tickets.c",
    "TL-05": "test_tls_attacks:test_what_sslscan_finds",
    "TL-07": "test_upstream_tls:test_plain_text_before_the_handshake_is_no_answer",
    "TL-09": "test_tls:test_odd_names_get_an_alert",
    "TL-11": "unit:net/test_proxy_protocol.c",
    "TL-13": "test_proxy_protocol:",
    "TL-15": "unit:net/test_dns_message.c",
    "TL-17": "unit:net/test_dns_message.c",
}


def test_every_row_has_its_test():
    rows = [json.loads(line) for line in need_shared("attacks", "rows.jsonl").read_text().splitlines()]
    assert {r["id"] for r in rows if r["mode"] == "tls"} == set(TESTS)
    for where in TESTS.values():
        module, _, test = where.partition(":")
        if module == "unit":
            assert (certs.pathlib.Path(__file__).parents[1] / "unit" / test).exists(), where
        else:
            assert not test or hasattr(importlib.import_module(module), test), where


def files():
    return {**certs.files("a.test"), **certs.files("a.test", prefix="rsa", kind="rsa")}


def test_what_sslscan_finds(weir):
    w = weir(CONF, files=files())
    out = subprocess.run([need("sslscan"), "--xml=-", "--no-colour", "--sni-name=a.test", f"127.0.0.1:{w.https}"], capture_output=True, text=True, timeout=120).stdout
    found = xml.etree.ElementTree.fromstring(out[out.index("<?xml"):])
    enabled = {p.get("type") + p.get("version") for p in found.iter("protocol") if p.get("enabled") == "1"}
    assert enabled == {"tls1.2", "tls1.3"}
    assert all(x.get("supported") == "0" for x in found.iter("compression"))
    assert all(x.get("vulnerable") == "0" for x in found.iter("heartbleed"))
    assert all(x.get("supported") == "0" for x in found.iter("renegotiation"))
    ciphers = {c.get("cipher") for c in found.iter("cipher")}
    assert ciphers and all(re.fullmatch(r"TLS_\w+|ECDHE-(RSA|ECDSA)-(AES(128|256)-GCM-SHA\d+|CHACHA20-POLY1305)", c) for c in ciphers), ciphers


@pytest.mark.skipif("WEIR_TESTSSL" not in os.environ, reason="takes a minute: `make testssl` runs it")
def test_what_testssl_finds(weir):
    """Protocols, suites, curves, what servers say by default, and every attack that it knows: nothing above `info`. What it says of the
    certificates themselves (that they end in ten days) is about the tests' own."""
    w = weir(CONF, files=files())
    out = w.folder / "testssl.json"
    subprocess.run([need("testssl"), "--quiet", "--color", "0", "--warnings", "off", "--jsonfile", out, "--ip", "127.0.0.1", "--sneaky", "--nodns", "none",
                    "--add-ca", certs.authority()[0], "-p", "-s", "-f", "-U", "-S", f"a.test:{w.https}"], capture_output=True, timeout=600)
    found = json.loads(out.read_text())
    assert len(found) > 80
    worse = [f"{x['severity']} {x['id']}: {x['finding']}" for x in found if x["severity"] not in ("OK", "INFO")
             and not x["id"].startswith(("cert_expirationStatus", "cert_notAfter", "cert_revocation"))]
    assert not worse, worse


def test_a_crowd_of_handshakes(weir):
    """Whoever is there already is served in between, and all come through."""
    w = weir(CONF, files=files())
    done, failed = [], []

    def shake():
        try:
            for _ in range(10):
                connect_tls(w.https).close()
                done.append(1)
        except (ssl.SSLError, OSError) as e:
            failed.append(e)
    with connect(w.http) as c:
        assert c.ask(request()).body == b"hello"
        threads = [threading.Thread(target=shake) for _ in range(12)]
        for t in threads:
            t.start()
        while any(t.is_alive() for t in threads):
            assert c.ask(request()).body == b"hello"
        for t in threads:
            t.join()
    assert not failed and len(done) == 120


def test_handshakes_are_counted(weir):
    w = weir("dashboard 127.0.0.1:@metrics@\n" + CONF, files=files())

    def count(name):
        with connect(w.metrics) as c:
            text = c.ask(request(target="/metrics", host="localhost")).body.decode()
        found = re.search(rf'^{name}\{{listener="127.0.0.1:{w.https}",?\}} (\S+)', text, re.M)
        return int(float(found[1])) if found else 0
    before = count("weir_tls_handshake_failures_total")
    context = certs.context()
    with connect_tls(w.https, context=context) as c:
        assert c.ask(request()).status == 200
        session = c.sock.session
    with connect_tls(w.https, context=context, session=session) as c:
        assert c.ask(request()).status == 200
    for _ in range(2):
        try:
            connect_tls(w.https, "unknown.test").close()
            raise AssertionError("an unknown name was served")
        except ssl.SSLError:
            pass
    assert count("weir_tls_handshakes_total") == 2 and count("weir_tls_resumed_total") == 1
    wait_until(lambda: count("weir_tls_handshake_failures_total") >= before + 2, what="failures in the count")


def test_handshakes_of_one_address_wait_for_each_other(weir):
    w = weir(CONF.replace("per-client 2000", "per-client 2000  handshakes 2").replace("log access off", "threads 1\nlog access off\ntimeouts { handshake 20s }"), wait=False, files=files())
    w.wait_ports([w.ports["http"]])  # not the other one: who tries it would have a place
    hello = b"\x16\3\1\2\0\1\0\1\xfc\3\3"  # the beginning of one
    with connect(w.https) as one, connect(w.https) as two:
        one.send(hello)
        two.send(hello)
        done = []
        third = threading.Thread(target=lambda: done.append(connect_tls(w.https, timeout=30)))
        for n in range(3):  # another address does not wait; once it is served the two before it have their places
            other = socket.create_connection(("127.0.0.1", w.https), source_address=("127.0.0.2", 0), timeout=10)
            with connect_tls(w.https, sock=other) as c:
                assert c.ask(request()).status == 200
            if n == 0:
                third.start()
        assert not done
        one.close()
        third.join(20)
        assert done
        assert done[0].ask(request()).status == 200
        done[0].close()


def test_a_proxys_header_and_the_hello_in_one_packet(weir):
    w = weir("trust client-ip from 127.0.0.1/32\n" + CONF.replace("@https@ tls", "@https@ tls proxy-protocol"), files=files())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = certs.context().wrap_bio(incoming, outgoing, server_hostname="a.test")
    with socket.create_connection(("127.0.0.1", w.https), timeout=10) as s:
        first = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                s.sendall(first + outgoing.read())
                first = b""
                incoming.write(s.recv(65536))
        assert tls.selected_alpn_protocol() == "http/1.1"
