# SPDX-License-Identifier: Apache-2.0
"""A proxy's policy: lists, groups, hours, rules on answers, and what is said to whom it refuses."""
import re
import socket
import ssl
import time
import zlib

import pytest

from http1 import connect, request
from passwords import basic, htpasswd
from process import need_shared, wait_until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(600)

PLAIN = """
log access json access.log
hosts {{ {hosts} }}
resolver 127.0.0.1:1
{top}
proxy 127.0.0.1:@proxy@ {{
    egress {{ allow 127.0.0.1/32 ports 1-65535; connect-ports any }}
    policy {{
{rules}
    }}
}}
"""


def conf(rules, hosts=("x.test",), top=""):
    return PLAIN.format(rules=rules, top=top, hosts="; ".join(f"{h} 127.0.0.1" for h in hosts))


def get(w, o, host="x.test", path="/", fields=(), method="GET"):
    authority = f"{host}:{o.port}"
    with connect(w.proxy) as c:
        return c.ask(request(method, f"http://{authority}{path}", host=authority, fields=fields))


def answers(**by_path):
    """An origin's handler: /NAME gives (type, content) or a function."""
    def handler(x):
        name = x.request.target.split("?")[0].rsplit("/", 1)[-1].replace(".", "_").replace("-", "_")
        what = by_path.get(name, ("text/plain", b"hello"))
        if callable(what):
            what(x)
        else:
            x.reply(body=what[1], fields=[("Content-Type", what[0])] if what[0] else [])
    return handler


# ---- The contract

@pytest.fixture
def contract(weir, origin):
    o = origin(answers(clip=("video/mp4", MP4), picture=("image/png", PNG)))
    text = need_shared("contract", "policy.conf").read_text()
    text = text.replace("127.0.0.1:13128", "127.0.0.1:@proxy@").replace("18081-18099", str(o.port))
    text += "hosts { " + "; ".join(f"{h} 127.0.0.1" for h in (
        "ok.test", "x.blocked.test", "blocked.test", "ads.test", "sub.ads.test", "listed.test", "a.below.test", "below.test", "hosted.test", "x.hosted.test",
        "easy.test", "www.social.test")) + " }\nresolver 127.0.0.1:1\n"
    w = weir(text, files={"users.htpasswd": htpasswd(ann="a", bob="b"), "domains.txt": "# names\nlisted.test\n.below.test\n",
                          "hosts.txt": "127.0.0.1 localhost\n0.0.0.0 hosted.test other.test # both\n", "easylist.txt": "! title\n||easy.test^\n/banner/*$image\n"})
    return w, o


def by(user, password):
    return [("Proxy-Authorization", basic(user, password))]


@pytest.mark.parametrize("host, status", [
    ("ok.test", 200), ("x.blocked.test", 403), ("blocked.test", 403), ("X.BLOCKED.test.", 403), ("ads.test", 403), ("ads.test.", 403), ("sub.ads.test", 200),
    ("listed.test", 403), ("a.below.test", 403), ("below.test", 403), ("hosted.test", 403), ("x.hosted.test", 200), ("easy.test", 403)])
def test_contract_lists(contract, host, status):
    w, o = contract
    assert get(w, o, host, fields=by("bob", "b")).status == status
    assert len(o.requests) == (status == 200)


def test_contract_rules(contract):
    w, o = contract
    assert get(w, o, "ok.test").status == 407
    assert get(w, o, "x.blocked.test").status == 407 # who nobody knows learns nothing
    assert get(w, o, "ok.test", "/clip", by("bob", "b")).status == 403
    assert get(w, o, "ok.test", "/picture", by("bob", "b")).status == 403
    for path in ("/private/x", "/x/../private/x", "/%70rivate/x", "/private/"):
        assert get(w, o, "ok.test", path, by("bob", "b")).status == 403
    assert get(w, o, "ok.test", "/privateer", by("bob", "b")).status == 200
    assert get(w, o, "ok.test", "/banner/x", by("bob", "b") + [("Sec-Fetch-Dest", "image")]).status == 403
    assert get(w, o, "ok.test", "/banner/x", by("bob", "b") + [("Sec-Fetch-Dest", "script")]).status == 200


