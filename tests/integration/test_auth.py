# SPDX-License-Identifier: Apache-2.0
"""`auth`: who the user is, on proxies (407) and on sites and routes (401)."""
import json

import pytest

from http1 import connect, request
from passwords import basic, hashed, htpasswd
from process import need_shared, wait_until

PROXY = """
log access json access.log
proxy 127.0.0.1:@proxy@ {
    auth basic file users.htpasswd realm "the \\"realm\\""
    egress { allow 127.0.0.1/32 ports 1-65535 }
}
"""
SITE = """
log access json access.log
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@site@
    auth basic file users.htpasswd realm site
    deny path /never/*
    deny path /ann/* when { not user ann }
    route /open/* -> pool app { auth off }
    route /own/* -> pool app { auth basic file other.htpasswd realm own }
    route * -> pool app { set request-header X-User {user} }
}
"""


def ask(w, o, *fields, method="GET"):
    authority = f"127.0.0.1:{o.port}"
    with connect(w.proxy) as c:
        return c.ask(request(method, f"http://{authority}/x", host=authority, fields=fields))


def log_lines(w):
    path = w.folder / "access.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def expect_reason(w, reason):
    """The line comes a moment after the answer."""
    wait_until(lambda: [x["reason"] for x in log_lines(w)][-1:] == [reason], what=f"{reason} in the log")


def test_proxy_asks_and_lets_in(weir, origin):
    o = origin()
    w = weir(PROXY, files={"users.htpasswd": htpasswd(ann="secret")})
    r = ask(w, o)
    assert r.status == 407 and o.requests == []
    assert r.fields["Proxy-Authenticate"] == 'Basic realm="the \\"realm\\"", charset="UTF-8"'
    assert "WWW-Authenticate" not in r.fields
    assert ask(w, o, ("Proxy-Authorization", basic("ann", "secret"))).status == 200
    assert ask(w, o, ("Proxy-Authorization", basic("ann", "secret"))).status == 200  # from memory
    assert ask(w, o, ("Proxy-Authorization", "bAsIc  " + basic("ann", "secret")[6:])).status == 200
    assert "Proxy-Authorization" not in o.requests[0].fields
    assert ask(w, o, ("Authorization", basic("ann", "secret"))).status == 407


@pytest.mark.parametrize("value, reason", [
    (None, "credentials_missing"),
    (basic("ann", "wrong"), "credentials_wrong"),
    (basic("eve", "secret"), "credentials_unknown"),
    ("Basic !!!!", "credentials_malformed"),
    ("Basic YW5u", "credentials_malformed"),            # no colon
    ("Basic OnNlY3JldA==", "credentials_malformed"),    # no name
    (basic("ann\0x", "p"), "credentials_malformed"),
    (basic("ann", "x\n"), "credentials_malformed"),
    ("Basic " + "dTpw" * 2048, "credentials_malformed"),
    ("Bearer abc", "credentials_missing"),
    ("Basic", "credentials_missing"),
])
def test_what_was_wrong_is_for_the_log(weir, origin, value, reason):
    o = origin()
    w = weir(PROXY, files={"users.htpasswd": htpasswd(ann="secret")})
    r = ask(w, o, *([("Proxy-Authorization", value)] if value else []))
    assert r.status == 407 and o.connections == 0
    assert reason.encode() not in r.body and b"users.htpasswd" not in r.body
    expect_reason(w, reason)


def test_user_stands_in_the_log(weir, origin):
    o = origin()
    w = weir(PROXY, files={"users.htpasswd": htpasswd(ann="secret")})
    assert ask(w, o, ("Proxy-Authorization", basic("ann", "secret"))).status == 200
    line = wait_until(lambda: log_lines(w), what="a line of the log")[-1]
    assert line["user"] == "ann" and "secret" not in json.dumps(line)


def test_connect_needs_credentials_too(weir, origin):
    o = origin()
    w = weir(PROXY.replace("egress {", "egress { connect-ports any;"), files={"users.htpasswd": htpasswd(ann="secret")})
    authority = f"127.0.0.1:{o.port}"
    with connect(w.proxy) as c:
        assert c.ask(request("CONNECT", authority, host=authority)).status == 407
    with connect(w.proxy) as c:
        assert c.ask(request("CONNECT", authority, host=authority, fields=[("Proxy-Authorization", basic("ann", "secret"))])).status == 200
        assert c.ask(request()).status == 200


