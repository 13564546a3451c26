# SPDX-License-Identifier: Apache-2.0
"""Certificates that are shown with what their authority says of them (OCSP), had from a responder of OpenSSL's."""
import re
import subprocess

import pytest

import certs
from process import free_port, wait_until

CONF = """
log access off
admin unix:run/weir.sock
acme { retry 300ms }
site a.test {
    listen 127.0.0.1:@https@ tls
    tls cert server.pem key server.key
    ocsp-stapling on
    route * -> respond 200 "hello"
}
"""


def shown(w):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{w.https}", "-servername", "a.test", "-status"], input=b"", capture_output=True, timeout=20)
    return done.stdout.decode("utf-8", "replace")


@pytest.fixture
def start(weir, process, folder):
    """start(state of the certificate in the responder's index): (weir, a function that starts the responder)."""
    def begin(state, text=CONF):
        port = free_port()
        ca_cert, ca_key = certs.authority()
        cert, key = certs.leaf("a.test", ocsp=f"http://127.0.0.1:{port}/")
        (folder / "leaf.pem").write_bytes(cert)
        number = certs.openssl("x509", "-in", folder / "leaf.pem", "-noout", "-serial").decode().strip().partition("=")[2]
        index = folder / "index"
        index.write_text({"V": "V\t331231235959Z\t\t%s\tunknown\t/CN=a.test\n", "R": "R\t331231235959Z\t200101000000Z\t%s\tunknown\t/CN=a.test\n"}[state] % number)

        def respond(signer=(ca_cert, ca_key)):
            process(["openssl", "ocsp", "-index", index, "-port", str(port), "-rsigner", signer[0], "-rkey", signer[1], "-CA", ca_cert, "-ndays", "2", "-ignore_err"])  # a connection that only looks whether it is there would stop it
        w = weir(text, files={"server.pem": cert + ca_cert.read_bytes(), "server.key": key})
        return w, respond
    return begin


def test_a_good_answer_is_shown(start):
    w, respond = start("V")
    assert "OCSP response: no response sent" in shown(w)
    respond()
    text = wait_until(lambda: (lambda t: "Response Status: successful" in t and t)(shown(w)), 30, "a stapled answer")
    assert "Cert Status: good" in text
    stored = [p for p in (w.folder / "acme").iterdir()]
    assert len(stored) == 1 and re.fullmatch("[0-9a-f]{64}.ocsp", stored[0].name)


def test_a_revoked_certificate_gets_none_and_is_told(start, cli):
    w, respond = start("R")
    respond()
    wait_until(lambda: "the certificate is revoked" in w.stderr, 30, "the reason")
    assert "a.test/OCSP: failed" in cli("status", "-c", "weir.conf").stdout
    assert "no response sent" in shown(w)


def test_an_answer_that_somebody_else_signed_is_not_taken(start):
    w, respond = start("V")
    respond(certs.authority("stranger"))
    wait_until(lambda: "not signed by who may" in w.stderr, 30, "the reason")
    assert "no response sent" in shown(w)


def test_off_asks_nobody(start):
    w, respond = start("V", CONF.replace("ocsp-stapling on", ""))
    assert len(wait_until(w.workers)) == 1


def test_what_cannot_be_stapled_warns(folder, cli):
    for name, content in certs.files("a.test").items():
        (folder / name).write_bytes(content)
    (folder / "weir.conf").write_text(CONF.replace("@https@", "8443"))
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 0 and "nothing can be stapled" in done.stderr


def test_quick_mode_with_a_certificate(folder, cli):
    for name, content in certs.files("a.test").items():
        (folder / name).write_bytes(content)
    done = cli("reverse", "--to", "127.0.0.1:1", "--from", "127.0.0.1:8444", "--tls", "server.pem", "server.key", "--print")
    assert done.returncode == 0 and "listen 127.0.0.1:8444 tls" in done.stdout
    (folder / "printed.conf").write_text(done.stdout)
    assert cli("check", "-c", "printed.conf").returncode == 0
    assert cli("reverse", "--to", "127.0.0.1:1", "--tls", "server.pem").returncode == 2