def test_contract_check_and_explain(contract, cli):
    w, _ = contract
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 0 and done.stderr == ""
    done = cli("explain", "-c", "weir.conf", "proxy GET http://x.blocked.test/ user bob")
    assert done.returncode == 0 and "deny" in done.stdout and "list blocked" in done.stdout and "weir.conf:14" in done.stdout and "weir.conf:3" in done.stdout
    done = cli("explain", "-c", "weir.conf", "proxy GET http://hosted.test/ user bob")
    assert "hosts.txt:2" in done.stdout
    done = cli("explain", "-c", "weir.conf", "proxy GET http://ok.test/ user bob")
    assert done.returncode == 0 and "allow" in done.stdout and "deny" not in done.stdout and "weir.conf:18" in done.stdout
    assert cli("explain", "-c", "weir.conf", "what is this").returncode == 2
    broken = (w.folder / "weir.conf").read_text().replace('user bob at "tue 10:00"', 'user ann at "tue 10:00"')
    (w.folder / "y.conf").write_text(broken)
    done = cli("check", "-c", "y.conf")
    assert done.returncode == 2 and "social for others" in done.stderr


def test_contract_refusal_page(contract):
    w, o = contract
    r = get(w, o, "x.blocked.test", fields=by("bob", "b"))
    assert re.search(rb"block|denied|policy|rule|list|forbid", r.body, re.I)
    assert b"domains.txt" not in r.body and b"weir.conf" not in r.body and b"127.0.0.1" not in r.body
    r = get(w, o, "x.blocked.test", fields=by("bob", "b") + [("Accept", "application/json")])
    assert r.fields["Content-Type"] == "application/problem+json"


def test_contract_privacy(contract):
    w, o = contract
    get(w, o, "ok.test", fields=by("bob", "b") + [
        ("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=192.0.2.7"), ("X-Real-IP", "192.0.2.7"), ("X-Client-IP", "192.0.2.7"), ("From", "bob@inner.test"),
        ("Via", "1.1 inner-host.test"), ("Referer", "http://other.test/secret?q=1"), ("User-Agent", "Mine/1.0 (very own)"), ("X-Forwarded-User", "bob")])
    get(w, o, "ok.test", fields=by("ann", "a"))
    first, second = o.requests
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP", "From", "X-Forwarded-User", "Proxy-Authorization"):
        assert name not in first.fields
    head = first.raw_head.lower()
    assert b"bob" not in head and b"inner" not in head and b"192.0.2" not in head and b"secret" not in head and b"127.0.0.1" not in head
    assert first.fields["User-Agent"] == second.fields["User-Agent"]
    assert first.fields.get("Referer", "") in ("", "http://other.test/")


# ---- Lists

def test_lists_change_by_themselves(weir, origin):
    o = origin()
    w = weir(conf("deny list bad", top="list bad { domains d.txt; hosts h.txt }"), files={"d.txt": "y.test\n", "h.txt": ""})
    assert get(w, o).status == 200
    (w.folder / "new").write_text("x.test\n")
    (w.folder / "new").rename(w.folder / "d.txt")
    wait_until(lambda: get(w, o).status == 403, timeout=10, what="the new list")
    (w.folder / "d.txt").write_text("")
    wait_until(lambda: get(w, o).status == 200, timeout=10, what="the emptied list")
    (w.folder / "h.txt").write_text("0.0.0.0 x.test\n")
    wait_until(lambda: get(w, o).status == 403, timeout=10, what="the other file")


def test_a_broken_list_changes_nothing(weir, origin):
    o = origin()
    w = weir(conf("deny list bad", top="list bad { domains d.txt }"), files={"d.txt": "x.test\n"})
    (w.folder / "d.txt").write_bytes(b"\0\1\2" * 100)
    wait_until(lambda: "not a text file" in w.stderr, what="the complaint")
    assert get(w, o).status == 403
    (w.folder / "d.txt").unlink()
    wait_until(lambda: "d.txt cannot be read" in w.stderr, what="the complaint")
    assert get(w, o).status == 403
    (w.folder / "d.txt").write_text("y.test\n")
    wait_until(lambda: get(w, o).status == 200, what="the mended list")


