# SPDX-License-Identifier: Apache-2.0
"""`error-page`: pages of one's own for errors, with variables; and `respond` with Retry-After, for maintenance."""
import pytest

from http1 import connect, request
from process import wait_until

PAGE = "<!doctype html><style>p{color:red} b{ }</style><p>{status} {title}: {message} <i>{reason}</i> {path} {header:X-In} {nothing} {id} {host}"
CONF = """
log access off
pool dead { server 127.0.0.1:@dead@ }
site * {
    listen 127.0.0.1:@http@
    error-page 404 500-501 503 site.html
    error-page 4xx other.html
    route /own/*   -> pool dead { error-page 502 route.html }
    route /away/*  -> pool dead
    route /files/* -> files www { strip /files }
    route /shut/*  -> respond 503 retry-after 2m
    route /text/*  -> respond 503 "back soon" retry-after 90s
    route /plain/* -> respond 500 { error-page 501 route.html }
    route /none/*  -> respond 504 retry-after 1500ms
    route /last/*  -> failover { pool dead; respond 503 "all gone" retry-after 1h }
    route /deny/*  -> pool dead { deny method GET }
}
"""
FILES = {"site.html": PAGE, "route.html": "<p>of the route", "other.html": "<p>other {status}", "www/x": "x"}


@pytest.fixture
def site(weir):
    return weir(CONF, files=FILES)


def ask(w, target, fields=(), host="shop.test", method="GET"):
    with connect(w.http) as c:
        return c.ask(request(method, target, host=host, fields=fields))


def test_variables_are_text(site):
    r = ask(site, "/files/%3Cb%3E'", fields=[("X-In", "<script>alert(1)</script>\"'&{message}")])
    text = r.body.decode()
    assert r.status == 404 and r.fields["Content-Type"] == "text/html; charset=utf-8" and r.fields["Cache-Control"] == "no-store"
    assert text.startswith("<!doctype html><style>p{color:red} b{ }</style><p>404 Not Found: ") and "<i>not_found</i>" in text
    assert "<script>" not in text and "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;{message}" in text
    assert "{nothing}" in text and "shop.test" in text and "/files/%3Cb%3E&#39;" in text
    assert ask(site, "/files/none", method="HEAD").body == b""
    assert "script-src 'none'" in r.fields["Content-Security-Policy"]


@pytest.mark.parametrize("target, status, says", [
    ("/own/x", 502, "of the route"), ("/away/x", 502, "502 Bad Gateway"), ("/deny/x", 403, "other 403"), ("/nowhere", 404, "Not Found"), ("/plain/x", 500, "500 Internal Server Error"),
    ("/none/x", 504, "")])
def test_which_page(site, target, status, says):
    r = ask(site, target)
    assert r.status == status and says in r.body.decode()


def test_who_prefers_json_gets_that(site):
    r = ask(site, "/own/x", fields=[("Accept", "application/json")])
    assert r.status == 502 and r.fields["Content-Type"] == "application/problem+json"


def test_maintenance(site):
    r = ask(site, "/shut/x")
    assert r.status == 503 and r.fields["Retry-After"] == "120" and b"503 Service Unavailable: Service Unavailable" in r.body
    r = ask(site, "/text/x")
    assert r.status == 503 and r.fields["Retry-After"] == "90" and r.body == b"back soon" and r.fields["Content-Type"].startswith("text/plain")
    r = ask(site, "/last/x")
    assert r.status == 503 and r.fields["Retry-After"] == "3600" and r.body == b"all gone"
    assert ask(site, "/none/x").fields["Retry-After"] == "2" and "Retry-After" not in ask(site, "/plain/x").fields


def test_a_page_is_read_again_when_it_changes(site):
    (site.folder / "route.html").write_text("<p>anew {status}")
    wait_until(lambda: ask(site, "/own/x").body == b"<p>anew 502", what="the new page")


def test_of_a_forward_proxy(weir):
    w = weir("""
        log access off
        proxy 127.0.0.1:@http@ {
            error-page 403 4xx mine.html
            error-page 502 gone.html
            egress { allow 127.0.0.1 ports @dead@ }
            policy { page policy.html; deny domain bad.test; default allow }
        }
        """, files={"mine.html": "<p>mine {message}", "gone.html": "<p>gone {host}", "policy.html": "<p>policy {message} {client-ip} {host}"})
    assert ask(w, f"http://127.0.0.1:{w.dead}/", host=f"127.0.0.1:{w.dead}").body == f"<p>gone 127.0.0.1:{w.dead}".encode()
    assert ask(w, "http://bad.test/", host="bad.test").body.endswith(b" 127.0.0.1 bad.test")
    assert ask(w, "/", host="x.test").body.startswith(b"<p>mine ")


@pytest.mark.parametrize("statement, column, says", [
    ("error-page 404 gone.html", 17, "cannot be read"), ("error-page 200 page.html", 13, "200"), ("error-page 4xy page.html", 13, "4xy"), ("error-page 404", 2, "error-page"),
    ("error-page 503-404 page.html", 13, "503-404"), ("error-page 404 large.html", 17, "64 KiB"),
    ("route * -> respond 503 a b", 27, "form"), ("route * -> respond 503 retry-after soon", 37, "soon"), ("route * -> respond 503 a retry-after", 27, "form")])
def test_mistakes(cli, folder, statement, column, says):
    (folder / "page.html").write_text("page")
    (folder / "large.html").write_bytes(b"x" * 65537)
    (folder / "c.conf").write_text(f"site x {{\n listen 127.0.0.1:8080\n {statement}\n route /x -> respond 200\n}}\n")
    r = cli("check", "-c", "c.conf")
    assert r.returncode == 2 and f"c.conf:3:{column}" in r.stdout + r.stderr and says in r.stdout + r.stderr, r.stdout + r.stderr
