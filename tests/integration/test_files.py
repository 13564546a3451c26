# SPDX-License-Identifier: Apache-2.0
"""`files DIR`: types, validators, ranges, and no way out of the folder."""
import os
import re

import pytest

from http1 import connect, request

CONF = """
log access off
site * {
    listen 127.0.0.1:@http@
    route /sub/* -> files www/dir { strip /sub }
    route *      -> files www
}
"""
TEXT = bytes(range(32, 127)) * 20
FILES = {"www/a.txt": TEXT, "www/index.html": b"<p>index", "www/dir/index.html": b"<p>dir", "www/dir/b.css": b"b{}", "www/x.js": b"1",
         "www/p.png": b"\x89PNG", "www/d.json": b"{}", "www/s.svg": b"<svg/>", "www/noext": b"?", "www/empty": b"",
         "www/sp ace%.txt": b"odd name", "www/.hidden": b"hidden", "secret.txt": b"SECRET", "www2/neighbour.txt": b"SECRET"}


@pytest.fixture
def site(weir, folder):
    w = weir(CONF, files=FILES)
    os.symlink("../secret.txt", folder / "www" / "link-out")
    os.symlink("/etc/passwd", folder / "www" / "link-abs")
    os.symlink("a.txt", folder / "www" / "link-in")
    os.symlink("..", folder / "www" / "up")
    os.mkfifo(folder / "www" / "fifo")
    (folder / "www" / "empty-dir").mkdir()
    return w


def test_a_file(site):
    with connect(site.http) as c:
        r = c.ask(request(target="/a.txt?query=x"))
        assert r.status == 200 and r.body == TEXT and r.fields["Content-Type"].startswith("text/plain")
        assert r.fields["Content-Length"] == str(len(TEXT)) and r.fields["Accept-Ranges"] == "bytes"
        assert re.fullmatch(r'(W/)?"[\x21\x23-\x7e]+"', r.fields["ETag"])
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", r.fields["Last-Modified"])
        h = c.ask(request("HEAD", "/a.txt"))
        assert h.status == 200 and h.body == b""
        for name in ("Content-Length", "Content-Type", "ETag", "Last-Modified"):
            assert h.fields[name] == r.fields[name]
        assert c.ask(request(target="/empty")).body == b""
        assert c.ask(request(target="/sp%20ace%25.txt")).body == b"odd name"
        assert c.ask(request(target="/sub/b.css")).body == b"b{}"


@pytest.mark.parametrize("path,kind", [
    ("/a.txt", "text/plain"), ("/index.html", "text/html"), ("/dir/b.css", "text/css"), ("/x.js", "javascript"), ("/p.png", "image/png"),
    ("/d.json", "application/json"), ("/s.svg", "image/svg+xml"), ("/noext", "application/octet-stream")])
def test_types(site, path, kind):
    with connect(site.http) as c:
        assert kind in c.ask(request(target=path)).fields["Content-Type"]


def test_folders(site):
    with connect(site.http) as c:
        assert c.ask(request(target="/")).body == b"<p>index"
        assert c.ask(request(target="/dir/")).body == b"<p>dir"
        r = c.ask(request(target="/dir?x=y"))
        assert r.status in (301, 308) and r.fields["Location"].split("?")[0].endswith("/dir/")
        assert c.ask(request(target="/empty-dir/")).status in (403, 404)
        assert c.ask(request(target="/a.txt/")).status == 404
        assert c.ask(request(target="/missing")).status == 404


@pytest.mark.parametrize("target", [
    "/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt", "/dir/../../secret.txt", "/..%5csecret.txt",
    "/..\\secret.txt", "/%252e%252e/secret.txt", "/link-out", "/link-abs", "/up/secret.txt", "/up/www/a.txt", "/....//secret.txt",
    "//etc/passwd", "/%2fetc/passwd", "/%2Fetc%2Fpasswd", "/a.txt%00.png", "/a.txt%00", "/..;/secret.txt", "/%c0%ae%c0%ae/secret.txt",
    "/../www2/neighbour.txt", "/sub/../secret.txt", "/sub/..%2f..%2fsecret.txt", "/sub/%2e%2e/%2e%2e/secret.txt", "/./.././secret.txt", "/fifo"])
