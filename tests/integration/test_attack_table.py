# SPDX-License-Identifier: Apache-2.0
"""The table of attacks, with variations: in pieces, octet by octet, behind other requests on the same connection, with other methods, with the
fields in another order. The origin here parses strictly and notes whatever is not clean (the `origin` fixture fails then)."""
import random
import re
import zlib

import pytest

from attack_table import ANSWERS, BROKEN, CUT, EITHER, PASS, PROXY_REQUESTS, REFUSE, SITE_REQUESTS
from http1 import Closed, connect, request

SITES = """
log access off
timeouts { header 1s  between-bytes 1s  first-byte 3s  idle 3s }
pool app { server 127.0.0.1:@app@ }
site a.test b.test {
    listen 127.0.0.1:@http@
    deny when { path /admin /admin/* /smuggled* }
    %s
    route * -> pool app
}
"""
PROXY = """
log access off
timeouts { header 1s  between-bytes 1s  first-byte 3s  idle 3s }
hosts { o.test 127.0.0.1; o2.test 127.0.0.1 }
proxy 127.0.0.1:@http@ {
    egress { allow 127.0.0.1 ports @app@; connect-ports 443 @app@ }
    policy { deny domain deny.test .deny.test
        default allow }
}
"""
FIRST = b"GET /first HTTP/1.1\r\nHost: a.test\r\n\r\n"
FRAMING = ("smuggle-cl-te", "smuggle-te-obfuscation", "chunked", "content-length")


def send(c, pieces):
    """False: the connection ended before all was sent (which is an answer too)."""
    try:
        for p in pieces:
            c.send(p)
        return True
    except OSError:
        return False


def answer(c, method):
    """The next final answer's status, or None where the connection ended without one."""
    try:
        return c.read_response(method).status
    except (Closed, ConnectionError):
        return None


class Attack:
    def __init__(self, weir, origin, row, smuggled=True):
        self.w, self.o = weir, origin
        self.klass, self.what, self.data, self.outcome, self.statuses, self.must, self.must_not, self.half_close = row
        self.data = self.data.replace(b"18081", b"%d" % origin.port)

    def run(self, how, pieces, before=0, data=None, statuses=None):
        name = f"{self.klass}: {self.what} ({how})"
        method = (data or self.data).split(b" ", 1)[0].decode("latin-1")
        with connect(self.w.http) as c:
            if before == 1:
                assert c.ask(FIRST).status == 200
            seen = len(self.o.requests)
            send(c, ([FIRST] if before == 2 else []) + pieces)
            if self.half_close:
                try:
                    c.end()
                except OSError:
                    pass
            if before == 2:
                assert answer(c, "GET") == 200, name
                seen += 1
            status = answer(c, method)
        self.judge(name, status, self.o.requests[seen:], statuses or self.statuses)

    def judge(self, name, status, arrived, statuses):
        for r in self.o.requests:
            assert not r.target.startswith("/smuggled"), f"{name}: smuggled"
        if self.outcome == REFUSE or (self.outcome == EITHER and not arrived):
            assert not arrived or self.klass == "early-response-desync", f"{name}: it arrived as {arrived[0].raw_head!r}"
            assert status is None or 400 <= status < 600 or status in statuses, f"{name}: {status}"
            return
        assert status in statuses or (self.outcome == EITHER and status is not None), f"{name}: {status}"
        if arrived:
            head = arrived[0].raw_head.decode("latin-1").replace(arrived[0].method + " ", self.data.split(b" ", 1)[0].decode("latin-1") + " ", 1)
            for pattern in self.must:
                assert re.search(pattern, head), f"{name}: {pattern} is not in {head!r}"
            for pattern in self.must_not:
                assert not re.search(pattern, head), f"{name}: {pattern} is in {head!r}"


def reordered(data):
    """The request with its field lines the other way round, or None where that would be another request."""
    head, end, content = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    if not end or len(lines) < 3 or any(line[:1] in (b" ", b"\t", b"") or b"\n" in line or b"\r" in line for line in lines):
        return None
    return b"\r\n".join(lines[:1] + lines[:0:-1]) + end + content


def other_methods(klass, data):
    if klass not in FRAMING + ("header-syntax", "path-acl"):
        return
    for old, news in ((b"POST ", (b"PUT ", b"PATCH ", b"X-OTHER ")), (b"GET ", (b"DELETE ", b"X-OTHER "))):
        if data.startswith(old):
            for new in news:
                yield new.strip().decode(), new + data[len(old):]


@pytest.fixture
def site(weir, origin):
    def start(conf=SITES % ""):
        o = origin(lambda x: x.reply(body=b"ok"))
        return weir(conf, app=o.port), o
    return start


