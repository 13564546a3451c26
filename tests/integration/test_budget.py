# SPDX-License-Identifier: Apache-2.0
"""What an exchange may cost: system calls, connections, memory."""
import collections
import os
import pathlib
import re
import signal
import threading

import pytest

import certs
from http1 import connect, request
from process import need, wait_until

CONF = """
threads 1
log access off
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@http@
    route * -> pool app
}
proxy 127.0.0.1:@proxy@ { egress { allow 127.0.0.0/8 } }
"""
RECEIVE = {"recvfrom", "recvmsg", "read", "readv"}
SEND = {"sendto", "sendmsg", "write", "writev"}
WAIT = {"epoll_wait", "epoll_pwait", "epoll_pwait2"}
EXCHANGES = 200


@pytest.fixture
def trace(process, folder):
    """trace(pid, do): the system calls of a process, all threads, while do() runs: Counter by name."""
    def run(pid, do):
        out = folder / "trace"
        p = process([need("strace"), "-f", "-o", out, "-p", pid])
        wait_until(lambda: "attached" in p.stderr or not p.running(), what="strace")
        if not p.running():
            pytest.skip(f"strace may not attach here: {p.stderr.strip()}")
        do()
        p.signal(signal.SIGINT)
        p.wait()
        calls = collections.Counter()
        for line in out.read_text().splitlines():
            m = re.match(r"\d+ +(?:<\.\.\. )?(\w+)(\(| resumed)", line)
            if m and "<unfinished" not in line:
                calls[m[1]] += 1
        return calls
    return run


@pytest.mark.parametrize("side", ["reverse", "forward"])
def test_a_kept_alive_exchange_is_two_receives_and_two_sends(weir, origin, trace, side):
    body = b"x" * 1024
    o = origin(lambda x: x.reply(body=body))
    w = weir(CONF, app=o.port)
    target = "/" if side == "reverse" else f"http://127.0.0.1:{o.port}/"
    ask = request(target=target, host=f"127.0.0.1:{o.port}")
    with connect(w.http if side == "reverse" else w.proxy) as c:
        def exchanges():
            for _ in range(EXCHANGES):
                assert c.ask(ask).body == body
        exchanges()
        calls = trace(wait_until(w.workers)[0], exchanges)
    received, sent = sum(calls[n] for n in RECEIVE), sum(calls[n] for n in SEND)
    others = {n: k for n, k in calls.items() if n not in RECEIVE | SEND | WAIT}
    # A few more are the housekeeping of other threads while it ran, which does not grow with the exchanges.
    assert 2 * EXCHANGES <= received <= 2.05 * EXCHANGES, calls
    assert 2 * EXCHANGES <= sent <= 2.05 * EXCHANGES, calls
    assert sum(others.values()) <= 0.1 * EXCHANGES, calls
    assert o.connections == 1


def test_a_tunnel_asks_the_kernel_for_nothing_twice(weir, origin, trace):
    """CONNECT, an exchange in the tunnel, the client closes: what accepting, dialling, passing on and closing take, and no more."""
    body = b"x" * 1024
    o = origin(lambda x: x.reply(body=body))
    w = weir("threads 1\nlog access off\nproxy 127.0.0.1:@proxy@ { egress { allow 127.0.0.0/8; connect-ports any } }\n")

    def tunnels():
        for _ in range(EXCHANGES):
            with connect(w.proxy) as c:
                assert c.ask(request("CONNECT", f"127.0.0.1:{o.port}", host=f"127.0.0.1:{o.port}")).status == 200
                assert c.ask(request()).body == body
    tunnels()
    calls = trace(wait_until(w.workers)[0], tunnels)
    most = {"accept4": 2, "socket": 1, "setsockopt": 1, "connect": 1, "epoll_ctl": 2, "shutdown": 1, "close": 2}
    for name, n in most.items():
        assert calls[name] <= (n + 0.05) * EXCHANGES, calls
    assert sum(calls[n] for n in RECEIVE) <= 5.05 * EXCHANGES, calls
    assert sum(calls[n] for n in SEND) <= 3.05 * EXCHANGES, calls
    others = {n: k for n, k in calls.items() if n not in RECEIVE | SEND | WAIT | set(most)}
    assert sum(others.values()) <= 0.1 * EXCHANGES, calls


def test_an_exchange_on_a_tls_connection_of_its_own_is_two_sends(weir, trace):
    """The server's flight of the handshake, and the answer with close_notify behind it."""
    w = weir("threads 1\nlog access off\nsite a.test {\n    listen 127.0.0.1:@https@ tls\n    tls cert server.pem key server.key\n"
             "    session-tickets off\n    route * -> respond 200 hello\n}\n", files=certs.files("a.test"))

    def exchanges():
        for _ in range(EXCHANGES):
            with certs.connect_tls(w.https) as c:
                assert c.ask(request(fields=["Connection: close"])).body == b"hello"
                assert c.sock.recv(1) == b""
    exchanges()
    calls = trace(wait_until(w.workers)[0], exchanges)
    assert 2 * EXCHANGES <= sum(calls[n] for n in SEND) <= 2.05 * EXCHANGES, calls
    assert sum(calls[n] for n in RECEIVE) <= 4.05 * EXCHANGES, calls


def resident_bytes(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) * 1024


def test_large_transfers_need_little_memory(weir, origin):
    """Four times 64 MiB each way at once: it streams. (A sanitizer's own bookkeeping is kept small for this.)"""
    block, blocks = os.urandom(1 << 20), 64

    def handler(x):
        for _ in range(blocks):
            assert x.stream.read_exactly(len(block)) == block
        x.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (blocks * len(block)))
        for _ in range(blocks):
            x.send(block)
    o = origin(handler, read_content=False)
    w = weir(CONF, app=o.port, env={"ASAN_OPTIONS": "quarantine_size_mb=1:exitcode=99"})
    worker, peak, done, failures = wait_until(w.workers)[0], [0], threading.Event(), []

    def exchange():
        try:
            with connect(w.http, timeout=60) as c:
                c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % (blocks * len(block)))
                for _ in range(blocks):
                    c.send(block)
                r = c.read_response(content=False)
                assert r.status == 200
                for _ in range(blocks):
                    assert c.read_exactly(len(block)) == block
        except Exception as e:
            failures.append(e)
    with connect(w.proxy) as c:  # one small request first: what a first request sets up is not counted
        c.ask(request(target="http://127.0.0.1:1/"))
    before = resident_bytes(worker)

    def watch():
        while not done.wait(0.02):
            peak[0] = max(peak[0], resident_bytes(worker))
    watcher = threading.Thread(target=watch)
    watcher.start()
    clients = [threading.Thread(target=exchange) for _ in range(4)]
    for t in clients:
        t.start()
    for t in clients:
        t.join()
    done.set()
    watcher.join()
    assert not failures
    assert peak[0] - before < 24 << 20


def test_an_idle_connection_costs_little(weir, origin):
    """A thousand kept connections: their memory is a few hundred octets each (10,000 of them: see the benchmark)."""
    o = origin()
    w = weir("limits { per-client 2000 }\n" + CONF, app=o.port)
    worker = wait_until(w.workers)[0]

    def open_connections(n):
        made = []
        for _ in range(n):
            c = connect(w.http)
            assert c.ask(request()).status == 200
            made.append(c)
        return made
    kept = open_connections(100)
    before = resident_bytes(worker)
    kept += open_connections(800)
    grown = resident_bytes(worker) - before
    for c in kept:
        c.close()
    assert grown < 800 * 4096
