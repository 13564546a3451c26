# SPDX-License-Identifier: Apache-2.0
"""The access log: one line for each request, with what happened and why."""
import json
import os
import re
import select
import signal
import socket
import subprocess

import pytest

from http1 import chunked, connect, request
from process import ENVIRONMENT, wait_until, weir_binary

CONF = """
log access json access.log
pool app { server 127.0.0.1:@app@ }
site a.test {
    listen 127.0.0.1:@http@
    deny when { path /denied }
    route /gone -> respond 410 "gone"
    route *     -> pool app
}
proxy 127.0.0.1:@proxy@ { egress { allow 127.0.0.0/8; connect-ports any } }
"""
NAMES = {"time", "id", "client", "user", "listener", "site", "proxy", "route", "method", "scheme", "host", "target", "protocol", "status",
         "bytes_in", "bytes_out", "duration_ms", "phase", "upstream", "upstream_status", "upstream_connect_ms",
         "upstream_first_byte_ms", "retries", "cache", "reason", "rule", "tls"}


class Log:
    def __init__(self, path):
        self.path = path

    def lines(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def line(self, number=0):
        wait_until(lambda: len(self.lines()) > number, what=f"line {number + 1} of the log")
        return self.lines()[number]


@pytest.fixture
def logged(weir, origin, folder):
    def start(*args, **options):
        o = origin(*args, **options)
        return weir(CONF, app=o.port), o, Log(folder / "access.log")
    return start


def test_a_plain_request(logged):
    w, o, log = logged(lambda x: x.reply(201, b"12345"))
    with connect(w.http) as c:
        c.ask(request("POST", "/a%20b?c=d", body=b"content"))
    e = log.line()
    assert set(e) <= NAMES
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", e["time"])
    assert e["client"].startswith("127.0.0.1") and str(w.http) in e["listener"] and e["site"] == "a.test"
    assert (e["method"], e["scheme"], e["host"], e["target"], e["protocol"]) == ("POST", "http", "a.test", "/a%20b?c=d", "HTTP/1.1")
    assert e["status"] == 201 and e["upstream_status"] == 201 and str(o.port) in e["upstream"]
    assert e["bytes_in"] >= 7 and e["bytes_out"] >= 5 and e["duration_ms"] >= 0
    assert e["reason"] == "ok" and e["id"] == o.last.fields["X-Request-Id"]


def test_a_line_for_each_request_of_a_connection(logged):
    w, o, log = logged()
    with connect(w.http) as c:
        for i in range(5):
            c.ask(request(target=f"/{i}"))
    log.line(4)
    assert [e["target"] for e in log.lines()] == [f"/{i}" for i in range(5)]
    assert len({e["id"] for e in log.lines()}) == 5


def test_the_statement_that_decided(logged):
    w, _, log = logged()
    with connect(w.http) as c:
        c.ask(request(target="/denied"))
        c.ask(request(target="/gone"))
    e = log.line(0)
    assert e["status"] == 403 and e["reason"] == "denied" and e["rule"].endswith("weir.conf:6")
    e = log.line(1)
    assert e["status"] == 410 and e["reason"] == "ok" and e["rule"].endswith("weir.conf:7")


def test_reasons(logged):
    w, o, log = logged(lambda x: x.close())
    for i, (data, status, reason) in enumerate([
            (request(host="nobody.test"), 421, "host_unknown"), (b"GET / HTTP/1.1\r\nHost: a.test\r\nX : y\r\n\r\n", 400, "bad_field"),
            (request("POST", body=b"x"), 502, "upstream_closed")]):
        with connect(w.http) as c:
            c.send(data)
            c.read_response()
        e = log.line(i)
        assert (e["status"], e["reason"]) == (status, reason)


def test_a_client_that_leaves(logged):
    w, o, log = logged(lambda x: x.stream.read_to_end())
    c = connect(w.http)
    c.send(request())
    o.wait(lambda: o.requests)
    c.reset()
    e = log.line()
    assert e["reason"] != "ok"


def test_an_answer_that_breaks_off(logged):
    w, o, log = logged(lambda x: (x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), x.close()))
    with connect(w.http) as c:
        c.send(request())
        c.read_to_end()
    e = log.line()
    assert e["reason"] == "response_incomplete"