@pytest.mark.parametrize("klass", sorted({r[0] for r in SITE_REQUESTS}))
def test_requests_to_a_site(site, klass):
    w, o = site()
    for row in (r for r in SITE_REQUESTS if r[0] == klass):
        a = Attack(w, o, row)
        rng = random.Random(zlib.crc32(a.what.encode()))
        a.run("whole", [a.data])
        a.run("on a used connection", [a.data], before=1)
        a.run("behind another", [a.data], before=2)
        if len(a.data) < 600:
            a.run("octet by octet", [bytes([b]) for b in a.data])
        for _ in range(2):
            cuts = sorted(rng.sample(range(1, len(a.data)), min(3, len(a.data) - 1)))
            a.run(f"cut at {cuts}", [a.data[i:j] for i, j in zip([0] + cuts, cuts + [len(a.data)])])
        other = reordered(a.data)
        if other and klass in FRAMING + ("hop-by-hop-identity",):
            a.run("fields the other way round", [other])
        for name, data in other_methods(klass, a.data):
            a.run(name, [data], data=data, statuses=a.statuses | {405, 501, 200} if a.outcome != REFUSE else None)


@pytest.mark.parametrize("part", range(4))
def test_every_split(site, part):
    """Framing must not depend on where a read ends. The split points are dealt out over the rows."""
    w, o = site()
    rows = [r for r in SITE_REQUESTS if r[0] in FRAMING and len(r[2]) < 300]
    for n, row in enumerate(rows):
        a = Attack(w, o, row)
        for at in range(1 + (n + part) % 16, len(a.data), 16):
            a.run(f"split at {at}", [a.data[:at], a.data[at:]])


def test_requests_to_a_proxy(site):
    w, o = site(PROXY)
    for row in PROXY_REQUESTS:
        a = Attack(w, o, row)
        a.run("whole", [a.data])
        a.run("octet by octet", [bytes([b]) for b in a.data])
        other = reordered(a.data)
        if other:
            a.run("fields the other way round", [other])


def pieces_of(data, how):
    if how == "octets" and len(data) < 2000:
        return [bytes([b]) for b in data]
    if how == "halves":
        return [data[:len(data) // 2], data[len(data) // 2:]]
    return [data]


@pytest.mark.parametrize("how", ["whole", "halves", "octets"])
def test_answers(weir, origin, how):
    row = []

    def handler(x):
        if x.request.target != "/t":
            x.reply(body=b"victim")
            return
        what, data = row[0][:2]
        try:
            for p in pieces_of(data, how):
                x.send(p)
            if what.startswith("truncated"):
                x.close()
        except OSError:
            x.close()
    o = origin(handler)
    w = weir(SITES % "replace nothing with something", app=o.port)
    for what, data, outcome, statuses in ANSWERS:
        if what.startswith("unsolicited"):
            continue  # test_an_answer_that_nobody_asked_for
        row[:] = [(what, data)]
        method = "HEAD" if "HEAD" in what else "GET"
        with connect(w.http) as c, connect(w.http) as victim:
            before = len(o.requests)
            cut = False
            try:
                r = c.ask(request(method, "/t"))
                status = r.status
                assert status not in (101,) and "evil" not in str(r.fields), what
            except (Closed, ConnectionError):
                cut, status = True, None
            if outcome == CUT:
                assert cut or status == 502, what
            elif outcome == BROKEN:
                assert cut or status in statuses, f"{what}: {status}"
            else:
                assert not cut and status in statuses, f"{what}: {status}"
            for _ in range(2):
                assert victim.ask(request(target="/victim")).body == b"victim", what
            if outcome in (REFUSE, CUT):
                used, *later = [r.connection for r in o.requests[before:]]
                assert used not in later, f"{what}: the connection was used again"


def test_an_answer_that_nobody_asked_for(weir, origin):
    """On a kept connection: it is nobody's, least of all the next request's."""
    say, said = [], []

    def handler(x):
        x.reply(body=b"own")
        if say:
            x.send(say.pop())
            said.append(1)
    o = origin(handler)
    w = weir("threads 1\n" + SITES % "", app=o.port)  # so that no other thread keeps a connection
    for data in (b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                 b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", b"x", b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"):
        say[:] = [data]
        said.clear()
        with connect(w.http) as c:
            assert c.ask(request()).body == b"own"
            o.wait(lambda: said and o.open == 0)  # it is noticed, and the connection dropped
            for method in ("GET", "POST", "DELETE"):
                r = c.ask(request(method, body=b"" if method == "POST" else None))
                assert (r.status, r.body) == (200, b"own"), data


def test_an_early_answer_to_a_request_with_content(weir, origin):
    """A server that answers before it has read the content may take it for the next request: nobody's answer comes from there."""
    def handler(x):
        if x.request.target == "/r":
            x.send(b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
            x.keep = True
        elif x.request.target == "/victim":
            x.reply(body=b"victim")
        else:
            x.reply(body=b"attack")
    o = origin(handler, read_content=False)
    w = weir(SITES % "", app=o.port)
    inner = b"GET /attack HTTP/1.1\r\nHost: a.test\r\n\r\n"
    for i in range(60):
        method = ("GET", "POST", "PUT")[i % 3]
        with connect(w.http) as c:
            c.send(f"{method} /r HTTP/1.1\r\nHost: a.test\r\nContent-Length: {len(inner)}\r\n\r\n".encode())
            c.send(inner[:i % len(inner)])
            c.send(inner[i % len(inner):])
            assert answer(c, method) in (301, None, 400, 502)
        with connect(w.http) as victim:
            assert victim.ask(request(target="/victim")).body == b"victim"