def test_an_edited_configuration_does_not_ride_along(weir, origin):
    o = origin()
    w = weir(conf("deny list bad", top="list bad { domains d.txt }"), files={"d.txt": ""})
    text = w.conf.read_text()
    w.conf.write_text(text.replace("deny list bad", "deny method GET"))
    (w.folder / "d.txt").write_text("z.test\n")
    wait_until(lambda: "is in force" in w.stderr, what="the new list")
    assert get(w, o).status == 200


def test_broken_lines_are_counted_and_named(folder, cli):
    (folder / "d.txt").write_text("fine.test\nwhat is this\n.also.fine.test.\n*.no\n" + "a b\n..\n" * 5)
    (folder / "h.txt").write_text("0.0.0.0 fine.test\nnonsense here\n")
    (folder / "a.txt").write_text("192.0.2.0/24\n192.0.2.1/24\n2001:db8::/32 ; SBL1\n")
    (folder / "u.txt").write_text("http://fine.test/x\nftp://no.test/\n")
    (folder / "r.txt").write_text("fine\n(unclosed\n")
    (folder / "e.txt").write_text("||fine.test^\n||x.test^$what=1\nx.test##.ad\n! comment\n")
    (folder / "x.conf").write_text(conf("deny list bad", top="list bad { domains d.txt; hosts h.txt; addresses a.txt; urls u.txt; regex r.txt; easylist e.txt }")
                                   .replace("@proxy@", "13128"))
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 0
    for words in ("d.txt:2: ", "d.txt:4: ", "d.txt: 12 of 14 lines", "h.txt:2: ", "a.txt:2: ", "u.txt:2: ", "r.txt:2: ", "e.txt:2: "):
        assert words in done.stderr, words
    assert "e.txt:3" not in done.stderr


def test_unknown_and_unused_names(folder, cli):
    (folder / "x.conf").write_text(conf("deny list bat", top="list bad { domain x.test }\ngroup g { user a }").replace("@proxy@", "13128"))
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 2 and "there is no list `bat`" in done.stderr and "did you mean `bad`" in done.stderr
    assert "nothing uses the list `bad`" in done.stderr and "nothing uses the group `g`" in done.stderr


def test_urls_and_regexes(weir, origin):
    o = origin()
    w = weir(conf("deny list bad", top="list bad { urls u.txt; regex r.txt }"),
             files={"u.txt": f"http://x.test:{o.port}/bad/\nx.test:{o.port}/q?a=\n", "r.txt": "/ev[i]l\\d+$\n"})
    for path, status in [("/", 200), ("/bad", 200), ("/bad/x", 403), ("/%62ad/x", 403), ("/BAD/x", 200), ("/q?a=1", 403), ("/q?b=1", 200), ("/EVIL12", 403), ("/evil12x", 200)]:
        assert get(w, o, path=path).status == status, path


def test_addresses(weir, origin):
    o = origin()
    w = weir(conf("deny list bad\ndefault allow", hosts=["x.test", "other.test"], top="list bad { addresses a.txt }"), files={"a.txt": "127.0.0.1\n192.0.2.0/24\n"})
    assert get(w, o).status == 403           # what the name resolves to
    assert get(w, o, "127.0.0.1").status == 403
    assert get(w, o, "192.0.2.1").status == 403
    assert o.connections == 0
    with connect(w.proxy) as c:
        assert c.ask(request("CONNECT", f"x.test:{o.port}", host=f"x.test:{o.port}")).status == 403


def test_connect_is_filtered_as_a_host(weir, origin):
    o = origin()
    w = weir(conf("deny list bad", hosts=["x.test", "bad.test"], top="list bad { domain .bad.test; easylist e.txt }"), files={"e.txt": "||x.test^$image\n"})
    for host, status in [("bad.test", 403), ("x.test", 200)]:
        with connect(w.proxy) as c:
            assert c.ask(request("CONNECT", f"{host}:{o.port}", host=f"{host}:{o.port}")).status == status


def client_hello(name):
    out = ssl.MemoryBIO()
    context = ssl.create_default_context()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


