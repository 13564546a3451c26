# SPDX-License-Identifier: Apache-2.0
"""Commands that look at a weir that runs, and at the machine: explain ID, tap, top, doctor."""
import json
import os
import select
import socket
import subprocess

import pytest

from http1 import connect, request
from process import ENVIRONMENT, free_port, run_weir, wait_until, weir_binary

CONF = """
log access off
admin unix:run/weir.sock
pool app { server 127.0.0.1:@app@ }
site shop.test {
    listen 127.0.0.1:@http@
    deny when { path /secret }
    route * -> pool app
}
"""


@pytest.fixture
def shop(weir, origin):
    w = weir(CONF, app=origin().port)
    w.ask = lambda path, method="GET": ask(w, path, method)
    return w


def ask(w, path, method="GET"):
    with connect(w.http) as c:
        return c.ask(request(method, path, host="shop.test"))


class Tap:
    """`weir tap` as a child, its lines by readline."""

    def __init__(self, w, *arguments):
        self.child = subprocess.Popen([weir_binary(), "tap", "-c", "weir.conf", *arguments], cwd=w.folder, text=True,
                                      env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.communicate()

    def line(self):
        return self.child.stdout.readline()


def tapped(w, tap, path):
    """Asks until the tap, which takes a moment to open, has shown a line."""
    for _ in range(200):
        ask(w, path)
        if select.select([tap.child.stdout], [], [], 0.05)[0]:
            return tap.line()
    raise AssertionError("the tap shows nothing")


def test_explain_of_an_id_says_what_happened(shop):
    with Tap(shop, "--json") as tap:
        record = json.loads(tapped(shop, tap, "/a?b=1"))
    text = run_weir(shop.folder, "explain", record["id"])
    assert text.returncode == 0, text.stderr
    for expected in ("/a?b=1", "shop.test", str(shop.ports["app"]), "fetch", "deliver"):
        assert expected in text.stdout
    again = json.loads(run_weir(shop.folder, "explain", "--json", record["id"]).stdout)
    assert again["target"] == "/a?b=1" and again["status"] == 200 and again["reason"] == "ok"
    assert {"route", "fetch", "deliver"} <= set(again["phases_ms"])


def test_explain_of_a_refused_request_names_the_rule(shop):
    with Tap(shop, "--json", "path /secret") as tap:
        record = json.loads(tapped(shop, tap, "/secret"))
    assert record["status"] == 403 and record["rule"] == "weir.conf:7"


def test_explain_of_an_unknown_id(shop):
    done = run_weir(shop.folder, "explain", "0123456789abcdef")
    assert done.returncode == 1 and "no request with this id" in done.stderr


def test_tap_shows_what_meets_its_filter_only(shop):
    with Tap(shop, "path /wanted/*; method GET POST") as tap:
        assert "/wanted/0" in tapped(shop, tap, "/wanted/0")
        while tap.child.poll() is None:  # what went before the tap was open is behind us
            ask(shop, "/other")
            ask(shop, "/wanted/last")
            line = tap.line()
            assert "/other" not in line
            if "/wanted/last" in line:
                break
        assert " 200 " in line and "127.0.0.1" in line


def test_a_filter_that_cannot_be_read_says_where(shop):
    done = run_weir(shop.folder, "tap", "pth /x")
    assert done.returncode == 2 and "did you mean" in done.stderr and "path" in done.stderr


def test_a_tap_that_leaves_makes_room_for_another(shop):
    for _ in range(40):  # more than may be open at once
        with Tap(shop) as tap:
            assert tapped(shop, tap, "/x")


def test_a_reader_that_stands_still_delays_nobody(shop):
    s = socket.socket(socket.AF_UNIX)
    s.connect(str(shop.folder / "run/weir.sock"))
    s.sendall(b"tap json\n")
    assert s.recv(2) == b"0\n"
    with connect(shop.http) as c:
        for _ in range(2000):
            assert c.ask(request("GET", "/" + "x" * 500, host="shop.test")).status == 200
    received = b""
    s.settimeout(10)
    while b"missed" not in received:  # read again: whole lines, and how many were missed
        ask(shop, "/again")
        received += s.recv(1 << 20)
    s.close()
    lines = received.decode().splitlines()[:-1]
    assert all(json.loads(line) for line in lines) and any("missed" in json.loads(line) for line in lines)


def test_top_shows_sites_and_servers_once_where_it_is_no_terminal(shop):
    assert ask(shop, "/").status == 200
    done = run_weir(shop.folder, "top")
    assert done.returncode == 0, done.stderr
    assert "requests/s" in done.stdout and "shop.test" in done.stdout


def test_top_without_a_weir_says_how_to_start_one(folder):
    (folder / "weir.conf").write_text(CONF.replace("@http@", str(free_port())).replace("@app@", "1"))
    done = run_weir(folder, "top")
    assert done.returncode == 1 and "weir.sock" in done.stderr and "weir run" in done.stderr


def test_doctor_finds_what_is_wrong_with_this_machine(folder):
    with socket.create_server(("127.0.0.1", free_port())) as taken, socket.create_server(("127.0.0.1", free_port())) as app:
        port, dead, live = taken.getsockname()[1], free_port(), app.getsockname()[1]
        text = CONF.replace("@http@", str(port)).replace("server 127.0.0.1:@app@", f"server 127.0.0.1:{live}; server 127.0.0.1:{dead}")
        (folder / "weir.conf").write_text(f"resolver 127.0.0.1:{dead}\n" + text)
        done = run_weir(folder, "doctor")
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    verdict = lambda word: [line.split()[0] for line in lines if word in line]
    assert verdict(f"127.0.0.1:{port}")[0] == "BAD"
    assert verdict(f"server 127.0.0.1:{dead}") == ["BAD"]
    assert verdict(f"server 127.0.0.1:{live}") == ["ok"]
    assert verdict(f"resolver 127.0.0.1:{dead}") == ["BAD"]


def test_doctor_knows_the_weir_that_runs(shop):
    done = run_weir(shop.folder, "doctor")
    assert f"ok    listening on 127.0.0.1:{shop.ports['http']} (the weir that runs)" in done.stdout


def test_doctor_of_a_broken_configuration(folder):
    (folder / "weir.conf").write_text("sitee x { }\n")
    done = run_weir(folder, "doctor")
    assert done.returncode == 2 and "did you mean" in done.stderr
