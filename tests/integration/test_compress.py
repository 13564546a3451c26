# SPDX-License-Identifier: Apache-2.0
"""`compress`: negotiation, what is left alone, validators, streams; the results read by other people's decoders."""
import gzip
import subprocess
import threading

import pytest

from http1 import Closed, connect, request
CONF = """
log access off
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@http@
    compress
    route /plain/*  -> pool app { compress off }
    route /gzip/*   -> pool app { compress gzip level 9 min 10B types application/x-test }
    route /hello    -> respond 200 "hello hello hello hello"
    route /files/*  -> files www { strip /files }
    route *         -> pool app
}
"""
TEXT = b"It was the best of times, it was the worst of times. " * 40


def decoded(body, coding):
    if coding == "gzip":
        return gzip.decompress(body)
    tool = {"br": ["brotli", "-dc"], "zstd": ["zstd", "-dcq"]}[coding]
    return subprocess.run(tool, input=body, stdout=subprocess.PIPE, check=True).stdout


def answer(exchange):
    fields = [("Content-Type", "text/html; charset=utf-8"), ("ETag", '"v1"'), ("Content-MD5", "x"), ("Content-Digest", "sha-256=:x:")]
    request_fields = exchange.request.fields
    target = exchange.request.target
    if request_fields.get("If-None-Match") == '"v1"':
        return exchange.reply(304, fields=[("ETag", '"v1"')], reason="Not Modified")
    if "small" in target:
        return exchange.reply(body=b"x" * 20, fields=fields)
    if "image" in target:
        return exchange.reply(body=TEXT, fields=[("Content-Type", "image/png")])
    if "test-type" in target:
        return exchange.reply(body=b"0123456789" * 2, fields=[("Content-Type", "application/x-test;v=1")])
    if "encoded" in target:
        return exchange.reply(body=gzip.compress(TEXT), fields=[*fields, ("Content-Encoding", "gzip")])
    if "no-transform" in target:
        return exchange.reply(body=TEXT, fields=[*fields, ("Cache-Control", "max-age=1, no-transform")])
    if "range" in target:
        return exchange.reply(206, body=TEXT, fields=[*fields, ("Content-Range", f"bytes 0-{len(TEXT) - 1}/99999")], reason="Partial Content")
    if "chunked" in target:
        return exchange.reply_chunked(*[TEXT] * 50, fields=[("Content-Type", "application/json")], trailers=[("X-T", "1")])
    return exchange.reply(body=TEXT, fields=fields)


@pytest.fixture
def site(weir, origin):
    o = origin(answer)
    w = weir(CONF, app=o.port, files={"www/a.txt": TEXT * 100, "www/p.png": TEXT})
    w.origin = o
    return w


def get(site, target, accept="gzip", method="GET", **more):
    with connect(site.http) as c:
        fields = [("Accept-Encoding", accept)] if accept is not None else []
        return c.ask(request(method, target, fields=fields + list(more.items())))


@pytest.mark.parametrize("accept, coding", [
    ("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("gzip, deflate, br, zstd", "zstd"), ("br;q=0.5, gzip;q=0.8", "gzip"), ("*", "zstd")])
def test_the_greatest_weight_wins(site, accept, coding):
    r = get(site, "/", accept)
    assert r.status == 200 and r.fields["Content-Encoding"] == coding and "Accept-Encoding" in r.fields["Vary"]
    assert decoded(r.body, coding) == TEXT and len(r.body) < len(TEXT) / 3
    assert r.fields["ETag"] == 'W/"v1"' and "Content-MD5" not in r.fields and "Content-Digest" not in r.fields


@pytest.mark.parametrize("accept", [None, "identity", "gzip;q=0, br;q=0", "deflate"])
def test_who_accepts_none_gets_the_content_as_it_is(site, accept):
    r = get(site, "/", accept)
    assert "Content-Encoding" not in r.fields and r.body == TEXT and r.fields["ETag"] == '"v1"'
    assert "Accept-Encoding" in r.fields["Vary"], "a cache must know that others get something else"


@pytest.mark.parametrize("target", ["/small", "/image", "/encoded", "/no-transform", "/range", "/plain/x"])
def test_what_is_left_alone(site, target):
    r, whole = get(site, target), get(site, target, None)
    assert r.body == whole.body and r.fields.get("Content-Encoding") == whole.fields.get("Content-Encoding")


def test_statement_with_everything(site):
    r = get(site, "/gzip/test-type", "br, gzip;q=0.1")
    assert r.fields["Content-Encoding"] == "gzip" and gzip.decompress(r.body) == b"0123456789" * 2
    assert "Content-Encoding" not in get(site, "/gzip/html").fields


def test_head_says_what_get_says(site):
    g, h = get(site, "/"), get(site, "/", method="HEAD")
    for name in ("Content-Encoding", "Vary", "ETag", "Content-Type"):
        assert h.fields[name] == g.fields[name]
    assert h.body == b"" and h.fields.get("Content-Length", g.fields.get("Content-Length")) == g.fields.get("Content-Length")


def test_our_tag_comes_back(site):
    r = get(site, "/", **{"If-None-Match": 'W/"v1"'})
    assert r.status == 304 and site.origin.requests[-1].fields["If-None-Match"] == '"v1"'


def test_chunked_content_with_trailers(site):
    with connect(site.http) as c:
        r = c.ask(request(target="/chunked", fields=[("Accept-Encoding", "gzip"), ("TE", "trailers"), ("Connection", "TE")]))
        assert gzip.decompress(r.body) == TEXT * 50
        assert c.ask(request(target="/", fields=[])).body == TEXT, "the connection goes on"


def test_files_and_own_texts(site):
    r = get(site, "/files/a.txt")
    assert r.fields["Content-Encoding"] == "gzip" and gzip.decompress(r.body) == TEXT * 100
    assert "Content-Encoding" not in get(site, "/files/p.png").fields
    assert get(site, "/hello").body == b"hello hello hello hello"


def test_a_broken_answer_is_never_whole(weir, origin):
    def broken(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n" + TEXT)
        exchange.close()

    w = weir(CONF, app=origin(broken).port, files={"www/a.txt": b""})
    with connect(w.http) as c:
        c.send(request(fields=[("Accept-Encoding", "gzip")]))
        with pytest.raises(Closed):
            c.read_response()


def test_events_go_out_one_by_one(weir, origin):
    go_on = threading.Semaphore(0)

    def events(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(3):
            data = b"data: %d\n\n" % i
            exchange.send(b"%x\r\n%s\r\n" % (len(data), data))
            assert go_on.acquire(timeout=10)
        exchange.send(b"0\r\n\r\n")

    w = weir(CONF, app=origin(events).port, files={"www/a.txt": b""})
    # curl decodes what has come so far
    p = subprocess.Popen(["curl", "-sN", "--compressed", f"http://127.0.0.1:{w.http}/"], stdout=subprocess.PIPE)
    for i in range(3):
        assert p.stdout.readline() == b"data: %d\n" % i
        assert p.stdout.readline() == b"\n"
        go_on.release()
    assert p.wait(10) == 0


def test_a_coding_that_is_none_is_refused(cli, folder):
    (folder / "x.conf").write_text("site * { listen 127.0.0.1:1 \n compress lzma \n route * -> respond 200 }")
    r = cli("check", "-c", "x.conf")
    assert r.returncode == 2 and "lzma" in r.stdout + r.stderr