@pytest.mark.parametrize("name, passes", [("bad.test", False), ("www.bad.test", False), ("good.test", True), ("x.test", True)])
@pytest.mark.parametrize("step", [1 << 20, 7])
def test_names_in_tls_handshakes_are_filtered_as_hosts(weir, name, passes, step):
    """A CONNECT to an address or another name is no way around."""
    w = weir(conf("deny list bad", top="list bad { domain .bad.test }"))
    hello = client_hello(name)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with listener, connect(w.proxy) as c:
        c.send(request("CONNECT", f"127.0.0.1:{port}", host=f"127.0.0.1:{port}"))
        c.read_until(b"\r\n\r\n")
        server, _ = listener.accept()
        server.settimeout(10)
        with server:
            try:
                for i in range(0, len(hello), step):
                    c.send(hello[i:i + step])
            except OSError:
                assert not passes
            data = b""
            try:
                while len(data) < len(hello) and (more := server.recv(65536)):
                    data += more
            except ConnectionResetError:
                pass
            assert data == (hello if passes else b"")


def test_what_is_no_tls_passes(weir, origin):
    o = origin()
    w = weir(conf("deny list bad", top="list bad { domain .bad.test }"))
    with connect(w.proxy) as c:
        c.ask(request("CONNECT", f"x.test:{o.port}", host=f"x.test:{o.port}"))
        assert c.ask(request()).status == 200


def test_removeparam(weir, origin):
    o = origin()
    w = weir(conf("deny list ads", top="list ads { easylist e.txt }"), files={"e.txt": "$removeparam=utm_source\n||x.test^$removeparam=/^ref/\n@@||x.test^*keep$removeparam\n"})
    for path, target in [("/?a=1&utm_source=x&b=2", "/?a=1&b=2"), ("/?utm_source=x", "/"), ("/?referrer=1&b", "/?b"), ("/keep?utm_source=x", "/keep?utm_source=x"), ("/?a=utm_source", "/?a=utm_source")]:
        get(w, o, path=path)
        assert o.requests[-1].target == target


# ---- Who and when

def test_groups_of_clients_and_from_files(weir, origin):
    o = origin()
    top = "group here { client 127.0.0.0/8 }\ngroup staff { users staff.txt }"
    w = weir(conf("deny path /here when { group here }\ndeny path /staff when { not group staff }", top=top).replace("    policy {", "    auth basic file p realm x\n    policy {"),
             files={"p": htpasswd(ann="a", bob="b"), "staff.txt": "# people\nstaff: cid ann\nothers: bob\n"})
    assert get(w, o, path="/here", fields=by("ann", "a")).status == 403
    assert get(w, o, path="/staff", fields=by("ann", "a")).status == 200
    assert get(w, o, path="/staff", fields=by("bob", "b")).status == 403
    (w.folder / "staff.txt").write_text("bob\n")
    wait_until(lambda: get(w, o, path="/staff", fields=by("bob", "b")).status == 200, what="the changed group")


# ---- Answers

@pytest.mark.parametrize("rule, path, status", [
    ("deny content-type image/*", "/png", 403),
    ("deny content-type image/*", "/text", 200),
    ("deny content-type image/*", "/disguised", 403),   # declared as text, is a picture
    ("deny content-type image/*", "/packed", 403),      # the same under gzip
    ("deny content-type image/*", "/dribble", 403),     # its first bytes come one by one
    ("deny content-type image/*", "/bare", 403),        # nothing is declared
    ("deny content-type text/*", "/text", 403),
    ("deny content-type application/zip", "/docx", 200), # a document of an office is what it says
    ("allow content-type text/*\ndefault deny", "/text", 200),
    ("allow content-type text/*\ndefault deny", "/png", 403),
    ("allow content-type text/*\ndefault deny", "/disguised", 403),
    ("deny status 404", "/missing", 403),
    ("deny status 4xx", "/missing", 403),
    ("deny status 200-299", "/text", 403),
    ("deny status 500-599", "/text", 200),
    ("deny size 1KiB", "/text", 200),
    ("deny size 100B", "/png", 403),
    ("deny size 100B 105B", "/png", 200),
    ("deny extension exe .zip", "/x.exe", 403),
    ("deny extension exe", "/x.exe.txt", 200),
    ("deny extension exe", "/named", 403),
    ("deny content-type image/* when { path /other/* }", "/png", 200),
    ("allow path /png\ndeny content-type image/*", "/png", 200),
    ("deny content-type image/*\ndeny path /png", "/png", 403),
])
def test_rules_on_answers(weir, origin, rule, path, status):
    def packed(x):
        z = zlib.compressobj(wbits=31)
        x.reply(body=z.compress(PNG * 50) + z.flush(), fields=[("Content-Type", "text/plain"), ("Content-Encoding", "gzip")])

    def dribble(x):
        x.send(f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(PNG)}\r\n\r\n")
        for i in range(12):
            x.send(PNG[i:i + 1])
            time.sleep(0.01)
        x.send(PNG[12:])
    o = origin(answers(png=("image/png", PNG), text=("text/plain", b"x" * 64), disguised=("text/plain", PNG), bare=(None, PNG), packed=packed, dribble=dribble,
                       docx=("application/vnd.openxmlformats-officedocument.wordprocessingml.document", b"PK\3\4" + bytes(50)),
                       missing=lambda x: x.reply(404, b"no"), named=lambda x: x.reply(body=b"MZ", fields=[("Content-Disposition", 'attachment; filename="a.EXE"')])))
    w = weir(conf(rule))
    r = get(w, o, path=path)
    assert r.status == status
    if status == 200:
        assert r.body and r.body == get(w, o, path=path).body
    else:
        assert b"PNG" not in r.body


