# SPDX-License-Identifier: Apache-2.0
"""`intercept-tls`: what is inside of a tunnel is seen, what must not be is not, and a server that cannot be trusted is shown as one."""
import http.client
import json
import signal
import socket
import ssl
import subprocess
import tempfile
import threading

import pytest

import certs
import h2client
from certs import server_context
from http1 import Stream, request
from process import need, wait_until

CONF = """
threads 1
log access json stdout
timeouts { handshake 1s }
hosts {
    app.test 127.0.0.1
    other.test 127.0.0.1
    bank.test 127.0.0.1
    www.bank.test 127.0.0.1
}
%(top)s
list private { domain .bank.test }
proxy 127.0.0.1:@proxy@ {
    egress { allow 127.0.0.0/8;  deny private;  connect-ports any }
    %(proxy)s
    intercept-tls ca mitm.pem key mitm.key verify ca.pem bypass list private %(rule)s
}
"""


def files(ca="mitm"):
    cert, key = certs.authority(ca)
    return {"mitm.pem": cert.read_bytes(), "mitm.key": key.read_bytes(), "ca.pem": certs.authority("ca")[0].read_bytes()}


@pytest.fixture
def proxy(weir, origin):
    """proxy(server's context or names, proxy=..., rule=..., top=...): a weir, with the origin as its `.origin`."""
    def start(*names, context=None, handler=None, more=None, **parts):
        o = origin(tls=context or server_context(*(names or ("app.test",))), **({"handler": handler} if handler else {}))
        conf = CONF % {"top": "", "proxy": "", "rule": "", **parts}
        w = weir(conf, files={**files(), **(more or {})}, origin=o.port)
        w.origin = o
        return w
    return start


def tunnel(w, host="app.test", port=None, name=None, fields=()):
    """A socket with the tunnel standing."""
    s = socket.create_connection(("127.0.0.1", w.ports["proxy"]), timeout=10)
    authority = f"{host}:{port or w.origin.port}"
    s.sendall(request("CONNECT", authority, host=authority, fields=fields))
    head = b""
    while b"\r\n\r\n" not in head:
        more = s.recv(1)
        assert more, head
        head += more
    assert b" 200 " in head.split(b"\r\n")[0], head
    return s


def inside(w, host="app.test", sni=None, ca="mitm", alpn=("http/1.1",), sock=None, port=None, **options):
    """A Stream inside of a tunnel, over TLS that the authority `ca` vouches for."""
    s = sock or tunnel(w, host, port)
    return certs.connect_tls(None, sni or host, sock=s, ca=ca, alpn=alpn, **options)


def ask(w, path="/", host="app.test", method="GET", fields=(), body=None, **options):
    with inside(w, host, **options) as c:
        return c.ask(request(method, path, host=f"{host}:{w.origin.port}", fields=fields, body=body or b""))


def records(w):
    return [json.loads(line) for line in w.stdout.splitlines() if line.startswith("{")]


def record(w, **wanted):
    def find():
        for r in records(w):
            if all(r.get(k) == v for k, v in wanted.items()):
                return r
        return None
    return wait_until(find, what=f"a line of the log with {wanted}")


# ---- Inside

def test_requests_inside_go_to_the_server_and_are_seen(proxy):
    w = proxy()
    with inside(w) as c:
        for n in range(3):
            a = c.ask(request("GET", f"/x{n}", host=f"app.test:{w.origin.port}"))
            assert a.status == 200 and a.body == b"hello from the origin"
        a = c.ask(request("POST", "/up", host=f"app.test:{w.origin.port}", body=b"z" * 300000))
        assert a.body == b"z" * 300000
    assert w.origin.connections == 1  # the one that was verified before the client was let in
    assert w.origin.last.fields["Host"] == f"app.test:{w.origin.port}"
    r = record(w, target="/x1")
    assert (r["scheme"], r["host"], r["status"], r["reason"], r["tls"]) == ("https", f"app.test:{w.origin.port}", 200, "ok", "TLSv1.3")
    r = record(w, method="CONNECT")
    assert r["inspected"] == "intercepted by weir.conf:16" and r["reason"] == "ok"