@pytest.mark.parametrize("salt", ["$2b$04$abcdefghijklmnopqrstuu", "$2y$04$abcdefghijklmnopqrstuu", "$6$rounds=1000$salt$", "$y$j75$abcdefghijklmnop$"])
def test_kinds_of_hashes(weir, origin, salt):
    o = origin()
    w = weir(PROXY, files={"users.htpasswd": f"# users\n\nann:{hashed('a b:c', salt)}\n"})
    assert ask(w, o, ("Proxy-Authorization", basic("ann", "a b:c"))).status == 200
    assert ask(w, o, ("Proxy-Authorization", basic("ann", "a b:d"))).status == 407


@pytest.mark.parametrize("line, words", [
    ("ann:$apr1$abcdefgh$abcdefghijklmnopqrstuv", "apr1"),
    ("ann:$1$abcdefgh$abcdefghijklmnopqrstuv", "MD5"),
    ("ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1"),
    ("ann:secret", "plain"),
    ("ann:{PLAIN}secret", "plain"),
    ("ann:$5$salt$abc", "bcrypt"),
    ("ann:$2b$30$abcdefghijklmnopqrstuuFH6ofXUxh13lbp/kgvDtvUZu1tORWui", "cost"),
    ("ann:$2b$04$tooshort", "damaged"),
    ("ann", "NAME:HASH"),
])
def test_check_refuses_weak_hashes(folder, cli, line, words):
    (folder / "users.htpasswd").write_text(f"bob:{hashed('x')}\n{line}\n")
    (folder / "x.conf").write_text(PROXY.replace("@proxy@", "13128"))
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 2 and "x.conf:4:21: error: users.htpasswd:2: " in done.stderr and words in done.stderr
    assert "secret" not in done.stderr


def test_a_missing_file_is_named(folder, cli):
    (folder / "x.conf").write_text(PROXY.replace("@proxy@", "13128"))
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 2 and "users.htpasswd cannot be read" in done.stderr


def test_sites_and_routes(weir, origin):
    o = origin()
    w = weir(SITE, app=o.port, files={"users.htpasswd": htpasswd(ann="a", bob="b"), "other.htpasswd": htpasswd(cid="c")})

    def get(path, user=None, password=None):
        with connect(w.site) as c:
            return c.ask(request(target=path, fields=[("Authorization", basic(user, password))] if user else []))
    r = get("/x")
    assert r.status == 401 and r.fields["WWW-Authenticate"] == 'Basic realm="site", charset="UTF-8"'
    assert get("/x", "ann", "a").status == 200 and o.requests[-1].fields["X-User"] == "ann"
    assert get("/open/x").status == 200
    assert get("/own/x", "ann", "a").status == 401
    assert 'realm="own"' in get("/own/x").fields["WWW-Authenticate"]
    assert get("/own/x", "cid", "c").status == 200
    assert get("/ann/x", "bob", "b").status == 403 and get("/ann/x", "ann", "a").status == 200


def test_rules_on_users_are_held_after_the_user_is_known(weir, origin):
    o = origin()
    w = weir(SITE, app=o.port, files={"users.htpasswd": htpasswd(ann="a"), "other.htpasswd": ""})
    with connect(w.site) as c:
        assert c.ask(request(target="/ann/x")).status == 401


def test_whoever_may_not_be_here_is_not_asked(weir, origin):
    o = origin()
    w = weir(SITE.replace("deny path /ann/* when { not user ann }", ""), app=o.port, files={"users.htpasswd": htpasswd(ann="a"), "other.htpasswd": ""})
    with connect(w.site) as c:
        assert c.ask(request(target="/never/x")).status == 403


def test_too_many_failures_lock_the_name_for_this_client(weir, origin):
    o = origin()
    w = weir(PROXY, files={"users.htpasswd": htpasswd(ann="secret", bob="other")})
    for i in range(30):
        assert ask(w, o, ("Proxy-Authorization", basic("ann", f"guess{i}"))).status == 407
    expect_reason(w, "credentials_wrong")
    assert ask(w, o, ("Proxy-Authorization", basic("ann", "secret"))).status == 407
    expect_reason(w, "credentials_locked")
    assert ask(w, o, ("Proxy-Authorization", basic("bob", "other"))).status == 200