def test_forward_and_tunnel(logged):
    w, o, log = logged()
    with connect(w.proxy) as c:
        url = f"http://127.0.0.1:{o.port}/x"
        c.ask(request(target=url, host=f"127.0.0.1:{o.port}"))
    e = log.line(0)
    assert e["target"] == url and e["proxy"] and str(o.port) in e["upstream"] and e["reason"] == "ok"
    with connect(w.proxy) as c:
        authority = f"127.0.0.1:{o.port}"
        assert c.ask(request("CONNECT", authority, host=authority)).status == 200
        c.ask(request("POST", body=b"x" * 1000))
    e = log.line(1)
    assert e["method"] == "CONNECT" and e["target"] == authority and e["status"] == 200
    assert e["bytes_in"] >= 1000 and e["bytes_out"] >= 1000 and e["reason"] == "ok"


def test_nothing_from_outside_can_write_a_line(logged, folder):
    w, _, log = logged()
    with connect(w.http) as c:
        c.ask(request(target='/"},{"x":"%0a', fields=[("User-Agent", 'a"\\b\t\xff'), ("Referer", "x\ty")]))
    assert log.line()["target"] == '/"},{"x":"%0a'
    assert (folder / "access.log").read_bytes().count(b"\n") == 1


def test_secrets_are_not_logged(logged, folder):
    w, _, log = logged()
    with connect(w.http) as c:
        c.ask(request(fields=[("Authorization", "Bearer hunter2"), ("Cookie", "session=hunter2")]))
    log.line()
    assert "hunter2" not in (folder / "access.log").read_text()


def test_the_combined_format(weir, folder):
    w = weir('log access combined access.log\nsite * { listen 127.0.0.1:@http@\n route * -> respond 200 "12345" }')
    with connect(w.http) as c:
        r = c.ask(request(target="/x?y", fields=[("User-Agent", 'A "q"'), ("Referer", "http://r.test/")]))
    log = folder / "access.log"
    wait_until(lambda: log.exists() and log.read_text().endswith("\n"), what="the line")
    line = log.read_text()
    m = re.fullmatch(r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /x\?y HTTP/1\.1" 200 (\d+) "http://r\.test/" "A (\\"|\\x22)q(\\"|\\x22)"\n', line)
    assert m and int(m[1]) >= len(r.body)


def test_standard_output(weir):
    w = weir('log access json stdout\nsite * { listen 127.0.0.1:@http@\n route * -> respond 200 "x" }')
    with connect(w.http) as c:
        c.ask(request())
    wait_until(lambda: w.stdout.endswith("\n"), what="the line")
    assert json.loads(w.stdout)["status"] == 200


def test_the_log_keeps_up(logged):
    w, _, log = logged()
    with connect(w.http) as c:
        c.send(b"".join(request(target="/gone") for _ in range(2000)))
        for _ in range(2000):
            assert c.read_response().status == 410
    log.line(1999)
    w.stop()
    assert len(log.lines()) == 2000


def test_chunked_bytes_are_counted(logged):
    w, _, log = logged()
    with connect(w.http) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 5000))
        c.read_response()
    e = log.line()
    assert e["bytes_in"] >= 5000 and e["bytes_out"] >= 5000


# ---- What is logged, and where

WHERE = """
log access json %s
log error warn error.log
admin unix:run/weir.sock
pool app { server 127.0.0.1:@app@ }
site a.test {
    listen 127.0.0.1:@http@
    route /healthz -> respond 200 "ok"
    route /gone    -> respond 410 "gone"
    route *        -> pool app
}
"""


def asked(w, *targets):
    with connect(w.http) as c:
        return [c.ask(request(target=t)).status for t in targets]


def test_only_requests_that_meet_the_conditions_are_logged(weir, origin, folder):
    w = weir(WHERE % "access.log when { not path /healthz }", app=origin().port)
    assert asked(w, "/healthz", "/one", "/healthz", "/gone") == [200, 200, 200, 410]
    log = Log(folder / "access.log")
    assert [log.line(n)["target"] for n in (0, 1)] == ["/one", "/gone"]


