# SPDX-License-Identifier: Apache-2.0
"""The admin API: what it says and does, who may, and what hostile pages and clients get."""
import hashlib
import json
import pathlib
import re
import signal
import threading

import pytest

from http1 import Response, connect, request

ROOT = pathlib.Path(__file__).resolve().parents[2]
READ, WRITE = "r" * 43, "w" * 43
CONF = """
log access off
admin unix:weir.sock
dashboard 127.0.0.1:@dash@ {
    read read.tokens
    write write.tokens
    host weir.internal
}
cache main { memory 8MiB }
pool app {
    server 127.0.0.1:@a@
    server 127.0.0.1:@b@
    balance round-robin
    sticky cookie s secret do-not-tell
}
site a.test {
    listen 127.0.0.1:@http@
    cache main
    route * -> pool app
}
"""
OPEN = re.sub(r" \{\n.*?\n\}", "", CONF, count=1, flags=re.S)


def tokens(*pairs):
    return "# people\n" + "".join(f"{name} {hashlib.sha256(t.encode()).hexdigest()}\n" for name, t in pairs)


FILES = {"read.tokens": tokens(("ann", READ)), "write.tokens": tokens(("bob", WRITE))}


class Api:
    def __init__(self, w):
        self.w = w

    def __call__(self, method, path, token=None, host=None, fields=(), body=b"", kind="application/json"):
        fields = list(fields)
        if token:
            fields.append(("Authorization", f"Bearer {token}"))
        if body or method in ("POST", "PUT"):
            fields.append(("Content-Type", kind))
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        with connect(self.w.dash) as c:
            return c.ask(request(method, path, host=host or f"127.0.0.1:{self.w.dash}", fields=fields, body=body))

    def get(self, path, **options):
        r = self("GET", path, **options)
        assert r.status == 200 and r.fields["Content-Type"] == "application/json", (r.status, r.body)
        assert r.fields["Cache-Control"] == "no-store" and r.fields["X-Content-Type-Options"] == "nosniff"
        return json.loads(r.body)


def problem(r, status, reason):
    said = json.loads(r.body)
    assert (r.status, said["reason"], r.fields["Content-Type"]) == (status, reason, "application/problem+json"), said
    assert "Access-Control-Allow-Origin" not in r.fields
    return said


@pytest.fixture
def servers(origin):
    def cacheable(x):
        x.reply(body=b"x", fields=[("Cache-Control", "max-age=60"), ("Cache-Tag", "t1")])
    return [origin(cacheable), origin(cacheable)]


@pytest.fixture
def api(weir, servers):
    a, b = servers
    return Api(weir(CONF, a=a.port, b=b.port, files={k: v.encode() for k, v in FILES.items()}))


@pytest.fixture
def open_api(weir, servers):
    a, b = servers
    return Api(weir(OPEN, a=a.port, b=b.port))


# ---- what it says

def test_status_pools_certificates_and_configuration(api, servers, cli):
    status = api.get("/api/status", token=READ)
    command = json.loads(cli("status", "-c", "weir.conf", "--json").stdout)
    for d in (status, command):
        for name in ("uptime_s", "connections", "requests", "servers"):
            d.pop(name)
    assert status == command, "the same by both doors"
    assert status["generation"] == 1 and status["pools"] == ["app"] and status["worker"] != status["pid"]
    pools = api.get("/api/pools", token=READ)
    assert pools["pools"] == [{"pool": "app", "balance": "round-robin", "waiting": 0}]
    assert [s["server"] for s in pools["servers"]] == [f"127.0.0.1:{o.port}" for o in servers]
    assert {s["state"] for s in pools["servers"]} == {"up"}
    assert api.get("/api/certificates", token=READ) == []
    r = api("GET", "/api/configuration", token=READ)
    assert r.fields["ETag"] == '"1"' and json.loads(r.body)["statement"] == "configuration"
    assert b"do-not-tell" not in r.body and b'"pool"' in r.body


def test_explain_and_the_cache(api):
    with connect(api.w.http) as c:
        assert c.ask(request(target="/x", host="a.test")).status == 200
    assert "fresh" in api.get("/api/cache/why?url=http://a.test/x", token=READ)["text"]
    assert "pool app" in api.get("/api/explain?question=site+GET+http://a.test/y", token=READ)["text"]
    assert api.get("/api/explain?question=site%20GET%20http%3A%2F%2Fa.test%2Fy", token=READ)["text"]
    problem(api("GET", "/api/explain?id=nobody", token=READ), 404, "not_found")
    for bad in ("/api/explain", "/api/explain?id=a&question=b", "/api/explain?question=nonsense", "/api/explain?who=me", "/api/explain?id=a&id=b",
                "/api/cache/why", "/api/cache/why?url=nonsense", "/api/cache/why?url=%zz", "/api/cache/why?url=a%0Apurge+all"):
        problem(api("GET", bad, token=READ), 400, "api_question")


