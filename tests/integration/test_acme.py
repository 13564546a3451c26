# SPDX-License-Identifier: Apache-2.0
"""`tls auto` against Let's Encrypt's own test authority (pebble), which refuses nonces and checks names for real."""
import json
import os
import re
import socket
import ssl
import stat

import pytest

import certs
from dns import DnsServer
from http1 import connect, request
from process import free_port, need, wait_until

CONF = """
log access off
dashboard 127.0.0.1:@metrics@
admin unix:run/weir.sock
hosts { ca.test 127.0.0.1 }
acme {
    directory https://ca.test:@dead_ca@/dir
    email ops@example.org
    ca ca.pem
    retry 300ms
    %s
}
site a.test www.a.test {
    listen 127.0.0.1:@http@
    listen 127.0.0.1:@https@ tls
    tls auto
    route * -> respond 200 "hello"
}
"""


class Authority:
    def __init__(self, process, folder, http, https, ca_port, dns, environment, life_s=None):
        home = folder / "pebble"
        home.mkdir()
        cert, key = certs.leaf("ca.test")
        (home / "cert.pem").write_bytes(cert)
        (home / "key.pem").write_bytes(key)
        self.manage = free_port()
        (home / "config.json").write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{ca_port}", "managementListenAddress": f"127.0.0.1:{self.manage}", "certificate": str(home / "cert.pem"),
            "privateKey": str(home / "key.pem"), "httpPort": http, "tlsPort": https, "ocspResponderURL": "", "externalAccountBindingRequired": False,
            **({"certificateValidityPeriod": life_s} if life_s else {})}}))
        self.dns = dns
        self.process = process([need("pebble"), "-config", home / "config.json", "-dnsserver", f"127.0.0.1:{dns.port}"], [ca_port],
                env={"PEBBLE_VA_NOSLEEP": "1", **environment})

    def roots(self):
        """The authority's root, which is another one each time."""
        c = ssl.create_default_context(cafile=certs.authority()[0])
        c.check_hostname = False
        with c.wrap_socket(socket.create_connection(("127.0.0.1", self.manage))) as s:
            s.sendall(b"GET /roots/0 HTTP/1.0\r\n\r\n")
            text = b"".join(iter(lambda: s.recv(65536), b""))
        return text.split(b"\r\n\r\n", 1)[1].decode()


@pytest.fixture
def start(weir, process, folder):
    """start(how the acme block goes on, environment of pebble, names): (weir, authority)."""
    def begin(block="", environment=None, names=None, files=None, text=CONF, life_s=None):
        ports = {"dead_ca": free_port()}
        dns = DnsServer(names if names is not None else {"a.test": ["127.0.0.1"], "www.a.test": ["127.0.0.1"]})
        w = weir(text % block, files={"ca.pem": certs.authority()[0].read_bytes(), **(files or {})}, **ports)
        return w, Authority(process, folder, w.http, w.https, ports["dead_ca"], dns, environment or {}, life_s)
    return begin


def context(authority):
    c = ssl.create_default_context(cadata=authority.roots())
    c.set_alpn_protocols(["http/1.1"])
    return c


def certificate(w, c, name="a.test"):
    try:
        with c.wrap_socket(socket.create_connection(("127.0.0.1", w.https), timeout=10), server_hostname=name) as s:
            return s.getpeercert()
    except (ssl.SSLError, ConnectionError):
        return None


@pytest.mark.parametrize("way", ["http-01", "tls-alpn-01"])
def test_a_certificate_comes_by_itself(start, cli, way):
    w, authority = start(f"challenge {way}", {"PEBBLE_WFE_NONCEREJECT": "30"})
    c = context(authority)
    cert = wait_until(lambda: certificate(w, c), 40, "a certificate")
    assert {v for k, v in cert["subjectAltName"]} == {"a.test", "www.a.test"}
    assert certificate(w, c, "www.a.test")
    home = w.folder / "acme"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert sorted(p.name for p in home.iterdir()) == ["a.test.pem", "account.key"]
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in home.iterdir())
    wait_until(lambda: "will be renewed on" in cli("status", "-c", "weir.conf").stdout, what="a date in the status")
    assert "a.test expires on" in cli("status", "-c", "weir.conf").stdout
    with connect(w.http) as s:  # and everything else is served as ever
        assert s.ask(request(target="/.well-known/acme-challenge/nothing")).status == 308


def test_the_helper_is_shut_in(start):
    w, authority = start()
    wait_until(lambda: len(w.workers()) == 2, what="worker and helper")
    for pid in w.workers():
        status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)
        assert status["NoNewPrivs"].strip() == "1" and int(status["CapEff"], 16) == 0
        assert os.geteuid() != 0 or status["Uid"].split()[0] != "0"


