# SPDX-License-Identifier: Apache-2.0
"""Early data (0-RTT, RFC 8446 2.3 and RFC 8470): which requests may come along with the handshake, who is told, and that a recording is
of no use. The client is `openssl s_client`."""
import re
import socket
import subprocess
import threading

import h2.connection
import pytest

import certs
from http1 import connect, request
from process import need, wait_until

CONF = """
log access json stdout
dashboard 127.0.0.1:@admin@
pool app { server 127.0.0.1:@app@ }
site a.test {
    listen 127.0.0.1:@https@ tls
    tls cert server.pem key server.key
    route /early/* -> pool app { early-data on }
    route *        -> pool app
}
site late.test {
    listen 127.0.0.1:@https@ tls
    tls cert late.pem key late.key
    route * -> pool app
}
"""


class Recorder:
    """Hands connections on, and keeps what clients have sent. hold: what they send once the server has spoken waits for `go`."""
    def __init__(self, port, hold=False):
        self.sent, self.to, self.hold = [], port, hold
        self.spoken, self.go, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.to))
            self.sent.append(b"")
            threading.Thread(target=self.copy, args=(client, server, len(self.sent) - 1), daemon=True).start()
            threading.Thread(target=self.copy, args=(server, client, None), daemon=True).start()

    def copy(self, a, b, n):
        try:
            while data := a.recv(65536):
                if n is not None:
                    self.sent[n] += data
                    if self.hold and self.spoken.is_set():
                        self.go.wait(30)
                else:
                    self.spoken.set()
                b.sendall(data)
            if n is None:
                self.ended.set()
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Site:
    def __init__(self, w, folder):
        self.w, self.folder = w, folder

    def s_client(self, port, name, *more, stdin=b"", alpn="http/1.1"):
        done = subprocess.run([need("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, "-tls1_3", "-ign_eof",
                               "-alpn", alpn, "-CAfile", certs.authority()[0], *map(str, more)], input=stdin, capture_output=True, timeout=30)
        return done.stdout

    def session(self, name="a.test", first=None, **options):
        path = self.folder / "session.pem"
        path.unlink(missing_ok=True)
        out = self.s_client(self.w.https, name, "-sess_out", path,
                            stdin=first or request(target="/first", host=name, fields=["Connection: close"]), **options)
        assert b"from the origin" in out
        return path

    def early(self, data, name="a.test", port=None, session=None, **options):
        """What came back for data that went along with the handshake, and whether it was accepted."""
        (self.folder / "early").write_bytes(data)
        out = self.s_client(port or self.w.https, name, "-sess_in", session or self.session(), "-early_data", self.folder / "early", **options)
        said = re.search(rb"Early data was (not sent|rejected|accepted)", out)[1]
        return out, said == b"accepted"


@pytest.fixture
def app(origin):
    return origin(lambda x: x.reply(425 if x.request.target.endswith("/425") else 200, body=b"from the origin"))


@pytest.fixture
def site(weir, app, folder):
    return Site(weir(CONF, app=app.port, files={**certs.files("a.test"), **certs.files("late.test", prefix="late")}), folder)


def close(target, method="GET", content=b"", fields=()):
    return request(method, target, fields=["Connection: close", *fields], body=content or None)


def test_a_safe_request_is_answered_and_the_server_is_told(site, app):
    out, accepted = site.early(close("/early/a"))
    assert accepted
    assert b"HTTP/1.1 200" in out and b"from the origin" in out
    first, early = app.requests
    assert early.fields["early-data"] == "1"
    assert "early-data" not in first.fields
    with connect(site.w.admin) as c:
        text = c.ask(request(target="/metrics", host="localhost")).body.decode()
    assert re.search(r'^weir_tls_early_data_total\{listener="127.0.0.1:%d",?\} 1$' % site.w.https, text, re.M), text


def test_it_is_served_before_the_handshake_ends(site, app):
    session = site.session()
    r = Recorder(site.w.https, hold=True)
    answers = []
    client = threading.Thread(target=lambda: answers.append(site.early(close("/early/b"), port=r.port, session=session)))
    client.start()
    wait_until(lambda: len(app.requests) == 2, what="the request")
    assert not r.go.is_set()
    r.go.set()
    client.join()
    assert answers[0][1] and b"HTTP/1.1 200" in answers[0][0]


@pytest.mark.parametrize("data", [close("/early/c", "POST", b"x"), close("/early/c", "PUT"), close("/early/c", "DELETE"), close("/other")],
                         ids=["post", "put", "delete", "a route without"])
def test_others_are_too_early(site, app, data):
    out, accepted = site.early(data)
    assert accepted
    assert b"HTTP/1.1 425 Too Early" in out
    assert len(app.requests) == 1


def h2_request(path, method="GET"):
    c = h2.connection.H2Connection()
    c.initiate_connection()
    c.send_headers(1, [(":method", method), (":scheme", "https"), (":authority", "a.test"), (":path", path)], end_stream=True)
    c.close_connection()
    return c.data_to_send()


def test_http2(site, app):
    session = site.session(first=h2_request("/first"), alpn="h2")
    for method, path, early in (("GET", "/early/a", 1), ("POST", "/early/b", 0), ("GET", "/late", 0)):
        out, accepted = site.early(h2_request(path, method), session=session, alpn="h2")
        assert accepted
        assert (b"from the origin" in out) == bool(early)
    assert [x.fields.get("early-data") for x in app.requests] == [None, "1"]


def test_the_request_may_be_sent_again_on_the_connection(site, app):
    again = request("POST", "/early/d", body=b"x", fields=["Connection: close"])
    out, accepted = site.early(request("POST", "/early/d", body=b"x"), stdin=again)
    assert accepted
    assert b"HTTP/1.1 425" in out and b"HTTP/1.1 200" in out
    assert [x.method for x in app.requests] == ["GET", "POST"]
    assert "early-data" not in app.requests[1].fields


def test_a_servers_425_is_passed_on(site, app):
    out, accepted = site.early(close("/early/425"))
    assert accepted and b"HTTP/1.1 425" in out
    assert len(app.requests) == 2


def test_a_site_without_it_takes_none(site, app):
    session = site.session("late.test")
    assert b"Max Early Data: 0" in subprocess.run([need("openssl"), "sess_id", "-in", session, "-noout", "-text"], capture_output=True).stdout


def test_a_recording_is_of_no_use(site, app):
    session = site.session()
    r = Recorder(site.w.https)
    _, accepted = site.early(close("/early/once"), port=r.port, session=session)
    assert accepted
    flight = r.sent[0]
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", site.w.https), timeout=10) as s:
            s.sendall(flight)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
    assert [x.target for x in app.requests] == ["/first", "/early/once"]
    _, accepted = site.early(close("/early/next"), session=site.session())
    assert accepted


def test_a_ticket_again_is_another_hello(site, app):
    """What counts is the ClientHello: a client that has one ticket may use it twice, for what that is worth to its privacy."""
    session = site.session()
    for n in range(2):
        _, accepted = site.early(close(f"/early/{n}"), session=session)
        assert accepted


def test_a_handshake_that_never_ends(weir, app, folder):
    s = Site(weir("timeouts { handshake 1s }\n" + CONF, app=app.port, files={**certs.files("a.test"), **certs.files("late.test", prefix="late")}), folder)
    session = s.session()
    r = Recorder(s.w.https, hold=True)
    client = threading.Thread(target=lambda: s.early(request(target="/early/x"), port=r.port, session=session))
    client.start()
    assert r.ended.wait(20)  # the idle deadline would be a minute
    assert len(app.requests) == 2
    r.go.set()
    client.join()


@pytest.mark.parametrize("change, word", [
    (("    route /early", "    session-tickets off\n    route /early"), "session-tickets off"),
    (("    route /early", "    client-cert optional ca server.pem\n    route /early"), "client-cert"),
])
def test_mistakes_are_named(folder, cli, change, word):
    for name, content in {**certs.files("a.test"), **certs.files("late.test", prefix="late")}.items():
        (folder / name).write_bytes(content)
    text = CONF.replace("@app@", "1").replace("@https@", "8443").replace("@admin@", "8444").replace(*change)
    (folder / "weir.conf").write_text(text)
    done = cli("check", "-c", "weir.conf")
    assert done.returncode and word in done.stdout + done.stderr
