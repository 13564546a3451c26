# SPDX-License-Identifier: Apache-2.0
"""A rule on a path holds for every spelling of it; and what rules, routes and the server see is one and the same path. The model here is a server
that decodes once and is lax about everything else: what it would take for a denied path must not reach it."""
import random
import re

import pytest

from http1 import Closed, connect, request

CONF = """
log access off
pool app { server 127.0.0.1:@app@ }
site a.test {
    listen 127.0.0.1:@http@
    deny when { path /admin /admin/* }
    route /only/* -> pool app { set request-header X-Route only }
    route *       -> pool app { set request-header X-Route other }
}
"""
UNRESERVED = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"


def lax(target):
    """The path as a careless server may read it."""
    path = target.split("?", 1)[0]
    path = re.sub(r"%([0-9A-Fa-f]{2})", lambda m: chr(int(m[1], 16)), path)
    path = path.replace("\\", "/").split("\0")[0]
    segments = []
    for s in path.split("/"):
        s = s.split(";")[0]
        if s == "..":
            segments[-1:] = []
        elif s not in ("", "."):
            segments.append(s)
    return "/" + "/".join(segments)


def spell(rng, path):
    """Another way to write a path, more or less."""
    out = []
    for ch in path:
        if ch == "/" and rng.random() < 0.3:
            out.append(rng.choice(["//", "/./", "/x/../", "/%2e/", "/x/%2E%2e/", "/.%2e/./", "%2f", "%2F", "/;/", "/a;b/../", "\\", "%5c", "/..;/x/../"]))
        elif ch != "/" and rng.random() < 0.2:
            code = f"%{ord(ch):02x}"
            out.append(code.upper() if rng.random() < 0.5 else code)
        elif rng.random() < 0.02:
            out.append(rng.choice(["%00", ";x=y", "%20", "%09", "%", "%c0%af", "%252e", "."]) + ch)
        else:
            out.append(ch)
    return "".join(out) + rng.choice(["", "", "", "/", "/.", "/..", "?x", ";x", "%2f", "/../admin", "#x"])


@pytest.fixture
def site(weir, origin):
    o = origin()
    return weir(CONF, app=o.port), o


def ask_all(w, targets, seen):
    """Each target's status; connections that end with a 400 are opened again."""
    c = None
    for t in targets:
        c = c or connect(w.http)
        before = seen()
        try:
            r = c.ask(request(target=t).replace(b"GET " + t.encode("latin-1"), b"GET " + t.encode("latin-1")))
            status, gone = r.status, r.fields.get("Connection") == "close"
        except (Closed, ConnectionError):
            status, gone = None, True
        yield t, status, seen() - before
        if gone:
            c.close()
            c = None
    if c:
        c.close()


@pytest.mark.parametrize("seed", range(4))
def test_no_spelling_passes_a_rule(site, seed):
    w, o = site
    rng = random.Random(seed)
    bases = ["/admin", "/admin/secret", "/x/../admin/a", "/admin/a/../../admin/b", "/pub/../admin"]
    passed = refused = 0
    for target, status, arrived in ask_all(w, [spell(rng, rng.choice(bases)) for _ in range(250)], lambda: len(o.requests)):
        if arrived:
            passed += 1
            there = lax(o.last.target)
            assert not (there == "/admin" or there.startswith("/admin/")), f"{target} arrived as {o.last.target}"
        else:
            refused += 1
            assert status in (400, 403, None), f"{target}: {status}"
    assert refused > 100 and passed > 0


@pytest.mark.parametrize("seed", range(2))
def test_one_view(site, seed):
    """The route is chosen by the very path that goes on, and that path is in its normal form."""
    w, o = site
    rng = random.Random(1000 + seed)
    bases = ["/only/a", "/other/only/b", "/only", "/only/../other", "/x/../only/y.html"]
    for target, status, arrived in ask_all(w, [spell(rng, rng.choice(bases)) for _ in range(200)], lambda: len(o.requests)):
        if not arrived:
            continue
        path = o.last.target.split("?", 1)[0]
        assert "/./" not in path and "/../" not in path and not path.endswith(("/.", "/..")), o.last.target
        for code in re.findall(r"%[0-9A-Fa-f]{2}", path):
            assert chr(int(code[1:], 16)) not in UNRESERVED, f"{target} arrived as {o.last.target}"
        assert o.last.fields["X-Route"] == ("only" if path.startswith("/only/") else "other"), f"{target} arrived as {o.last.target}"


@pytest.mark.parametrize("host,to", [("a.test", 200), ("A.TEST", 200), ("a.test.", 200), ("a.test:80", 200), ("b.test", 421), ("a.test:x", 400), ("a%2etest", 400),
                                     ("a.test/", 400), ("a@a.test", 400), ("", 400)])
def test_one_host(site, host, to):
    w, _ = site
    with connect(w.http) as c:
        assert c.ask(request(host=host)).status == to
