# SPDX-License-Identifier: Apache-2.0
"""`parent`: a forward proxy that goes through other proxies."""
import base64
import socket
import threading

import pytest

from certs import authority, leaf
from http1 import connect, request
from process import free_port

HEAD = "log access off\n"
PARENT = HEAD + """hosts { app.test 127.0.0.1 }
proxy 127.0.0.1:@proxy@ {
    egress { allow 127.0.0.1 ports @app@; connect-ports any }
}
"""


def child(parents, more=""):
    return HEAD + f"proxy 127.0.0.1:@proxy@ {{\n    egress {{ connect-ports any }}\n    {parents}\n    {more}\n}}\n"


def target(port, path="/"):
    return f"http://app.test:{port}{path}"


def get(w, url, **options):
    with connect(w.ports["proxy"]) as c:
        return c.ask(request("GET", url, host=url.split("/")[2], **options))


@pytest.fixture
def app(origin):
    return origin()


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_requests_and_tunnels_go_through_a_parent(weir, app, scheme):
    """The child resolves nothing: only the parent knows app.test, and only the parent may reach this machine."""
    parent = weir(PARENT, app=app.port)
    w = weir(child(f"parent {scheme}://127.0.0.1:{parent.ports['proxy']}"))
    with connect(w.ports["proxy"]) as c:
        for n in range(3):
            r = c.ask(request("GET", target(app.port, f"/a?n={n}"), host=f"app.test:{app.port}"))
            assert r.status == 200 and r.body == b"hello from the origin"
            assert app.requests[-1].target == f"/a?n={n}"
            assert app.requests[-1].fields.get("Host") == f"app.test:{app.port}"
    assert app.connections == 1  # kept on the way
    body = b"x" * 200000
    with connect(w.ports["proxy"]) as c:
        c.send(request("CONNECT", f"app.test:{app.port}", host=f"app.test:{app.port}"))
        assert c.read_response(method="CONNECT").status == 200
        c.send(request("POST", "/up", host="app.test", body=body))
        assert c.read_response().body == body


def test_a_parent_over_tls_is_verified(weir, app, folder):
    cert, key = leaf("127.0.0.1")
    (folder / "parent.pem").write_bytes(cert)
    (folder / "parent.key").write_bytes(key)
    conf = PARENT.replace("    egress", f"    listen 127.0.0.1:@tls@ tls\n    tls cert {folder}/parent.pem key {folder}/parent.key\n    egress")
    parent = weir(conf, app=app.port)
    for trusted, status in (("ca", 200), ("other", 502)):
        w = weir(child(f"parent https://127.0.0.1:{parent.ports['tls']} verify {authority(trusted)[0]}"))
        assert get(w, target(app.port)).status == status


def test_credentials_and_the_absolute_target_reach_the_parent(weir, origin):
    p = origin()
    w = weir(child(f'parent http://127.0.0.1:{p.port} credentials "ann:secret pass"'))
    r = get(w, "http://app.test:8080/x?y=1", fields=[("Proxy-Authorization", "Basic Zm9vOmJhcg==")])
    assert r.status == 200
    assert p.requests[0].target == "http://app.test:8080/x?y=1"
    assert p.requests[0].fields.get("Host") == "app.test:8080"
    assert p.requests[0].fields.all("Proxy-Authorization") == ["Basic " + base64.b64encode(b"ann:secret pass").decode()]


def test_credentials_from_a_file(weir, origin, folder):
    p = origin()
    (folder / "secret").write_text("ann:pass\n")
    w = weir(child(f"parent http://127.0.0.1:{p.port} credentials file:{folder}/secret"))
    assert get(w, "http://app.test/").status == 200
    assert p.requests[0].fields.get("Proxy-Authorization") == "Basic " + base64.b64encode(b"ann:pass").decode()


def test_a_condition_chooses(weir, origin):
    a, b = origin(), origin()
    w = weir(child(f"parent http://127.0.0.1:{a.port} when {{ domain .one.test }}\n    parent http://127.0.0.1:{b.port} when {{ domain .two.test }}"))
    assert get(w, "http://x.one.test/").status == 200
    assert get(w, "http://x.two.test/").status == 200
    assert [r.target for r in a.requests] == ["http://x.one.test/"]
    assert [r.target for r in b.requests] == ["http://x.two.test/"]


