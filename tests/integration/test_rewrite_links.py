# SPDX-License-Identifier: Apache-2.0
"""`rewrite-links`: what a server answers names the site, in fields and in content, and nothing else changes."""
import gzip
import json
import subprocess

import pytest

from http1 import connect, request

CONF = """
log access off
pool app { server 127.0.0.1:@app@ }
site shop.test {
    listen 127.0.0.1:@http@
    route /plain/*  -> pool app
    route /own/*    -> pool app { rewrite-links }
    route /comp/*   -> pool app { rewrite-links http://backend.internal; compress gzip }
    route /types/*  -> pool app { rewrite-links http://backend.internal types application/json text/javascript application/xhtml+xml }
    route /texts/*  -> pool app { rewrite-links http://backend.internal; replace "backend.internal/text" with "our text"; replace "</html>" with "<!-- end --></html>" }
    route /wiki/*   -> pool app { strip /wiki; rewrite-links http://backend.internal }
    route *         -> pool app { rewrite-links http://127.0.0.1:@app@ http://backend.internal }
}
"""
B, P = "http://backend.internal", "http://shop.test"
PAGE = f'<html><a href="{B}/x">{B}/text</a><a href="http://backend.internal.evil/y"><img src={B}/i.png></html>'.encode()
WANT = f'<html><a href="{P}/x">{B}/text</a><a href="http://backend.internal.evil/y"><img src={P}/i.png></html>'.encode()


def encode(body, coding):
    if coding in ("gzip", "x-gzip"):
        return gzip.compress(body)
    if coding == "identity":
        return body
    tool = {"br": ["brotli", "-c"], "zstd": ["zstd", "-cq"]}.get(coding)
    return subprocess.run(tool, input=body, stdout=subprocess.PIPE, check=True).stdout if tool else body


def decode(body, coding):
    if coding == "gzip":
        return gzip.decompress(body)
    tool = {"br": ["brotli", "-dc"], "zstd": ["zstd", "-dcq"]}.get(coding)
    return subprocess.run(tool, input=body, stdout=subprocess.PIPE, check=True).stdout if tool else body


@pytest.fixture
def site(weir, origin):
    """answer(status, body, fields): what the origin says to each GET."""
    said = {}

    def answer(exchange):
        if exchange.request.fields.get("If-None-Match") == '"v1"':
            return exchange.reply(304, fields=[("ETag", '"v1"')], reason="Not Modified")
        exchange.reply(said["status"], said["body"], said["fields"])

    o = origin(answer)
    w = weir(CONF, app=o.port)
    w.origin = o

    def ask(path="/", body=PAGE, fields=(), status=200, method="GET", **sent):
        if not any(n == "Content-Type" for n, _ in fields):
            fields = [("Content-Type", "text/html; charset=utf-8"), *fields]
        said.update(status=status, body=body, fields=fields)
        with connect(w.http) as c:
            return c.ask(request(method, path, host="shop.test", fields=sent.get("request_fields", ())))

    w.ask = ask
    return w


def test_content(site):
    r = site.ask(fields=[("ETag", '"v1"'), ("Content-MD5", "x"), ("Content-Digest", "sha-256=:x:"), ("Accept-Ranges", "bytes")])
    assert r.body == WANT
    assert r.fields["ETag"] == 'W/"v1"'
    assert "Content-MD5" not in r.fields and "Content-Digest" not in r.fields and "Accept-Ranges" not in r.fields


def test_validator_comes_back(site):
    r = site.ask(request_fields=[("If-None-Match", 'W/"v1"')])
    assert r.status == 304 and r.body == b""


def test_head_says_what_get_says(site):
    got = site.ask(fields=[("ETag", '"v1"')])
    head = site.ask(fields=[("ETag", '"v1"')], method="HEAD")
    assert head.fields.get("ETag") == got.fields.get("ETag") == 'W/"v1"'
    assert head.fields.get("Content-Length") in (None, got.fields.get("Content-Length"))


def test_route_without(site):
    assert site.ask("/plain/x").body == PAGE


