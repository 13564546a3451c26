# SPDX-License-Identifier: Apache-2.0
"""`quota SIZE per day|month by ...`: counted in both directions and in tunnels, kept over restarts, at its end 403."""
import json
import os
import re
import signal
import sqlite3

import pytest

from http1 import connect, request
from passwords import basic, htpasswd
from process import Weir, run_weir, wait_until

CONF = """log access json stdout
admin unix:weir.sock
dashboard 127.0.0.1:@dash@
threads {threads}
quota-store kept
proxy 127.0.0.1:@proxy@ {{
    egress {{ allow 127.0.0.1; connect-ports any }}
    {auth}
    {quota}
}}
"""


def conf(quota, auth="", threads=1):
    return CONF.format(quota=quota, auth=auth, threads=threads)


def get(w, origin, path="/x", user=None, method="GET", body=b""):
    fields = [("Proxy-Authorization", user)] if user else []
    with connect(w.ports["proxy"]) as c:
        return c.ask(request(method, f"http://127.0.0.1:{origin.port}{path}", host="a", fields=fields, body=body))


def lines(w):
    return [json.loads(line) for line in w.stdout.splitlines() if line.startswith("{")]


def rows(w):
    db = sqlite3.connect(w.folder / "kept" / "quota.db")
    try:
        return {(scope, who, period): n for scope, who, period, _, n in db.execute("SELECT * FROM used")}
    except sqlite3.OperationalError:
        return {}
    finally:
        db.close()


def stored(w):
    return sum(rows(w).values())


@pytest.fixture
def sized(origin):
    """An origin whose answer to /N has N bytes."""
    return origin(lambda x: x.reply(body=b"b" * int(x.request.target.strip("/x") or 0)))


def test_what_moves_is_counted_and_at_the_end_there_is_nothing_more(weir, sized):
    w = weir(conf("quota 100KiB per day by client-ip"), app=sized.port)
    for _ in range(3):
        assert get(w, sized, "/20000").status == 200
    assert get(w, sized, "/0", method="POST", body=b"u" * 30000).status == 200
    assert get(w, sized, "/11000").status == 200
    wait_until(lambda: b"100KiB a day" in get(w, sized, "/500").body)
    r = get(w, sized, "/1")
    assert r.status == 403 and b"100KiB a day" in r.body and b"begins on " in r.body
    with connect(w.ports["proxy"]) as c:
        c.send(request("CONNECT", f"127.0.0.1:{sized.port}", host="a"))
        assert c.read_response(method="CONNECT").status == 403
    refused = wait_until(lambda: lines(w)[-1]["method"] == "CONNECT" and [r for r in lines(w) if r["reason"] == "quota_used"])
    assert len(refused) == 3 and refused[0]["rule"].startswith("weir.conf:")
    status = run_weir(w.folder, "status", "-s", "weir.sock").stdout
    assert "100KiB" in status and "1 users, of whom 1 have used it up" in status
    assert json.loads(run_weir(w.folder, "status", "--json", "-s", "weir.sock").stdout)["quotas"][0]["used_up"] == 1
    with connect(w.ports["dash"]) as c:
        text = c.ask(request("GET", "/metrics", host="a")).body.decode()
    assert re.search(r'weir_errors_total{.*reason="quota_used".*} 3\n', text), [t for t in text.splitlines() if "quota_used" in t]


def test_a_transfer_breaks_off_at_the_end(weir, origin):
    size = 4 << 20
    o = origin(lambda x: x.reply(body=b"L" * size))
    w = weir(conf("quota 1MiB per month by client-ip"), app=o.port)
    with connect(w.ports["proxy"]) as c:
        c.send(request("GET", f"http://127.0.0.1:{o.port}/large", host="a"))
        c.read_until(b"\r\n\r\n")
        got = len(c.read_to_end())
    assert (1 << 20) - 70000 <= got <= (1 << 20) + 70000
    assert wait_until(lambda: lines(w) and lines(w)[0])["reason"] == "quota_used"


def test_tunnels_count_and_end(weir, origin):
    def talk(x):
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
        while True:
            x.send(b"t" * 10000)
    o = origin(talk)
    w = weir(conf("quota 1MiB per day by client-ip"), app=o.port)
    with connect(w.ports["proxy"]) as c:
        c.send(request("CONNECT", f"127.0.0.1:{o.port}", host="a"))
        assert c.read_response(method="CONNECT").status == 200
        c.send(request("GET", "/", host="a"))
        try:
            got = len(c.read_to_end())
        except ConnectionResetError:
            got = 1 << 20
    assert got < (1 << 20) + 200000
    assert get(w, o).status == 403