def test_conditions_may_be_about_the_answer(weir, origin, folder):
    w = weir(WHERE % "access.log when { status 400-499 }", app=origin().port)
    asked(w, "/healthz", "/one", "/gone")
    assert Log(folder / "access.log").line()["target"] == "/gone"


def test_a_sample_has_all_that_went_wrong(weir, origin, folder):
    w = weir(WHERE % "access.log sample 0%", app=origin().port)
    asked(w, "/healthz", "/one", "/gone")
    log = Log(folder / "access.log")
    assert log.line()["target"] == "/gone" and len(log.lines()) == 1


def test_a_sample_is_about_as_large_as_it_says(weir, origin, folder):
    w = weir(WHERE % "access.log sample 25%", app=origin().port)
    asked(w, *["/healthz"] * 2000, "/gone")
    log = Log(folder / "access.log")
    wait_until(lambda: any(line["status"] == 410 for line in log.lines()), what="the last line")
    assert 350 < len(log.lines()) < 650  # five standard deviations and more


def test_lines_go_to_a_collector_by_udp(weir, origin):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(20)
        w = weir(WHERE % f"syslog:127.0.0.1:{collector.getsockname()[1]}", app=origin().port)
        asked(w, "/gone")
        head, _, line = collector.recv(65536).decode().partition(" access - ")
    assert re.fullmatch(r"<134>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ weir \d+", head)
    assert json.loads(line)["status"] == 410


def test_the_error_log_is_a_file_of_its_own_with_what_is_worth_it(weir, origin, folder):
    o = origin()
    w = weir(WHERE.replace("server 127.0.0.1:@app@", "server 127.0.0.1:@app@; check tcp every 50ms rise 1 fall 1") % "off", app=o.port)
    wait_until(lambda: "listening on" in w.stderr, what="the line of the listener")
    o.stop()
    errors = folder / "error.log"
    wait_until(lambda: "is down" in errors.read_text(), what="the server's end in the error log")
    assert "is down" not in w.stderr and "weir: info:" not in errors.read_text()
    # Moved away, and begun anew on SIGUSR1; a reload that is refused is told there.
    errors.rename(folder / "error.old")
    w.signal(signal.SIGUSR1)
    wait_until(errors.exists, what="a new file")
    w.rewrite(WHERE.replace("respond", "respnd") % "off")
    w.signal(signal.SIGHUP)
    wait_until(lambda: "error:" in errors.read_text(), what="the refusal in the new file")
    # Without the statement it is stderr again.
    w.rewrite(WHERE.replace("log error warn error.log", "log error info") % "off")
    w.signal(signal.SIGHUP)
    wait_until(lambda: "in force" in w.stderr, what="the reload, on stderr")
    size = errors.stat().st_size
    w.rewrite(WHERE.replace("respond", "respnd") % "off")
    w.signal(signal.SIGHUP)
    wait_until(lambda: "error:" in w.stderr, what="the next refusal, on stderr")
    assert errors.stat().st_size == size


@pytest.mark.parametrize("line,said", [
    ("log error loud", "no level"), ("log error info journald", "stderr, stdout or a file"), ("log error info stderr sample 5%", "access log"),
    ("log access xml", "no form"), ("log access json stdout sample 101%", "101%"), ("log access json stdout when { nothing }", "nothing")])
def test_what_a_log_cannot_be(cli, folder, line, said):
    (folder / "weir.conf").write_text(line + "\nsite a.test { listen 127.0.0.1:1; route * -> respond 200 }\n")
    checked = cli("check")
    assert checked.returncode == 2 and said in checked.stderr and "weir.conf:1:" in checked.stderr


def test_tap_chooses_by_the_answer_too(weir, origin):
    w = weir(WHERE % "off", app=origin().port)
    child = subprocess.Popen([weir_binary(), "tap", "status 410"], cwd=w.folder, stdout=subprocess.PIPE, text=True, env={**os.environ, **ENVIRONMENT})
    try:
        wait_until(lambda: asked(w, "/healthz", "/gone") and select.select([child.stdout], [], [], 0.05)[0], what="a line")
        assert " 410 " in child.stdout.readline()
    finally:
        child.kill()
        child.wait()
