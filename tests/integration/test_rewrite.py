# SPDX-License-Identifier: Apache-2.0
"""Variables in fields, redirects and answers; `replace`; `rewrite` of paths and queries."""
import base64
import random

import pytest

from http1 import connect, request
from passwords import htpasswd

CONF = r"""
log access off
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@http@
    set request-header X-Who "{client-ip} {method} {scheme} {host}"
    set response-header X-Id "{request-id}"
    route /old/*  -> redirect 308 "https://{host}/new/{rest}"
    route /to/*   -> redirect 302 "/x?path={path}&q={query}"
    route /say/*  -> respond 503 "gone: {rest} {status} body{color:red} {\"a\":1}" { set response-header Retry-After 600 }
    route /strip/* -> pool app { strip /strip; rewrite "~^/u/([0-9]+)/(.*)$" "/user?id={1}&p={2}"; rewrite "/v1/*" "/v2/{1}"; rewrite "/up/*" "/a{1}b" }
    route *       -> pool app {
        set request-header X-Uri "{uri} <{header:X-In}>"
        add response-header X-Server "{server}"
        replace request-header Cookie "~secret=[^;]*" "secret=x"
        replace request-header X-Path "~^/a/(.*)/(.*)$" "{2}-{1}"
        replace response-header Server "*" "weir of {host}"
        replace response-header X-Words "~o" "0"
        replace response-header X-End "~$" "!"
        set response-header X-Status "{status}"
    }
}
"""


@pytest.fixture
def site(weir, origin):
    o = origin(lambda e: e.reply(fields=[("Server", "backend/1.0"), ("X-Words", "foo boo"), ("X-End", "end")]))
    w = weir(CONF, app=o.port)
    w.origin = o
    w.ask = lambda target, **more: ask(w, target, **more)
    return w


def ask(w, target, fields=()):
    with connect(w.http) as c:
        return c.ask(request(target=target, host="shop.test", fields=fields))


def test_in_request_fields(site):
    site.ask("/p%20q?a=b", fields=[("X-In", "in"), ("Cookie", "a=1; secret=abc; b=2"), ("X-Path", "/a/b/c")])
    f = site.origin.requests[-1].fields
    assert f["X-Who"] == "127.0.0.1 GET http shop.test"
    assert f["X-Uri"] == "/p%20q?a=b <in>"
    assert f["Cookie"] == "a=1; secret=x; b=2"
    assert f["X-Path"] == "c-b"


def test_what_is_not_there_is_empty(site):
    site.ask("/")
    f = site.origin.requests[-1].fields
    assert f["X-Uri"] == "/ <>" and "X-Path" not in f and "Cookie" not in f


def test_in_response_fields(site):
    r = site.ask("/")
    assert r.fields["Server"] == "weir of shop.test" and r.fields["X-Words"] == "f00 b00" and r.fields["X-End"] == "end!"
    assert r.fields["X-Server"] == f"127.0.0.1:{site.origin.port}" and r.fields["X-Status"] == "200"
    assert r.fields["X-Id"] == site.origin.requests[-1].fields["X-Request-Id"]


@pytest.mark.parametrize("target, location", [
    ("/old/a/b", "https://shop.test/new/a/b"),
    ("/old/a?b=c", "https://shop.test/new/a?b=c"),
    ("/old/%0d%0aX:y", "https://shop.test/new/%0D%0AX:y"),
    ("/to/x?y", "/x?path=/to/x&q=y"),
])
def test_redirects(site, target, location):
    r = site.ask(target)
    assert r.fields.all("Location") == [location] and "X" not in r.fields


def test_an_answer_of_our_own(site):
    r = site.ask("/say/hello")
    assert r.status == 503 and r.body.decode().strip() == 'gone: hello  body{color:red} {"a":1}' and r.fields["Retry-After"] == "600"


@pytest.mark.parametrize("target, upstream", [
    ("/strip/u/42/x/y", "/user?id=42&p=x/y"),
    ("/strip/u/42/x?gone", "/user?id=42&p=x"),
    ("/strip/v1/a?b=c", "/v2/a?b=c"),
    ("/strip/other?b", "/other?b"),
    ("/strip", None),
])
def test_paths(site, target, upstream):
    site.ask(target)
    assert site.origin.requests[-1].target == (upstream or target)


