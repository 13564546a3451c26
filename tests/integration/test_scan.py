# SPDX-License-Identifier: Apache-2.0
"""`scan`: content is shown to an ICAP service before it goes on (RFC 3507)."""
import json
import os
import pathlib
import signal
import threading
import time

import pytest

from http1 import Closed, Fields, Malformed, Message, chunked, connect, request
from icap import EICAR, IcapServer, scanner, streaming
from process import free_port, need, run_weir, wait_until

CONF = """log access json stdout
admin unix:weir.sock
threads {threads}
{top}
proxy 127.0.0.1:@proxy@ {{
    egress {{ allow 127.0.0.1 }}
    scan icap://127.0.0.1:@icap@/avscan {scan}
    {more}
}}
"""
TEXT = b"quite harmless. " * 20


def conf(scan="fail-closed", more="", top="", threads=1):
    return CONF.format(scan=scan, more=more, top=top, threads=threads)


@pytest.fixture
def icap():
    started = []

    def start(handler=scanner, strict=True, **options):
        started.append(IcapServer(handler, **options))
        started[-1].strict = strict
        return started[-1]
    yield start
    for s in started:
        s.stop()
        assert not s.strict or not s.errors, f"the ICAP server saw something wrong: {s.errors!r}"


def serve(body, fields=(), whole=True):
    def handler(x):
        if whole:
            x.reply(body=body, fields=[("Content-Type", "application/octet-stream"), *fields])
        else:
            x.reply_chunked(body[:len(body) // 2], body[len(body) // 2:], fields=fields)
    return handler


def get(w, origin, path="/file.bin", method="GET", **options):
    with connect(w.ports["proxy"]) as c:
        return c.ask(request(method, f"http://127.0.0.1:{origin.port}{path}", host=f"127.0.0.1:{origin.port}", **options))


def lines(w):
    return [json.loads(line) for line in w.stdout.splitlines() if line.startswith("{")]


def last_line(w, n=1):
    return wait_until(lambda: len(lines(w)) >= n and lines(w)[n - 1], what=f"line {n} of the log")


# ---- The verdict

@pytest.mark.parametrize("preview", [None, 0, 64, 1024])
def test_harmless_content_comes_through_unchanged(weir, origin, icap, preview):
    current = [None]
    o, s = origin(lambda x: current[0](x)), icap(preview=preview)
    w = weir(conf(), icap=s.port)
    for n, (body, whole) in enumerate((b, k) for b in [b"x", b"y" * 64, TEXT, TEXT * 200, TEXT * 4000] for k in (True, False)):
        current[0] = serve(body, whole=whole)
        r = get(w, o)
        assert r.status == 200 and r.body == body
        asked = s.asked[-1]
        assert asked.method == "RESPMOD" and asked.body == body
        assert asked.http_request.startswith(f"GET http://127.0.0.1:{o.port}/file.bin HTTP/1.1\r\n".encode())
        assert asked.http_response.startswith(b"HTTP/1.1 200 OK\r\n")
        line = last_line(w, n + 1)
        assert (line["reason"], line["scan"]) == ("ok", "clean")


@pytest.mark.parametrize("preview", [None, 16, 4096])
def test_what_is_found_is_replaced_by_the_scanner_s_page(weir, origin, icap, preview):
    place = [0]
    o, s = origin(lambda x: serve(b"y" * place[0] + EICAR + b"z" * 100000)(x)), icap(preview=preview)
    w = weir(conf(), icap=s.port)
    for n, place[0] in enumerate([0, 20000, 400000]):
        r = get(w, o)
        assert r.status == 403 and r.body == b"<p>the scanner's own page" and r.fields["X-Page"] == "scanner"
        assert r.fields["Cache-Control"] == "no-store"
        line = last_line(w, n + 1)
        assert (line["status"], line["reason"], line["scan"]) == (403, "scan_blocked", "Eicar-Test")
        assert line["rule"].endswith(":7")


def test_no_credentials_go_to_the_scanner(weir, origin, icap):
    o, s = origin(), icap()
    w = weir(conf(), icap=s.port)
    secrets = [("Cookie", "sid=geheim"), ("Authorization", "Basic Z2VoZWlt"), ("Accept-Encoding", "zstd, br, gzip"), ("Range", "bytes=0-3")]
    assert get(w, o, fields=secrets).status == 200
    seen = s.asked[0].http_request
    assert b"geheim" not in seen and b"Z2VoZWlt" not in seen
    # What scanners cannot decode, and parts of content, are not asked for.
    sent = o.requests[0].fields
    assert sent["Accept-Encoding"] == "gzip" and "Range" not in sent and sent["Cookie"] == "sid=geheim"


def test_uploads_are_scanned_before_the_server_has_a_byte(weir, origin, icap):
    o, s = origin(), icap()
    w = weir(conf(), icap=s.port)
    for body in [TEXT, TEXT * 4000]:
        r = get(w, o, method="POST", body=body)
        assert r.status == 200 and r.body == body
        assert o.requests[-1].body == body
    before = len(o.requests)
    r = get(w, o, method="POST", body=TEXT * 100 + EICAR)
    assert r.status == 403 and r.body == b"<p>the scanner's own page"
    assert len(o.requests) == before
    assert [a.method for a in s.asked] == ["REQMOD", "RESPMOD"] * 2 + ["REQMOD"]
    assert last_line(w, 3)["reason"] == "scan_blocked"


def test_an_upload_in_chunks_that_waits_for_100(weir, origin, icap):
    o, s = origin(), icap()
    w = weir(conf(), icap=s.port)
    with connect(w.ports["proxy"]) as c:
        c.send(request("PUT", f"http://127.0.0.1:{o.port}/up", host=f"127.0.0.1:{o.port}", fields=[("Transfer-Encoding", "chunked"), ("Expect", "100-continue")]))
        assert c.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        c.send(chunked(TEXT, TEXT))
        r = c.read_response()
    assert r.status == 200 and r.body == TEXT * 2 and "Expect" not in o.requests[0].fields


def test_a_service_may_change_content(weir, origin, icap):
    def change(asked):
        asked.read()
        if asked.method == "REQMOD":
            asked.head(200, ("req-hdr", asked.http_request.replace(b"text/plain", b"text/x-new").replace(b"Content-Length: 3", b"Content-Length: 6")), ("req-body", b""))
            asked.send(chunked(b"washed"))
        else:
            asked.answer(b"HTTP/1.1 200 OK\r\nContent-Type: text/x-new\r\nX-Scanned: yes\r\n\r\n", b"another content")
    o, s = origin(), icap(change)
    w = weir(conf(), icap=s.port)
    r = get(w, o, method="POST", body=b"old", fields=[("Content-Type", "text/plain")])
    assert r.status == 200 and r.body == b"another content"
    assert r.fields["Content-Type"] == "text/x-new" and r.fields["X-Scanned"] == "yes"
    assert o.requests[0].body == b"washed" and o.requests[0].fields["Content-Type"] == "text/x-new"


def test_large_content_streams_through(weir, origin, icap):
    """64 MiB, in both directions, through little memory; the service sends back as it reads."""
    size = 64 << 20
    block = bytes(range(256)) * 4096

    def large(x):
        x.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
        for _ in range(size // len(block)):
            x.send(block)
    o, s = origin(large), icap(streaming)
    w = weir(conf(), icap=s.port)
    with connect(w.ports["proxy"]) as c:
        c.send(request("GET", f"http://127.0.0.1:{o.port}/large", host=f"127.0.0.1:{o.port}"))
        c.read_until(b"\r\n\r\n")
        for _ in range(size // len(block)):
            assert c.read_exactly(len(block)) == block
    with open(f"/proc/{w.workers()[0]}/status") as f:
        peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
    assert peak < (180 if "asan" in open(f"/proc/{w.workers()[0]}/maps").read() else 64) * 1024


def test_who_does_not_read_stops_the_scan(weir, origin, icap):
    """Backpressure: what the client does not take is not read from the server."""
    sent = [0]

    def endless(x):
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        x.stream.sock.settimeout(0.5)
        try:
            while True:
                sent[0] += x.stream.sock.send(b"e" * 65536)
        except OSError:
            x.close()
    o, s = origin(endless), icap(streaming)
    w = weir(conf(), icap=s.port)
    with connect(w.ports["proxy"]) as c:
        c.send(request("GET", f"http://127.0.0.1:{o.port}/endless", host=f"127.0.0.1:{o.port}"))
        c.read_until(b"\r\n\r\n")
        wait_until(lambda: not o.open, what="the origin's send that stalls")
    assert sent[0] < 64 << 20


# ---- Where the service fails

def silent(asked):
    asked.stream.fill()


def hangs_up(asked):
    asked.close()


def nonsense(asked):
    asked.send(b"HTTP/1.1 200 OK\r\n\r\n")


def raw(text, read=True):
    def answer(asked):
        if read:
            asked.read()
        asked.send(text)
        asked.close()
    return answer


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
HOSTILE = {
    "closes": hangs_up,
    "another protocol": nonsense,
    "server error": raw(b"ICAP/1.0 500 Server error\r\n\r\n"),
    "no such service": raw(b"ICAP/1.0 404 ICAP Service not found\r\n\r\n"),
    "100 without a preview": raw(b"ICAP/1.0 100 Continue\r\n\r\n" * 3),
    "status of two digits": raw(b"ICAP/1.0 20 OK\r\n\r\n"),
    "no parts": raw(b"ICAP/1.0 200 OK\r\n\r\n"),
    "head beyond its end": raw(b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=20\r\n\r\n" + HEAD + chunked(b"ok")),
    "head of nothing": raw(b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=0\r\n\r\n" + chunked(b"ok")),
    "head that is larger": raw(b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=%d\r\n\r\n" % (len(HEAD) + 4) + HEAD + chunked(b"ok")),
    "offset that wraps": raw(b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=18446744073709551617\r\n\r\n" + HEAD),
    "offset below zero": raw(b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=-1, res-body=3\r\n\r\n" + HEAD),
    "body before head": raw(b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=0, res-hdr=4\r\n\r\n" + HEAD),
    "two heads": raw(b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-hdr=4, res-body=8\r\n\r\n" + HEAD),
    "Encapsulated twice": raw(b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=%d\r\nEncapsulated: null-body=0\r\n\r\n" % len(HEAD) + HEAD + chunked(b"ok")),
    "body of a request": raw(b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, req-body=%d\r\n\r\n" % len(HEAD) + HEAD + chunked(b"ok")),
    "two lengths": raw(b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=58\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n" + chunked(b"ok")),
    "bare line feeds": raw(b"ICAP/1.0 200 OK\nEncapsulated: null-body=0\n\n"),
    "field with a gap": raw(b"ICAP/1.0 200 OK\r\nEncapsulated : null-body=0\r\n\r\n"),
    "endless head": raw(b"ICAP/1.0 200 OK\r\nX-Filler: " + b"f" * 200000),
    "endless fields": raw(b"ICAP/1.0 200 OK\r\n" + b"X: y\r\n" * 5000),
    "204 with content": raw(b"ICAP/1.0 204 No\r\nEncapsulated: res-hdr=0, res-body=%d\r\n\r\n" % len(HEAD) + HEAD),
}


@pytest.mark.parametrize("mode", ["fail-closed", "fail-open"])
def test_a_service_that_misbehaves(weir, origin, icap, mode):
    current = [None]
    o, s = origin(serve(TEXT * 100)), icap(lambda asked: current[0](asked), strict=False)
    w = weir(conf(mode), icap=s.port)
    for n, (name, behaviour) in enumerate(HOSTILE.items()):
        current[0] = behaviour
        r = get(w, o)
        line = last_line(w, n + 1)
        if mode == "fail-open":
            assert (r.status, r.body) == (200, TEXT * 100), name
        else:
            assert r.status == 502 and line["reason"] == "scan_failed", name
        assert line["scan"] == "scan_failed", name
    current[0] = scanner
    assert get(w, o).body == TEXT * 100  # and it is asked again


def test_content_that_the_service_breaks_off_is_never_whole(weir, origin, icap):
    current = [None]
    o, s = origin(serve(TEXT * 100)), icap(lambda asked: current[0](asked), strict=False)
    w = weir(conf("fail-open"), icap=s.port)
    for n, behaviour in enumerate([
        raw(b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n5\r\nhello\r\n"),
        raw(b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=%d\r\n\r\n" % len(HEAD) + HEAD + chunked(b"longer than it said")),
        raw(b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=%d\r\n\r\n" % len(HEAD) + HEAD + chunked(b"x")),
        raw(b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=%d\r\n\r\n" % len(HEAD) + HEAD + b"ffffffffffffffffff\r\nok"),
    ]):
        current[0] = behaviour
        with pytest.raises((Closed, Malformed, ConnectionResetError)):
            r = get(w, o)
            assert r.status == 502
            raise Closed("an error page is as good")
        assert last_line(w, n + 1)["reason"] != "ok"


@pytest.mark.parametrize("mode", ["fail-closed", "fail-open"])
def test_a_service_that_is_not_there(weir, origin, mode):
    o = origin(serve(TEXT))
    w = weir(conf(mode), icap=free_port())
    for n in range(3):  # the second time nobody tries
        r = get(w, o)
        assert (r.status, last_line(w, n + 1)["reason"]) == ((200, "ok") if mode == "fail-open" else (503, "scan_down"))
        assert last_line(w, n + 1)["scan"] == "scan_down"
    r = get(w, o, method="POST", body=TEXT)
    assert r.status == (200 if mode == "fail-open" else 503)
    assert len(o.requests) == (4 if mode == "fail-open" else 3)  # an upload that could not be scanned went nowhere


@pytest.mark.parametrize("mode", ["fail-closed", "fail-open"])
def test_a_service_that_does_not_answer(weir, origin, icap, mode):
    o, s = origin(serve(TEXT)), icap(silent, strict=False)
    w = weir(conf(mode + " timeout 300ms"), icap=s.port)
    r = get(w, o)
    assert r.status == (200 if mode == "fail-open" else 503)
    assert last_line(w)["scan"] == "scan_timeout"


def test_a_server_that_breaks_off_is_no_failure_of_the_service(weir, origin, icap):
    def half(x):
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + "h" * 50000)
        x.close()
    o, s = origin(half), icap()
    w = weir(conf("fail-open"), icap=s.port)
    assert get(w, o).status == 502
    assert last_line(w)["reason"] == "response_incomplete"


def test_kept_connections_that_the_service_has_closed(weir, origin, icap):
    """Between two requests, and just as one arrives."""
    def once(asked):
        if len(s.asked) == 2:
            asked.close()  # without a word, on a connection that was used before
        else:
            scanner(asked)
    o, s = origin(serve(TEXT)), icap(once, strict=False)
    w = weir(conf(), icap=s.port)
    for _ in range(3):
        r = get(w, o)
        assert r.status == 200 and r.body == TEXT
    assert len(s.asked) == 4


# ---- What the service says of itself

def test_options_are_asked_once_and_again_when_the_tag_changes(weir, origin, icap):
    o, s = origin(serve(TEXT)), icap()
    w = weir(conf(), icap=s.port)
    for _ in range(4):
        assert get(w, o).status == 200
    assert s.n_options == 1 and s.connections == 1
    s.tag = "second"
    get(w, o)
    get(w, o)
    get(w, o)
    assert s.n_options == 2


def test_options_hold_as_long_as_they_say(weir, origin, icap):
    o, s = origin(serve(TEXT)), icap(options=[("Options-TTL", "1")])
    w = weir(conf(), icap=s.port)
    assert get(w, o).status == 200
    wait_until(lambda: get(w, o).status == 200 and s.n_options >= 2, what="the options are asked for again")


@pytest.mark.parametrize("options", [
    lambda asked: asked.send("ICAP/1.0 404 no\r\n\r\n"), lambda asked: asked.close(), lambda asked: asked.head(200, ("null-body", b"")),
], ids=["404", "closed", "no methods"])
def test_options_that_are_of_no_use(weir, origin, icap, options):
    o, s = origin(serve(TEXT)), icap(options=(), strict=False)
    s.options = options
    w = weir(conf(), icap=s.port)
    assert get(w, o).status == 502 and last_line(w)["reason"] == "scan_failed"
    s.options = []
    wait_until(lambda: get(w, o).status == 200, what="the service is asked again")


def test_transfer_lists(weir, origin, icap):
    o, s = origin(serve(TEXT)), icap(options=[("Transfer-Preview", "*"), ("Transfer-Ignore", "jpg, gif"), ("Transfer-Complete", "exe,zip")])
    w = weir(conf(), icap=s.port)
    for path, preview in [("/a.gif", None), ("/a.exe?x=a.gif", False), ("/a.html", True), ("/gif", True)]:
        before = len(s.asked)
        assert get(w, o, path).body == TEXT
        assert [a.has_preview for a in s.asked[before:]] == ([] if preview is None else [preview]), path
    assert last_line(w)["scan"] == "ignored"


def test_a_service_for_one_direction(weir, origin, icap):
    o, s = origin(), icap(methods="RESPMOD")
    w = weir(conf(), icap=s.port)
    assert get(w, o, method="POST", body=TEXT).body == TEXT
    assert [a.method for a in s.asked] == ["RESPMOD"]
    w2 = weir(conf("fail-closed for uploads"), icap=s.port)
    assert get(w2, o, method="POST", body=TEXT).status == 502
    assert get(w2, o).status == 200


def test_two_services(weir, origin, icap):
    o, up, down = origin(), icap(methods="REQMOD"), icap(methods="RESPMOD")
    w = weir(conf("fail-closed for uploads", more="scan icap://127.0.0.1:@down@/down fail-open for responses"), icap=up.port, down=down.port)
    assert get(w, o, method="POST", body=TEXT).body == TEXT
    assert [a.method for a in up.asked + down.asked] == ["REQMOD", "RESPMOD"]
    assert down.asked[0].url == f"icap://127.0.0.1:{down.port}/down"


@pytest.mark.parametrize("by", ["statement", "service"])
def test_connections_are_counted_over_all_threads(weir, origin, icap, by):
    gate, lock, busy, most = threading.Event(), threading.Lock(), [0], [0]

    def slow(asked):
        asked.read()
        with lock:
            busy[0] += 1
            most[0] = max(busy[0], most[0])
        gate.wait(10)
        with lock:
            busy[0] -= 1
        scanner(asked)
    o, s = origin(serve(TEXT)), icap(slow, options=[("Max-Connections", "2")] if by == "service" else [])
    w = weir(conf("fail-closed" + (" connections 2" if by == "statement" else ""), threads=2), icap=s.port)
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(get(w, o).status)) for _ in range(8)]
    if by == "service":  # what it says has to be known first
        gate.set()
        for _ in range(4):
            get(w, o)
        gate.clear()
    for t in threads:
        t.start()
    wait_until(lambda: busy[0] == 2)
    gate.set()
    for t in threads:
        t.join()
    assert statuses == [200] * 8 and most[0] == 2


# ---- Limits, and clients that wait

@pytest.mark.parametrize("larger", ["pass", "refuse"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_content_beyond_the_limit(weir, origin, icap, larger, method):
    o, s = origin(serve(b"l" * 5000) if method == "GET" else serve(b"short")), icap()
    w = weir(conf(f"fail-closed max 4KiB larger {larger}"), icap=s.port)
    r = get(w, o, method=method, body=b"u" * 5000 if method == "POST" else b"")
    line = last_line(w)
    if larger == "pass":
        assert r.status == 200 and all(a.method == "RESPMOD" and a.body == b"short" for a in s.asked)
    else:
        assert r.status == 403 and line["reason"] == "scan_too_large" and line["scan"] == "too-large"
        assert not s.asked and (method == "GET" or not o.requests)


def test_content_that_turns_out_to_be_beyond_the_limit(weir, origin, icap):
    o, s = origin(serve(b"l" * 500000, whole=False)), icap(strict=False)
    w = weir(conf("fail-open max 4KiB"), icap=s.port)
    assert get(w, o).status == 403
    assert last_line(w)["reason"] == "scan_too_large"


@pytest.mark.parametrize("verdict", ["clean", "echo", "found", "changed", "fails"])
@pytest.mark.parametrize("whole", [True, False], ids=["length", "chunked"])
def test_the_trickle(weir, origin, icap, verdict, whole):
    """The head and a few octets come before the verdict; the rest only where the content is what was promised."""
    gate, body = threading.Event(), bytes(range(256)) * 40

    def slow(asked):
        data = asked.read()
        gate.wait(10)
        if verdict == "clean":
            asked.unchanged()
        elif verdict == "found":
            asked.block()
        elif verdict == "fails":
            asked.close()
        else:
            asked.answer(asked.http_response, data if verdict == "echo" else b"!" + data[1:])
    o, s = origin(serve(body, whole=whole)), icap(slow, strict=False, options=[] if verdict == "clean" else [("Allow", "206")])
    w = weir(conf("fail-closed trickle 50ms"), icap=s.port)
    with connect(w.ports["proxy"]) as c:
        c.send(request("GET", f"http://127.0.0.1:{o.port}/slow", host=f"127.0.0.1:{o.port}"))
        head = c.read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        wait_until(lambda: c.buffer.count(b"\r\n") >= 4 or (b"chunked" not in head and len(c.buffer) >= 2) or not c.fill())
        gate.set()
        rest = c.read_to_end() if verdict not in ("clean", "echo") else None
        if rest is None and whole:
            assert c.read_exactly(len(body)) == body
        elif rest is None:
            m = Message("", Fields(), b"")
            c.read_chunked(m)
            assert m.body == body
    if rest is not None:
        assert len(rest) < 3000 and not rest.endswith(b"0\r\n\r\n")
    reason = last_line(w)["reason"]
    assert reason == {"clean": "ok", "echo": "ok", "found": "scan_blocked"}.get(verdict, "scan_failed")


def test_the_trickle_never_lets_much_through(weir, origin, icap):
    gate = threading.Event()

    def slow(asked):
        asked.read()
        gate.wait(10)
        asked.block()
    o, s = origin(serve(EICAR)), icap(slow)
    w = weir(conf("fail-closed trickle 10ms"), icap=s.port)
    with connect(w.ports["proxy"]) as c:
        c.send(request("GET", f"http://127.0.0.1:{o.port}/e", host=f"127.0.0.1:{o.port}"))
        c.read_until(b"\r\n\r\n")
        while len(c.buffer) < len(EICAR) // 16:
            assert c.fill()
        time.sleep(0.1)  # ten times what another octet would need
        gate.set()
        assert len(c.read_to_end()) == len(EICAR) // 16


# ---- Beside the cache

def test_what_is_stored_was_scanned_and_is_scanned_again_under_another_tag(weir, origin, icap):
    o, s = origin(serve(TEXT * 100, fields=[("Cache-Control", "max-age=3600")])), icap()
    w = weir(conf(more="cache main", top="cache main { memory 16MiB }"), icap=s.port)
    for _ in range(3):
        assert get(w, o).body == TEXT * 100
    assert len(s.asked) == 1 and len(o.requests) == 1
    part = get(w, o, fields=[("Range", "bytes=16-31")])
    assert part.status == 206 and part.body == TEXT[:16]
    s.tag = "second"
    assert get(w, o, "/other").status == 200  # its answer shows the new tag
    for _ in range(2):
        assert get(w, o).body == TEXT * 100
    assert len(s.asked) == 3 and len(o.requests) == 3


def test_what_is_found_is_not_stored(weir, origin, icap):
    o, s = origin(serve(EICAR + TEXT, fields=[("Cache-Control", "max-age=3600")])), icap()
    w = weir(conf(more="cache main\n ttl 1h status 403", top="cache main { memory 16MiB }"), icap=s.port)
    for n in range(2):
        r = get(w, o)
        assert r.status == 403 and EICAR not in r.body
        assert last_line(w, n + 1)["reason"] == "scan_blocked"
    assert len(o.requests) == 2
    # Asking for a part first is no way around.
    r = get(w, o, "/part", fields=[("Range", "bytes=0-40")])
    assert r.status == 403


def test_stored_answers_are_served_while_the_service_is_down(weir, origin, icap):
    o, s = origin(serve(TEXT, fields=[("Cache-Control", "max-age=3600")])), icap(options=[("Options-TTL", "1")])
    w = weir(conf(more="cache main", top="cache main { memory 16MiB }"), icap=s.port)
    assert get(w, o).body == TEXT
    s.stop()
    wait_until(lambda: get(w, o, f"/new{len(o.requests)}").status in (502, 503), what="the service is down")
    assert get(w, o).body == TEXT and len([r for r in o.requests if r.target == "/file.bin"]) == 1


# ---- Sites

def test_sites_and_routes(weir, origin, icap):
    o, s = origin(serve(EICAR)), icap()
    w = weir("""pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@site@
    scan icap://127.0.0.1:@icap@/avscan fail-closed
    route /raw/* -> pool app { scan off }
    route * -> pool app
}
""", app=o.port, icap=s.port)
    with connect(w.ports["site"]) as c:
        assert c.ask(request("GET", "/raw/x", host="a")).body == EICAR
        assert c.ask(request("GET", "/x", host="a")).status == 403
        assert c.ask(request("HEAD", "/x", host="a"), method="HEAD").status == 200
    assert len(s.asked) == 1


def test_metrics_and_explain(weir, origin, icap):
    current = [scanner]
    o, s = origin(serve(EICAR)), icap(lambda asked: current[0](asked), strict=False)
    w = weir(conf(top="dashboard 127.0.0.1:@dash@"), icap=s.port)
    get(w, o)
    current[0] = hangs_up
    get(w, o)
    with connect(w.ports["dash"]) as c:
        text = c.ask(request("GET", "/metrics", host="127.0.0.1")).body.decode()
    label = '{proxy="127.0.0.1:%d",}' % w.ports["proxy"]
    for name, value in [("scans_total", 2), ("scans_blocked_total", 1), ("scan_failures_total", 1)]:
        assert f"weir_{name}{label} {value}\n" in text, [t for t in text.splitlines() if name in t]
    said = run_weir(w.folder, "explain", "-c", "weir.conf", f"proxy GET http://127.0.0.1:{o.port}/").stdout
    assert f"by icap://127.0.0.1:{s.port}/avscan, fail-closed, by weir.conf:7" in said


@pytest.mark.parametrize("statement, message", [
    ("scan http://127.0.0.1/x fail-open", "is no ICAP service"), ("scan icap://127.0.0.1 fail-open", "is no ICAP service"), ("scan icap://127.0.0.1/x", "fail-open or fail-closed"),
    ("scan icap://127.0.0.1/x maybe", "fail-open or fail-closed"), ("scan icap://h/x fail-open for both", "uploads or responses"),
    ("scan icap://h/x fail-open larger never", "refuse or pass"), ("scan icap://h/x fail-open\n scan icap://h/y fail-open", "a second `scan`"), ("scan icap://h/x fail-open timeout 0s", "above zero"),
])
def test_mistakes_are_named(folder, cli, statement, message):
    (folder / "x.conf").write_text(f"proxy 127.0.0.1:3128 {{\n {statement}\n}}\n")
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 2 and message in done.stdout + done.stderr


# ---- Another project's server

@pytest.fixture
def at_end():
    later = []
    yield later
    for f in later:
        f()


def test_c_icap_and_clamav_find_it(weir, origin, process, folder, at_end):
    """Debian's c-icap and clamd, with a signature of our own in place of a database."""
    server, daemon, modules = need("c-icap"), need("clamd"), pathlib.Path("/usr/lib/x86_64-linux-gnu/c_icap")
    if not (modules / "virus_scan.so").exists():
        pytest.skip("c-icap's virus_scan (libc-icap-mod-virus-scan) is not installed")
    home, port = folder / "av", free_port()
    (home / "db").mkdir(parents=True)
    (home / "db" / "test.ndb").write_text(f"Test.Eicar:0:*:{EICAR.hex()}\n")
    (home / "clamd.conf").write_text(f"Foreground yes\nLocalSocket {home}/clamd\nDatabaseDirectory {home}/db\nUser root\nTemporaryDirectory {home}\n")
    (home / "c-icap.conf").write_text(f"""PidFile {home}/pid
CommandsSocket {home}/ctl
Port 127.0.0.1:{port}
StartServers 1
MaxServers 1
MinSpareThreads 2
MaxSpareThreads 10
ThreadsPerChild 10
TmpDir {home}
LoadMagicFile /etc/c-icap/c-icap.magic
ServerLog {home}/server.log
AccessLog {home}/access.log
ModulesDir {modules}
ServicesDir {modules}
TemplateDir /usr/share/c_icap/templates/
Module common clamd_mod.so
clamd_mod.ClamdSocket {home}/clamd
Service echo srv_echo.so
Service avscan virus_scan.so
virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE
virus_scan.DefaultEngine clamd
virus_scan.SendPercentData 0
virus_scan.StartSendPercentDataAfter 2M
virus_scan.MaxObjectSize 20M
""")
    process([daemon, "-c", home / "clamd.conf"])
    wait_until((home / "clamd").exists, what="clamd's socket")
    icap = process([server, "-N", "-f", home / "c-icap.conf"], [port], start_new_session=True)
    at_end.append(lambda: os.killpg(icap.pid, signal.SIGKILL))  # it takes long to end by itself
    body = [TEXT]
    o = origin(lambda x: x.reply(body=body[0] if x.request.method == "GET" else b"taken"))
    for service in ["echo", "avscan"]:
        w = weir(conf().replace("/avscan", f"/{service}"), icap=port)
        for n, content in enumerate([b"x", TEXT, TEXT * 500, TEXT * 20000, TEXT * 100 + EICAR, EICAR]):
            body[0] = content
            bad = EICAR in content and service == "avscan"
            r, u = get(w, o), get(w, o, method="POST", body=content)
            if bad:
                assert r.status == 403 and u.status == 403 and EICAR not in r.body
                assert "Test.Eicar" in last_line(w, 2 * n + 1)["scan"]
            else:
                assert (r.status, r.body, u.status) == (200, content, 200)
                assert o.requests[-1].body == content