def test_the_certificate_is_the_servers_but_for_who_signed_it(proxy):
    w = proxy("app.test", "*.more.test")
    with inside(w) as c:
        der = c.sock.getpeercert(True)
    first = ssl.DER_cert_to_PEM_cert(der)
    text = certs.openssl("x509", "-noout", "-text", "-nameopt", "compat", input=first.encode()).decode()
    assert "DNS:app.test, DNS:*.more.test" in text and "TLS Web Server Authentication" in text and "CA:FALSE" in text
    assert "Authority Key Identifier" in text and "Subject Key Identifier" in text and "prime256v1" in text
    assert "Subject: O=weir tests, CN=app.test" in text.replace(" = ", "=") and "Issuer: CN=test mitm" in text.replace(" = ", "=")
    with inside(w) as c:  # made once
        assert c.sock.getpeercert(True) == der


def test_it_lives_for_a_week_at_most_and_never_longer_than_the_servers(proxy):
    w = proxy(context=server_context("app.test", days=2))
    with inside(w) as c:
        pem = ssl.DER_cert_to_PEM_cert(c.sock.getpeercert(True)).encode()

    def expires_within(days):
        return subprocess.run(["openssl", "x509", "-noout", "-checkend", str(days * 86400)], input=pem, capture_output=True).returncode == 1
    assert expires_within(3) and not expires_within(1)


def test_other_names_and_other_servers_have_other_certificates(proxy, origin):
    w = proxy("app.test", "other.test")
    seen = set()
    for host in ("app.test", "other.test"):
        with inside(w, host) as c:
            seen.add(c.sock.getpeercert(True))
    assert len(seen) == 2
    second = origin(tls=server_context("app.test", "more.test"))
    with inside(w, port=second.port) as c:
        seen.add(c.sock.getpeercert(True))
    assert len(seen) == 3


def test_http2_inside(proxy):
    w = proxy()
    sock = certs.context(ca="mitm", alpn=["h2"]).wrap_socket(tunnel(w), server_hostname="app.test")
    assert sock.selected_alpn_protocol() == "h2"
    with h2client.Client(None, sock=sock) as c:
        ids = [c.headers(c.fields("GET", f"/h{n}", authority=f"app.test:{w.origin.port}")) for n in range(5)]
        for i in ids:
            assert c.answer(i).status == 200
        assert c.ask("GET", "/", f"other.test:{w.origin.port}").status == 421
    assert record(w, target="/h3")["protocol"] == "HTTP/2"


def test_curl(proxy, folder):
    need("curl")
    w = proxy()
    for version in ("--http1.1", "--http2"):
        done = subprocess.run(["curl", "-sS", version, "--proxy", f"http://127.0.0.1:{w.ports['proxy']}", "--cacert", str(certs.authority("mitm")[0]),
                               f"https://app.test:{w.origin.port}/c"], capture_output=True, timeout=20)
        assert done.stdout == b"hello from the origin", done.stderr
    done = subprocess.run(["curl", "-sS", "--socks5-hostname", f"127.0.0.1:{w.ports['proxy']}", "--cacert", str(certs.authority("mitm")[0]),
                           f"https://app.test:{w.origin.port}/socks"], capture_output=True, timeout=20)
    assert done.stdout == b"hello from the origin", done.stderr
    assert record(w, target="/socks")["status"] == 200


def test_openssl_verifies_the_chain(proxy):
    w = proxy()
    done = subprocess.run(["openssl", "s_client", "-proxy", f"127.0.0.1:{w.ports['proxy']}", "-connect", f"app.test:{w.origin.port}", "-servername", "app.test",
                           "-CAfile", str(certs.authority("mitm")[0]), "-verify_return_error", "-verify_hostname", "app.test", "-x509_strict", "-ign_eof"],
                          input=f"GET / HTTP/1.0\r\nHost: app.test:{w.origin.port}\r\n\r\n".encode(), capture_output=True, timeout=20)
    assert b"Verify return code: 0 (ok)" in done.stdout and b"hello from the origin" in done.stdout, done.stdout + done.stderr


def test_a_hello_in_many_pieces(proxy):
    w = proxy()
    s = tunnel(w)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = certs.context(ca="mitm").wrap_bio(incoming, outgoing, server_hostname="app.test")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for i in range(0, len(hello), 7):
        s.sendall(hello[i:i + 7])
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            if outgoing.pending:
                s.sendall(outgoing.read())
            incoming.write(s.recv(65536))
    assert tls.version() == "TLSv1.3"
    s.close()


