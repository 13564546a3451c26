# SPDX-License-Identifier: Apache-2.0
"""What a site asks of requests (`methods`, `host`, `limit body`), which fields pass (`keep`), and the limits on answers."""
import socket

import pytest

from http1 import Closed, chunked, connect, request

CONF = """
log access off
%s
pool app { server 127.0.0.1:@app@ }
site a.test * {
    listen 127.0.0.1:@http@
    %s
    route /own/* -> pool app { %s }
    route *      -> pool app
}
"""


@pytest.fixture
def site(weir, origin):
    def start(inner="", own="", top="", *args, **options):
        o = origin(*args, **options)
        return weir(CONF % (top, inner, own), app=o.port), o
    return start


def test_methods(site):
    w, o = site("methods GET POST", "methods DELETE")
    with connect(w.http) as c:
        for method, status in (("GET", 200), ("HEAD", 200), ("POST", 200), ("PUT", 405), ("get", 405), ("PROPFIND", 405), ("OPTIONS", 405)):
            r = c.ask(request(method, body=b"" if method in ("POST", "PUT") else None))
            assert r.status == status, method
            if status == 405:
                assert r.fields["Allow"] == "GET, POST, HEAD"
        assert c.ask(request("DELETE", "/own/x")).status == 200
        r = c.ask(request(target="/own/x"))
        assert r.status == 405 and r.fields["Allow"] == "DELETE"
    assert {r.method for r in o.requests} == {"GET", "HEAD", "POST", "DELETE"}


def test_methods_of_a_proxy(weir, origin):
    o = origin()
    w = weir("log access off\nproxy 127.0.0.1:@http@ { egress { allow 127.0.0.1 ports @app@; connect-ports any }\n methods GET }", app=o.port)
    target = f"http://127.0.0.1:{o.port}/"
    with connect(w.http) as c:
        assert c.ask(request(target=target, host=f"127.0.0.1:{o.port}")).status == 200
        assert c.ask(request("POST", target=target, host=f"127.0.0.1:{o.port}", body=b"")).status == 405
    with connect(w.http) as c:
        assert c.ask(request("CONNECT", f"127.0.0.1:{o.port}", host=f"127.0.0.1:{o.port}")).status == 405


@pytest.mark.parametrize("required", [True, False])
def test_a_host_that_is_asked_for(site, required):
    w, o = site("host required" if required else "")
    with connect(w.http) as c:
        assert c.ask(request(version="HTTP/1.0", host=None)).status == (400 if required else 200)
    with connect(w.http) as c:
        assert c.ask(request(version="HTTP/1.0")).status == 200
    with connect(w.http) as c:
        assert c.ask(request(host=None)).status == 400  # of HTTP/1.1 it always is


def test_content(site):
    w, o = site("limit body 1000B", "limit body 2000B", "limits { body 1500B }", read_content=False,
                handler=lambda x: (x.stream.read_content(x.request, until_end=False), x.reply()))

    def status(data):
        with connect(w.http) as c:
            c.send(data)
            return c.read_response().status
    for target, most in (("/", 1000), ("/own/x", 2000)):
        assert status(request("POST", target, body=b"x" * most)) == 200
        assert status(request("POST", target, body=b"x" * (most + 1))) == 413
        head = f"POST {target} HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        assert status(head + chunked(b"x" * most)) == 200
        assert status(head + chunked(b"x" * most, b"y")) == 413
        # A client that waits for a 100 is told at once.
        assert status(f"POST {target} HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: {most + 1}\r\n\r\n".encode()) == 413


