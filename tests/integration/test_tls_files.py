# SPDX-License-Identifier: Apache-2.0
"""Certificates that change while weir runs, and what is said of those that have expired or are for other names."""
import base64
import json
import os
import ssl

import pytest

import certs
from certs import connect_tls, context
from http1 import request
from process import wait_until

CONF = """
log access off
admin unix:run/weir.sock
site a.test {
    listen 127.0.0.1:@https@ tls
    tls cert server.pem key server.key
    route * -> respond 200 "hello"
}
"""


def serial(port, name="a.test"):
    c = context()
    with connect_tls(port, name, context=c) as s:
        assert s.ask(request(host=name)).status == 200
        return s.sock.getpeercert()["serialNumber"]


def replace(w, name, content):
    new = w.folder / (name + ".new")
    new.write_bytes(content)
    os.rename(new, w.folder / name)


def test_a_new_certificate_serves_by_itself(weir):
    w = weir(CONF, files=certs.files("a.test"))
    before = serial(w.https)
    cert, key = certs.leaf("a.test", days=11)
    replace(w, "server.pem", cert)
    replace(w, "server.key", key)
    wait_until(lambda: serial(w.https) != before, what="another certificate")
    (w.folder / "server.pem").write_bytes(certs.leaf("a.test")[0])  # written in place too
    (w.folder / "server.key").write_bytes(certs.leaf("a.test")[1])
    wait_until(lambda: serial(w.https) == before, what="the first certificate")


@pytest.mark.parametrize("broken, word", [(b"no certificate", "no certificate in it"), (None, "the key is not the certificate's")])
def test_a_broken_one_is_refused_and_the_old_one_serves_on(weir, broken, word):
    w = weir(CONF, files=certs.files("a.test"))
    before = serial(w.https)
    replace(w, "server.pem", broken or certs.leaf("a.test", days=12)[0])
    wait_until(lambda: word in w.stderr, what=f"the message `{word}`")
    assert "weir.conf:6:" in w.stderr and serial(w.https) == before
    replace(w, "server.pem", certs.leaf("a.test")[0])
    assert serial(w.https) == before


def test_only_files_count_not_the_text(weir):
    w = weir(CONF, files=certs.files("a.test"))
    w.rewrite(CONF.replace("hello", "edited"))
    before = serial(w.https)
    replace(w, "server.pem", certs.leaf("a.test", days=11)[0])
    replace(w, "server.key", certs.leaf("a.test", days=11)[1])
    wait_until(lambda: serial(w.https) != before, what="another certificate")
    with connect_tls(w.https) as c:
        assert c.ask(request()).body == b"hello"


def test_connections_live_through_it(weir):
    w = weir(CONF, files=certs.files("a.test"))
    before = serial(w.https)
    with connect_tls(w.https) as c:
        assert c.ask(request()).status == 200
        replace(w, "server.pem", certs.leaf("a.test", days=11)[0])
        replace(w, "server.key", certs.leaf("a.test", days=11)[1])
        wait_until(lambda: serial(w.https) != before, what="another certificate")
        assert c.ask(request()).status == 200


def test_status_names_dates(weir, cli):
    w = weir(CONF, files=certs.files("a.test"))
    text = cli("status", "-c", "weir.conf").stdout
    assert "a.test expires on 20" in text and "in 9 days" in text
    said = json.loads(cli("status", "-c", "weir.conf", "--json").stdout)["certificates"]
    assert said[0]["name"] == "a.test" and said[0]["expired"] is False


def test_an_expired_one_warns_and_serves(weir, cli):
    w = weir(CONF, files=certs.files("a.test", days=-1))
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 0 and "weir.conf:6:" in done.stderr and "warning" in done.stderr and "expired" in done.stderr
    assert "EXPIRED" in cli("status", "-c", "weir.conf").stdout
    with pytest.raises(ssl.SSLCertVerificationError):
        connect_tls(w.https)
    c = context()
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    with connect_tls(w.https, context=c) as s:
        assert s.ask(request()).status == 200


def test_a_certificate_for_another_name_warns(folder, cli):
    for name, content in certs.files("b.test").items():
        (folder / name).write_bytes(content)
    (folder / "weir.conf").write_text(CONF.replace("@https@", "8443"))
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 0 and "no certificate of the site is for `a.test`" in done.stderr


def test_an_encrypted_key_with_its_secret_in_a_file(weir, folder, cli):
    cert, key = certs.leaf("a.test")
    sealed = certs.openssl("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:open sesame", input=key)
    text = CONF.replace("key server.key", "key server.key password file:secret.txt")
    w = weir(text, files={"server.pem": cert, "server.key": sealed, "secret.txt": "open sesame\n"})
    assert serial(w.https)
    (w.folder / "secret.txt").write_text("wrong\n")
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 2 and "does not open the key" in done.stderr and "sesame" not in done.stderr


def test_session_keys_are_logged_where_it_is_asked_for_only(weir, cli):
    w = weir(CONF, files=certs.files("a.test"))
    assert serial(w.https) and "tls-keys" not in w.stderr
    debugged = weir("debug-tls-keys\n" + CONF, files=certs.files("a.test"))
    assert serial(debugged.https)
    wait_until(lambda: "tls-keys: CLIENT_TRAFFIC_SECRET_0 " in debugged.stderr, what="a key in the log")
    (w.folder / "weir.conf").write_text("debug-tls-keys\n" + w.text)
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 0 and "can read the traffic" in done.stderr


# ---- Keys of tickets in a file

def ticket_keys(*numbers):
    """A file of keys, each told apart by a number."""
    return b"# keys\n" + b"".join(base64.b64encode(bytes([n]) * 80) + b"\n" for n in numbers)


def resumes(port, context, session, keep=None):
    with connect_tls(port, context=context, session=session) as c:
        assert c.ask(request()).status == 200
        if keep is not None:
            keep.append(c.sock.session)
        return c.sock.session_reused


SHARING = "ticket-keys tickets\n" + CONF


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_machines_that_share_a_file_of_ticket_keys_resume_each_others_sessions(weir, version):
    files = certs.files("a.test")
    one = weir(SHARING, files={**files, "tickets": ticket_keys(1, 2)})
    two = weir(SHARING, files={**files, "tickets": ticket_keys(3, 1)})
    c, kept = certs.context(least=version, most=version), []
    assert not resumes(one.https, c, None, kept)
    assert resumes(two.https, c, kept[0], kept)  # opened by the second key there, sealed anew by the first
    assert not resumes(one.https, c, kept[1])
    replace(one, "tickets", ticket_keys(3))
    wait_until(lambda: "is in force" in one.stderr, what="the new keys")
    assert resumes(one.https, c, kept[1])
    assert not resumes(one.https, c, kept[0])


@pytest.mark.parametrize("content, word", [
    (b"", "there is no key in it"), (b"# no key\n", "there is no key in it"), (ticket_keys(*range(1, 10)), "more than eight"),
    (base64.b64encode(b"x" * 79), "a line is no key"), (b"!" * 108, "a line is no key"), (b"A" * 108, "a line is no key"), (None, "cannot be read")])
def test_files_that_are_no_ticket_keys(folder, cli, content, word):
    for name, text in {**certs.files("a.test"), "weir.conf": SHARING.replace("@https@", "8443").encode(), "tickets": content}.items():
        if text is not None:
            (folder / name).write_bytes(text)
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 2 and word in done.stderr and "weir.conf:1" in done.stderr, done.stderr
