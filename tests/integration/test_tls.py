# SPDX-License-Identifier: Apache-2.0
"""TLS toward clients: versions, names, certificates, protocols, resumption, ends; what is refused and how."""
import os
import socket
import ssl
import struct
import subprocess

import pytest

import certs
from certs import connect_tls, context
from http1 import connect, request
from process import wait_until

CONF = """
log access json stdout
pool app { server 127.0.0.1:@app@ }
site a.test *.wild.test {
    listen 127.0.0.1:@https@ tls
    listen 127.0.0.1:@http@ plain
    tls cert server.pem key server.key
    tls cert rsa.pem key rsa.key
    route /a -> respond 200 "site a"
    route *  -> pool app
}
site b.test {
    listen 127.0.0.1:@https@ tls
    tls cert b.pem key b.key
    route * -> respond 200 "site b"
}
site covered.test {
    listen 127.0.0.1:@https@ tls
    tls cert server.pem key server.key
    route * -> respond 200 "covered"
}
site plain.test {
    listen 127.0.0.1:@http@
    route * -> respond 200 "plain"
}
"""
NAMES = ("a.test", "*.wild.test", "covered.test")


def some_files():
    return {**certs.files(*NAMES), **certs.files(*NAMES, prefix="rsa", kind="rsa"), **certs.files("b.test", prefix="b")}


@pytest.fixture
def site(weir, origin):
    o = origin()
    return weir(CONF, app=o.port, files=some_files())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_and_kept_connections(site, version):
    with connect_tls(site.https, least=version, most=version) as c:
        assert c.sock.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
        assert c.sock.selected_alpn_protocol() == "http/1.1"
        assert c.ask(request("POST", "/x", body=b"content")).body == b"content"
        assert c.ask(request(target="/a")).body == b"site a"


def test_large_content_each_way(site):
    body = bytes(range(256)) * 4096 * 3
    with connect_tls(site.https) as c:
        for _ in range(2):
            assert c.ask(request("POST", "/x", body=body)).body == body