def test_a_parent_that_cannot_be_reached_gives_way_to_the_next(weir, origin, app):
    p = origin()
    w = weir(child(f"parent http://127.0.0.1:@dead@ socks5://127.0.0.1:@dead2@ http://127.0.0.1:{p.port}"))
    for _ in range(3):
        assert get(w, "http://app.test/").status == 200
    assert len(p.requests) == 3
    none = weir(child("parent http://127.0.0.1:@dead@ socks5://127.0.0.1:@dead2@"))
    assert get(none, "http://app.test/").status == 502


def test_direct_is_the_last_way(weir, app):
    w = weir(HEAD + "hosts { app.test 127.0.0.1 }\n" + child("parent http://127.0.0.1:@dead@ direct").replace("connect-ports any", f"allow 127.0.0.1 ports {app.port}")[len(HEAD):])
    assert get(w, target(app.port, "/x")).status == 200
    assert app.requests[0].target == "/x"


def test_in_turn_spreads_over_all(weir, origin):
    parents = [origin() for _ in range(3)]
    w = weir(child("parent " + " ".join(f"http://127.0.0.1:{p.port}" for p in parents) + " in-turn"))
    for _ in range(6):
        assert get(w, "http://app.test/").status == 200
    assert [len(p.requests) for p in parents] == [2, 2, 2]


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "[::1]", "2130706433", "127.1", "localhost", "169.254.169.254"])
def test_written_addresses_obey_egress_though_the_parent_would_go_there(weir, origin, host):
    p = origin()
    w = weir(child(f"parent http://127.0.0.1:{p.port}"))
    assert get(w, f"http://{host}/").status == 403
    assert p.connections == 0


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_tunnel_that_the_parent_refuses(weir, origin, status):
    p = origin(lambda exchange: exchange.reply(status, b"no"))
    w = weir(child(f"parent http://127.0.0.1:{p.port}"))
    with connect(w.ports["proxy"]) as c:
        r = c.ask(request("CONNECT", "app.test:443", host="app.test:443"))
        assert r.status == 502


def socks_server(script):
    """Plays (expected length, answer) pairs on one connection."""
    s = socket.create_server(("127.0.0.1", 0))

    def play():
        c, _ = s.accept()
        c.settimeout(10)
        with c:
            for n, answer in script:
                got = b""
                while len(got) < n:
                    part = c.recv(n - len(got))
                    if not part:
                        return
                    got += part
                c.sendall(answer)
            c.recv(1)

    threading.Thread(target=play, daemon=True).start()
    return s


NAME = 4 + 1 + len("app.test") + 2


@pytest.mark.parametrize("script", [
    [(3, b"\x05\xff")],                                       # no method
    [(3, b"\x05\x02")],                                       # one that was not offered
    [(3, b"\x04\x00")],                                       # another protocol
    [(3, b"HTTP/1.1 400 Bad Request\r\n\r\n")],
    [(3, b"\x05\x00"), (NAME, b"\x05\x01\x00\x01" + bytes(6))],  # failure
    [(3, b"\x05\x00"), (NAME, b"\x05\x05\x00\x01" + bytes(6))],  # the server refused
    [(3, b"\x05\x00"), (NAME, b"\x05\x00\x00\x09" + bytes(6))],  # an address of no kind
    [(3, b"\x05\x00"), (NAME, b"\x05\x00\x00")],                 # cut
])
def test_a_socks_parent_that_does_not_do_it(weir, script):
    with socks_server(script) as s:
        w = weir(child(f"parent socks5://127.0.0.1:{s.getsockname()[1]}", "timeouts { connect 500ms  handshake 500ms }"))
        assert get(w, "http://app.test/").status in (502, 504)


def test_a_socks_parents_password_and_an_answer_with_a_name(weir):
    user = b"\x01\x03ann\x04pass"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    script = [(4, b"\x05\x02"), (len(user), b"\x01\x00"), (NAME, b"\x05\x00\x00\x03\x05inner\x00\x50"), (20, answer)]
    with socks_server(script) as s:
        w = weir(child(f"parent socks5://127.0.0.1:{s.getsockname()[1]} credentials ann:pass"))
        assert get(w, "http://app.test/").body == b"ok"


@pytest.mark.parametrize("parent, word", [("ftp://x:1", "parent"), ("http://", "parent"), ("http://x:1 credentials ann", "credentials"),
                                          ("https://x:1 verify no.pem", "no.pem")])
def test_mistakes(cli, folder, parent, word):
    (folder / "weir.conf").write_text(child("parent " + parent).replace("@proxy@", str(free_port())))
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 2 and word in done.stderr and "weir.conf:4" in done.stderr
