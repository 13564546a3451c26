# SPDX-License-Identifier: Apache-2.0
"""TLS toward the servers of a pool: who is trusted, which name counts, what we show, what is resumed; and what a server gets that
speaks something else."""
import socket
import ssl
import threading

import pytest

import certs
from certs import server_context
from http1 import connect, request
from process import wait_until

CONF = """
threads 1
log access json stdout
hosts { app.test 127.0.0.1 }
pool app {
    server %s:@app@
    tls { %s }
}
site a.test { listen 127.0.0.1:@http@;  route * -> pool app }
"""


def get(port, **options):
    with connect(port) as c:
        return c.ask(request(**options))


def ca_files(name="ca"):
    return {"ca.pem": certs.authority(name)[0].read_bytes()}


@pytest.fixture
def through(weir, origin):
    """through(server's context, text of the pool's tls block): (weir, origin)."""
    def start(context, block, host="app.test", files=None, handler=None):
        o = origin(tls=context, **({"handler": handler} if handler else {}))
        return weir(CONF % (host, block), app=o.port, files={**ca_files(), **(files or {})}), o
    return start


def test_a_verified_server_is_asked_by_its_name(through):
    names = []
    context = server_context("app.test")
    context.sni_callback = lambda sock, name, c: names.append(name)
    w, o = through(context, "verify ca.pem")
    assert get(w.http).body == b"hello from the origin"
    assert names == ["app.test"]
    assert o.handshakes[0].sock.selected_alpn_protocol() == "http/1.1"
    assert o.handshakes[0].sock.version() == "TLSv1.3"


def test_kept_connections_carry_many_exchanges(through):
    w, o = through(server_context("app.test"), "verify ca.pem")
    for _ in range(5):
        assert get(w.http).status == 200
    assert o.connections == 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(through, version):
    def close_after(exchange):
        exchange.reply(body=b"x", fields=[("Connection", "close")])
        exchange.keep = False
    context = server_context("app.test")
    context.minimum_version = context.maximum_version = version
    w, o = through(context, "verify ca.pem", handler=close_after)
    for _ in range(3):
        assert get(w.http).status == 200
    assert [s.reused for s in o.handshakes] == [False, True, True]


def refused(w, o, reason):
    answer = get(w.http)
    assert answer.status == 502 and not o.requests
    wait_until(lambda: f'"reason":"{reason}"' in w.stdout, what=f"a line with the reason {reason}")


def test_another_name_another_authority_or_an_old_certificate_is_refused(through):
    w, o = through(server_context("other.test"), "verify ca.pem")
    refused(w, o, "tls_certificate")


def test_an_unknown_authority_is_refused(through):
    w, o = through(server_context("app.test", ca="stranger"), "verify ca.pem")
    refused(w, o, "tls_certificate")


def test_without_verify_the_systems_authorities_count(through):
    w, o = through(server_context("app.test"), "")
    refused(w, o, "tls_certificate")


def test_a_name_of_its_own(through):
    w, o = through(server_context("inner.test"), "verify ca.pem  name inner.test")
    assert get(w.http).status == 200


def test_an_address_is_verified_as_one_and_never_sent_as_a_name(through):
    names = []
    context = server_context("127.0.0.1")
    context.sni_callback = lambda sock, name, c: names.append(name)
    w, o = through(context, "verify ca.pem", host="127.0.0.1")
    assert get(w.http).status == 200
    assert names in ([], [None])


def test_verify_off_takes_anybody(through):
    w, o = through(server_context("other.test", ca="stranger"), "verify off")
    assert get(w.http).status == 200


def test_our_certificate_is_shown(through):
    w, o = through(server_context("app.test", client_ca="ca"), "verify ca.pem client-cert c.pem key c.key",
                   files=certs.files("proxy.test", prefix="c", client=True))
    assert get(w.http).status == 200
    assert dict(x[0] for x in o.handshakes[0].sock.getpeercert()["subject"])["commonName"] == "proxy.test"


def test_a_server_that_demands_a_certificate_that_we_do_not_have(through):
    context = server_context("app.test", client_ca="ca")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    w, o = through(context, "verify ca.pem")
    refused(w, o, "tls_failed")


def test_revoked(through, tmp_path):
    context = server_context("app.test")
    w, o = through(context, "verify ca.pem crl crl.pem", files={"crl.pem": certs.revocation_list(certs.leaf("app.test", ca="ca")[0])})
    refused(w, o, "tls_certificate")


def raw_server(handle):
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                handle(sock)
    threading.Thread(target=run, daemon=True).start()
    return listener


def test_plain_text_before_the_handshake_is_no_answer(weir):
    def speak(sock):  # TL-07: an answer injected before TLS
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        sock.recv(65536)
    with raw_server(speak) as s:
        w = weir(CONF % ("app.test", "verify ca.pem"), app=s.getsockname()[1], files=ca_files())
        answer = get(w.http)
        assert answer.status == 502 and b"evil" not in answer.body


def test_plain_text_after_the_handshakes_start(weir):
    def speak(sock):
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    with raw_server(speak) as s:
        w = weir(CONF % ("app.test", "verify ca.pem"), app=s.getsockname()[1], files=ca_files())
        assert get(w.http).status == 502


def test_a_handshake_that_stands_still(weir):
    hold = threading.Event()
    with raw_server(lambda sock: hold.wait(20)) as s:
        w = weir("timeouts { handshake 500ms }\n" + CONF % ("app.test", "verify ca.pem"), app=s.getsockname()[1], files=ca_files())
        assert get(w.http).status == 504
        hold.set()


def test_a_cut_answer_is_no_whole_one(through):
    # Only close_notify ends an answer without a length: whoever cuts the connection could otherwise shorten it.
    def cut(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
        exchange.stream.sock.shutdown(socket.SHUT_RDWR)
        exchange.keep = False
    w, o = through(server_context("app.test"), "verify ca.pem", handler=cut)
    with pytest.raises(Exception):
        get(w.http)
    wait_until(lambda: '"reason":"ok"' not in w.stdout and '"reason":' in w.stdout, what="a line that says why")


def test_large_content_each_way(through):
    w, o = through(server_context("app.test"), "verify ca.pem")
    body = bytes(range(256)) * 4096 * 4
    with connect(w.http) as c:
        for _ in range(2):
            assert c.ask(request("POST", "/x", body=body)).body == body


@pytest.mark.parametrize("block, word", [
    ("verify missing.pem", "missing.pem cannot be read"), ("verify weir.conf", "weir.conf cannot be used: there is no certificate in it"),
    ("client-cert ca.pem", "there is no private key in it"), ('name ""', "is no name of a host"), ("verfy ca.pem", "did you mean"),
])
def test_mistakes_are_named(folder, cli, block, word):
    (folder / "ca.pem").write_bytes(ca_files()["ca.pem"])
    (folder / "weir.conf").write_text(CONF.replace("@app@", "8443").replace("@http@", "8080") % ("app.test", block))
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 2 and "weir.conf:7:" in done.stderr and word in done.stderr