def test_old_versions_and_weak_ciphers_are_refused(site):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        c = context(least=version, most=version)
        c.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(ssl.SSLError):
            connect_tls(site.https, context=c)
    c = context(most=ssl.TLSVersion.TLSv1_2)
    c.set_ciphers("AES128-SHA:AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        connect_tls(site.https, context=c)


def test_certificate_follows_name_and_the_clients_algorithms(site):
    with connect_tls(site.https, "b.test") as c:
        assert dict(x[0] for x in c.sock.getpeercert()["subject"])["commonName"] == "b.test"
        assert c.ask(request(host="b.test")).body == b"site b"
    with connect_tls(site.https, "x.wild.test") as c:
        assert c.ask(request(target="/a", host="x.wild.test")).body == b"site a"
    for kind in ("RSA", "ECDSA"):
        c = context(most=ssl.TLSVersion.TLSv1_2)
        c.set_ciphers(f"ECDHE-{kind}-AES128-GCM-SHA256")
        with connect_tls(site.https, context=c) as stream:
            assert kind in stream.sock.cipher()[0]


def test_no_name_gets_the_first_sites_certificate(site):
    with connect_tls(site.https, None) as c:
        assert c.ask(request(target="/a")).body == b"site a"


def test_an_unknown_name_is_told_so(site):
    with pytest.raises(ssl.SSLError) as e:
        connect_tls(site.https, "unknown.test")
    assert "unrecognized name" in str(e.value).lower().replace("_", " ")


def test_protocols_without_overlap_are_refused(site):
    with pytest.raises(ssl.SSLError) as e:
        connect_tls(site.https, alpn=["spdy/3"])
    assert "no application protocol" in str(e.value).lower().replace("_", " ")
    with connect_tls(site.https, alpn=()) as c:
        assert c.ask(request(target="/a")).status == 200


def test_hosts_of_another_certificate_are_misdirected(site):
    with connect_tls(site.https, "a.test") as c:
        assert c.ask(request(host="b.test")).status == 421
        assert c.ask(request(host="covered.test")).body == b"covered"  # the certificate is for it too
        assert c.ask(request(host="nobody.test")).status == 421
        assert c.ask(request(host="plain.test")).status == 421
        assert c.ask(request(host="a.test", target="/a")).body == b"site a"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_at_their_site_only(site, version):
    c = context(least=version, most=version)
    with connect_tls(site.https, context=c) as first:
        assert first.ask(request(target="/a")).status == 200
        session = first.sock.session
    with connect_tls(site.https, context=c, session=session) as second:
        assert second.sock.session_reused
        assert second.ask(request(target="/a")).status == 200
    with connect_tls(site.https, "b.test", context=c, session=session) as other:
        assert not other.sock.session_reused


def test_sessions_survive_a_reload(site, cli):
    c = context()
    with connect_tls(site.https, context=c) as first:
        assert first.ask(request(target="/a")).status == 200
        session = first.sock.session
        site.rewrite(CONF.replace("site a\"", "new a\""))
        site.signal(1)
        wait_until(lambda: first.ask(request(target="/a")).body == b"new a", what="the new configuration")
    with connect_tls(site.https, context=c, session=session) as second:
        assert second.sock.session_reused


def test_tickets_off(weir):
    w = weir(CONF.replace("    route /a", "    session-tickets off\n    route /a"), app=1, files=some_files())
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        c = context(least=version, most=version)
        with connect_tls(w.https, context=c) as first:
            assert first.ask(request(target="/a")).status == 200
            session = first.sock.session
        with connect_tls(w.https, context=c, session=session) as second:
            assert not second.sock.session_reused


def test_the_end_is_said(site):
    with connect_tls(site.https) as c:
        assert c.ask(request(target="/a", fields=["Connection: close"])).body == b"site a"
        assert c.sock.recv(10) == b""  # close_notify: without it this raises


def test_a_client_that_ends_its_direction_gets_its_answer(site):
    with connect_tls(site.https) as c:
        c.send(request(target="/a"))
        with socket.socket(fileno=os.dup(c.sock.fileno())) as bare:
            bare.shutdown(socket.SHUT_WR)
        assert c.read_response().body == b"site a"


def test_plain_http_and_garbage_at_the_tls_port(site):
    for data in (request(), b"\x16\x03\x01\xff\xff" + b"\x01" * 100, b"\x80\x2e\x01\x03\x01" + b"\0" * 60, b"\x15\x03\x01\0\2\2\50"):
        with connect(site.https) as c:
            c.send(data)
            assert b"HTTP/1.1 200" not in c.read_to_end()
    with connect_tls(site.https) as c:
        assert c.ask(request(target="/a")).status == 200


def hello(extensions, tls13=True, fragment=None):
    """A ClientHello in records (of `fragment` bytes)."""
    body = b"\3\3" + b"r" * 32 + b"\0" + b"\0\4\x13\x01\xc0\x2b" + b"\1\0"
    ext = b"".join(struct.pack(">HH", kind, len(data)) + data for kind, data in extensions)
    body += struct.pack(">H", len(ext)) + ext
    message = b"\1" + struct.pack(">I", len(body))[1:] + body
    step = fragment or len(message)
    return b"".join(b"\x16\3\1" + struct.pack(">H", len(message[i:i + step])) + message[i:i + step] for i in range(0, len(message), step))


GROUPS = (10, b"\0\2\0\x1d")
SIGNATURES = (13, b"\0\2\4\3")
VERSIONS = (43, b"\2\3\4")
SHARE = (51, b"\0\x24\0\x1d\0\x20" + bytes(range(1, 33)))


def name(data):
    return (0, struct.pack(">HBH", len(data) + 3, 0, len(data)) + data)


@pytest.mark.parametrize("extensions", [
    [name(b"a\0.test")], [name(b"x" * 60000)], [name(b"a.test"), name(b"a.test")], [(0, b"")], [(0, b"\0\5\0\0\2a")], [name(b"")], [name(b".")],
    [(0, b"\0\x10\1\0\6a.test\0\0\4b.te")], [name(b"a.test/../x")],
], ids=["nul", "long", "twice", "empty", "cut", "none", "dot", "kind", "slash"])
def test_odd_names_get_an_alert(site, extensions):
    with connect(site.https) as c:
        c.send(hello([*extensions, GROUPS, SIGNATURES, VERSIONS, SHARE], fragment=16000))
        answer = c.read_to_end()
    assert answer[:1] == b"\x15" and answer[5:6] == b"\2", answer  # a fatal alert and no more
    with connect_tls(site.https) as c:
        assert c.ask(request(target="/a")).status == 200


def test_a_hello_in_pieces(site):
    data = hello([name(b"a.test"), GROUPS, SIGNATURES, VERSIONS, SHARE], fragment=9)
    with connect(site.https) as c:
        for i in range(0, len(data), 7):
            c.send(data[i:i + 7])
        assert c.read_exactly(6)[0] == 0x16  # a ServerHello
    with connect(site.https) as c:
        c.send(hello([name(b"a.test"), GROUPS, SIGNATURES, VERSIONS, SHARE, (21, b"\0" * 65000)], fragment=16000))
        assert c.read_exactly(1) in (b"\x15", b"\x16")


def test_no_renegotiation(site):
    with pytest.raises(subprocess.CalledProcessError) as e:
        certs.openssl("s_client", "-connect", f"127.0.0.1:{site.https}", "-servername", "a.test", "-tls1_2", input=b"R\n")
    assert b"RENEGOTIATING" in e.value.stderr and b"no renegotiation" in e.value.stderr


def test_a_handshake_that_stands_is_ended(weir, origin):
    w = weir("timeouts { handshake 500ms }\n" + CONF, app=1, files=some_files())
    for data in (b"", hello([name(b"a.test")])[:20]):
        with connect(w.https) as c:
            c.send(data)
            c.expect_closed()


def test_log_and_origin_know_of_tls(weir, origin):
    o = origin()
    w = weir(CONF, app=o.port, files=some_files())
    with connect_tls(w.https) as c:
        c.ask(request(target="/logged"))
    assert o.requests[-1].fields["X-Forwarded-Proto"] == "https"
    wait_until(lambda: '"tls":"TLSv1.3"' in w.stdout and '"scheme":"https"' in w.stdout, what="the log's line")


@pytest.mark.parametrize("change, message", [
    ("missing.pem", "cannot be read"), ("b.key", "there is no certificate in it"), ("empty.pem", "there is no certificate in it"),
    ("cut.pem", "malformed"),
])
def test_bad_certificates_refuse_the_start(folder, cli, change, message):
    text = "site a.test { listen 127.0.0.1:1 tls; tls cert %s key server.key; route * -> respond 200 }"
    for file, content in some_files().items():
        (folder / file).write_bytes(content)
    (folder / "empty.pem").write_text("")
    (folder / "cut.pem").write_bytes((folder / "server.pem").read_bytes()[:300] + b"\n-----END CERTIFICATE-----\n")
    (folder / "x.conf").write_text(text % change)
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 2 and change in done.stderr and message in done.stderr, done.stderr
    (folder / "x.conf").write_text(text % "b.pem")
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 2 and "the key is not the certificate's" in done.stderr and "x.conf:1:" in done.stderr
    (folder / "x.conf").write_text(text.replace(" tls cert %s key server.key;", ""))
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 2 and "no certificate" in done.stderr


def test_encrypted_keys(weir, folder):
    cert, key = certs.leaf(*NAMES)
    sealed = certs.openssl("pkcs8", "-topk8", "-passout", "pass:open sesame", input=key)
    text = "site a.test { listen 127.0.0.1:@https@ tls; tls cert server.pem key server.key password file:secret; route * -> respond 200 }"
    w = weir(text, files={"server.pem": cert, "server.key": sealed, "secret": "open sesame\n"})
    with connect_tls(w.https) as c:
        assert c.ask(request()).status == 200


def test_a_wrong_password_is_named(folder, cli):
    cert, key = certs.leaf(*NAMES)
    (folder / "server.pem").write_bytes(cert)
    (folder / "server.key").write_bytes(certs.openssl("pkcs8", "-topk8", "-passout", "pass:open sesame", input=key))
    for more, message in (("", "encrypted"), (" password wrong", "does not open")):
        (folder / "x.conf").write_text(f"site a.test {{ listen 127.0.0.1:1 tls; tls cert server.pem key server.key{more}; route * -> respond 200 }}")
        done = cli("check", "-c", "x.conf")
        assert done.returncode == 2 and message in done.stderr


def test_a_broken_certificate_refuses_the_reload(site, cli):
    (site.folder / "server.pem").write_text("broken")
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 2
    site.signal(1)
    wait_until(lambda: "server.pem" in site.stderr, what="the reason")
    with connect_tls(site.https) as c:
        assert c.ask(request(target="/a")).body == b"site a"


def test_a_new_certificate_comes_with_a_reload(site):
    new = certs.files(*NAMES, "new.wild.test")
    with connect_tls(site.https) as kept:
        for file, content in new.items():
            (site.folder / file).write_bytes(content)
        site.signal(1)

        def serial():
            with connect_tls(site.https) as c:
                return any(v == "new.wild.test" for _, v in c.sock.getpeercert()["subjectAltName"])
        wait_until(serial, what="the new certificate")
        assert kept.ask(request(target="/a")).status == 200