def test_head_and_methods(api):
    with connect(api.w.dash) as c:
        r = c.ask(request("HEAD", "/api/status", host="127.0.0.1", fields=[("Authorization", f"Bearer {READ}")]))
        assert r.status == 200 and r.body == b""
    r = api("DELETE", "/api/status", token=READ)
    problem(r, 405, "method_refused")
    assert r.fields["Allow"] == "GET, HEAD"
    problem(api("GET", "/api/cache/purge", token=READ), 405, "method_refused")
    for path in ("/api", "/api/", "/api/nobody", "/api/pools/app", "/api/status/", "/api//status"):
        problem(api("GET", path, token=READ), 404, "not_found")


def test_the_openapi_document_is_the_one_in_the_tree_and_names_what_there_is(api):
    r = api("GET", "/api/openapi.json", token=READ)
    assert r.body == (ROOT / "docs/reference/openapi.json").read_bytes(), "run make reference"
    document = json.loads(r.body)
    assert document["openapi"].startswith("3.0")
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["summary"] and "default" in operation["responses"]
            named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))
            answer = api(method.upper(), path.replace("{", "").replace("}", ""))
            assert answer.status == 401, f"{method} {path} is there, and guarded"


# ---- what it does

def test_servers_are_drained_over_reloads_too(api, servers, cli):
    a, b = servers
    path = f"/api/pools/app/servers/127.0.0.1:{a.port}"

    def states():
        return {s["server"].rpartition(":")[2]: s["state"] for s in api.get("/api/pools", token=READ)["servers"]}
    for action, state in (("drain", "draining"), ("disable", "disabled"), ("enable", "up"), ("drain", "draining")):
        r = api("POST", path, token=WRITE, body={"action": action})
        assert r.status == 200 and "app" in json.loads(r.body)["text"]
        assert states() == {str(a.port): state, str(b.port): "up"}
    api.w.rewrite(api.w.text + "# more\n")
    assert cli("reload", "-c", "weir.conf").returncode == 0
    assert states() == {str(a.port): "draining", str(b.port): "up"}
    problem(api("POST", "/api/pools/app/servers/127.0.0.1:1", token=WRITE, body={"action": "drain"}), 404, "not_found")
    problem(api("POST", "/api/pools/nobody/servers/127.0.0.1:1", token=WRITE, body={"action": "drain"}), 404, "not_found")
    for body in ({"action": "stop"}, {}, {"action": 1}, {"action": "drain", "more": "x"}, [], b"", b"{", b'{"action": "drain", "action": "drain"}', {"action": "drain x"},
                 {"action": "drain\nstop"}, b"[" * 100000, b"[" * 2000 + b"]" * 2000, b'{"action": ' * 2000 + b"1" + b"}" * 2000, {"action": {"action": "drain"}}):
        problem(api("POST", path, token=WRITE, body=body), 400, "api_question")
    problem(api("POST", path + "%20drain%0Astop", token=WRITE, body={"action": "drain"}), 400, "api_question")


def test_a_purge_says_how_many_went(api, servers):
    def fill():
        with connect(api.w.http) as c:
            for t in ("/x", "/y/1", "/y/2"):
                c.ask(request(target=t, host="a.test"))

    def purge(**what):
        fill()
        r = api("POST", "/api/cache/purge", token=WRITE, body=what)
        assert r.status == 200, r.body
        return json.loads(r.body)
    assert purge(url="http://a.test/x") == {"purged": 1, "soft": False}
    assert purge(prefix="http://a.test/y/", soft=True) == {"purged": 2, "soft": True}
    assert purge(tag="t1", soft=False)["purged"] == 3
    assert purge(all=True)["purged"] == 3
    for bad in ({}, {"all": False}, {"url": "http://a.test/x", "all": True}, {"url": "nonsense"}, {"soft": True}):
        problem(api("POST", "/api/cache/purge", token=WRITE, body=bad), 400, "api_question")


# ---- who may

def test_without_tokens_everybody_here_reads_and_nobody_writes(open_api, servers):
    assert open_api.get("/api/status")["generation"] == 1
    assert open_api("GET", "/metrics").status == 200
    for token in (None, WRITE, ""):
        problem(open_api("POST", "/api/cache/purge", token=token, body={"all": True}), 403, "api_read_only")


