# SPDX-License-Identifier: Apache-2.0
"""`cors` and `security-headers`: what browsers are told, whatever the server says of it."""
import re

import pytest

from http1 import connect, request
from passwords import basic, htpasswd
from process import ROOT

CONF = """
log access off
cache main { memory 4MiB }
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@http@
    cors https://app.test https://*.partner.test http://dev.test:3000 methods GET PUT headers X-Token Content-Type expose X-Total credentials max-age 10m
    route /open/*    -> pool app { cors * headers * expose X-Total ETag }
    route /some/*    -> pool app { cors "~^https://[a-z]+[.]re[.]test$" headers * }
    route /null/*    -> pool app { cors null }
    route /off/*     -> pool app { cors off }
    route /auth/*    -> pool app { auth basic file users }
    route /methods/* -> pool app { methods GET }
    route /denied/*  -> pool app { deny method OPTIONS }
    route /cached/*  -> pool app { cache main }
    route /text      -> respond 200 "text"
    route /refused/* -> pool dead
    route *          -> pool app
}
pool dead { server 127.0.0.1:@dead@ }
"""
SERVER_SAYS = [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Credentials", "true"), ("Access-Control-Expose-Headers", "X-Inside"),
               ("Access-Control-Allow-Methods", "DELETE"), ("Access-Control-Allow-Headers", "X-Inside"), ("Access-Control-Max-Age", "9"), ("Vary", "Accept")]


@pytest.fixture
def site(weir, origin):
    o = origin(lambda x: x.reply(body=b"it", fields=SERVER_SAYS + [("Cache-Control", "max-age=60")]))
    w = weir(CONF, app=o.port, files={"users": htpasswd(ann="secret")})
    w.origin = o
    return w


def ask(w, target="/", origin=None, method="GET", **fields):
    with connect(w.http) as c:
        return c.ask(request(method, target, host="api.test", fields=([("Origin", origin)] if origin else []) + [(n.replace("_", "-"), v) for n, v in fields.items()]))


def preflight(w, target, origin, method="PUT", headers=None):
    more = {"Access_Control_Request_Headers": headers} if headers is not None else {}
    return ask(w, target, origin, "OPTIONS", Access_Control_Request_Method=method, **more)


def told(r):
    """What it says of CORS, and Vary as a set."""
    said = {n[len("Access-Control-"):]: v for n, v in r.fields if n.startswith("Access-Control-")}
    vary = {v.strip() for line in r.fields.all("Vary") for v in line.split(",")}
    return said, vary


@pytest.mark.parametrize("who", ["https://app.test", "https://a.partner.test", "https://a.b.partner.test", "http://dev.test:3000"])
def test_who_is_named(site, who):
    assert told(ask(site, "/x", who)) == ({"Allow-Origin": who, "Allow-Credentials": "true", "Expose-Headers": "X-Total"}, {"Accept", "Origin"})


@pytest.mark.parametrize("who", [
    None, "https://evil.test", "http://app.test", "https://app.test:8443", "https://app.test.evil.test", "https://partner.test", "https://evilpartner.test",
    "https://evil.test/.partner.test", "https://evil.test?.partner.test", "https://evil.test#.partner.test", "https://u@a.partner.test", "null", "*", "HTTPS://APP.TEST",
    "https://app.test, https://evil.test", "https://app.test https://evil.test", "http://dev.test:30000"])
def test_who_is_not(site, who):
    assert told(ask(site, "/x", who)) == ({}, {"Accept", "Origin"})


def test_two_origins_are_none(site):
    with connect(site.http) as c:
        r = c.ask(request(fields=[("Origin", "https://app.test"), ("Origin", "https://app.test")]))
    assert r.status >= 400 or told(r)[0] == {}


def test_a_preflight_is_answered_here(site):
    r = preflight(site, "/x", "https://app.test", headers="X-Token")
    assert r.status == 204 and r.body == b"" and told(r) == (
        {"Allow-Origin": "https://app.test", "Allow-Credentials": "true", "Allow-Methods": "GET, PUT", "Allow-Headers": "X-Token, Content-Type", "Max-Age": "600"}, {"Origin"})
    r = preflight(site, "/x", "https://evil.test")
    assert r.status == 204 and told(r) == ({}, {"Origin"})
    assert site.origin.requests == []


@pytest.mark.parametrize("target, status", [("/auth/x", 204), ("/methods/x", 204), ("/refused/x", 204), ("/denied/x", 403)])
def test_what_a_preflight_passes(site, target, status):
    """It has no credentials, and OPTIONS is not what it asks for; a rule that refuses it does."""
    assert preflight(site, target, "https://app.test").status == status


def test_what_is_no_preflight_goes_to_the_server(site):
    for more in ({}, {"Access_Control_Request_Method": "PUT"}):
        assert ask(site, "/x", None, "OPTIONS", **more).body == b"it"
    assert ask(site, "/x", "https://app.test", "OPTIONS").body == b"it"
    assert len(site.origin.requests) == 3


def test_everybody(site):
    for origin in (None, "https://evil.test", "null"):
        assert told(ask(site, "/open/x", origin)) == ({"Allow-Origin": "*", "Expose-Headers": "X-Total, ETag"}, {"Accept"})
    said, vary = told(preflight(site, "/open/x", "https://evil.test", headers="x-one, X-Two"))
    assert said == {"Allow-Origin": "*", "Allow-Methods": "GET, HEAD, POST", "Allow-Headers": "x-one, X-Two"} and vary == {"Access-Control-Request-Headers"}