def test_no_way_out(site, target):
    with connect(site.http) as c:
        r = c.ask(request(target=target))
        assert 300 <= r.status < 500 and b"SECRET" not in r.body and b"root:" not in r.body
        assert "Location" not in r.fields or not r.fields["Location"].startswith("//")
        if r.status != 400:
            assert c.ask(request(target="/a.txt")).status == 200


def test_an_open_redirect_is_not_made(site):
    with connect(site.http) as c:
        r = c.ask(request(target="//dir"))
        assert not r.fields.get("Location", "").startswith("//")


def test_methods(site):
    with connect(site.http) as c:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            r = c.ask(request(method, "/a.txt", body=b"x"))
            assert r.status == 405
            assert {"GET", "HEAD"} <= set(r.fields["Allow"].replace(" ", "").split(","))


def test_conditional_requests(site):
    with connect(site.http) as c:
        r = c.ask(request(target="/a.txt"))
        tag, date = r.fields["ETag"], r.fields["Last-Modified"]
        old = "Mon, 01 Jan 1990 00:00:00 GMT"

        def status(*fields, method="GET"):
            return c.ask(request(method, "/a.txt", fields=fields)).status
        assert status(("If-None-Match", tag)) == 304
        assert status(("If-None-Match", f'"x", {tag}')) == 304
        assert status(("If-None-Match", "*")) == 304
        assert status(("If-None-Match", '"x"')) == 200
        assert status(("If-None-Match", tag), method="HEAD") == 304
        assert status(("If-Modified-Since", date)) == 304
        assert status(("If-Modified-Since", old)) == 200
        assert status(("If-Modified-Since", "nonsense")) == 200
        # RFC 9110 section 13.2.2: If-None-Match goes before If-Modified-Since.
        assert status(("If-None-Match", '"x"'), ("If-Modified-Since", date)) == 200
        assert status(("If-Match", '"x"')) == 412
        assert status(("If-Match", "*")) == 200
        assert status(("If-Unmodified-Since", old)) == 412
        assert status(("If-Unmodified-Since", date)) == 200
        r = c.ask(request(target="/a.txt", fields=[("If-None-Match", tag)]))
        assert r.fields["ETag"] == tag and r.body == b""


@pytest.mark.parametrize("value,status,part", [
    ("bytes=0-9", 206, slice(0, 10)), ("bytes=10-", 206, slice(10, None)), ("bytes=-5", 206, slice(-5, None)),
    ("bytes=0-99999", 206, slice(0, None)), ("bytes=-99999", 206, slice(0, None)), ("bytes=1899-1899", 206, slice(1899, 1900)),
    ("bytes=1900-", 416, None), ("bytes=-0", 416, None), ("bytes=9-5", 200, slice(0, None)), ("bytes=a-b", 200, slice(0, None)),
    ("bytes=", 200, slice(0, None)), ("lines=0-9", 200, slice(0, None)), ("bytes=99999999999999999999-", 416, None),
    ("bytes=0-99999999999999999999", 206, slice(0, None)), ("BYTES=0-0", 206, slice(0, 1))])
def test_ranges(site, value, status, part):
    assert len(TEXT) == 1900
    with connect(site.http) as c:
        r = c.ask(request(target="/a.txt", fields=[("Range", value)]))
        # An invalid range may be ignored or refused (RFC 9110 section 14.2), but not served.
        assert r.status == status or (status == 200 and r.status in (400, 416))
        if r.status == 416:
            assert r.fields["Content-Range"] == "bytes */1900"
        elif status in (200, 206) and r.status == status:
            assert r.body == TEXT[part]
            if status == 206:
                first = range(1900)[part][0]
                assert r.fields["Content-Range"] == f"bytes {first}-{first + len(r.body) - 1}/1900"
        assert c.ask(request(target="/a.txt")).body == TEXT