def test_no_rewrite_climbs(site, weir, origin):
    """Groups put together make no dot segments that a rule has not seen."""
    o = origin()
    w = weir('log access off\npool a { server 127.0.0.1:@app@ }\nsite * { listen 127.0.0.1:@http@\n route * -> pool a { rewrite "~^/(.*)x(.*)$" "/{1}{2}" } }\n', app=o.port)
    assert ask(w, "/.x./secret").status == 400
    assert ask(w, "/a/.x./secret").status == 400 and ask(w, "/b/%2ex%2E/secret").status == 400 and not o.requests


@pytest.mark.parametrize("statement, says", [
    ('set response-header X "{hots}"', "{host}"),
    ('set response-header X "{1}"', "{1}"),
    ('replace response-header X "~(" "y"', "character"),
    ('replace response-header X "y"', "replace"),
    ('rewrite /a b', "`/`"),
    ('set response-header X "a\\nb"', "field"),
])
def test_mistakes(cli, folder, statement, says):
    (folder / "bad.conf").write_text(f"pool a {{ server 127.0.0.1:1 }}\nsite x {{\n listen 127.0.0.1:0\n route * -> pool a {{ {statement} }}\n}}\n")
    r = cli("check", "-c", str(folder / "bad.conf"))
    assert r.returncode == 2 and "bad.conf:4:" in r.stderr + r.stdout and says in r.stderr + r.stdout


EVERYWHERE = """
log access off
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@http@
    auth basic file users
    route /r/* -> redirect 302 "/{rest}?{query}#{header:X-In}{header:X-Other}{user}{path}{uri}" { set response-header X-All "{rest}{header:X-In}{user}" }
    route /*   -> pool app {
        set request-header X-All "{host}{path}{query}{uri}{method}{rest}{client-ip}{request-id}{user}{header:X-In}{header:Cookie}{header:X-Other}"
        replace request-header X-In "~(.*)" "<{1}|{header:X-Other}>"
        set response-header X-All "{host}{path}{query}{uri}{rest}{user}{header:X-In}{header:Cookie}{header:X-Other}{server}{status}"
        replace response-header X-Said "~(.+)" "<{1}|{header:X-Other}{query}>"
        rewrite "~^/w/(.*)$" "/{1}{header:X-Other}?{header:X-Other}{query}"
    }
}
"""


def test_no_value_makes_a_second_field(weir, origin):
    """Values of all kinds, in all the places where a variable can stand: either the request is refused, or what is made of it has the fields
    that were asked for, once each, and not one more."""
    rng = random.Random(9)
    said = [b"x"]

    def answer(x):
        x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Said: " + said[0] + b"\r\n\r\n")

    o = origin(answer)
    user = "ann:secret"
    w = weir(EVERYWHERE, app=o.port, files={"users": htpasswd(ann="secret")})
    nasty = [b"\rX-Evil: 1", b"%0aX-Evil:1", b"%0d%0aX-Evil:%201", b"\0", b"\x0b", b"\x7f", b"\x85", b"\xe2\x80\xa8", b"\xc4\x8a", b"{user}", b"{1}",
             b"a", b"%", b"%00", b"%0A", b" ", b"\t", b"\"", b"\\", b"\\r\\n", b"&", b"#", b"?", b"/", b"..", b"\xff"]

    def value():
        return b"".join(rng.choice(nasty) for _ in range(rng.randrange(3)))

    credentials = base64.b64encode(user.encode())
    passed = 0
    for i in range(400):
        said[0] = value().replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"") + b"."
        target = rng.choice([b"/r/", b"/w/", b"/"]) + value().replace(b" ", b"+") + rng.choice([b"", b"?" + value().replace(b" ", b"+")])
        lines = [b"GET " + target + b" HTTP/1.1", b"Host: shop.test", b"Authorization: Basic " + credentials, b"X-In: " + value(), b"X-Other: " + value(),
                 b"Cookie: c=" + value(), b"Connection: close"]
        seen = len(o.requests)
        with connect(w.http) as c:
            c.send(b"\r\n".join(lines) + b"\r\n\r\n")
            r = c.read_response("GET")
        assert "X-Evil" not in r.fields
        assert len(r.fields.all("X-All")) <= 1 and len(r.fields.all("Location")) <= 1
        if r.status not in (200, 302):
            assert 400 <= r.status < 600
            continue
        passed += 1
        for got in o.requests[seen:]:
            assert "X-Evil" not in got.fields and len(got.fields.all("X-All")) == 1 and len(got.fields.all("Host")) == 1
            assert len(got.fields.all("X-In")) <= 1 and " " not in got.target
    assert passed > 50
