# SPDX-License-Identifier: Apache-2.0
"""More than can be served: descriptors, connections, time. Who is let in is served well; who is not is told so."""
import os
import resource
import socket
import threading
import time

import pytest

from http1 import Closed, connect, request
from process import wait_until

CONF = """
log access off
dashboard 127.0.0.1:@dash@
admin unix:weir.sock
%s
pool app { server 127.0.0.1:@app@ }
site a.test {
    listen 127.0.0.1:@http@
    route * -> pool app
}
"""


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        parts = f.read().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def test_who_is_too_many_is_told_so(weir, origin):
    o = origin()
    w = weir(CONF % "limits { connections 8 }", app=o.port)
    held = [connect(w.http) for _ in range(8)]
    for c in held:
        assert c.ask(request()).status == 200
    for _ in range(20):
        with connect(w.http) as c:
            try:
                c.send(request())
            except ConnectionError:
                pass
            r = c.read_response()
            assert r.status == 503 and int(r.fields["Retry-After"]) >= 1 and r.fields["Connection"] == "close"
            c.expect_closed()
    for c in held:
        assert c.ask(request()).status == 200  # never a stuck old one
        c.close()

    def served():
        with connect(w.http) as c:
            return c.ask(request()).status == 200
    wait_until(served)


def test_out_of_descriptors(weir, origin, cli):
    """Accepting pauses and goes on by itself, nothing spins, what is under way ends well, and the admin's doors stay open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    go = threading.Event()
    o = origin(lambda x: (go.wait(30), x.reply(body=b"late")) if x.request.target == "/late" else x.reply(body=b"soon"))
    w = weir("threads 2\n" + CONF % "limits { per-client 10000 }", app=o.port, wait=False, open_files=256)
    wait_until(lambda: w.workers() and f"127.0.0.1:{w.http}" in w.stderr)
    wait_until(lambda: connect(w.http).ask(request()).status == 200)
    early = [connect(w.http, timeout=60) for _ in range(20)]
    for c in early:
        c.send(request(target="/late"))
    o.wait(lambda: sum(r.target == "/late" for r in o.requests) == 20)
    crowd = []
    for _ in range(800):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", w.http))
        crowd.append(s)
    worker = wait_until(w.workers)[0]
    wait_until(lambda: len(os.listdir(f"/proc/{worker}/fd")) > 100)
    before, start = cpu_seconds(worker), time.monotonic()
    for _ in range(5):
        with connect(w.dash) as c:
            assert b"weir_connections" in c.ask(request(target="/metrics", host="127.0.0.1")).body
        assert cli("status", "-s", "weir.sock").returncode == 0
    time.sleep(1)  # the quiet is what is measured
    assert (cpu_seconds(worker) - before) / (time.monotonic() - start) < 0.5, "it spins"
    go.set()
    for c in early:
        assert c.read_response().body == b"late"
        c.close()
    for s in crowd:
        s.close()

    def served():
        try:
            with connect(w.http) as c:
                return c.ask(request()).status == 200
        except (Closed, ConnectionError, TimeoutError):
            return False
    wait_until(served, 20)
    assert w.workers() == [worker]


LARGE_TEXT = b"".join(b"%d the quick brown fox\n" % (i * 7919 % 100003) for i in range(40000))


def measure(port, rate, seconds):
    """An open loop: so many new connections a second, whatever becomes of them. Statuses, and how long good answers took."""
    results, lock, threads = [], threading.Lock(), []

    def one():
        start = time.monotonic()
        try:
            with connect(port, timeout=30) as c:
                c.send(request(fields=["Accept-Encoding: br"]))
                status = c.read_response().status
        except (Closed, ConnectionError, TimeoutError, OSError) as e:
            status = repr(e)
        with lock:
            results.append((status, time.monotonic() - start))
    begin = time.monotonic()
    for i in range(int(rate * seconds)):
        pause = begin + i / rate - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        t = threading.Thread(target=one, daemon=True)
        t.start()
        threads.append(t)
    for t in threads:
        t.join(60)
    elapsed = time.monotonic() - begin
    good = sorted(t for s, t in results if s == 200)
    return len(good) / elapsed, good, [s for s, _ in results]


def test_four_times_what_can_be_done(weir, origin):
    """Requests that cost much processor time come four times as fast as they can be served: those that are served are served, the
    others are refused in words, the worker stays, and the refusals end. (How much is served, and how fast, is measured by
    `make overload`; here it would depend on the machine.)"""
    o = origin(lambda x: x.reply(body=LARGE_TEXT, fields=[("Content-Type", "text/plain")]))
    w = weir((CONF % "threads 1\nlimits { lag 50ms }").replace("route *", "compress br level 9\n    route *"), app=o.port)
    worker = wait_until(w.workers)
    start = time.monotonic()
    with connect(w.http, timeout=60) as c:
        for _ in range(3):
            assert c.ask(request(fields=["Accept-Encoding: br"])).status == 200
    capacity = 3 / (time.monotonic() - start)
    goodput, times, statuses = measure(w.http, max(4 * capacity, 40), 4)
    assert set(statuses) == {200, 503}, statuses
    assert statuses.count(503) > len(statuses) / 4
    assert w.workers() == worker, "the watchdog took much work for a hang"
    wait_until(lambda: measure(w.http, 2, 1)[2] == [200, 200], 30, "an end of the refusals")


def test_quick_requests_are_never_refused(weir, origin):
    o = origin()
    w = weir(CONF % "", app=o.port)
    bad = []

    def client():
        with connect(w.http, timeout=60) as c:
            for _ in range(20):
                r = c.ask(request())
                if r.status != 200:
                    bad.append(r.status)
    threads = [threading.Thread(target=client) for _ in range(60)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    assert not bad