def test_if_range(site):
    with connect(site.http) as c:
        r = c.ask(request(target="/a.txt"))
        tag = r.fields["ETag"]
        if not tag.startswith("W/"):
            assert c.ask(request(target="/a.txt", fields=[("Range", "bytes=0-0"), ("If-Range", tag)])).status == 206
        for other in ('"x"', f"W/{tag.removeprefix('W/')}", "Mon, 01 Jan 1990 00:00:00 GMT"):
            assert c.ask(request(target="/a.txt", fields=[("Range", "bytes=0-0"), ("If-Range", other)])).status == 200
        # HEAD and other methods know no range.
        assert c.ask(request("HEAD", "/a.txt", fields=[("Range", "bytes=0-0")])).status == 200


def test_several_ranges_are_whole_or_right(site):
    with connect(site.http) as c:
        r = c.ask(request(target="/a.txt", fields=[("Range", "bytes=0-0,5-6")]))
        assert r.status == 200 and r.body == TEXT or r.status == 206 and r.fields["Content-Type"].startswith("multipart/byteranges")


def test_a_large_file(weir):
    content = os.urandom(1 << 20) * 20
    w = weir(CONF, files={"www/large.bin": content, "www/dir/x": b""})
    with connect(w.http) as c:
        for _ in range(2):
            assert c.ask(request(target="/large.bin")).body == content
        r = c.ask(request(target="/large.bin", fields=[("Range", "bytes=1048570-2097155")]))
        assert r.body == content[1048570:2097156]


def test_a_file_that_changes_gets_another_tag(site, folder):
    with connect(site.http) as c:
        before = c.ask(request(target="/a.txt")).fields["ETag"]
        (folder / "www" / "a.txt").write_bytes(b"new content")
        os.utime(folder / "www" / "a.txt", (1, 1))
        r = c.ask(request(target="/a.txt", fields=[("If-None-Match", before)]))
        assert r.status == 200 and r.body == b"new content" and r.fields["ETag"] != before


def test_links_inside_the_folder(site):
    with connect(site.http) as c:
        assert c.ask(request(target="/link-in")).status in (200, 403, 404)


def test_unreadable_files_are_not_there(site, folder):
    os.chmod(folder / "www" / "a.txt", 0)
    with connect(site.http) as c:
        assert c.ask(request(target="/a.txt")).status in (403, 404)


# ---- Siblings that hold the content encoded

CODED = """
log access off
site * {
    listen 127.0.0.1:@http@
    route /off/* -> files www { strip /off; precompressed off }
    route *      -> files www { compress min 1B }
}
"""
SIBLINGS = {f"www/app.css{suffix}": f"{suffix} of it, longer than one octet".encode() for suffix in ("", ".br", ".zst", ".gz")}


def age(path, seconds):
    os.utime(path, (1_700_000_000 - seconds,) * 2)


@pytest.fixture
def coded(weir, folder):
    w = weir(CODED, files={**SIBLINGS, "www/one.js": b"one.js as it is", "www/one.js.gz": b"one.js encoded", "www/a.png": b"png", "www/a.png.gz": b"no",
                           "www/alone.css.br": b"no", "www/link.css": b"a link's", "www/folder.css": b"a folder's", "secret.br": b"SECRET"})
    for name in ("app.css", "one.js"):
        age(folder / "www" / name, 10)
    (folder / "www" / "folder.css.br").mkdir()
    os.symlink("../secret.br", folder / "www" / "link.css.br")
    return w


def get(w, target, accept="", method="GET", **fields):
    with connect(w.http) as c:
        more = [("Accept-Encoding", accept)] if accept else []
        return c.ask(request(method, target, fields=more + [(n.replace("_", "-"), v) for n, v in fields.items()]))