def test_fields_of_requests_that_go_on(site):
    w, o = site("keep request-header Accept X-Known X-Part-*", "keep request-header Authorization")
    fields = ["Accept: a/b", "x-known: 1", "X-Part-One: 1", "X-Part: 1", "X-Other: 1", "Authorization: x", "Cookie: a=b", "Accept: c/d", "X-Other: 2"]
    with connect(w.http) as c:
        c.ask(request("POST", fields=fields + ["Content-Type: text/plain"], body=b"x"))
        names = {n.lower() for n, _ in o.last.fields}
        assert {"accept", "x-known", "x-part-one", "content-type", "content-length", "host", "via", "x-forwarded-for"} <= names
        assert not names & {"x-part", "x-other", "authorization", "cookie"}
        assert o.last.fields.all("Accept") == ["a/b", "c/d"]
        c.ask(request(target="/own/x", fields=fields))
        names = {n.lower() for n, _ in o.last.fields}
        assert "authorization" in names and not names & {"accept", "x-known", "x-part-one"}


def test_fields_of_answers_that_go_on(site):
    w, o = site("keep response-header Cache-Control X-*", handler=lambda x: x.reply(
        body=b"x", fields=[("Server", "secret"), ("X-Powered-By", "y"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"), ("Content-Type", "text/plain"),
                           ("Cache-Control", "no-store"), ("ETag", '"1"'), ("x-y", "z")]))
    with connect(w.http) as c:
        r = c.ask(request())
        assert {n.lower() for n, _ in r.fields} == {"x-powered-by", "content-type", "cache-control", "x-y", "content-length", "date", "via"}


def test_trailers_are_fields_too(site):
    w, o = site("keep response-header X-Good\n keep request-header X-Good", handler=lambda x: x.reply_chunked(
        b"x", fields=[("Trailer", "X-Good, X-Bad")], trailers=[("X-Good", "1"), ("X-Bad", "1")]))
    with connect(w.http) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        o.wait(lambda: o.connections)
        c.send(b"0\r\nX-Good: 1\r\nX-Bad: 1\r\n\r\n")
        r = c.read_response()
        assert list(r.trailers) == [("X-Good", "1")]
        assert "X-Bad" not in o.last.trailers


def test_limits_on_answers(site):
    def handler(x):
        what, _, n = x.request.target[1:].partition("/")
        if what == "fields":
            x.reply(fields=[(f"X-{i}", "v") for i in range(int(n))])
        elif what == "bytes":
            x.reply(fields=[("X", "v" * int(n))])
        else:
            x.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * int(n))
            x.reply()
    w, o = site("", "", "limits { response-fields 20  response-field-bytes 2KiB  interim 3 }", handler)
    with connect(w.http) as c:
        for target, status in (("/fields/15", 200), ("/fields/25", 502), ("/bytes/1500", 200), ("/bytes/3000", 502), ("/interim/3", 200)):
            assert c.ask(request(target=target)).status == status, target
        r = c.ask(request(target="/interim/4"))
        assert r.status == 502 and len(r.interim) == 3


def test_nothing_comes_after_the_end(site):
    """Octets behind an answer are nobody's: the answer is whole, and the connection is not used again."""
    w, o = site("", "", "", lambda x: x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"))
    with connect(w.http) as c:
        for _ in range(3):
            assert c.ask(request()).body == b"ok"
    assert o.connections == 3


@pytest.mark.parametrize("statement,words", [
    ("methods", "wants"),
    ("methods G(T", "is no method"),
    ("limit body 10", "size with its unit"),
    ("limit body 0B", "at least 1B"),
    ("limit body 1B by client-ip", "too many"),
    ("limit body 1B\n limit body 2B", "second time"),
    ("keep request-header X-*-Y", "at its end only"),
    ("keep header X", "not possible"),
    ("host needed", "not possible"),
])
def test_mistakes(cli, folder, statement, words):
    (folder / "weir.conf").write_text(f"site a.test {{ listen 127.0.0.1:8080\n    {statement}\n    route * -> respond 200 }}\n")
    done = cli("check")
    assert done.returncode == 2 and words in done.stderr, done.stderr


def test_refusals_reach_a_client_that_still_sends(site):
    """The answer is not lost to a reset, although most of the content is never read."""
    w, o = site("limit body 1000B")
    with connect(w.http) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        try:
            c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000)
        except ConnectionError:
            pass
        try:
            assert c.read_response().status == 413
        except Closed:
            pytest.fail("no answer")
    assert not o.requests