@pytest.mark.parametrize("rule", ["deny content-type image/*", "strip images"])
@pytest.mark.parametrize("path", ["/png", "/disguised"])
def test_what_is_in_the_cache_is_held_against_the_rules_too(weir, origin, rule, path):
    o = origin(lambda x: x.reply(body=PNG, fields=[("Content-Type", "image/png" if "png" in x.request.target else "text/plain"), ("Cache-Control", "max-age=600")]))
    w = weir(conf(rule + " when { header X-Child }").replace("proxy 127", "cache main { memory 8MiB }\nproxy 127").replace("    policy {", "    cache main\n    policy {"))
    assert get(w, o, path=path).body == PNG and get(w, o, path=path).body == PNG and len(o.requests) == 1
    for _ in range(2):
        r = get(w, o, path=path, fields=[("X-Child", "1")])
        assert r.status == (403 if "deny" in rule else 200) and r.body != PNG
    assert get(w, o, path=path).body == PNG


def test_a_large_answer_comes_whole_behind_the_look(weir, origin):
    body = bytes(range(256)) * 8000
    o = origin(answers(big=("application/octet-stream", body), parts=lambda x: x.reply_chunked(body[:10], body[10:2000], body[2000:])))
    w = weir(conf("deny content-type image/*"))
    for path in ("/big", "/parts"):
        assert get(w, o, path=path).body == body
    assert get(w, o, path="/big", method="HEAD").status == 200


# ---- What rules do

def test_messages(weir, origin):
    o = origin()
    w = weir(conf('deny path /a message "Not <here>, please"\ndeny message "Nor there" when { path /b }\ndeny not method GET message "Only reading"'))
    assert b"Not &lt;here&gt;, please" in get(w, o, path="/a").body
    assert b"Nor there" in get(w, o, path="/b").body
    assert b"Only reading" in get(w, o, method="POST").body


def test_page(weir, origin):
    w = weir(conf('deny path /a message "No <b>"\npage page.html'), files={"page.html": "<h1>{title} {status}</h1><p>{message}</p><i>{id}</i> {x} {message"})
    r = get(w, origin(), path="/a")
    assert r.body.startswith(b"<h1>Forbidden 403</h1><p>No &lt;b&gt;</p><i>") and r.body.endswith(b"</i> {x} {message")
    r = get(w, origin(), path="/a", fields=[("Accept", "application/json")])
    assert r.fields["Content-Type"] == "application/problem+json" and b"<h1>" not in r.body


def test_redirect_and_respond(weir, origin):
    o = origin()
    w = weir(conf('redirect http://safe.test{path} when { path /a/* }\nredirect 307 http://y.test/ when { path /b }\nrespond 451 "no" when { path /c }\nrespond 200 hi when { host d.test }', hosts=["x.test", "d.test"]))
    r = get(w, o, path="/a/x")
    assert (r.status, r.fields["Location"]) == (302, "http://safe.test/a/x")
    r = get(w, o, path="/b")
    assert (r.status, r.fields["Location"]) == (307, "http://y.test/")
    r = get(w, o, path="/c")
    assert (r.status, r.body) == (451, b"no")
    assert get(w, o, "d.test").body == b"hi"
    with connect(w.proxy) as c: # a 200 to CONNECT would be a tunnel
        assert c.ask(request("CONNECT", f"d.test:{o.port}", host=f"d.test:{o.port}")).status == 403
    assert o.connections == 0


