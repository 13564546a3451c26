# SPDX-License-Identifier: Apache-2.0
"""What sites with TLS do about clients without it (308, `plain`, `hsts`), and what they demand of clients' certificates."""
import re
import ssl

import pytest

import certs
from certs import connect_tls, context
from http1 import connect, request

PLAIN = """
log access json stdout
trust client-ip from 127.0.0.2/32
pool app { server 127.0.0.1:@app@ }
site a.test *.wild.test {
    listen 127.0.0.1:@https@ tls
    listen 127.0.0.1:@http@
    listen 127.0.0.1:@inner@ plain
    tls cert server.pem key server.key
    hsts max-age 30d include-subdomains
    set response-header X-Site a
    route /r -> respond 200 "routed"
    route * -> pool app
}
site b.test {
    listen 127.0.0.1:@http@
    listen 127.0.0.1:@https@ tls
    plain
    tls cert server.pem key server.key
    hsts
    route * -> respond 200 "b"
}
site c.test { listen 127.0.0.1:@http@;  route * -> respond 200 "c" }
"""


@pytest.fixture
def site(weir, origin):
    o = origin(lambda x: x.reply(body=b"from the origin", fields=[("Strict-Transport-Security", "max-age=1")]))
    return weir(PLAIN, app=o.port, files=certs.files("a.test", "*.wild.test", "b.test"))


def ask(port, source=None, **options):
    with connect(port) as c:
        return c.ask(request(**options))


def test_a_plain_listener_sends_clients_to_https(site):
    answer = ask(site.http, target="/x%20y/z?q=1&r=%2F", method="POST", body=b"kept", host=f"A.test:{site.http}")
    assert answer.status == 308
    assert answer.fields.get("Location") == f"https://a.test:{site.https}/x%20y/z?q=1&r=%2F"
    assert answer.fields.get("Strict-Transport-Security") is None  # RFC 6797 7.2: never over plain HTTP
    assert ask(site.http, host="x.wild.test").fields.get("Location") == f"https://x.wild.test:{site.https}/"
    assert ask(site.http, host="c.test").body == b"c"


def test_plain_says_otherwise(site):
    assert ask(site.inner, target="/r").body == b"routed"
    assert ask(site.http, host="b.test").body == b"b"


def test_what_a_stranger_claims_of_the_scheme_does_not_count(site):
    assert ask(site.http, fields=[("X-Forwarded-Proto", "https")]).status == 308


def test_hsts_is_said_over_tls_and_is_the_sites(site):
    with connect_tls(site.https) as c:
        answer = c.ask(request())
        assert answer.status == 200 and answer.fields.all("Strict-Transport-Security") == ["max-age=2592000; includeSubDomains"]
    with connect_tls(site.https, "b.test") as c:
        assert c.ask(request(host="b.test")).fields.get("Strict-Transport-Security") == "max-age=31536000"


def test_the_default_listeners_are_80_and_443_with_tls(folder, cli):
    for name, content in certs.files("a.test").items():
        (folder / name).write_bytes(content)
    (folder / "weir.conf").write_text('site a.test { tls cert server.pem key server.key;  route * -> respond 200 }\n')
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 0, done.stderr
    (folder / "weir.conf").write_text('site a.test { tls cert server.pem key server.key;  route * -> respond 200 }\n'
                                      'site b.test { listen :443; route * -> respond 200 }\n')
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 2 and "with `tls`" in done.stderr


# ---- Clients' certificates

CLIENTS = """
log access json stdout
pool app { server 127.0.0.1:@app@ }
site must.test {
    listen 127.0.0.1:@https@ tls
    tls cert server.pem key server.key
    client-cert required ca ca.pem crl crl.pem
    set request-header X-Subject {client-cert-subject}
    set request-header X-Issuer {client-cert-issuer}
    set request-header X-Serial {client-cert-serial}
    set request-header X-Print {client-cert-fingerprint}
    set request-header X-Version {tls-version}
    route /ann when { client-cert *CN=ann* } -> respond 200 "hello ann"
    route /old when { tls-version 1.2 } -> respond 200 "old"
    route * -> pool app
}
site may.test {
    listen 127.0.0.1:@https@ tls
    tls cert server.pem key server.key
    client-cert optional ca ca.pem
    deny when { path /inside/*; not client-cert }
    set request-header X-Subject {client-cert-subject}
    route /inside/* -> respond 200 "inside"
    route * -> pool app
}
site open.test {
    listen 127.0.0.1:@https@ tls
    tls cert server.pem key server.key
    route * -> respond 200 "open"
}
"""


