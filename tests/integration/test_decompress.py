# SPDX-License-Identifier: Apache-2.0
"""`decompress`: content for clients that do not accept its coding, and limits on all that is decoded here."""
import gzip
import random
import subprocess

import pytest

from http1 import connect, request
from process import need, wait_until

CONF = """
log access off
dashboard 127.0.0.1:@dash@
cache main { memory 8MiB }
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@http@
    decompress
    route /off/*    -> pool app { decompress off }
    route /small/*  -> pool app { decompress max 2KiB }
    route /pass/*   -> pool app { decompress max 2KiB pass }
    route /ratio/*  -> pool app { decompress ratio 20 }
    route /links/*  -> pool app { rewrite-links http://b.internal }
    route /linksmax/* -> pool app { rewrite-links http://b.internal; decompress max 2KiB pass }
    route /cached/* -> pool app { cache main }
    route /comp/*   -> pool app { compress br; decompress }
    route *         -> pool app
}
"""
TEXT = b"<a href='http://b.internal/x'>what is said, again and again</a>\n" * 200
NOISE = random.Random(9).randbytes(6000)  # no smaller when it is encoded


def coded(data, coding):
    if coding == "gzip":
        return gzip.compress(data, mtime=0)
    return subprocess.run([need({"zstd": "zstd", "br": "brotli"}[coding]), "-c"], input=data, capture_output=True, check=True).stdout


@pytest.fixture
def site(weir, origin):
    state = {}

    def answer(x):
        x.reply(body=state["body"], fields=[("Content-Type", "text/html"), ("ETag", '"v"'), ("Cache-Control", "max-age=60"), *state["fields"]])

    w = weir(CONF, app=origin(answer).port)

    def ask(target="/", accept=None, data=TEXT, coding="gzip", method="GET", fields=(), more=()):
        state["body"], state["fields"] = coded(data, coding), [("Content-Encoding", coding), *fields]
        with connect(w.http) as c:
            return c.ask(request(method, target, fields=([("Accept-Encoding", accept)] if accept is not None else []) + list(more)))
    w.ask = ask
    return w


@pytest.mark.parametrize("coding", ["gzip", "zstd", "br"])
@pytest.mark.parametrize("accept", [None, "", "identity", "deflate", "*;q=0"])
def test_for_who_does_not_accept_it(site, coding, accept):
    r = site.ask(accept=accept, coding=coding)
    assert r.status == 200 and r.body == TEXT and "Content-Encoding" not in r.fields
    assert r.fields["ETag"] == 'W/"v"' and "Accept-Encoding" in r.fields["Vary"]
    h = site.ask(accept=accept, coding=coding, method="HEAD")
    assert h.body == b"" and {n: h.fields.get(n) for n in ("ETag", "Content-Encoding", "Vary")} == {n: r.fields.get(n) for n in ("ETag", "Content-Encoding", "Vary")}


@pytest.mark.parametrize("accept, coding", [("gzip", "gzip"), ("br, zstd", "zstd"), ("*", "br"), ("x-gzip", "gzip")])
def test_for_who_does(site, accept, coding):
    r = site.ask(accept=accept, coding=coding)
    assert r.body == coded(TEXT, coding) and r.fields["Content-Encoding"] == coding and r.fields["ETag"] == '"v"'
    assert "Accept-Encoding" in r.fields["Vary"]


@pytest.mark.parametrize("target, fields", [("/off/x", ()), ("/x", [("Cache-Control", "no-transform")])])
def test_where_it_is_not_meant(site, target, fields):
    r = site.ask(target, fields=fields)
    assert r.body == coded(TEXT, "gzip") and r.fields["Content-Encoding"] == "gzip"


def counted(site):
    with connect(site.dash) as c:
        text = c.ask(request(target="/metrics")).body.decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("weir_limit") and '"decompress"' in line)


def test_over_the_limit(site):
    """Larger already as it is encoded: 502, or passed as it is, as the statement says. What shows only later is broken off. Each is counted."""
    assert site.ask("/small/x", data=NOISE).status == 502
    r = site.ask("/pass/x", data=NOISE)
    assert r.status == 200 and r.body == coded(NOISE, "gzip") and r.fields["Content-Encoding"] == "gzip" and r.fields["ETag"] == '"v"'
    r = site.ask("/linksmax/x", accept="gzip", data=NOISE)
    assert r.body == coded(NOISE, "gzip") and r.fields["ETag"] == '"v"'
    wait_until(lambda: counted(site) == 3, what="the count")
    r = site.ask("/small/x", data=TEXT)  # 100 octets of gzip, 12,800 of text
    assert r.status == 502
    wait_until(lambda: counted(site) == 4, what="the count")


def test_a_ratio(site):
    bomb = bytes(3 << 20)
    assert len(coded(bomb, "gzip")) * 100 < len(bomb)
    for coding in ("gzip", "zstd", "br"):
        try:
            r = site.ask("/ratio/x", data=bomb, coding=coding)
            assert r.status == 502
        except Exception as e:
            assert type(e).__name__ in ("Closed", "Malformed"), e
        assert site.ask("/x", data=bomb, coding=coding).body == bomb


def test_filters_of_text_see_through_it(site):
    changed = TEXT.replace(b"http://b.internal", b"http://a.test")
    r = site.ask("/links/x")
    assert r.body == changed and "Content-Encoding" not in r.fields
    r = site.ask("/links/x", accept="gzip")
    assert gzip.decompress(r.body) == changed and r.fields["Content-Encoding"] == "gzip"


def test_stored_once_for_both(site):
    assert site.ask("/cached/x", accept="gzip").body == coded(TEXT, "gzip")
    r = site.ask("/cached/x")
    assert r.body == TEXT and "hit" in r.fields["Cache-Status"]
    assert site.ask("/cached/x", more=[("If-None-Match", 'W/"v"')]).status == 304


def test_another_coding_where_compress_offers_it(site):
    r = site.ask("/comp/x", accept="br")
    assert r.fields["Content-Encoding"] == "br" and subprocess.run([need("brotli"), "-dc"], input=r.body, capture_output=True).stdout == TEXT