def test_strip(weir, origin):
    o = origin(answers(png=("image/png", PNG), gif=("image/gif", b"GIF89a" + bytes(50)), jpg=("image/jpeg", b"\xff\xd8\xff" + bytes(50)), mp4=("video/mp4", MP4),
                       js=("text/javascript", b"alert(1)"), html=("text/html", b"<p>text</p>")))
    w = weir(conf("strip images video scripts"))
    r = get(w, o, path="/png")
    assert r.status == 200 and r.fields["Content-Type"] == "image/png" and r.body.startswith(b"\x89PNG") and r.body != PNG
    assert get(w, o, path="/gif").body[:10] == b"GIF89a\1\0\1\0"
    assert get(w, o, path="/jpg").fields["Content-Type"] == "image/jpeg"
    assert get(w, o, path="/mp4").status == 204
    assert get(w, o, path="/mp4", fields=[("Sec-Fetch-Dest", "document")]).status == 200
    r = get(w, o, path="/js")
    assert (r.status, r.body) == (200, b"")
    r = get(w, o, path="/html")
    assert r.body == b"<p>text</p>" and r.fields["Content-Security-Policy"] == "script-src 'none'"


def test_strip_audio_and_what_only_its_bytes_show(weir, origin):
    sound = b"ID3\4" + bytes(60)
    o = origin(answers(mp3=("audio/mpeg", sound), hidden=("text/plain", sound), text=("text/plain", b"words")))
    w = weir(conf("strip audio when { path /mp3 /text }\ndeny content-type audio/* when { path /hidden }"))
    assert get(w, o, path="/mp3").status == 204 and get(w, o, path="/text").body == b"words"
    assert get(w, o, path="/hidden").status == 403
    assert '"reason":"type_disagrees"' in wait_until(lambda: (w.folder / "access.log").read_text() if "hidden" in (w.folder / "access.log").read_text() else "", what="the line")


def test_strip_trackers(weir, origin):
    o = origin(lambda x: x.reply(body=b"x", fields=[("Set-Cookie", "id=1")]))
    w = weir(conf("strip trackers"))
    third = [("Referer", "http://page.example/"), ("Cookie", "id=1")]
    r = get(w, o, path="/?a=1&fbclid=2&utm_x=3", fields=third)
    assert "Set-Cookie" not in r.fields and "Cookie" not in o.requests[0].fields and o.requests[0].target == "/?a=1"
    r = get(w, o, fields=[("Referer", "http://www.x.test/"), ("Cookie", "id=1")])
    assert "Set-Cookie" in r.fields and "Cookie" in o.requests[1].fields
    assert get(w, o, method="POST", fields=[("Ping-To", "http://y.test/"), ("Referer", "http://page.example/"), ("Content-Length", "0")]).status == 204
    assert len(o.requests) == 2


def test_throttle(weir, origin):
    body = b"x" * 60000
    o = origin(answers(big=("text/plain", body)))
    w = weir(conf("throttle 100kB/s when { path /big }"))
    t0 = time.monotonic()
    assert get(w, o, path="/big").body == body
    assert time.monotonic() - t0 > 0.3 # never faster than told; how much slower is the machine's affair


def test_an_answer_of_unknown_length_ends_where_it_is_too_large(weir, origin):
    o = origin(answers(small=lambda x: x.reply_chunked(b"x" * 500), big=lambda x: x.reply_chunked(*[b"x" * 1000] * 3000)))
    w = weir(conf("deny size 1MiB"))
    assert get(w, o, path="/small").body == b"x" * 500
    authority = f"x.test:{o.port}"
    with connect(w.proxy) as c:
        c.send(request("GET", f"http://{authority}/big", host=authority))
        got = c.read_to_end()
    assert len(got) < 1 << 20 and not got.endswith(b"0\r\n\r\n")


