# SPDX-License-Identifier: Apache-2.0
"""Messages whose framing is in doubt, from both sides: RFC 9112 to the letter, and nothing of them gets through."""
import os

import pytest

from http1 import Closed, chunked, connect, request

CONF = """
log access off
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@http@
    route * -> pool app
}
"""
G = b"GET / HTTP/1.1\r\nHost: a.test\r\n"
P = b"POST / HTTP/1.1\r\nHost: a.test\r\n"
CH = P + b"Transfer-Encoding: chunked\r\n\r\n"
# A second request that must never be seen as one.
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"

# name: (bytes, statuses that are right)
BAD_REQUESTS = {
    # request line
    "lower-case version": (b"GET / http/1.1\r\nHost: a.test\r\n\r\n", {400}),
    "no version": (b"GET /\r\nHost: a.test\r\n\r\n", {400}),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n", {400}),
    "tab for space": (b"GET\t/ HTTP/1.1\r\nHost: a.test\r\n\r\n", {400}),
    "space at the end": (b"GET / HTTP/1.1 \r\nHost: a.test\r\n\r\n", {400}),
    "space in front": (b" GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", {400}),
    "space in the target": (b"GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n", {400}),
    "method with a colon": (b"GE:T / HTTP/1.1\r\nHost: a.test\r\n\r\n", {400}),
    "version 2": (b"GET / HTTP/2.0\r\nHost: a.test\r\n\r\n", {400, 505}),
    "version 1.2x": (b"GET / HTTP/1.10\r\nHost: a.test\r\n\r\n", {400, 505}),
    "version 0.9": (b"GET / HTTP/0.9\r\n\r\n", {400, 505}),
    "no slash": (b"GET x HTTP/1.1\r\nHost: a.test\r\n\r\n", {400}),
    "control octet in the target": (b"GET /\x01 HTTP/1.1\r\nHost: a.test\r\n\r\n", {400}),
    "NUL in the target": (b"GET /\0 HTTP/1.1\r\nHost: a.test\r\n\r\n", {400}),
    "fragment in the target": (b"GET /#x HTTP/1.1\r\nHost: a.test\r\n\r\n", {400}),
    "octets over 127 in the target": (b"GET /\xff HTTP/1.1\r\nHost: a.test\r\n\r\n", {400}),
    "half an escape": (b"GET /%4 HTTP/1.1\r\nHost: a.test\r\n\r\n", {400}),
    "no escape": (b"GET /%zz HTTP/1.1\r\nHost: a.test\r\n\r\n", {400}),
    "bytes of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n", {400}),
    # line ends
    "bare LF": (b"GET / HTTP/1.1\nHost: a.test\n\n", {400}),
    "bare LF after a field": (b"GET / HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n", {400}),
    "bare CR in a value": (G + b"X: a\rb\r\n\r\n", {400}),
    "LF CR": (b"GET / HTTP/1.1\n\rHost: a.test\n\r\n\r", {400}),
    # fields
    "space before the colon": (G + b"X : y\r\n\r\n", {400}),
    "tab before the colon": (G + b"X\t: y\r\n\r\n", {400}),
    "no colon": (G + b"X\r\n\r\n", {400}),
    "empty name": (G + b": y\r\n\r\n", {400}),
    "space in a name": (G + b"X Y: z\r\n\r\n", {400}),
    "folded line": (G + b"X: a\r\n b\r\n\r\n", {400}),
    "folded line with tab": (G + b"X: a\r\n\tb\r\n\r\n", {400}),
    "first line is folded": (b"GET / HTTP/1.1\r\n X: a\r\nHost: a.test\r\n\r\n", {400}),
    "NUL in a value": (G + b"X: a\0b\r\n\r\n", {400}),
    "control octet in a value": (G + b"X: a\x01b\r\n\r\n", {400}),
    "DEL in a value": (G + b"X: a\x7fb\r\n\r\n", {400}),
    "control octet in a name": (G + b"X\x01Y: a\r\n\r\n", {400}),
    "octet over 127 in a name": (G + b"X\xe9: a\r\n\r\n", {400}),
    # Host
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", {400}),
    "two Hosts": (G + b"Host: b.test\r\n\r\n", {400}),
    "the same Host twice": (G + b"Host: a.test\r\n\r\n", {400}),
    "Host with a list": (b"GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n", {400}),
    "Host with user": (b"GET / HTTP/1.1\r\nHost: x@a.test\r\n\r\n", {400}),
    "Host with path": (b"GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n", {400}),
    "Host with a bad port": (b"GET / HTTP/1.1\r\nHost: a.test:x\r\n\r\n", {400}),
    "Host with a huge port": (b"GET / HTTP/1.1\r\nHost: a.test:65536\r\n\r\n", {400}),
    "Host with a space": (b"GET / HTTP/1.1\r\nHost: a .test\r\n\r\n", {400}),
    "empty Host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", {400, 421}),
    # Content-Length
    "two lengths": (P + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", {400}),
    "the same length twice": (P + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", {400}),
    "lengths in a list": (P + b"Content-Length: 4, 4\r\n\r\nabcd", {400}),
    "length with a sign": (P + b"Content-Length: +4\r\n\r\nabcd", {400}),
    "negative length": (P + b"Content-Length: -1\r\n\r\n", {400}),
    "hexadecimal length": (P + b"Content-Length: 0x4\r\n\r\nabcd", {400}),
    "length with a point": (P + b"Content-Length: 4.0\r\n\r\nabcd", {400}),
    "empty length": (P + b"Content-Length:\r\n\r\n", {400}),
    "length with words": (P + b"Content-Length: 4 bytes\r\n\r\nabcd", {400}),
    "length that wraps 64 bits": (P + b"Content-Length: 18446744073709551620\r\n\r\nabcd", {400, 413}),
    "quoted length": (P + b'Content-Length: "4"\r\n\r\nabcd', {400}),
    # Transfer-Encoding
    "both framings": (P + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    "both framings, the other way": (P + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", {400}),
    "chunked twice": (P + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", {400}),
    "chunked on two lines": (P + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    "chunked is not last": (P + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", {400, 501}),
    "unknown coding": (P + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", {400, 501}),
    "identity": (P + b"Transfer-Encoding: identity\r\n\r\n", {400, 501}),
    "gzip alone": (P + b"Transfer-Encoding: gzip\r\n\r\n", {400, 501}),
    "gzip, chunked": (P + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", {400, 501}),
    "chunked with a parameter": (P + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", {400, 501}),
    "quoted chunked": (P + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', {400, 501}),
    "vertical tab before chunked": (P + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", {400, 501}),
    "empty coding": (P + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n", {400, 501}),
    "space before the coding's colon": (P + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", {400}),
    "chunked from HTTP/1.0": (b"POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400, 501, 505}),
    # chunks
    "no size": (CH + b"\r\n\r\n", {400}),
    "size that is none": (CH + b"z\r\nabc\r\n0\r\n\r\n", {400}),
    "size with 0x": (CH + b"0x3\r\nabc\r\n0\r\n\r\n", {400}),
    "size with a sign": (CH + b"+3\r\nabc\r\n0\r\n\r\n", {400}),
    "negative size": (CH + b"-1\r\nabc\r\n0\r\n\r\n", {400}),
    "space before the size": (CH + b" 3\r\nabc\r\n0\r\n\r\n", {400}),
    "space behind the size": (CH + b"3 \r\nabc\r\n0\r\n\r\n", {400}),
    "size that wraps 64 bits": (CH + b"10000000000000003\r\nabc\r\n0\r\n\r\n", {400, 413}),
    "size with underscore": (CH + b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n", {400}),
    "LF behind the size": (CH + b"3\nabc\r\n0\r\n\r\n", {400}),
    "CR behind the size": (CH + b"3\rabc\r\n0\r\n\r\n", {400}),
    "longer than its size": (CH + b"3\r\nabcd\r\n0\r\n\r\n", {400}),
    "LF behind a chunk": (CH + b"3\r\nabc\n0\r\n\r\n", {400}),
    "CR in an extension": (CH + b"3;a=\rb\r\nabc\r\n0\r\n\r\n", {400}),
    "LF in an extension": (CH + b"3;a=\nb\r\nabc\r\n0\r\n\r\n", {400}),
    "NUL in an extension": (CH + b"3;a=\0\r\nabc\r\n0\r\n\r\n", {400}),
    "LF in trailers": (CH + b"0\r\nX: y\n\r\n", {400}),
    "bad trailer": (CH + b"0\r\nX y\r\n\r\n", {400}),
    "trailer with space before the colon": (CH + b"0\r\nX : y\r\n\r\n", {400}),
    "folded trailer": (CH + b"0\r\nX: y\r\n z\r\n\r\n", {400}),
}


@pytest.fixture
def proxy(weir, origin):
    def start(*args, **options):
        o = origin(*args, **options)
        return weir(CONF, app=o.port), o
    return start


def test_requests_in_doubt(proxy):
    """400 (or what the RFC says), then the end of the connection: what stands behind it is never answered or forwarded."""
    w, o = proxy()
    wrong = []
    for name, (data, statuses) in BAD_REQUESTS.items():
        with connect(w.http) as c:
            c.send(data + SMUGGLED)
            try:
                r = c.read_response("POST")
                if r.status not in statuses:
                    wrong.append(f"{name}: {r.status}")
                elif c.read_to_end():
                    wrong.append(f"{name}: answered what came behind it")
            except (Closed, ConnectionResetError):
                wrong.append(f"{name}: no answer")
    # A chunked request may have begun to stream before its error; that must not have been completed.
    whole = [q for q in o.requests if q.target == "/smuggled" or q.method == "GET"]
    assert not wrong and not whole


def test_bad_requests_arriving_byte_by_byte(proxy):
    w, o = proxy()
    for name in ("two lengths", "space before the colon", "bare LF", "size that is none", "no Host", "folded line"):
        data, statuses = BAD_REQUESTS[name]
        with connect(w.http) as c:
            try:
                for i in range(len(data)):
                    c.send(data[i:i + 1])
            except ConnectionError:
                pass  # it has heard enough
            assert c.read_response().status in statuses, name


def test_a_good_request_split_anywhere(proxy):
    """Wherever TCP cuts it, it is the same request."""
    w, o = proxy()
    whole = request("POST", "/x?y=z", fields=[("X-A", "b"), ("X-Empty", "")], body=b"content")
    chunks = b"POST /c HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"ab", b"cdefg", trailers=[("X-T", "1")])
    with connect(w.http) as c:
        for data, content in ((whole, b"content"), (chunks, b"abcdefg")):
            for cut in range(1, len(data)):
                c.send(data[:cut])
                c.send(data[cut:])
                r = c.read_response()
                assert r.status == 200 and r.body == content, cut
            for i in range(len(data)):
                c.send(data[i:i + 1])
            assert c.read_response().body == content
    assert {q.target for q in o.requests} == {"/x?y=z", "/c"}


def test_empty_lines_before_a_request(proxy):
    """RFC 9112 section 2.2: at least one CRLF is ignored."""
    w, o = proxy()
    with connect(w.http) as c:
        assert c.ask(request()).status == 200
        for _ in range(3):
            assert c.ask(b"\r\n" + request(), "GET").status == 200


def test_allowed_oddities(proxy):
    w, o = proxy()
    with connect(w.http) as c:
        for fields in ([("X", "")], ["X:y"], ["X: \t y \t "], [("X", "\xe4\xf6")], [("X", 'a "q\\"d" (c)')], ["x!#$%&'*+-.^_`|~1: z"]):
            assert c.ask(request(fields=fields)).status == 200, fields
        assert c.ask(request(fields=["X: \t y \t "])).status == 200 and o.last.fields["X"] == "y"
        assert c.ask(request("POST", fields=["Content-Length: 0000000004"]) + b"abcd").status == 200
        assert o.last.body == b"abcd"
        c.send(CH.replace(b"chunked", b"CHUNKED") + b"003\r\nabc\r\n000\r\n\r\n")
        assert c.read_response().body == b"abc"
        c.send(CH + b"3;x\r\nabc\r\n0;last\r\n\r\n")
        assert c.read_response().body == b"abc"


def test_an_upload_that_breaks_off(proxy):
    """The origin must be able to tell that the content is not whole."""
    whole = []

    def handler(x):
        try:
            x.stream.read_content(x.request, until_end=False)
            whole.append(x.request)
        finally:
            x.close()
    w, o = proxy(handler, read_content=False)
    for head in (P + b"Content-Length: 100000\r\n\r\n" + b"x" * 50000, CH + b"ffff\r\n" + b"x" * 50000, CH + b"3\r\nabc\r\n"):
        seen = len(o.requests)
        with connect(w.http) as c:
            c.send(head)
            o.wait(lambda: len(o.requests) > seen)
            c.end()
            r = c.read_to_end()
            assert r == b"" or r.split(b" ")[1][:1] in b"45"
    o.wait(lambda: o.open == 0)
    assert not whole


def test_a_request_head_that_breaks_off(proxy):
    w, o = proxy()
    with connect(w.http) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a.te")
        c.end()
        answer = c.read_to_end()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert not o.requests


# ---- answers

OK = b"HTTP/1.1 200 OK\r\n"
OKCH = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BAD_ANSWERS = {
    "no HTTP": b"hello\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "lower case": b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "status 099": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "two spaces": b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "space before the colon": OK + b"Content-Length : 0\r\n\r\n",
    "folded line": OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "bare CR in a value": OK + b"X: a\rb\r\nContent-Length: 0\r\n\r\n",
    "no colon": OK + b"X\r\nContent-Length: 0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "length with a sign": OK + b"Content-Length: +4\r\n\r\nabcd",
    "length that wraps 64 bits": OK + b"Content-Length: 18446744073709551620\r\n\r\nabcd",
    "both framings": OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": OK + b"Transfer-Encoding: xchunked\r\n\r\nabc",
    "chunked twice": OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "end in the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "nothing": b"",
}
BROKEN_CONTENT = {
    "size that is none": OKCH + b"z\r\nabc\r\n0\r\n\r\n",
    "size that wraps": OKCH + b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "LF behind the size": OKCH + b"3\nabc\r\n0\r\n\r\n",
    "longer than its size": OKCH + b"3\r\nabcdef\r\n0\r\n\r\n",
    "no last chunk": OKCH + b"3\r\nabc\r\n",
    "shorter than its length": OK + b"Content-Length: 10\r\n\r\nabc",
    "bad trailer": OKCH + b"3\r\nabc\r\n0\r\nX y\r\n\r\n",
}


def test_answers_in_doubt(proxy):
    def handler(x):
        x.send(BAD_ANSWERS[bytes.fromhex(x.request.target[1:]).decode()])
        x.close()
    w, o = proxy(handler)
    wrong = []
    for name in BAD_ANSWERS:
        with connect(w.http) as c:
            r = c.ask(request("POST", "/" + name.encode().hex(), body=b""))
            if r.status != 502:
                wrong.append(f"{name}: {r.status}")
    assert not wrong
    assert o.connections == len(o.requests)  # none of these connections was used again


def test_content_in_doubt(proxy):
    """The head may have gone out already: then the client must see that the content is not whole."""
    def handler(x):
        x.send(BROKEN_CONTENT[bytes.fromhex(x.request.target[1:]).decode()])
        x.close()
    w, o = proxy(handler)
    wrong = []
    for name in BROKEN_CONTENT:
        with connect(w.http) as c:
            c.send(request("POST", "/" + name.encode().hex(), body=b""))
            r = c.read_response("POST", content=False)
            if r.status == 502:
                continue
            try:
                c.read_content(r, until_end=True)
                wrong.append(f"{name}: looks whole: {r.body!r}")
            except (Closed, ConnectionResetError):
                pass
    assert not wrong


def test_too_many_interim_answers(proxy):
    def handler(x):
        try:
            for _ in range(100000):
                x.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        except OSError:
            pass
        x.close()
    w, _ = proxy(handler)
    with connect(w.http) as c:
        assert c.ask(request()).status == 502


def test_an_answer_split_anywhere(proxy):
    answer = OKCH + chunked(b"abc", b"defg", trailers=[("X-T", "1")])

    def handler(x):
        cut = int(x.request.target[1:])
        x.send(answer[:cut])
        x.send(answer[cut:])
    w, o = proxy(handler)
    with connect(w.http) as c:
        for cut in range(1, len(answer)):
            assert c.ask(request(target=f"/{cut}")).body == b"abcdefg", cut
    assert o.connections == 1


def test_random_bytes(proxy):
    """Noise is answered or closed, and the next client is served."""
    w, o = proxy()
    for _ in range(50):
        with connect(w.http) as c:
            try:
                c.send(os.urandom(300) + b"\r\n\r\n")
            except ConnectionError:
                pass
            answer = c.read_to_end()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4") or answer.startswith(b"HTTP/1.1 50")
    with connect(w.http) as c:
        assert c.ask(request()).status == 200


def test_what_an_origin_says_unasked_reaches_nobody(proxy):
    """An answer on an idle connection belongs to no request: the connection goes, and the next request gets its own answer."""
    def handler(x):
        x.reply(body=x.request.target.encode())
        if x.request.connection == 1:
            x.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
    w, o = proxy(handler)
    with connect(w.http) as c:
        for i in range(20):
            r = c.ask(request(target=f"/{i}"))
            # Where it came together with an answer, that answer is refused instead of being passed on.
            assert r.status == 502 if r.status != 200 else r.body == b"/%d" % i


def test_content_in_answer_to_head(proxy):
    def handler(x):
        x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    w, o = proxy(handler)
    with connect(w.http) as c:
        for method in ("HEAD", "GET", "HEAD", "GET"):
            r = c.ask(request(method))
            assert r.status == 200 and r.body == (b"hello" if method == "GET" else b"") or r.status == 502


def test_an_early_answer_leaves_no_request_behind(proxy):
    """The origin answers after the head and takes what follows for the next request: nobody gets an answer to that."""
    def handler(x):
        x.reply(301 if x.request.target == "/early" else 200, body=x.request.target.encode(), fields=[("Location", "/")])
    w, o = proxy(handler, read_content=False)
    for i in range(50):
        with connect(w.http) as attacker, connect(w.http) as victim:
            attacker.send(b"POST /early HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED)
            r = victim.ask(request(target=f"/victim-{i}"))
            assert r.status == 200 and r.body == b"/victim-%d" % i
            assert attacker.read_response("POST").body == b"/early"
            r = victim.ask(request(target=f"/again-{i}"))
            assert r.status == 200 and r.body == b"/again-%d" % i