def test_servers_of_the_pool_where_no_origin_is_named(site):
    here = f"http://127.0.0.1:{site.origin.port}"
    r = site.ask("/own/x", body=f"<a href='{here}/q'><a href='{B}'>".encode(), fields=[("Location", here + "/l")], status=201)
    assert r.body == f"<a href='{P}/q'><a href='{B}'>".encode()
    assert r.fields["Location"] == P + "/l"
    tls = here.replace("http:", "https:")  # what a server says that believes X-Forwarded-Proto
    assert site.ask("/own/x", fields=[("Location", tls + "/l")], status=302).fields["Location"] == P + "/l"


@pytest.mark.parametrize("kind, want", [("text/css", True), ("text/plain", False), ("application/json", False), ("TEXT/HTML", True), ("text/html;charset=UTF-16LE", False),
                                        ("text/html; charset=windows-1252", True), ("application/octet-stream", False)])
def test_types(site, kind, want):
    body = f"@import url({B}/a.css);<a href={B}>".encode()
    r = site.ask(body=body, fields=[("Content-Type", kind)])
    assert (r.body != body) == want
    assert f"url({B}/a.css)".encode() in r.body or want


def test_xhtml_where_asked(site):
    body = f"<title/><a href='{B}/x'>{B}</a>".encode()
    assert site.ask(body=body, fields=[("Content-Type", "application/xhtml+xml")]).body == body
    assert site.ask("/types/x", body=body, fields=[("Content-Type", "application/xhtml+xml")]).body == f"<title/><a href='{P}/x'>{B}</a>".encode()


def test_text_where_asked(site):
    said = json.dumps({"u": B + "/x", "e": B + ".evil"}).replace("/", "\\/").encode()
    r = site.ask("/types/x", body=said, fields=[("Content-Type", "application/json")])
    assert json.loads(r.body) == {"u": P + "/x", "e": B + ".evil"}
    assert b"\\/" in r.body


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("path", ["/x", "/comp/x"])
def test_encoded_content(site, coding, path):
    r = site.ask(path, body=encode(PAGE * 300, coding), fields=[("Content-Encoding", coding)], request_fields=[("Accept-Encoding", "gzip, br, zstd")])
    assert decode(r.body, r.fields.get("Content-Encoding")) == WANT * 300
    assert r.fields.get("Content-Encoding") == (coding if path == "/x" else "gzip")


def test_encoded_content_for_one_who_takes_none(site):
    """The client did not ask for a coding: with `compress` it gets none, and one that the server sent all the same is undone."""
    r = site.ask("/comp/x", body=encode(PAGE, "gzip"), fields=[("Content-Encoding", "gzip")])
    assert "Content-Encoding" not in r.fields and r.body == WANT


@pytest.mark.parametrize("fields", [[("Content-Encoding", "unheard-of")], [("Cache-Control", "no-transform")], [("Content-Encoding", "gzip, gzip, gzip")]])
def test_passes_untouched(site, fields):
    r = site.ask(body=PAGE, fields=[*fields, ("ETag", '"v1"')])
    assert r.body == PAGE and r.fields["ETag"] == '"v1"'


def test_corrupt_content_is_a_bad_gateway(site):
    r = site.ask(body=b"\x1f\x8b\x08\x00garbage that is no deflate", fields=[("Content-Encoding", "gzip")])
    assert r.status == 502


def test_partial_content_passes(site):
    r = site.ask(status=206, fields=[("Content-Range", f"bytes 0-{len(PAGE) - 1}/9999")])
    assert r.status == 206 and r.body == PAGE


