# SPDX-License-Identifier: Apache-2.0
"""A crowd of slow connections of five kinds beside a good client: no good request fails, the crowd costs little memory each, and its time ends.
`make crowd` runs the same with 10,000 of them (WEIR_CROWD) and without sanitizers, and then looks at times too."""
import os
import resource
import socket
import time

from http1 import Stream, connect, request
from process import wait_until

CROWD = int(os.environ.get("WEIR_CROWD", "400"))
MEASURE = CROWD > 1000
KIB_EACH = 12
CONF = """
log access off
dashboard 127.0.0.1:@dash@
timeouts { header 60s  handshake 60s  idle 60s  connect 60s }
limits { connections 40000  per-client 40000 }
pool app { server 127.0.0.1:@app@ }
site a.test {
    listen 127.0.0.1:@http@
    route * -> pool app
}
"""
LARGE = b"x" * ((1 if MEASURE else 6) << 20)  # more than a socket takes; of a large crowd the kernel takes less


def slow(port, kind):
    s = socket.socket()
    if kind == "read":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(30)
    s.connect(("127.0.0.1", port))
    s.sendall({"head": b"GET / HTTP/1.1\r\nHost: a.test\r\nX: ", "body": b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\nx",
               "read": request(target="/large"), "idle": b"", "half-open": request()}[kind])
    if kind == "half-open":
        s.shutdown(socket.SHUT_WR)
    return s


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def ask_for(port, seconds, times):
    """200 requests a second on kept connections, and some on new ones."""
    end, n = time.monotonic() + seconds, 0
    with connect(port, timeout=30) as kept:
        while time.monotonic() < end:
            start = time.monotonic()
            if n % 10:
                r = kept.ask(request())
            else:
                with connect(port, timeout=30) as c:
                    r = c.ask(request())
            times.append((r.status, time.monotonic() - start))
            n += 1
            time.sleep(max(0, 0.005 - (time.monotonic() - start)))


def p99(times):
    return sorted(t for _, t in times)[int(len(times) * 0.99)]


def test_a_crowd_beside_a_good_client(weir, origin):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    o = origin(lambda x: x.reply(body=LARGE if x.request.target == "/large" else b"ok"))
    w = weir(CONF, app=o.port)
    worker = wait_until(w.workers)[0]
    alone, beside, crowd = [], [], []
    ask_for(w.http, 2, alone)
    before = resident_kib(worker)
    for i in range(CROWD):
        crowd.append(slow(w.http, ("head", "body", "read", "idle", "half-open")[i % 5]))
    settled = lambda: sum(r.target == "/large" for r in o.requests) >= len([i for i in range(CROWD) if i % 5 == 2])  # noqa: E731
    wait_until(settled, 120, "the crowd to stand still")
    ask_for(w.http, 3, beside)
    after = resident_kib(worker)
    with connect(w.dash) as c:
        assert c.ask(request(target="/metrics", host="127.0.0.1")).status == 200
    assert {s for s, _ in alone + beside} == {200}
    each = (after - before) / CROWD
    print(f"{CROWD} slow ones: {each:.1f} KiB each; a good one's p99 {p99(alone) * 1000:.2f} ms alone, {p99(beside) * 1000:.2f} ms beside them")
    for s in crowd[2:17:5]:  # what their exchanges gave back while they waited was nothing that they wait for
        assert Stream(s, timeout=60).read_response().body == LARGE
    if MEASURE:
        assert each < KIB_EACH
        assert p99(beside) <= max(p99(alone) * 1.1, p99(alone) + 0.002)
    for s in crowd:
        s.close()
    crowd.clear()
    wait_until(lambda: connect(w.http).ask(request()).status == 200)
    assert w.workers() == [worker]