@pytest.mark.parametrize("headers", ["x one", "x\u00e9", "a,(b)", ",".join(f"x-{i:04}" for i in range(300))], ids=["space", "latin", "parentheses", "long"])
def test_names_that_are_none_are_not_repeated(site, headers):
    assert "Allow-Headers" not in told(preflight(site, "/open/x", "https://evil.test", headers=headers))[0]


def test_a_regular_expression_and_null(site):
    assert told(ask(site, "/some/x", "https://one.re.test"))[0] == {"Allow-Origin": "https://one.re.test"}
    assert told(ask(site, "/some/x", "https://one2.re.test"))[0] == {}
    assert told(ask(site, "/null/x", "null"))[0] == {"Allow-Origin": "null"}
    assert told(ask(site, "/null/x", "https://app.test"))[0] == {}


def test_without_it_the_server_has_the_word(site):
    said, vary = told(ask(site, "/off/x", "https://evil.test"))
    assert said["Allow-Origin"] == "*" and said["Max-Age"] == "9" and vary == {"Accept"}
    assert preflight(site, "/off/x", "https://app.test").body == b"it"


def test_what_is_stored_is_for_each_origin_anew(site):
    assert told(ask(site, "/cached/x", "https://app.test"))[0]["Allow-Origin"] == "https://app.test"
    again = ask(site, "/cached/x", "https://a.partner.test")
    assert told(again)[0]["Allow-Origin"] == "https://a.partner.test" and "hit" in again.fields["Cache-Status"]
    assert told(ask(site, "/cached/x", "https://evil.test"))[0] == {} and len(site.origin.requests) == 1


def test_answers_of_our_own(site):
    """A page learns which error it was."""
    assert told(ask(site, "/text", "https://app.test"))[0]["Allow-Origin"] == "https://app.test"
    r = ask(site, "/auth/x", "https://app.test")
    assert r.status == 401 and told(r)[0]["Allow-Origin"] == "https://app.test"
    assert ask(site, "/auth/x", "https://app.test", Authorization=basic("ann", "secret")).status == 200
    r = ask(site, "/refused/x", "https://app.test")
    assert r.status == 502 and told(r)[0]["Allow-Origin"] == "https://app.test"


@pytest.mark.parametrize("statement, says", [
    ("cors * credentials", "exclude"), ("cors https://* credentials", "named"), ('cors "~^https?://" credentials', "named"), ('cors "~." credentials', "named"),
    ("cors app.test", "origin"), ("cors https://app.test/", "origin"), ("cors https://app.test headers *", None), ("cors https://app.test headers a *", "list"),
    ("cors https://app.test methods *", "list"), ("cors https://*.app.test credentials", None), ("cors *", None), ("cors null credentials", None),
    ("security-headers", None), ("security-headers strict", None), ("security-headers some", "some")])
def test_mistakes(cli, folder, statement, says):
    (folder / "c.conf").write_text(f"site x {{\n listen 127.0.0.1:8080\n {statement}\n route * -> respond 200\n}}\n")
    r = cli("check", "-c", "c.conf")
    assert (r.returncode, says is None or says in r.stdout + r.stderr) == (0 if says is None else 2, True), r.stderr
    assert says is None or "c.conf:3:" in r.stdout + r.stderr


SECURE = """
log access off
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@http@
    security-headers
    route /strict/* -> pool app { security-headers strict; set response-header X-Frame-Options "ALLOWALL"; remove response-header Permissions-Policy }
    route /off/*    -> pool app { security-headers off }
    route /none     -> respond 403
    route *         -> pool app
}
"""
BASIC = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN", "Referrer-Policy": "strict-origin-when-cross-origin",
         "X-Permitted-Cross-Domain-Policies": "none", "Cross-Origin-Opener-Policy": "same-origin-allow-popups"}
STRICT = {"Content-Security-Policy": "default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
          "X-Content-Type-Options": "nosniff", "X-Permitted-Cross-Domain-Policies": "none", "Referrer-Policy": "no-referrer",
          "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "ALLOWALL"}
ALL = set(BASIC) | set(STRICT) | {"Permissions-Policy", "Server", "X-Powered-By"}


def test_security_headers(weir, origin):
    own = []
    o = origin(lambda x: x.reply(fields=[("Server", "backend/1"), ("X-Powered-By", "PHP"), *own]))
    w = weir(SECURE, app=o.port)
    assert {n: v for n, v in ask(w, "/x").fields if n in ALL} == BASIC
    assert {n: v for n, v in ask(w, "/strict/x").fields if n in ALL} == STRICT
    assert {n: v for n, v in ask(w, "/off/x").fields if n in ALL} == {"Server": "backend/1", "X-Powered-By": "PHP"}
    assert ask(w, "/none").fields["X-Frame-Options"] == "SAMEORIGIN"
    own.append(("Content-Security-Policy", "default-src *"))  # the application knows its pages
    own.append(("Referrer-Policy", "origin"))
    assert {n: v for n, v in ask(w, "/strict/x").fields if n in ALL} == {**STRICT, "Content-Security-Policy": "default-src *", "Referrer-Policy": "origin"}


def test_the_documented_table():
    rows = re.findall(r'^ROW\((\w+), "([^"]+)", "([^"]+)"\)', (ROOT / "src" / "proxy" / "security_headers.tbl").read_text(), re.M)
    basic, strict = ({n: v for level, n, v in rows if level == which} for which in ("BASIC", "STRICT"))
    want = {(n, basic.get(n, ""), strict.get(n, basic.get(n))) for n in basic | strict}
    lines = (ROOT / "docs" / "rewriting.md").read_text().partition("| field | basic | strict |\n| --- | --- | --- |\n")[2].partition("\n## ")[0].split("\n")
    assert {tuple(c.strip() for c in line.strip("|").split("|")) for line in lines if line.startswith("|")} == want