@pytest.mark.parametrize("accept, suffix, coding", [
    ("gzip", ".gz", "gzip"), ("zstd", ".zst", "zstd"), ("br", ".br", "br"), ("gzip, deflate, br, zstd", ".br", "br"), ("gzip, zstd", ".zst", "zstd"),
    ("br;q=0.5, gzip", ".gz", "gzip"), ("br;q=0, zstd;q=0, *", ".gz", "gzip"), ("x-gzip", ".gz", "gzip"), ("", "", None), ("identity", "", None),
    ("br;q=0.5, identity", "", None), ("deflate", "", None)])
def test_siblings_by_what_is_accepted(coded, accept, suffix, coding):
    r = get(coded, "/app.css", accept)
    assert r.status == 200 and r.body == SIBLINGS["www/app.css" + suffix] and r.fields.get("Content-Encoding") == coding
    assert r.fields["Content-Type"].startswith("text/css") and r.fields["Content-Length"] == str(len(r.body))
    assert r.fields["Vary"] == "Accept-Encoding"
    h = get(coded, "/app.css", accept, "HEAD")
    assert h.body == b"" and {n: h.fields.get(n) for n in ("ETag", "Content-Length", "Content-Encoding")} == \
        {n: r.fields.get(n) for n in ("ETag", "Content-Length", "Content-Encoding")}


def test_the_next_coding_where_the_best_has_no_sibling(coded):
    r = get(coded, "/one.js", "br, zstd, gzip")
    assert r.body == b"one.js encoded" and r.fields["Content-Encoding"] == "gzip"


def test_each_form_has_its_own_tag(coded):
    tags = {a: get(coded, "/app.css", a).fields["ETag"] for a in ("", "br", "zstd", "gzip")}
    assert len(set(tags.values())) == 4
    assert get(coded, "/app.css", "br", If_None_Match=tags["br"]).status == 304
    assert get(coded, "/app.css", "br", If_None_Match=tags["br"]).fields["Vary"] == "Accept-Encoding"
    assert get(coded, "/app.css", "br", If_None_Match=tags["gzip"]).status == 200
    assert get(coded, "/app.css", "", If_None_Match=tags["br"]).status == 200


def test_ranges_are_of_the_encoded_form(coded):
    r = get(coded, "/app.css", "gzip", Range="bytes=1-4")
    whole = SIBLINGS["www/app.css.gz"]
    assert (r.status, r.body, r.fields["Content-Encoding"]) == (206, whole[1:5], "gzip")
    assert r.fields["Content-Range"] == f"bytes 1-4/{len(whole)}"
    tag = get(coded, "/app.css").fields["ETag"]
    assert get(coded, "/app.css", "gzip", Range="bytes=1-4", If_Range=tag).status == 200  # the tag is of another form


def test_a_sibling_that_is_older_holds_something_else(coded, folder):
    age(folder / "www" / "one.js.gz", 11)
    assert get(coded, "/one.js", "gzip").fields.get("ETag", "").startswith("W/")  # encoded as it goes, by `compress`
    age(folder / "www" / "one.js.gz", 10)
    assert get(coded, "/one.js", "gzip").body == b"one.js encoded"


@pytest.mark.parametrize("target, status, body", [
    ("/off/app.css", 200, SIBLINGS["www/app.css"]), ("/a.png", 200, b"png"), ("/alone.css", 404, None), ("/link.css", 200, None), ("/folder.css", 200, None),
    ("/app.css.br", 200, SIBLINGS["www/app.css.br"])])
def test_what_has_no_encoded_form(coded, target, status, body):
    r = get(coded, target, "br")
    assert r.status == status and b"SECRET" not in r.body and (body is None or r.body == body)
    assert "Content-Encoding" not in r.fields or r.fields["ETag"].startswith("W/")
