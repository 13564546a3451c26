# SPDX-License-Identifier: Apache-2.0
"""`auth request`: a service of the user's decides who may pass."""
import json

import pytest

from http1 import connect, request
from passwords import basic
from process import free_port, wait_until

SITE = """log access json stdout
threads 1
cache main {{ memory 16MiB }}
pool app {{ server 127.0.0.1:@app@ }}
site * {{
    listen 127.0.0.1:@site@
    auth request http://127.0.0.1:@service@/check?x=1 {options}
    {more}
    route /open/* -> pool app {{ auth off }}
    route * -> pool app
}}
"""
PROXY = """log access json stdout
proxy 127.0.0.1:@proxy@ {{
    egress {{ allow 127.0.0.1; connect-ports any }}
    auth request http://127.0.0.1:@service@/check {options}
}}
"""


def yes(x):
    x.reply(204, fields=[("Remote-User", "ann"), ("Remote-Groups", "staff"), ("Remote-Groups", "all"), ("X-Other", "no")])


def lines(w):
    return [json.loads(line) for line in w.stdout.splitlines() if line.startswith("{")]


def ask(port, target="/a/b?c=d", method="GET", **options):
    with connect(port) as c:
        return c.ask(request(method, target, host="www.example", **options))


def start(weir, origin, service, text=SITE, options="fields Remote-User Remote-Groups user Remote-User", more=""):
    o, s = origin(), origin(service)
    w = weir(text.format(options=options, more=more), app=o.port, service=s.port)
    return w, o, s


def test_a_yes_lets_pass_with_the_service_s_fields(weir, origin):
    w, o, s = start(weir, origin, yes)
    r = ask(w.site, fields=[("Authorization", basic("a", "b")), ("Cookie", "sid=1"), ("Remote-User", "root"), ("remote-groups", "admin"), ("X-Forwarded-User", "root"), ("Accept", "text/x")],
            method="POST", body=b"content")
    assert r.status == 200 and r.body == b"content"
    asked, got = s.requests[0], o.requests[0]
    assert (asked.method, asked.target, asked.body) == ("GET", "/check?x=1", b"")
    assert asked.fields["X-Original-Method"] == "POST" and asked.fields["X-Original-URI"] == "/a/b?c=d"
    assert asked.fields["X-Forwarded-Host"] == "www.example" and asked.fields["X-Forwarded-Proto"] == "http" and asked.fields["X-Forwarded-For"] == "127.0.0.1"
    assert asked.fields["Authorization"] == basic("a", "b") and asked.fields["Cookie"] == "sid=1" and asked.fields["Accept"] == "text/x"
    assert "Remote-User" not in asked.fields and "Content-Length" not in asked.fields
    assert got.fields.all("Remote-User") == ["ann"] and got.fields.all("Remote-Groups") == ["staff", "all"] and "X-Other" not in got.fields
    assert wait_until(lambda: lines(w) and lines(w)[0])["user"] == "ann"
    assert ask(w.site, "/open/x").status == 200 and len(s.requests) == 1


def test_fields_that_the_service_does_not_send_are_not_the_client_s(weir, origin):
    w, o, s = start(weir, origin, lambda x: x.reply(200, body=b"welcome"))
    assert ask(w.site, fields=[("Remote-User", "root")]).status == 200
    assert "Remote-User" not in o.requests[0].fields
    for _ in range(3):
        ask(w.site)
    assert s.connections == 1  # kept


@pytest.mark.parametrize("status, fields", [(401, [("WWW-Authenticate", 'Basic realm="x"'), ("Set-Cookie", "a=b")]), (403, []), (302, [("Location", "https://login.example/?rd=x")])])
def test_a_no_is_passed_on(weir, origin, status, fields):
    w, o, s = start(weir, origin, lambda x: x.reply(status, body=b"<p>the service's page", fields=[("Content-Type", "text/html"), ("X-Inner", "secret"), *fields]))
    r = ask(w.site)
    assert r.status == status and r.body == b"<p>the service's page" and not o.requests
    for name, value in fields:
        assert r.fields[name] == value
    assert "X-Inner" not in r.fields and r.fields["Cache-Control"] == "no-store"
    line = wait_until(lambda: lines(w) and lines(w)[0])
    assert line["rule"].endswith(":7") and line["reason"] == ("credentials_wrong" if status == 401 else "denied")


def raw(text):
    def handler(x):
        x.send(text)
        x.close()
    return handler