def test_with_tokens_each_does_what_it_may(api):
    for token in (None, "x", READ[:-1], READ + "r", hashlib.sha256(READ.encode()).hexdigest()):
        r = api("GET", "/api/status", token=token)
        problem(r, 401, "api_token")
        assert r.fields["WWW-Authenticate"] == 'Bearer realm="weir"'
    for token in (READ, WRITE):
        assert api.get("/api/status", token=token)
    problem(api("POST", "/api/cache/purge", token=READ, body={"all": True}), 401, "api_token")
    for fields in ([("Authorization", f"Basic {WRITE}")], [("Cookie", f"token={WRITE}")], [("X-Api-Key", WRITE)]):
        problem(api("POST", "/api/cache/purge", fields=fields, body={"all": True}), 401, "api_token")
    assert api("GET", "/metrics").status == 200, "as before, for those on this machine"


def test_changed_tokens_count_after_a_reload(api, cli):
    (api.w.folder / "read.tokens").write_text(tokens(("eve", "e" * 43)))
    assert cli("reload", "-c", "weir.conf").returncode == 0
    problem(api("GET", "/api/status", token=READ), 401, "api_token")
    assert api.get("/api/status", token="e" * 43)


@pytest.mark.parametrize("text, says", [("ann secret\n", "SHA-256"), ("ann " + "0" * 63 + "\n", "line 1"), ("ann " + "g" * 64 + "\n", "line 1"), ("# x\n\n" + "0" * 64 + "\n", "line 3")])
def test_what_is_no_file_of_tokens_is_an_error(folder, cli, text, says):
    (folder / "weir.conf").write_text("dashboard 127.0.0.1:9900 { read t }\nsite * { route * -> respond 200 }\n")
    (folder / "t").write_text(text)
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 2 and says in done.stdout + done.stderr and "weir.conf:1:" in done.stdout + done.stderr


def test_elsewhere_than_on_loopback_only_with_tokens(folder, cli):
    (folder / "weir.conf").write_text("dashboard 0.0.0.0:9900\nsite * { route * -> respond 200 }\n")
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 2 and "loopback" in done.stdout + done.stderr
    (folder / "weir.conf").write_text("dashboard 0.0.0.0:9900 { read t }\nsite * { route * -> respond 200 }\n")
    (folder / "t").write_text(tokens(("ann", READ)))
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 0 and "in the clear" in done.stdout + done.stderr


# ---- hostile pages and clients

@pytest.mark.parametrize("host, status", [("127.0.0.1:9", 200), ("[::1]", 200), ("localhost", 200), ("LOCALHOST:80", 200), ("weir.internal", 200), ("evil.test", 421),
                                          ("localhost.evil.test", 421), ("127.0.0.1.evil.test", 421), ("2130706433", 421)])
def test_a_name_that_is_not_ours_is_refused(api, host, status):
    r = api("GET", "/api/status", token=READ, host=host)
    assert r.status == status
    if status != 200:
        problem(r, 421, "api_host")


@pytest.mark.parametrize("fields, good", [([("Origin", "http://127.0.0.1:@")], True), ([("Origin", "https://127.0.0.1:@")], True), ([("Origin", "http://evil.test")], False),
                                          ([("Origin", "null")], False), ([("Origin", "http://127.0.0.1:1")], False), ([("Origin", "127.0.0.1:@")], False),
                                          ([("Sec-Fetch-Site", "cross-site")], False), ([("Sec-Fetch-Site", "same-site")], False), ([("Sec-Fetch-Site", "same-origin")], True),
                                          ([("Sec-Fetch-Site", "none")], True)])
def test_a_page_of_another_site_is_refused_whatever_it_holds(api, fields, good):
    fields = [(n, v.replace("@", str(api.w.dash))) for n, v in fields]
    for r in (api("GET", "/api/status", token=WRITE, fields=fields), api("POST", "/api/cache/purge", token=WRITE, fields=fields, body={"all": True})):
        if good:
            assert r.status == 200
        else:
            problem(r, 403, "api_cross_site")


def test_what_a_form_can_send_is_no_content(api):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        problem(api("POST", "/api/cache/purge", token=WRITE, body=b'{"all": true}', kind=kind), 400, "api_question")
    r = api("OPTIONS", "/api/cache/purge", fields=[("Origin", "http://evil.test"), ("Access-Control-Request-Method", "POST")])
    assert r.status >= 400 and not any(n.lower().startswith("access-control") for n, _ in r.fields)