def test_an_old_client_that_names_nobody(proxy):
    w = proxy()
    with inside(w) as c:
        c.send(b"GET /old HTTP/1.0\r\n\r\n")
        assert c.read_response().status == 200
    assert w.origin.last.fields["Host"] == f"app.test:{w.origin.port}"


# ---- The policy inside

POLICY = """
    policy {
        deny path /secret/* message "not for you"
        deny content-type video/*
        strip images when { path /pictures/* }
        deny list ads
        default allow
    }
"""


def test_rules_on_paths_and_contents_hold_inside(proxy):
    def answer(exchange):
        kind = {"/v": "video/mp4", "/pictures/a": "image/png"}.get(exchange.request.target, "text/plain")
        exchange.reply(body=b"\x89PNG\r\n\x1a\nxxxx" if kind == "image/png" else b"content", fields=[("Content-Type", kind)])
    w = proxy(handler=answer, proxy=POLICY, top="list ads { easylist ads.txt }", more={"ads.txt": "/banner/*$image\n||app.test^*/track.js\n"})
    assert ask(w, "/open").body == b"content"
    a = ask(w, "/secret/x")
    assert a.status == 403 and b"not for you" in a.body
    assert ask(w, "/v").status == 403
    assert ask(w, "/a/track.js").status == 403 and ask(w, "/a/truck.js").status == 200
    a = ask(w, "/pictures/a")
    assert a.status == 200 and a.fields["Content-Type"] == "image/png" and b"xxxx" not in a.body
    assert record(w, target="/secret/x")["rule"] == "weir.conf:17"


def test_the_cache_answers_inside(proxy):
    w = proxy(handler=lambda e: e.reply(body=b"kept", fields=[("Cache-Control", "max-age=600")]), top="cache main { memory 16MiB }", proxy="cache main")
    assert ask(w, "/k").body == b"kept"
    a = ask(w, "/k")
    assert a.body == b"kept" and "hit" in a.fields["Cache-Status"]
    assert [r.target for r in w.origin.requests] == ["/k"]


def test_privacy_and_users_inside(proxy):
    crypt = subprocess.run(["openssl", "passwd", "-6", "pw"], capture_output=True, text=True, check=True).stdout
    w = proxy(proxy='auth basic file users\n    privacy strict\n    policy { allow user ann;  default deny }', more={"users": f"ann:{crypt}"})
    with inside(w, sock=tunnel(w, fields=[("Proxy-Authorization", "Basic YW5uOnB3")])) as c:
        a = c.ask(request("GET", "/p", host=f"app.test:{w.origin.port}", fields=[("Referer", "https://from.test/deep/page"), ("X-Forwarded-For", "10.1.1.1")]))
    assert a.status == 200 and record(w, target="/p")["user"] == "ann"
    sent = w.origin.last.fields
    assert "X-Forwarded-For" not in sent and "Proxy-Authorization" not in sent and "deep" not in (sent.get("Referer") or "")