def test_users_are_counted_apart_and_together_over_their_connections(weir, sized, folder):
    (folder / "users").write_text(htpasswd(ann="a", bob="b"))
    ann, bob = basic("ann", "a"), basic("bob", "b")
    w = weir(conf("quota 50KiB per day by user", auth="auth basic file users", threads=2), app=sized.port)
    for _ in range(5):  # a sixth would be cut
        get(w, sized, "/10000", user=ann)
    wait_until(lambda: get(w, sized, "/100", user=ann).status == 403)
    assert get(w, sized, "/1", user=bob).status == 200
    wait_until(lambda: len(rows(w)) == 2, what="both are in the store")
    assert {who for _, who, _ in rows(w)} == {"user ann", "user bob"}


@pytest.mark.parametrize("end", ["drain", "kill"])
def test_it_is_kept_over_restarts(weir, sized, end):
    text = conf("quota 100KiB per day by client-ip", threads=2)
    w = weir(text, app=sized.port)
    for _ in range(3):
        assert get(w, sized, "/30000").status == 200
    if end == "drain":
        w.stop()
    else:  # what was counted some seconds ago is safe from any end
        wait_until(lambda: stored(w) >= 90000, what="the counts are in the store")
        w.done = True
        for pid in w.workers() + [w.pid]:
            os.kill(pid, signal.SIGKILL)
        w.wait()
    assert 90000 <= stored(w) < 91000
    again = Weir(w.folder, text, **w.ports)
    try:
        again.wait_ports([again.ports["proxy"]])
        assert get(again, sized, "/12000").status == 200
        wait_until(lambda: get(again, sized, "/1").status == 403)  # the other thread may be a moment behind
    finally:
        again.stop()


@pytest.mark.parametrize("damage", ["text", "cut", "empty", "page"])
def test_a_broken_database_is_set_aside(weir, sized, folder, damage):
    text = conf("quota 100KiB per day by client-ip")
    home = folder / "kept"
    w = weir(text, app=sized.port)
    assert get(w, sized, "/30000").status == 200
    w.stop()
    whole = (home / "quota.db").read_bytes()
    (home / "quota.db").write_bytes({"text": b"this is no database at all. " * 300, "cut": whole[:len(whole) // 2], "empty": b"",
                                     "page": whole[:4096] + b"\xff" * (len(whole) - 4096)}[damage])
    again = Weir(w.folder, text, **w.ports)
    try:
        again.wait_ports([again.ports["proxy"]])
        assert get(again, sized, "/60000").status == 200
        again.stop()
    finally:
        if again.running():
            again.kill()
    assert 60000 <= stored(again) < 61000
    if damage != "empty":  # which is a new one
        assert "is broken" in again.stderr and [p for p in home.iterdir() if ".broken-" in p.name]


def test_it_may_go_on_slowly(weir, sized):
    w = weir(conf("quota 10KiB per day by client-ip throttle 40KiB/s"), app=sized.port)
    assert get(w, sized, "/20000").status == 200
    r = get(w, sized, "/8192")
    assert r.status == 200
    line = wait_until(lambda: len(lines(w)) >= 2 and lines(w)[1])
    assert line["reason"] == "ok" and line["duration_ms"] >= 150  # 8 KiB at 40 KiB/s are 200 ms; no test of how little it may be


def test_a_site_has_quotas_too(weir, origin):
    o = origin(lambda x: x.reply(body=b"b" * 6000))
    w = weir("""pool app { server 127.0.0.1:@app@ }
site * { listen 127.0.0.1:@site@
 quota 10KiB per month by client-ip zone Europe/Paris
 route * -> pool app }
""", app=o.port)
    with connect(w.ports["site"]) as c:
        assert [c.ask(request("GET", "/", host="a")).status for _ in range(3)] == [200, 200, 403]
    assert (w.folder / "quota" / "quota.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("statement, message", [
    ("quota 1GiB per week", "day"), ("quota 0B per day", "at least 1B"), ("quota 1GiB per day by colour", "by user"), ("quota 1GiB per day zone Nowhere/City", "Nowhere/City"),
    ("quota 1GiB per day throttle 0B/s", "1B/s"), ("quota 1GiB per day\n quota 2GiB per day", "of the same kind"),
])
def test_mistakes_are_named(folder, cli, statement, message):
    (folder / "x.conf").write_text(f"proxy 127.0.0.1:3128 {{\n {statement}\n}}\n")
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 2 and message in done.stdout + done.stderr