@pytest.mark.parametrize("service, reason", [
    (lambda x: x.reply(500), "auth_service_failed"), (lambda x: x.reply(404), "auth_service_failed"), (lambda x: x.close(), "auth_service_failed"),
    (raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal"), "auth_service_failed"), (raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), "auth_service_failed"),
    (raw("HTTP/1.1 204 No\r\nRemote-User: a\r\n b\r\n\r\n"), "auth_service_failed"), (raw("ICAP/1.0 200 OK\r\n\r\n"), "auth_service_failed"),
    (raw("HTTP/1.1 100 Continue\r\n\r\n" * 40), "auth_service_failed"), (raw("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), "auth_service_failed"),
    (lambda x: x.reply(403, body=b"p" * 200000), "auth_service_failed"), (lambda x: x.reply(200, fields=[("Remote-User", "u" * 5000)]), "auth_service_failed"),
    (lambda x: x.stream.fill(), "auth_service_timeout"),
], ids=range(12))
def test_whatever_else_it_says_nobody_passes(weir, origin, service, reason):
    w, o, s = start(weir, origin, service, options="user Remote-User timeout 500ms")
    assert ask(w.site).status == (503 if reason.endswith("timeout") else 502) and not o.requests
    assert wait_until(lambda: lines(w) and lines(w)[0])["reason"] == reason


def test_a_service_that_is_not_there(weir, origin):
    o = origin()
    w = weir(SITE.format(options="", more=""), app=o.port, service=free_port())
    assert ask(w.site).status == 503 and not o.requests


def test_a_yes_holds_as_long_as_is_said(weir, origin):
    w, o, s = start(weir, origin, yes, options="fields Remote-User user Remote-User cache 1h")
    for _ in range(3):
        assert ask(w.site, fields=[("Cookie", "sid=1")]).status == 200
        assert o.requests[-1].fields["Remote-User"] == "ann"
    assert len(s.requests) == 1
    for changed in [{"fields": [("Cookie", "sid=2")]}, {"fields": [("Cookie", "sid=1")], "target": "/other"}, {"fields": [("Cookie", "sid=1")], "method": "DELETE"}]:
        before = len(s.requests)
        assert ask(w.site, **changed).status == 200 and len(s.requests) == before + 1


def test_a_no_is_never_kept(weir, origin):
    w, o, s = start(weir, origin, lambda x: x.reply(403), options="cache 1h")
    assert [ask(w.site).status for _ in range(2)] == [403, 403] and len(s.requests) == 2


def test_answers_for_one_user_are_not_stored_for_others(weir, origin):
    w, o, s = start(weir, origin, yes, more="cache main\n    ttl 1h")
    for _ in range(2):
        assert ask(w.site).status == 200
    assert len(o.requests) == 2


def test_rules_see_the_user(weir, origin):
    w, o, s = start(weir, origin, yes, more="deny when { user ann; path /a/* }")
    assert ask(w.site).status == 403 and ask(w.site, "/b").status == 200


def test_a_proxy_asks_with_its_own_status_and_field(weir, origin):
    def service(x):
        if x.request.fields.get("Authorization") == basic("ann", "x"):
            x.reply(200, fields=[("Remote-User", "ann")])
        else:
            x.reply(401, fields=[("WWW-Authenticate", 'Basic realm="corp"')])
    w, o, s = start(weir, origin, service, text=PROXY, options="user Remote-User")
    target = f"http://127.0.0.1:{o.port}/x"
    r = ask(w.proxy, target, fields=[("Authorization", "Basic for-the-origin"), ("Cookie", "of=origin")])
    assert r.status == 407 and r.fields["Proxy-Authenticate"] == 'Basic realm="corp"' and "WWW-Authenticate" not in r.fields
    assert "Authorization" not in s.requests[0].fields and "Cookie" not in s.requests[0].fields
    r = ask(w.proxy, target, fields=[("Proxy-Authorization", basic("ann", "x")), ("Authorization", "Basic for-the-origin")])
    assert r.status == 200 and o.requests[0].fields["Authorization"] == "Basic for-the-origin" and "Proxy-Authorization" not in o.requests[0].fields
    with connect(w.proxy) as c:
        c.send(request("CONNECT", f"127.0.0.1:{o.port}", host="a", fields=[("Proxy-Authorization", basic("ann", "x"))]))
        assert c.read_response(method="CONNECT").status == 200
        assert c.ask(request("GET", "/in", host="a")).status == 200
    assert s.requests[-1].fields["X-Original-Method"] == "CONNECT" and s.requests[-1].fields["X-Original-URI"] == f"127.0.0.1:{o.port}"


@pytest.mark.parametrize("statement, message", [
    ("auth request", "wants the service's address"), ("auth request https://h/x", "http://HOST:PORT/PATH"), ("auth request http://h/x fields Host", "no field that can be taken over"),
    ("auth request http://h/x fields Content-Length", "no field that can be taken over"), ("auth request http://h/x cache 2h", "an hour"), ("auth request http://h/x timeout 0s", "above zero"),
    ("auth request http://h/x realm x", "no word for"), ("auth basic file x fields A", "no word for"),
])
def test_mistakes_are_named(folder, cli, statement, message):
    (folder / "x.conf").write_text(f"proxy 127.0.0.1:3128 {{\n {statement}\n}}\n")
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 2 and message in done.stdout + done.stderr