def test_content_has_a_limit_and_a_deadline(api):
    r = api("POST", "/api/cache/purge", token=WRITE, body=b'{"tag": "' + b"x" * (2 << 20) + b'"}')
    problem(r, 413, "content_too_large")
    problem(api("POST", "/api/cache/purge", body=b"x" * 100000), 401, "api_token")
    problem(api("GET", "/api/status", token=READ, body=b"x"), 400, "api_question")
    with connect(api.w.dash) as c:  # and who stops in the middle holds nothing up
        c.sock.sendall(f"POST /api/cache/purge HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {WRITE}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert api.get("/api/status", token=READ)


# ---- reload and configuration

@pytest.fixture
def configures(weir, servers):
    a, b = servers
    return Api(weir(CONF.replace("    host weir", "    configure\n    host weir"), a=a.port, b=b.port, files={k: v.encode() for k, v in FILES.items()}))


def put(api, text, match='"1"', token=WRITE, kind="text/plain; charset=utf-8"):
    fields = [("If-Match", match)] if match else []
    return api("PUT", "/api/configuration", token=token, fields=fields, body=text.encode(), kind=kind)


def test_a_reload_says_what_changed_or_what_is_wrong(api):
    good = api.w.text
    api.w.rewrite(good.replace("balance round-robin", "balance least-requests"))
    r = api("POST", "/api/reload", token=WRITE)
    said = json.loads(r.body)
    assert r.status == 200 and said["generation"] == 2 and "least-requests" in said["changes"] and r.fields["ETag"] == '"2"'
    assert api("GET", "/api/configuration", token=READ).fields["ETag"] == '"2"'
    api.w.rewrite(good + "nonsense 1\n")
    r = api("POST", "/api/reload", token=WRITE)
    assert r.status == 422
    finding, = [f for f in json.loads(r.body)["findings"] if f["level"] == "error"]
    assert finding["line"] == good.count("\n") + 1 and "nonsense" in finding["text"]
    assert api.get("/api/status", token=READ)["generation"] == 2
    problem(api("POST", "/api/reload", token=READ), 401, "api_token")


def test_another_configuration_comes_into_force_and_into_the_file(configures):
    api, path = configures, configures.w.folder / "weir.conf"
    path.chmod(0o640)
    r = api("GET", "/api/configuration", token=READ)
    before = path.read_text()
    new = before.replace("balance round-robin", "balance random")
    r = put(api, new, match=r.fields["ETag"])
    assert r.status == 200, r.body
    assert json.loads(r.body)["generation"] == 2 and "random" in json.loads(r.body)["changes"] and r.fields["ETag"] == '"2"'
    assert path.read_text() == new and path.stat().st_mode & 0o777 == 0o640
    assert api.get("/api/pools", token=READ)["pools"][0]["balance"] == "random"
    problem(put(api, before), 412, "api_precondition")
    assert put(api, before, match='"2"').status == 200
    assert sorted(p.name for p in path.parent.iterdir() if "offered" in p.name) == []


@pytest.mark.parametrize("change, says", [(lambda t: t + "nonsense 1\n", "nonsense"), (lambda t: t.replace("pool app {", "pool other {"), "app"), (lambda t: "", ""),
                                          (lambda t: t + 'test "wrong" { site GET http://a.test/ -> deny }\n', "wrong")])
def test_a_configuration_that_is_refused_changes_nothing(configures, change, says):
    path = configures.w.folder / "weir.conf"
    before = path.read_text()
    r = put(configures, change(before) or "site x { route * -> pool nobody }\n")
    assert r.status == 422, r.body
    findings = [f for f in json.loads(r.body)["findings"] if f["level"] == "error"]
    assert findings and any(says in json.dumps(f) for f in findings)
    assert path.read_text() == before and configures.get("/api/status", token=READ)["generation"] == 1
    assert not list(path.parent.glob("*offered*"))


def test_what_a_change_must_come_with(configures, api):
    text = (configures.w.folder / "weir.conf").read_text()
    problem(put(configures, text, match=None), 428, "api_unconditional")
    for match in ('"2"', "1", "*", 'W/"1"', '"x"', '"1", "2"', '""'):
        problem(put(configures, text, match=match), 412, "api_precondition")
    problem(put(configures, text, token=READ), 401, "api_token")
    problem(put(configures, text, kind="application/json"), 400, "api_question")
    problem(put(configures, text + "#" * (1 << 20)), 413, "content_too_large")
    problem(put(api, text), 403, "api_read_only")
    assert configures.get("/api/status", token=READ)["generation"] == 1


def test_of_several_changes_to_one_generation_one_wins(configures):
    text = (configures.w.folder / "weir.conf").read_text()
    answers = []
    threads = [threading.Thread(target=lambda i=i: answers.append(put(configures, text + f"# {i}\n").status)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert answers.count(200) == 1 and set(answers) <= {200, 409, 412}, answers
    assert configures.get("/api/status", token=READ)["generation"] == 2


def test_configure_wants_write(folder, cli):
    (folder / "weir.conf").write_text("dashboard 127.0.0.1:9900 { configure }\nsite * { route * -> respond 200 }\n")
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 2 and "write" in done.stdout + done.stderr


# ---- events

class Listener:
    """Reads server-sent events."""

    def __init__(self, api, token=READ):
        self.stream = connect(api.w.dash)
        self.stream.sock.sendall(request("GET", "/api/events", host="127.0.0.1", fields=[("Authorization", f"Bearer {token}")]))
        self.head = self.stream.read_head(Response)
        self.text = b""

    def event(self):
        while b"\n\n" not in self.text:
            size = int(self.stream.read_until(b"\r\n").split(b";")[0], 16)
            if not size:
                return None
            self.text += self.stream.read_exactly(size)
            self.stream.read_exactly(2)
        one, _, self.text = self.text.partition(b"\n\n")
        assert one.startswith(b"data: ")
        return json.loads(one[6:])

    def close(self):
        self.stream.close()


def test_events_count_what_happened_since_the_one_before(api):
    x, y = Listener(api), Listener(api)
    assert x.head.status == 200 and x.head.fields["Content-Type"] == "text/event-stream" and x.head.fields["Cache-Control"] == "no-store"
    first = x.event()
    assert first["generation"] == 1 and sum(first["requests"]) == 0 and len(first["latency"]) == len(first["latency_bounds_us"]) + 1
    with connect(api.w.http) as c:
        for i in range(7):
            c.ask(request(target=f"/{i}", host="a.test"))
    seen = hits = 0
    while seen < 7:
        e = x.event()
        seen += e["requests"][2]
        assert sum(e["latency"]) >= e["requests"][2] and e["span_ms"] >= 900
        hits += e["upstream"][2]
    assert (seen, hits) == (7, 7)
    times = [y.event()["time_ms"] for _ in range(3)]
    assert times == sorted(times), "the other one has heard the same"
    x.close()
    y.close()


def test_events_are_for_those_who_may_read(api):
    assert Listener(api, "wrong").head.status == 401
    with connect(api.w.dash) as c:
        r = c.ask(request("HEAD", "/api/events", host="127.0.0.1", fields=[("Authorization", f"Bearer {READ}")]))
        assert r.status == 200 and r.fields["Content-Type"] == "text/event-stream"


def test_a_stream_ends_with_its_configuration_and_with_weir(api, cli):
    x = Listener(api)
    assert x.event()
    api.w.rewrite(api.w.text + "# more\n")
    assert cli("reload", "-c", "weir.conf").returncode == 0
    while x.event():
        pass
    y = Listener(api)
    assert y.event()["generation"] == 2
    api.w.signal(signal.SIGTERM)
    while y.event():
        pass
    assert api.w.wait(10) == 0


def test_who_does_not_read_costs_nobody_anything(api):
    deaf = [Listener(api) for _ in range(20)]
    x = Listener(api)
    for _ in range(3):
        assert x.event()
    for d in deaf:
        d.close()
    assert x.event()
    assert api.get("/api/status", token=READ)


# ---- the page

def test_the_page_is_of_its_own_things_only(api):
    r = api("GET", "/")
    assert r.status == 200 and r.fields["Content-Type"].startswith("text/html")
    policy = r.fields["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    page = r.body.decode()
    assert not re.search(r"<script(?![^>]*src=\"/)[^>]*>|\son\w+=|<style|style=\"|https?://", page), "nothing inline, nothing from elsewhere"
    for path in re.findall(r'(?:href|src)="(/[^"]+)"', page):
        part = api("GET", path)
        assert part.status == 200 and part.body and part.fields["X-Content-Type-Options"] == "nosniff"
        assert api("GET", path, fields=[("If-None-Match", part.fields["ETag"])]).status == 304
    problem_free = api("GET", "/", host="evil.test")
    assert problem_free.status == 421, "nor for a name that is not ours"
    assert api("GET", "/nobody").status == 404