@pytest.mark.parametrize("name, sent, want", [
    ("Location", B + "/a?b=c", P + "/a?b=c"),
    ("Location", "//backend.internal:80/a", "//shop.test/a"),
    ("Location", "http://backend.internal.evil/a", "http://backend.internal.evil/a"),
    ("Location", "/a", "/a"),
    ("Content-Location", B + "/a", P + "/a"),
    ("Refresh", f"3; url={B}/a", f"3; url={P}/a"),
    ("Link", f'<{B}/a,b>; rel="x<{B}>", <{B}/c>', f'<{P}/a,b>; rel="x<{B}>", <{P}/c>'),
    ("Access-Control-Allow-Origin", B, P),
    ("Access-Control-Allow-Origin", "*", "*"),
    ("Content-Security-Policy", f"default-src 'self' {B} backend.internal:* x.test; img-src {B}/i", f"default-src 'self' {P} shop.test x.test; img-src {P}/i"),
    ("Alt-Svc", 'h3=":443"', None),
    ("Set-Cookie", "a=b; Domain=backend.internal; Path=/", "a=b; Domain=shop.test; Path=/"),
    ("Set-Cookie", "a=b; domain=.Internal; HttpOnly", "a=b; Domain=shop.test; HttpOnly"),
    ("Set-Cookie", "a=Domain=backend.internal; Domain=other.test", "a=Domain=backend.internal; Domain=other.test"),
])
def test_fields(site, name, sent, want):
    assert site.ask(status=302, fields=[(name, sent)]).fields.get(name) == want


@pytest.mark.parametrize("name, sent, want", [
    ("Location", "/login", "/wiki/login"),
    ("Location", B + "/login", P + "/wiki/login"),
    ("Location", "/wiki/login", "/wiki/login"),
    ("Set-Cookie", "a=b; Path=/", "a=b; Path=/wiki"),
    ("Set-Cookie", "a=b; path=/x; Secure", "a=b; Path=/wiki/x; Secure"),
    ("Access-Control-Allow-Origin", B, P),
])
def test_fields_under_another_path(site, name, sent, want):
    assert site.ask("/wiki/p", status=302, fields=[(name, sent)]).fields.get(name) == want


def test_content_under_another_path(site):
    r = site.ask("/wiki/p", body=f"<a href='/x'><a href={B}/y><link href=z>".encode())
    assert r.body == f"<a href='/wiki/x'><a href={P}/wiki/y><link href=z>".encode()
    assert site.origin.requests[-1].target == "/p"


@pytest.mark.parametrize("kind, changed", [("text/html", True), ("application/json; charset=utf-8", True), ("image/png", False)])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_texts_are_replaced(site, kind, changed, coding):
    fields = [("Content-Type", kind)] + ([("Content-Encoding", coding)] if coding != "identity" else [])
    r = site.ask("/texts/x", body=encode(PAGE * 50, coding), fields=fields)
    got = decode(r.body, r.fields.get("Content-Encoding"))
    assert got.count(b"our text") == got.count(b"<!-- end -->") == (50 if changed else 0)
    assert len(got) == len(PAGE * 50) or changed


def test_large_and_chunked(site, weir, origin):
    o = origin(lambda e: e.reply_chunked(*[PAGE[i:i + 7] for i in range(0, len(PAGE), 7)] * 200, fields=[("Content-Type", "text/html")]))
    w = weir(CONF, app=o.port)
    with connect(w.http) as c:
        assert c.ask(request(host="shop.test")).body == WANT * 200


def test_mistakes_are_named(cli, tmp_path):
    c = tmp_path / "weir.conf"
    c.write_text("pool a { server 127.0.0.1:1 }\nsite x {\n listen 127.0.0.1:0\n route * -> pool a { rewrite-links ftp://x }\n}\n")
    r = cli("check", "-c", str(c))
    assert r.returncode == 2 and "weir.conf:4:" in r.stderr and "ftp://x" in r.stderr


@pytest.mark.parametrize("statements, filters", [
    ("compress; rewrite-links; replace a with b", "decode, rewrite-links, replace, compress"), ("replace a with b", "decode, replace, encode"), ("compress", "compress"), ("", None)])
def test_explain_shows_the_order_of_filters(cli, folder, statements, filters):
    (folder / "e.conf").write_text(f"pool a {{ server 127.0.0.1:1 }}\nsite x.test {{\n listen 127.0.0.1:8080\n route * -> pool a {{ {statements} }}\n}}\n")
    done = cli("explain", "-c", "e.conf", "site GET http://x.test:8080/")
    said = [line.split(None, 1)[1] for line in done.stdout.splitlines() if line.startswith("filters")]
    assert done.returncode == 0 and said == ([filters] if filters else []), done.stdout + done.stderr