def test_what_is_there_is_kept_and_account_and_certificate_are_used_again(start, weir):
    w, authority = start()
    c = context(authority)
    first = wait_until(lambda: certificate(w, c), 40, "a certificate")
    account = (w.folder / "acme" / "account.key").read_bytes()
    w.rewrite((CONF % "").replace("hello", "after the reload"))
    w.signal(1)
    wait_until(lambda: "generation 3" in w.stderr or w.stderr.count("is in force") >= 2, what="a reload")
    assert certificate(w, c)["serialNumber"] == first["serialNumber"]
    assert (w.folder / "acme" / "account.key").read_bytes() == account


def shown(w, name="a.test"):
    """The certificate as it is shown, whatever is to be said of it; None: none is."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    try:
        with c.wrap_socket(socket.create_connection(("127.0.0.1", w.https), timeout=10), server_hostname=name) as s:
            return s.getpeercert(True)
    except (ssl.SSLError, ConnectionError):
        return None


def not_after(der):
    text = certs.openssl("x509", "-inform", "DER", "-noout", "-enddate", input=der).decode()
    return ssl.cert_time_to_seconds(text.strip().removeprefix("notAfter="))


def metric(w):
    with connect(w.metrics) as c:
        text = c.ask(request(target="/metrics", host="localhost")).body.decode()
    return [float(v) for v in re.findall(r'^weir_certificate_not_after_seconds\{site="a.test",?\} (\S+)', text, re.M)]


def test_a_certificate_is_renewed_before_it_expires_and_serves_without_a_gap(start):
    """A life of fifteen seconds: the next one is asked for after ten."""
    w, authority = start("", {"PEBBLE_WFE_NONCEREJECT": "30"}, life_s=15)
    assert metric(w) == []
    first = wait_until(lambda: shown(w), 40, "a certificate")
    assert metric(w) == [not_after(first)]
    seen = [first]

    def renewed():
        now = shown(w)
        assert now, "a handshake found no certificate"
        if now != seen[-1]:
            seen.append(now)
        return len(seen) > 1
    wait_until(renewed, 40, "another certificate")
    assert not_after(seen[1]) > not_after(first)
    assert metric(w) == [not_after(shown(w))]


def test_the_old_certificate_serves_while_renewal_fails(start, cli):
    w, authority = start(life_s=6)
    first = wait_until(lambda: shown(w), 40, "a certificate")
    authority.process.kill()
    before = w.stderr.count("a.test: failed, next try in")  # there are some where weir was there before the authority
    wait_until(lambda: w.stderr.count("a.test: failed, next try in") >= before + 2, 30, "two failures")
    assert shown(w) == first
    assert metric(w) == [not_after(first)]
    status = cli("status", "-c", "weir.conf").stdout
    assert "next try in" in status and ("a.test expires on" in status or "a.test has EXPIRED" in status)
    assert w.running()


def test_failures_are_told_and_tried_again(start, cli):
    names = {"a.test": ["127.0.0.1"]}  # www.a.test does not exist yet
    w, authority = start("", {}, names)
    wait_until(lambda: "does not believe that www.a.test is ours" in w.stderr, 30, "the reason")
    assert "next try in" in cli("status", "-c", "weir.conf").stdout
    c = context(authority)
    assert certificate(w, c) is None
    names["www.a.test"] = ["127.0.0.1"]
    assert wait_until(lambda: certificate(w, c), 60, "a certificate")


def test_an_authority_that_cannot_be_trusted_is_not_talked_to(start):
    w, authority = start(files={"ca.pem": certs.authority("stranger")[0].read_bytes()})
    wait_until(lambda: "cannot be asked: tls_certificate" in w.stderr, 20, "the reason")


def test_another_name_gets_another_certificate(start):
    names = {"a.test": ["127.0.0.1"], "www.a.test": ["127.0.0.1"], "new.a.test": ["127.0.0.1"]}
    w, authority = start("", {}, names)
    c = context(authority)
    wait_until(lambda: certificate(w, c), 40, "a certificate")
    w.rewrite((CONF % "").replace("www.a.test", "www.a.test new.a.test"))
    w.signal(1)
    assert wait_until(lambda: certificate(w, c, "new.a.test"), 40, "a certificate for the new name")


@pytest.mark.parametrize("site, word", [
    ("site *.a.test { tls auto; route * -> respond 200 }", "exact names only"),
    ("site a.test { tls auto; tls cert x.pem key x.key; route * -> respond 200 }", "only `tls`"),
    ("site 127.0.0.1 { tls auto; route * -> respond 200 }", "not for addresses"),
    ("proxy 127.0.0.1:3128 { listen 127.0.0.1:3129 tls; tls auto }", "for sites"),
    ("acme { directory http://ca.test/ }\nsite a.test { tls auto; route * -> respond 200 }", "no URL of a directory"),
    ('acme { email nobody }\nsite a.test { tls auto; route * -> respond 200 }', "no address"),
])
def test_mistakes_are_named(folder, cli, site, word):
    (folder / "weir.conf").write_text(site + "\n")
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 2 and word in done.stderr, done.stderr


def test_check_makes_no_folder_and_needs_no_certificate(folder, cli):
    (folder / "weir.conf").write_text("site a.test { tls auto; route * -> respond 200 }\n")
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert not (folder / "acme").exists()
