# SPDX-License-Identifier: Apache-2.0
"""A page of 200 objects over TLS and HTTP/2: from a site, and from another server through weir as a secure proxy."""
import base64
import json
import subprocess

import pytest

import certs
from process import need, wait_until

OBJECTS = 200
CONF = """
log access json stdout
hosts { shop.test 127.0.0.1 }
pool app { server 127.0.0.1:@app@ }
site shop.test {
    listen 127.0.0.1:@https@ tls
    tls cert server.pem key server.key
    route * -> pool app
}
proxy 127.0.0.1:@plain@ {
    listen 127.0.0.1:@secure@ tls
    tls cert server.pem key server.key
    egress { allow 127.0.0.1; connect-ports @https@ }
}
"""
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
KINDS = [("image/gif", GIF, '<img src="/o/{0}">'), ("text/css", b"b { color: rgb(1,2,3) }", '<link rel="stylesheet" href="/o/{0}">'),
         ("text/javascript", b"window.ran = (window.ran || 0) + 1", '<script src="/o/{0}"></script>')]
COUNT = """
    const got = performance.getEntriesByType('resource')
    return {objects: got.length, protocols: [...new Set(got.map(e => e.nextHopProtocol))], ran: window.ran,
            images: [...document.images].filter(i => i.complete && i.naturalWidth === 1).length,
            sheets: document.styleSheets.length, page: performance.getEntriesByType('navigation')[0].nextHopProtocol}
"""


def shop(x):
    path = x.request.target
    if path.startswith("/o/"):
        kind, body, _ = KINDS[int(path[3:]) % len(KINDS)]
        x.reply(body=body, fields=[("Content-Type", kind), ("Cache-Control", "no-store")])
    elif path == "/":
        tags = "".join(KINDS[i % len(KINDS)][2].format(i) for i in range(OBJECTS))
        x.reply(body=f"<!doctype html><title>shop</title><link rel=icon href='data:,'>{tags}".encode(), fields=[("Content-Type", "text/html")])
    else:
        x.reply(404)


@pytest.fixture
def front(weir, origin):
    return weir(CONF, app=origin(shop).port, files=certs.files("shop.test", "proxy.test"))


def check_page(seen):
    assert seen["error"] == "" and seen["status"] == 200
    of_kind = [len(range(k, OBJECTS, len(KINDS))) for k in range(len(KINDS))]
    assert seen["value"] == {"objects": OBJECTS, "protocols": ["h2"], "page": "h2", "images": of_kind[0], "sheets": of_kind[1], "ran": of_kind[2]}
    assert [r for r in seen["requests"] if r["url"].startswith("https:") and (r.get("status"), r.get("protocol")) != (200, "h2")] == []


def log_of(w, count):
    wait_until(lambda: w.stdout.count("\n") >= count, what="the access log")
    return [json.loads(line) for line in w.stdout.splitlines()]


def test_chromium_from_a_site(front, chromium):
    check_page(chromium({"url": "https://shop.test/", "script": COUNT}, names={"shop.test:443": front.https})[0])
    log = log_of(front, OBJECTS + 1)
    assert len(log) == OBJECTS + 1 and {r["protocol"] for r in log} == {"HTTP/2"}


def test_chromium_through_a_secure_proxy(front, chromium):
    page = {"url": f"https://shop.test:{front.https}/", "script": COUNT, "proxy": {"server": f"https://proxy.test:{front.secure}"}}
    check_page(chromium(page, names={f"proxy.test:{front.secure}": front.secure})[0])
    front.stop()
    # Chromium also asks for what it wants itself, in vain.
    tunnels = [r for r in log_of(front, OBJECTS + 2) if r["method"] == "CONNECT" and r["host"].startswith("shop.test")]
    assert tunnels and {(r["protocol"], r["status"]) for r in tunnels} == {("HTTP/2", 200)}


def curl(front, *more):
    done = subprocess.run([need("curl"), "-sS", "--http2", "--cacert", certs.authority()[0], "-w",
                           "%{http_version} %{http_code} %{size_download}\n", "-o", "/dev/null", *more, f"https://shop.test:{front.https}/o/[0-{OBJECTS - 1}]"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.split("\n")[:-1])


def test_curl(front):
    """Through the proxy one after the other: Debian's curl (7.88) at times waits forever for what it has read from TLS in TLS already."""
    wanted = sorted(f"2 200 {len(KINDS[i % len(KINDS)][1])}" for i in range(OBJECTS))
    assert curl(front, "--parallel", "--parallel-max", "100", "--resolve", f"shop.test:{front.https}:127.0.0.1") == wanted
    assert curl(front, "--proxy", f"https://proxy.test:{front.secure}", "--resolve", f"proxy.test:{front.secure}:127.0.0.1",
                "--proxy-cacert", certs.authority()[0]) == wanted


def test_nghttp_takes_a_page_with_its_objects(front):
    """It reads the page's links itself, and asks for all of them on the one connection."""
    done = subprocess.run([need("nghttp"), "-n", "-s", "-a", "--no-verify-peer", "-H:authority: shop.test", f"https://127.0.0.1:{front.https}/"],
                          capture_output=True, text=True, timeout=60)
    rows = [line.split() for line in done.stdout.splitlines() if line.endswith("/") or "/o/" in line]
    assert done.returncode == 0 and len(rows) == OBJECTS + 1, done.stdout + done.stderr
    assert {row[-3] for row in rows} == {"200"}