def test_log_notes_the_rule(weir, origin):
    o = origin()
    w = weir(conf("log path /x\ndeny path /x"))
    assert get(w, o, path="/x").status == 403
    line = wait_until(lambda: (w.folder / "access.log").read_text(), what="the line")
    assert '"noted":"weir.conf:9"' in line and '"rule":"weir.conf:10"' in line


def test_tests_know_answers(folder, cli):
    tests = '''test "a" { proxy GET http://x.test/ content-type video/mp4 -> deny "content-type video/*"
        proxy GET http://x.test/ content-type text/html size 20MiB -> deny "too large"
        proxy GET http://x.test/ status 404 -> respond
        proxy GET http://x.test/a -> redirect
        proxy GET http://x.test/ -> allow }\n'''
    rules = 'redirect http://y/ when { path /a }\ndeny content-type video/*\ndeny size 10MiB message "too large"\nrespond 200 x when { status 404 }'
    (folder / "x.conf").write_text(conf(rules, top=tests).replace("@proxy@", "13128"))
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 0, done.stderr
    (folder / "x.conf").write_text(conf(rules, top=tests.replace('"too large"', '"too small"')).replace("@proxy@", "13128"))
    assert cli("check", "-c", "x.conf").returncode == 2


@pytest.mark.parametrize("words, at, holds", [
    ("2026-12-24", "Thu, 24 Dec 2026 10:00:00 GMT", True),
    ("2026-12-24", "Fri, 25 Dec 2026 10:00:00 GMT", False),
    ("2026-12-24..2027-01-06", "Fri, 01 Jan 2027 00:00:00 GMT", True),
    ("2026-12-24..2027-01-06", "Thu, 07 Jan 2027 00:00:00 GMT", False),
    ("12-25", "Fri, 25 Dec 2026 23:59:59 GMT", True),
    ("12-25", "Sat, 25 Dec 2027 00:00:00 GMT", True),
    ("12-27..01-02", "Sat, 01 Jan 2028 12:00:00 GMT", True),
    ("12-27..01-02", "Mon, 03 Jan 2028 12:00:00 GMT", False),
    ("02-29", "Sat, 29 Feb 2028 12:00:00 GMT", True),
    ("dates days.txt", "Fri, 01 May 2026 12:00:00 GMT", True),
    ("dates days.txt", "Sat, 02 May 2026 12:00:00 GMT", False),
    ("dates days.txt", "Mon, 06 Apr 2026 12:00:00 GMT", True),
    ("mon-fri 2026-12-24..2026-12-31", "Sun, 27 Dec 2026 12:00:00 GMT", False),
    ("2026-12-24 22:00-02:00", "Fri, 25 Dec 2026 01:00:00 GMT", True),   # of the night that began on the 24th
    ("2026-12-24 22:00-02:00", "Thu, 24 Dec 2026 01:00:00 GMT", False),
    ("2026-12-24 Europe/Paris", "Wed, 23 Dec 2026 23:30:00 GMT", True),
    ("2026-03-29 03:00-04:00 Europe/Paris", "Sun, 29 Mar 2026 01:30:00 GMT", True),  # the first hour of summer time
    ("2026-10-25 02:00-03:00 Europe/Paris", "Sun, 25 Oct 2026 00:30:00 GMT", True),  # that hour comes twice
    ("2026-10-25 02:00-03:00 Europe/Paris", "Sun, 25 Oct 2026 01:30:00 GMT", True),
    ("2026-10-25 02:00-03:00 Europe/Paris", "Sun, 25 Oct 2026 02:30:00 GMT", False),
])
def test_dates(folder, cli, words, at, holds):
    (folder / "days.txt").write_text("# feasts\n05-01 Labour Day\n2026-04-06   # Easter Monday\n\n")
    test = f'test "t" {{ proxy GET http://x.test/ at "{at}" -> {"deny" if holds else "allow"} }}'
    (folder / "x.conf").write_text(conf(f"deny when {{ time {words} }}", top=test).replace("@proxy@", "13128"))
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", ["2026-13-01", "2026-02-29", "02-30", "2026-12-24..2026-12-23", "12-25..2026-12-26", "2026-12-1", "dates none.txt"])
def test_dates_that_are_none(folder, cli, words):
    (folder / "x.conf").write_text(conf(f"deny when {{ time {words} }}").replace("@proxy@", "13128"))
    assert cli("check", "-c", "x.conf").returncode == 2