def test_a_websocket_inside(proxy):
    def upgrade(exchange):
        exchange.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
        exchange.keep = False
        data = exchange.stream.sock.recv(100)
        exchange.send(b"you said " + data)
    w = proxy(handler=upgrade)
    with inside(w) as c:
        c.send(request("GET", "/ws", host=f"app.test:{w.origin.port}", fields=[("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                                                                               ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]))
        assert c.read_response("GET").status == 101
        c.send(b"ping")
        assert c.read_exactly(13) == b"you said ping"


# ---- Whose tunnel it is

@pytest.mark.parametrize("text, status", [
    ("GET / HTTP/1.1\r\nHost: other.test:{port}\r\n\r\n", 421),
    ("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n", 421),  # another port
    ("GET / HTTP/1.1\r\nHost: app.test:{port}.evil.test\r\n\r\n", 400),
    ("GET https://other.test:{port}/ HTTP/1.1\r\nHost: other.test:{port}\r\n\r\n", 421),
    ("GET http://app.test:{port}/ HTTP/1.1\r\nHost: app.test:{port}\r\n\r\n", 400),
    ("GET https://app.test:{port}/fine HTTP/1.1\r\nHost: app.test:{port}\r\n\r\n", 200),
    ("CONNECT other.test:{port} HTTP/1.1\r\nHost: other.test:{port}\r\n\r\n", 405),
    ("TRACE / HTTP/1.1\r\nHost: app.test:{port}\r\n\r\n", 405),
    ("GET / HTTP/1.1\r\nHost: APP.TEST.:{port}\r\n\r\n", 200),
])
def test_requests_are_for_the_tunnels_host(proxy, text, status):
    w = proxy("app.test", "other.test")
    with inside(w) as c:
        c.send(text.format(port=w.origin.port).encode())
        assert c.read_response().status == status
    assert len(w.origin.requests) == (status == 200)


def alert(s):
    data = b""
    while len(data) < 7:
        more = s.recv(7 - len(data))
        if not more:
            break
        data += more
    return data


def hello(name, ca="mitm"):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = certs.context(ca=ca)
    context.check_hostname = False
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_another_name_in_the_handshake_is_refused(proxy):
    w = proxy("app.test", "other.test")
    with tunnel(w) as s:
        s.sendall(hello("other.test"))
        assert alert(s) == bytes([0x15, 3, 3, 0, 2, 2, 112])
    assert record(w, method="CONNECT")["reason"] == "misdirected" and not w.origin.connections


def test_a_denied_name_behind_a_literal_address_is_refused(proxy):
    w = proxy("app.test", proxy="policy { deny domain .app.test;  default allow }")
    with tunnel(w, "127.0.0.1") as s:
        s.sendall(hello("app.test"))
        assert alert(s)[:6] == bytes([0x15, 3, 3, 0, 2, 2])
    assert record(w, method="CONNECT")["rule"].startswith("weir.conf:") and not w.origin.connections


def test_a_literal_address_with_a_name(proxy):
    w = proxy("app.test", "127.0.0.1")
    with inside(w, "127.0.0.1", sni="app.test") as c:
        for host in ("app.test", "127.0.0.1"):
            assert c.ask(request("GET", "/", host=f"{host}:{w.origin.port}")).status == 200
    with inside(w, "127.0.0.1") as c:  # Python sends no name for an address
        assert c.ask(request("GET", "/", host=f"127.0.0.1:{w.origin.port}")).status == 200


def test_what_egress_forbids_is_refused_before_the_tunnel(proxy):
    w = proxy(proxy="policy { default allow }", top="")
    s = socket.create_connection(("127.0.0.1", w.ports["proxy"]), timeout=10)
    s.sendall(request("CONNECT", "10.0.0.1:443", host="10.0.0.1:443"))
    assert Stream(s).read_response().status == 403


# ---- What is left alone

def peer(w, host, ca="ca", **options):
    with inside(w, host, ca=ca, **options) as c:
        issuer = dict(x[0] for x in c.sock.getpeercert()["issuer"])["commonName"]
        assert c.ask(request("GET", "/", host=f"{host}:{w.origin.port}")).status == 200
    return issuer


def test_bypassed_hosts_are_never_decrypted(proxy):
    w = proxy("app.test", "bank.test", "www.bank.test")
    assert peer(w, "app.test", ca="mitm") == "test mitm"
    for host in ("bank.test", "www.bank.test"):
        assert peer(w, host) == "test ca"
        r = record(w, method="CONNECT", host=f"{host}:{w.origin.port}")
        assert r["inspected"] == "spliced by weir.conf:16, bypass list private"
    assert not [r for r in records(w) if r["method"] == "GET" and "bank" in r["host"]]


def test_a_bypassed_name_behind_a_literal_address_once_the_server_has_proved_it(proxy):
    w = proxy("bank.test")
    assert peer(w, "127.0.0.1", sni="bank.test") == "test ca"
    assert "bypass list" in record(w, method="CONNECT")["inspected"]
    # A server that is not the bank does not pass as one by its name in the handshake.
    w = proxy("app.test")
    with inside(w, "127.0.0.1", sni="bank.test") as c:
        a = c.ask(request("GET", "/", host=f"bank.test:{w.origin.port}"))
        assert a.status == 502 and b"certificate" in a.body
    assert not w.origin.requests


def test_what_no_condition_takes_is_passed_on(proxy):
    w = proxy("app.test", "other.test", rule="when { host other.test }")
    assert peer(w, "app.test") == "test ca"
    assert record(w, method="CONNECT")["inspected"] == "spliced"
    assert peer(w, "other.test", ca="mitm") == "test mitm"


def test_what_is_not_tls(proxy, origin):
    plain = origin()
    w = proxy()
    with tunnel(w, port=plain.port) as s:
        s.sendall(request("GET", "/", host="app.test"))
        assert s.recv(100) == b""
    assert record(w, method="CONNECT")["reason"] == "not_tls" and not plain.connections
    w = proxy(rule="not-tls splice")
    with tunnel(w, port=plain.port) as s:
        s.sendall(request("GET", "/", host="app.test"))
        assert Stream(s).read_response().status == 200
    assert record(w, method="CONNECT")["inspected"] == "spliced by weir.conf:16, not TLS"


def test_a_server_that_speaks_first(proxy):
    w = proxy(rule="not-tls splice")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def greet():
            s, _ = listener.accept()
            s.sendall(b"220 hello\r\n")
            s.close()
        threading.Thread(target=greet, daemon=True).start()
        with tunnel(w, port=listener.getsockname()[1]) as s:
            assert s.recv(100) == b"220 hello\r\n"


def test_a_server_that_wants_the_clients_certificate(proxy):
    def context():
        c = server_context("app.test", client_ca="ca")
        c.maximum_version = ssl.TLSVersion.TLSv1_2
        return c
    w = proxy(context=context())
    assert ask(w).status == 502
    assert record(w, method="GET")["reason"] == "tls_wants_certificate"
    w = proxy(context=context(), rule="client-cert splice")
    with certs.connect_tls(None, "app.test", sock=tunnel(w), client=("ann",)) as c:
        assert c.ask(request("GET", "/", host="app.test")).status == 200
    assert "client's certificate" in record(w, method="CONNECT")["inspected"]


# ---- Servers that are not to be trusted

def expired(name):
    """A certificate that is over: openssl's own clock cannot be set, so the authority signs one of the past."""
    base = certs.home() / "expired"
    ca_cert, ca_key = certs.authority("ca")
    certs.openssl("req", *certs.key_options("ec"), "-nodes", "-keyout", f"{base}.key", "-out", f"{base}.csr", "-subj", f"/CN={name}")
    folder = tempfile.mkdtemp(dir=certs.home())
    with open(f"{folder}/conf", "w") as f:
        f.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index\nnew_certs_dir={folder}\nserial={folder}/serial\ndefault_md=sha256\npolicy=p\nx509_extensions=x\n"
                f"[p]\ncommonName=supplied\n[x]\nsubjectAltName=DNS:{name}\n")
    open(f"{folder}/index", "w").close()
    with open(f"{folder}/serial", "w") as f:
        f.write("1000\n")
    certs.openssl("ca", "-batch", "-config", f"{folder}/conf", "-cert", ca_cert, "-keyfile", ca_key, "-in", f"{base}.csr", "-out", f"{base}.pem", "-notext",
                  "-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(f"{base}.pem", f"{base}.key")
    return c


def self_signed(name):
    base = certs.home() / "self"
    certs.openssl("req", "-x509", *certs.key_options("ec"), "-nodes", "-keyout", f"{base}.key", "-out", f"{base}.pem", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(f"{base}.pem", f"{base}.key")
    return c


@pytest.mark.parametrize("kind, words", [("expired", b"certificate has expired"), ("other name", b"hostname mismatch"), ("self-signed", b"self-signed certificate"),
                                         ("other authority", b"unable to get local issuer certificate")])
def test_a_bad_certificate_is_shown_and_nothing_is_sent_there(proxy, kind, words):
    context = {"expired": lambda: expired("app.test"), "other name": lambda: server_context("wrong.test"), "self-signed": lambda: self_signed("app.test"),
               "other authority": lambda: server_context("app.test", ca="stranger")}[kind]()
    w = proxy(context=context)
    for _ in range(2):
        a = ask(w, "/s", fields=[("Cookie", "secret=1")])
        assert a.status == 502 and words in a.body, a.body
    assert not w.origin.requests
    assert record(w, target="/s")["reason"] == "tls_certificate"


def test_a_server_that_is_not_there_or_speaks_no_tls_is_shown(proxy, origin):
    w = proxy()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        dead = s.getsockname()[1]
    with inside(w, port=dead) as c:
        assert c.ask(request("GET", "/", host=f"app.test:{dead}")).status == 502
    silent = origin(read_content=False)  # it waits for a request
    with inside(w, port=silent.port) as c:
        assert c.ask(request("GET", "/", host=f"app.test:{silent.port}")).status in (502, 504)


def test_a_client_that_does_not_trust_the_authority(proxy):
    w = proxy()
    with pytest.raises(ssl.SSLError):
        inside(w, ca="ca")
    assert record(w, method="CONNECT")["reason"] == "tls_failed" and not w.origin.requests


# ---- Ways in and out

def test_a_proxy_that_is_reached_by_tls(weir, origin):
    o = origin(tls=server_context("app.test"))
    conf = CONF.replace("egress {", "listen 127.0.0.1:@secure@ tls\n    tls cert server.pem key server.key\n    egress {") % {"top": "", "proxy": "", "rule": ""}
    w = weir(conf, files={**files(), **certs.files("proxy.test")}, origin=o.port)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with certs.connect_tls(w.ports["secure"], "proxy.test") as outer:
        outer.send(request("CONNECT", f"app.test:{o.port}", host=f"app.test:{o.port}"))
        assert outer.read_response("CONNECT").status == 200
        tls = certs.context(ca="mitm").wrap_bio(incoming, outgoing, server_hostname="app.test")

        def pump(call):
            while True:
                try:
                    value = call()
                    if outgoing.pending:
                        outer.send(outgoing.read())
                    return value
                except ssl.SSLWantReadError:
                    if outgoing.pending:
                        outer.send(outgoing.read())
                    incoming.write(outer.sock.recv(65536))
        pump(tls.do_handshake)
        pump(lambda: tls.write(request("GET", "/", host=f"app.test:{o.port}")))
        assert b"hello from the origin" in pump(lambda: tls.read(65536))


@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
def test_by_way_of_a_parent(weir, origin, kind):
    o = origin(tls=server_context("app.test"))
    parent = weir("""
        log access json stdout
        hosts { app.test 127.0.0.1 }
        proxy 127.0.0.1:@plain@ {
            listen 127.0.0.1:@secure@ tls
            tls cert server.pem key server.key
            egress { allow 127.0.0.0/8;  connect-ports any }
        }
    """, files=certs.files("127.0.0.1"))
    at = parent.ports["secure" if kind == "https" else "plain"]
    line = f"parent {kind}://127.0.0.1:{at}" + (" verify ca.pem" if kind == "https" else "")
    w = weir(CONF % {"top": "", "proxy": line, "rule": ""}, files=files(), origin=o.port)
    w.origin = o
    with inside(w) as c:
        for _ in range(3):
            assert c.ask(request("GET", "/by", host=f"app.test:{o.port}")).body == b"hello from the origin"
        assert c.ask(request("POST", "/by", host=f"app.test:{o.port}", body=b"q" * 200000)).body == b"q" * 200000
    assert o.connections == 1
    w.stop()  # with what it keeps
    assert record(parent, method="CONNECT")["host"] == f"app.test:{o.port}"


# ---- Reload, limits, commands

def test_tunnels_go_on_over_a_reload_and_obey_the_new_rules(proxy):
    w = proxy()
    with inside(w) as c:
        assert c.ask(request("GET", "/a", host=f"app.test:{w.origin.port}")).status == 200
        w.rewrite(w.text.replace("egress {", "policy { deny path /a }\n    egress {"))
        w.signal(signal.SIGHUP)
        wait_until(lambda: c.ask(request("GET", "/a", host=f"app.test:{w.origin.port}")).status == 403, what="the new rule")
        assert c.ask(request("GET", "/b", host=f"app.test:{w.origin.port}")).status == 200


def test_the_page_with_the_certificate(proxy):
    w = proxy()

    def get(path, method="GET"):
        c = http.client.HTTPConnection("127.0.0.1", w.ports["proxy"], timeout=10)
        c.putrequest(method, path)
        c.endheaders()
        a = c.getresponse()
        body = a.read()
        c.close()
        return a, body
    a, body = get("/weir-ca.crt")
    assert a.status == 200 and a.headers["Content-Type"] == "application/x-x509-ca-cert"
    assert ssl.PEM_cert_to_DER_cert(body.decode()) == ssl.PEM_cert_to_DER_cert(certs.authority("mitm")[0].read_text())
    assert b"PRIVATE" not in body
    assert get("/weir-ca.pem")[0].headers["Content-Type"] == "application/x-pem-file"
    fingerprint = certs.openssl("x509", "-in", certs.authority("mitm")[0], "-noout", "-fingerprint", "-sha256").decode().split("=")[1].strip()
    a, body = get("/weir-ca")
    assert a.headers["Content-Type"].startswith("text/html") and fingerprint in body.decode()
    assert get("/weir-ca", "POST")[0].status == 400 and get("/weir-ca.key")[0].status == 400


def test_ca_new(cli, folder):
    done = cli("ca", "new", "--name", "House of Ann")
    assert done.returncode == 0 and "SHA-256" in done.stdout
    key, cert = folder / "weir-ca.key", folder / "weir-ca.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    text = certs.openssl("x509", "-in", cert, "-noout", "-text").decode()
    assert "CA:TRUE, pathlen:0" in text and "Certificate Sign" in text and "House of Ann" in text
    before = key.read_bytes(), cert.read_bytes()
    again = cli("ca", "new")
    assert again.returncode == 1 and "there already" in again.stderr and (key.read_bytes(), cert.read_bytes()) == before
    cert.unlink()
    assert cli("ca", "new").returncode == 1 and not cert.exists() and key.read_bytes() == before[0]
    for wrong in (["ca"], ["ca", "old"], ["ca", "new", "--name", ""], ["ca", "new", "--name", "x" * 65]):
        assert cli(*wrong).returncode == 2
    assert cli("ca", "new", "--out", "nowhere").returncode == 1


def check(cli, folder, rule, top="list private { domain bank.test }", more=None):
    for name, content in {**files(), **(more or {})}.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "weir.conf").write_text(f"{top}\nproxy 127.0.0.1:3128 {{\n    {rule}\n}}\n")
    return cli("check", "-c", "weir.conf")


def test_check_finds_mistakes(cli, folder):
    good = "intercept-tls ca mitm.pem key mitm.key verify ca.pem bypass list private"
    done = check(cli, folder, good)
    assert done.returncode == 0 and not done.stderr, done.stderr
    done = check(cli, folder, "intercept-tls ca mitm.pem key mitm.key verify ca.pem", top="")
    assert done.returncode == 0 and "weir.conf:3:5: warning" in done.stderr and "bypass" in done.stderr
    leaf = certs.files("app.test", prefix="leaf")
    for rule, words in (("intercept-tls bypass list private", "intercept-tls ca FILE key FILE"),
                        ("intercept-tls ca leaf.pem key leaf.key bypass list private", "authority"),
                        ("intercept-tls ca mitm.pem key leaf.key bypass list private", "the key is not the certificate's"),
                        ("intercept-tls ca mitm.pem key none.key bypass list private", "none.key cannot be read"),
                        (good.replace("private", "privat"), "there is no list `privat`"),
                        (good + " not-tls allow", "refuse")):
        done = check(cli, folder, rule, more=leaf)
        assert done.returncode == 2 and words in done.stderr and "weir.conf:3:" in done.stderr, (rule, done.stderr)
    assert "did you mean" in check(cli, folder, good.replace("private", "privat")).stderr


def test_explain_says_what_becomes_of_a_tunnel(cli, folder):
    assert check(cli, folder, "intercept-tls ca mitm.pem key mitm.key verify ca.pem bypass list private when { not host open.test }").returncode == 0
    for host, words in (("app.test", "intercepted by weir.conf:3"), ("bank.test", "spliced by weir.conf:3, bypass list private"), ("open.test", "spliced")):
        done = cli("explain", "-c", "weir.conf", f"proxy GET https://{host}/")
        line = [x for x in done.stdout.splitlines() if x.startswith("tunnel")]
        assert done.returncode == 0 and line and line[0].split(None, 1)[1] == words
