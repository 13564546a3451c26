# SPDX-License-Identifier: Apache-2.0
"""Chromium through weir as a forward proxy: what a policy blocks is gone and the rest of a page renders; credentials, PAC, WebSockets."""
import base64
import hashlib
import json
import zlib

import pytest

import certs
from passwords import htpasswd

HOSTS = "hosts { news.test 127.0.0.1; ads.test 127.0.0.1; cdn.test 127.0.0.1; tracker.test 127.0.0.1; secure.test 127.0.0.1 }"
POLICY = """
%s
log access json stdout
proxy 127.0.0.1:@proxy@ {
    egress { allow 127.0.0.1; connect-ports any }
    policy {
        deny  list ads
        strip video
        strip trackers
        default allow
    }
}
list ads { easylist ads.txt; domain .ads.test }
""" % HOSTS
EASYLIST = "[Adblock Plus 2.0]\n! made by a test\n/banner/*$image\n||tracker.test^$third-party\n/analytics.js\n"


def png(color):
    """4 x 3 dots of one color."""
    def piece(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    rows = b"".join(b"\0" + bytes(color) * 4 for _ in range(3))
    return b"\x89PNG\r\n\x1a\n" + piece(b"IHDR", bytes([0, 0, 0, 4, 0, 0, 0, 3, 8, 2, 0, 0, 0])) + piece(b"IDAT", zlib.compress(rows)) + piece(b"IEND", b"")


PAGE = """<!doctype html><title>news</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/site.css"><h1 id="headline">Headline</h1>
<img id="photo" src="/photo.png"><img id="banner" src="/banner/1.png"><img id="other-ad" src="http://ads.test:{port}/ad.png">
<img id="from-cdn" src="http://cdn.test:{port}/logo.png"><img id="pixel" src="http://tracker.test:{port}/pixel.png">
<iframe id="frame" src="http://ads.test:{port}/frame.html"></iframe>
<script src="/analytics.js"></script><script src="http://tracker.test:{port}/t.js"></script><script src="/site.js"></script>
<video id="clip" preload="auto" src="/clip.mp4"></video>
"""
WATCH = """
    const clip = document.getElementById('clip')
    for (let i = 0; i < 200 && !clip.error; i++) await new Promise(done => setTimeout(done, 20))
    const shown = id => document.getElementById(id).naturalWidth
    return {photo: shown('photo'), banner: shown('banner'), otherAd: shown('other-ad'), cdn: shown('from-cdn'), pixel: shown('pixel'),
            color: getComputedStyle(document.getElementById('headline')).color, site: window.site, analytics: window.analytics, tracker: window.tracker,
            video: clip.error ? 'none' : clip.readyState}
"""
# The head of a real MP4 file: enough to be asked for, and to be told by its first octets.
VIDEO = bytes.fromhex("0000001c667479706d703432000000006d70343269736f6d61766331") + bytes(4000)


def websocket(x):
    """Sends one short message back (RFC 6455 5.2: what a client sends is masked, what a server sends is not)."""
    key = x.request.fields["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    x.send(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode())
    while len(x.stream.buffer) < 2 or len(x.stream.buffer) < 6 + (x.stream.buffer[1] & 127):
        assert x.stream.fill()
    frame = x.stream.buffer
    mask, data = frame[2:6], frame[6:6 + (frame[1] & 127)]
    x.send(bytes([frame[0], len(data)]) + bytes(c ^ mask[i % 4] for i, c in enumerate(data)))
    while x.stream.fill():
        pass
    x.close()


def web(port_of):
    def serve(x):
        path = x.request.target.partition("?")[0]
        if path == "/":
            x.reply(body=PAGE.replace("{port}", str(port_of())).encode(), fields=[("Content-Type", "text/html")])
        elif path.endswith(".png"):
            x.reply(body=png((200, 0, 0)), fields=[("Content-Type", "image/png")])
        elif path.endswith(".css"):
            x.reply(body=b"#headline { color: rgb(1, 2, 3) }", fields=[("Content-Type", "text/css")])
        elif path.endswith(".js"):
            name = {"/site.js": "site", "/analytics.js": "analytics", "/t.js": "tracker"}[path]
            x.reply(body=f"window.{name} = 'ran'".encode(), fields=[("Content-Type", "text/javascript")])
        elif path.endswith(".mp4"):
            x.reply(body=VIDEO, fields=[("Content-Type", "video/mp4")])
        elif path == "/ws":
            websocket(x)
        else:
            x.reply(body=b"<title>plain</title>", fields=[("Content-Type", "text/html")])
    return serve


@pytest.fixture
def server(origin):
    made = {}
    made["it"] = origin(web(lambda: made["it"].port))
    return made["it"]


def test_what_is_blocked_is_gone_and_the_rest_renders(weir, server, chromium):
    """And without the policy it is there."""
    w, free = weir(POLICY, files={"ads.txt": EASYLIST}), weir(HOSTS + "\nproxy 127.0.0.1:@proxy@ { egress { allow 127.0.0.1 } }")
    page = {"url": f"http://news.test:{server.port}/", "script": WATCH}
    seen, other = chromium(*({**page, "proxy": {"server": f"http://127.0.0.1:{p}"}} for p in (w.proxy, free.proxy)))
    assert seen["error"] == "" and (seen["status"], seen["title"]) == (200, "news")
    assert seen["value"] == {"photo": 4, "cdn": 4, "color": "rgb(1, 2, 3)", "site": "ran", "banner": 0, "otherAd": 0, "pixel": 0, "video": "none"}
    rest = {"photo": 4, "cdn": 4, "color": "rgb(1, 2, 3)", "site": "ran", "banner": 4, "otherAd": 4, "pixel": 4, "analytics": "ran", "tracker": "ran"}
    assert {k: other["value"].get(k) for k in rest} == rest
    gone = {"/ad.png", "/analytics.js", "/banner/1.png", "/frame.html", "/pixel.png", "/t.js"}
    assert gone <= {r["url"].partition(str(server.port))[2] for r in seen["requests"]}
    targets = [r.target for r in server.requests]
    assert {t: targets.count(t) for t in gone} == {t: 1 for t in gone}
    assert {t: targets.count(t) for t in ("/photo.png", "/site.js", "/site.css", "/logo.png")} == {"/photo.png": 2, "/site.js": 2, "/site.css": 2, "/logo.png": 2}


WEBSOCKET = """
    const answer = await new Promise(done => {
        const s = new WebSocket(`ws://news.test:${location.port}/ws`)
        s.binaryType = 'arraybuffer'
        s.onopen = () => s.send('hello')
        s.onmessage = e => { done(e.data); s.close() }
        s.onerror = () => done('failed')
    })
    return answer
"""


BOTH_WAYS = """
%s
log access json stdout
proxy 127.0.0.1:@proxy@ {
    listen 127.0.0.1:@secure@ tls
    tls cert server.pem key server.key
    egress { allow 127.0.0.1; connect-ports any }
    %s
}
"""


def ways(w):
    return [f"http://127.0.0.1:{w.proxy}", f"https://proxy.test:{w.secure}"], {f"proxy.test:{w.secure}": w.secure}


def test_credentials(weir, server, chromium):
    w = weir(BOTH_WAYS % (HOSTS, "auth basic file users"), files={"users": htpasswd(ann="secret"), **certs.files("proxy.test")})
    proxies, names = ways(w)
    url = f"http://news.test:{server.port}/plain"
    steps = [{"url": url + password, "proxy": {"server": p, "username": "ann", "password": password}} for p in proxies for password in ("secret", "wrong")]
    seen = chromium(*steps, names=names)
    assert [s["title"] for s in seen[0::2]] == ["plain", "plain"]
    assert all(s["status"] == 407 or "ERR_" in s["error"] for s in seen[1::2]), seen
    assert [r.target for r in server.requests if "plain" in r.target] == ["/plainsecret", "/plainsecret"]
    assert not any("Proxy-Authorization" in r.fields for r in server.requests)


def test_pac(weir, server, chromium):
    """The script is fetched from weir and obeyed: what it names as direct does not come through weir."""
    w = weir(HOSTS + """
        proxy 127.0.0.1:@proxy@ {
            egress { allow 127.0.0.1 }
            pac direct .direct.test
        }
        """)
    seen = chromium({"url": f"http://news.test:{server.port}/plain"}, {"url": f"http://it.direct.test:{server.port}/plain"},
                    names={f"it.direct.test:{server.port}": server.port}, arguments=[f"--proxy-pac-url=http://127.0.0.1:{w.proxy}/proxy.pac"])
    assert [s["title"] for s in seen] == ["plain", "plain"]
    through = [r for r in server.requests if "Via" in r.fields]
    assert {r.fields["Host"].partition(":")[0] for r in through} == {"news.test"}
    assert {r.fields["Host"].partition(":")[0] for r in server.requests} == {"news.test", "it.direct.test"}


def test_a_websocket_through_connect(weir, server, chromium):
    w = weir(BOTH_WAYS % (HOSTS, ""), files=certs.files("proxy.test"))
    proxies, names = ways(w)
    seen = chromium(*({"url": f"http://news.test:{server.port}/plain", "script": WEBSOCKET, "proxy": {"server": p}} for p in proxies), names=names)
    assert [s["value"] for s in seen] == ["hello", "hello"], seen
    w.stop()
    connects = [r for r in map(json.loads, w.stdout.splitlines()) if r["method"] == "CONNECT" and r["host"].startswith("news.test")]
    assert sorted((r["protocol"], r["status"]) for r in connects) == [("HTTP/1.1", 200), ("HTTP/2", 200)]


def test_interception_with_the_authority_installed(weir, origin, chromium):
    """Only the proxy's authority is installed in the browser: what is seen inside of a tunnel was let through by the policy, and what is bypassed
    shows the server's own certificate, which this browser does not trust."""
    page = b"<title>inside</title><link rel=icon href='data:,'><img id=photo src=/photo.png><img id=banner src=/banner/1.png>"

    def answer(x):
        image = x.request.target.endswith(".png")
        x.reply(body=png((0, 200, 0)) if image else page, fields=[("Content-Type", "image/png" if image else "text/html")])

    o, stranger = origin(answer, tls=certs.server_context("app.test", "bank.test")), origin(answer, tls=certs.server_context("app.test", ca="stranger"))
    cert, key = certs.authority("mitm")
    w = weir("""
        log access json stdout
        hosts { app.test 127.0.0.1; bank.test 127.0.0.1 }
        list private { domain .bank.test }
        proxy 127.0.0.1:@proxy@ {
            egress { allow 127.0.0.1; connect-ports any }
            policy { deny path /banner/*; default allow }
            intercept-tls ca mitm.pem key mitm.key verify ca.pem bypass list private
        }
        """, files={"mitm.pem": cert.read_bytes(), "mitm.key": key.read_bytes(), "ca.pem": certs.authority("ca")[0].read_bytes()})
    through = {"proxy": {"server": f"http://127.0.0.1:{w.proxy}"}}
    shown = "return ['photo', 'banner'].map(id => document.getElementById(id).naturalWidth)"
    app, bank, other = chromium({"url": f"https://app.test:{o.port}/", "script": shown, **through}, {"url": f"https://bank.test:{o.port}/", **through},
                                {"url": f"https://app.test:{stranger.port}/", **through}, authority="mitm")
    assert (app["error"], app["status"], app["title"], app["value"]) == ("", 200, "inside", [4, 0])
    assert {r["url"].partition(str(o.port))[2]: r["status"] for r in app["requests"] if "/banner/" in r["url"]} == {"/banner/1.png": 403}
    assert "ERR_CERT_AUTHORITY_INVALID" in bank["error"]
    assert other["title"] != "inside" and (other["status"] >= 500 or "ERR_" in other["error"]), other
    assert sorted(r.target for r in o.requests) == ["/", "/photo.png"] and stranger.requests == []