def test_success_takes_failures_back(weir, origin):
    o = origin()
    w = weir(PROXY, files={"users.htpasswd": htpasswd(ann="secret")})
    for i in range(29):
        assert ask(w, o, ("Proxy-Authorization", basic("ann", f"guess{i}"))).status == 407
    assert ask(w, o, ("Proxy-Authorization", basic("ann", "secret"))).status == 200
    assert ask(w, o, ("Proxy-Authorization", basic("ann", "x"))).status == 407
    expect_reason(w, "credentials_wrong")


def test_a_changed_password_counts(weir, origin):
    o = origin()
    w = weir(PROXY, files={"users.htpasswd": htpasswd(ann="old")})
    assert ask(w, o, ("Proxy-Authorization", basic("ann", "old"))).status == 200
    (w.folder / "new").write_text(htpasswd(ann="new"))
    (w.folder / "new").rename(w.folder / "users.htpasswd")
    wait_until(lambda: ask(w, o, ("Proxy-Authorization", basic("ann", "old"))).status == 407, what="the old password's end")
    assert ask(w, o, ("Proxy-Authorization", basic("ann", "new"))).status == 200


def test_many_at_once(weir, origin):
    o = origin()
    w = weir(PROXY, files={"users.htpasswd": htpasswd(**{f"u{i}": f"p{i}" for i in range(20)})})
    authority = f"127.0.0.1:{o.port}"
    streams = [connect(w.proxy) for _ in range(20)]
    for i, c in enumerate(streams):
        c.send(request("GET", f"http://{authority}/", host=authority, fields=[("Proxy-Authorization", basic(f"u{i}", f"p{i}"))]))
    for c in streams:
        assert c.read_response().status == 200
        c.close()


def test_attack_rows(weir, origin):
    """Mode forward-auth of the attack rows: none of them gets through."""
    o = origin()
    w = weir(PROXY + "hosts { o.test 127.0.0.1 }\nresolver 127.0.0.1:1\n", files={"users.htpasswd": htpasswd(u="p")})
    rows = [json.loads(line) for line in need_shared("attacks", "rows.jsonl").read_text().splitlines()]
    rows = [r for r in rows if r["mode"] == "forward-auth"]
    assert rows
    for row in rows:
        raw = row["raw_request"] if "raw_request" in row else "".join(p[1] * (p[2] if p[0] == "rep" else 1) for p in row["raw_build"])
        with connect(w.proxy) as c:
            c.send(raw.encode("latin-1"))
            r = c.read_response()
        assert r.status in row["accept_status"], (row["id"], r)
        assert b"TOPSECRET" not in r.body and b"dTpw" not in r.body
        if r.status == 407:
            assert "Proxy-Authenticate" in r.fields
    assert o.connections == 0


def test_hash_password(weir, origin, cli):
    done = cli("hash-password", "ann", data=b"se cret\n")
    assert done.returncode == 0 and done.stdout.startswith("ann:$y$") and "se cret" not in done.stdout + done.stderr
    assert cli("hash-password", data=b"x\n").stdout.startswith("user:$y$")
    assert cli("hash-password", "a:b", data=b"x\n").returncode == 2
    assert cli("hash-password", "ann", data=b"").returncode == 2
    o = origin()
    w = weir(PROXY, files={"users.htpasswd": done.stdout})
    assert ask(w, o, ("Proxy-Authorization", basic("ann", "se cret"))).status == 200


@pytest.mark.parametrize("password, code", [(b"secret", 0), (b"wrong", 2)])
def test_socks5(weir, origin, password, code):
    """RFC 1929's user name and password are held against the same file."""
    o = origin()
    w = weir(PROXY.replace("egress {", "egress { connect-ports any;"), files={"users.htpasswd": htpasswd(ann="secret")})
    with connect(w.proxy) as c:
        c.send(b"\5\1\2")
        assert c.read_exactly(2) == b"\5\2"
        c.send(b"\1\3ann" + bytes([len(password)]) + password)
        assert c.read_exactly(2)[:1] == b"\1"
        c.send(b"\5\1\0\1\x7f\0\0\1" + o.port.to_bytes(2, "big"))
        assert (c.read_exactly(2)[1] == 0) == (code == 0)