@pytest.fixture
def clients(weir, origin):
    o = origin()
    w = weir(CLIENTS, app=o.port, files={**certs.files("must.test", "may.test", "open.test"), "ca.pem": certs.authority()[0].read_bytes(),
                                         "crl.pem": certs.revocation_list(certs.leaf("revoked", ca="ca", client=True)[0])})
    w.origin = o
    return w


def refused(port, name, **options):
    with pytest.raises((ssl.SSLError, ConnectionError)) as e:
        with connect_tls(port, name, **options) as c:
            c.ask(request(host=name))  # with TLS 1.3 the client hears of it after its own part
    return str(e.value).lower()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_required_certificates_are_required_and_told_upstream(clients, version):
    assert "certificate" in refused(clients.https, "must.test", most=version) or version == ssl.TLSVersion.TLSv1_2
    with connect_tls(clients.https, "must.test", client=("ann",), least=version, most=version) as c:
        assert c.ask(request(host="must.test", fields=[("X-Subject", "CN=forged")])).status == 200
        assert c.ask(request(host="must.test", target="/ann")).body == b"hello ann"
        assert c.ask(request(host="must.test", target="/old")).body == (b"old" if version == ssl.TLSVersion.TLSv1_2 else b"hello from the origin")
    r = clients.origin.requests[0]
    assert r.fields.all("X-Subject") == ["CN=ann,O=weir tests"] and r.fields.get("X-Issuer") == "CN=test ca"
    assert r.fields.get("X-Version") == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
    der = ssl.PEM_cert_to_DER_cert(certs.leaf("ann", ca="ca", client=True)[0].decode())
    import hashlib
    assert r.fields.get("X-Print") == hashlib.sha256(der).hexdigest() and re.fullmatch("[0-9a-f]{8,}", r.fields.get("X-Serial"))


def test_strangers_and_the_revoked_are_refused(clients):
    refused(clients.https, "must.test", client=("eve", "stranger"))
    refused(clients.https, "must.test", client=("revoked",))
    refused(clients.https, "may.test", client=("eve", "stranger"))
    with connect_tls(clients.https, "must.test", client=("ann",)) as c:
        assert c.ask(request(host="must.test")).status == 200


def test_optional_certificates(clients):
    with connect_tls(clients.https, "may.test") as c:
        assert c.ask(request(host="may.test")).status == 200
        assert c.ask(request(host="may.test", target="/inside/x")).status == 403
    assert clients.origin.last.fields.get("X-Subject") in (None, "")
    with connect_tls(clients.https, "may.test", client=("ann",)) as c:
        assert c.ask(request(host="may.test", target="/inside/x")).body == b"inside"


def test_another_sites_demands_are_not_met_by_this_handshake(clients):
    # TL-01: domain fronting past a client certificate. The server's certificate is for all of them.
    with connect_tls(clients.https, "open.test") as c:
        for host in ("must.test", "may.test"):
            assert c.ask(request(host=host)).status == 421
        assert c.ask(request(host="open.test")).body == b"open"
    with connect_tls(clients.https, "may.test", client=("ann",)) as c:
        assert c.ask(request(host="must.test")).status == 421
    assert not clients.origin.requests


def test_a_session_of_one_site_opens_no_other(clients):
    for most in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        c = context(most=most)
        with connect_tls(clients.https, "open.test", context=c) as s:
            s.ask(request(host="open.test"))
            session = s.sock.session
        with pytest.raises((ssl.SSLError, ConnectionError)):
            with connect_tls(clients.https, "must.test", context=c, session=session) as s:
                s.ask(request(host="must.test"))


def test_sessions_with_a_certificate_are_resumed_with_it(clients):
    c = context(client=("ann",))
    session = None
    for resumed in (False, True):
        with connect_tls(clients.https, "must.test", context=c, session=session) as s:
            assert s.ask(request(host="must.test", target="/ann")).body == b"hello ann"
            assert s.sock.session_reused == resumed
            session = s.sock.session


@pytest.mark.parametrize("line, word", [
    ("client-cert required", "the form is `client-cert"), ("client-cert required ca none.pem", "none.pem cannot be read"),
    ("client-cert required ca ca.pem crl ca.pem", "there is no revocation list in it"), ("client-cert always ca ca.pem", "always"),
])
def test_mistakes_are_named(folder, cli, line, word):
    for name, content in {**certs.files("a.test"), "ca.pem": certs.authority()[0].read_bytes()}.items():
        (folder / name).write_bytes(content)
    (folder / "weir.conf").write_text(f"site a.test {{\n    tls cert server.pem key server.key\n    {line}\n    route * -> respond 200\n}}\n")
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 2 and "weir.conf:3:" in done.stderr and word in done.stderr
