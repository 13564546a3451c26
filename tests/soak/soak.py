#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Mixed load, reloads and faults for MINUTES; then the worker's memory and descriptors must have stayed flat. `make soak MINUTES=60`.
SOAK_CLIENTS (16) says how many are at it, SOAK_PAUSE (0) how many seconds each waits between two things that it does."""
import os
import pathlib
import random
import resource
import signal
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from http1 import Closed, chunked, connect, request  # noqa: E402
from origin import Origin  # noqa: E402
from process import Weir, wait_until  # noqa: E402

MIB_AN_HOUR = 1.0
CLIENTS = int(os.environ.get("SOAK_CLIENTS", "16"))
PAUSE = float(os.environ.get("SOAK_PAUSE", "0"))
CONF = """
log access json access.log
limits { per-client 5000 }
timeouts { header 5s  idle 5s  between-bytes 5s  first-byte 5s }
trust client-ip from 127.0.0.1
pool app { server 127.0.0.1:@app@ }
site a.test {
    listen 127.0.0.1:@http@
    limit rate 100000/s by client-ip
    limit requests 1000 by header X-Key
    deny path /denied/*
    route /packed/* -> pool app { compress }
    route *         -> pool app
}
proxy 127.0.0.1:@proxy@ { egress { allow 127.0.0.1 ports @app@; connect-ports any } }
"""
TEXT = b"the quick brown fox jumps over the lazy dog\n" * 2000


def answer(x):
    """Mostly well; sometimes as servers fail."""
    what = x.request.target
    if "/reset" in what:
        x.reset()
    elif "/cut" in what:
        x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        x.close()
    elif "/bad" in what:
        x.send(b"HTTP/1.1 2xx\r\n\r\n")
        x.close()
    elif "/chunked" in what:
        x.reply_chunked(b"a" * 5000, b"b" * 70000, trailers=[("X-End", "1")])
    elif "/packed" in what:
        x.reply(body=TEXT, fields=[("Content-Type", "text/plain")])
    elif "/large" in what:
        x.reply(body=b"x" * (2 << 20))
    else:
        x.reply(body=x.request.body or b"ok")
    del x.origin.requests[:]


class Load:
    def __init__(self, w, app):
        self.w, self.app, self.stop = w, app, threading.Event()
        self.done = self.odd = 0
        self.lock = threading.Lock()

    def good(self, c, rng):
        kind = rng.choice(["/", "/", "/", "/large", "/chunked", "/packed/x", "/denied/x", "post", "upload", "/reset", "/cut", "/bad"])
        fields = [("X-Key", str(rng.randrange(10**6))), ("X-Forwarded-For", f"10.{rng.randrange(256)}.{rng.randrange(256)}.1"), "Accept-Encoding: gzip, br"]
        if kind == "post":
            return c.ask(request("POST", fields=fields, body=b"y" * rng.randrange(200000))).status
        if kind == "upload":
            c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n")
            c.send(chunked(b"z" * rng.randrange(1, 50000), b"z" * 10))
            return c.read_response().status
        return c.ask(request(target=kind, fields=fields)).status

    def rude(self, rng):
        """Clients that leave, stand still, or talk nonsense."""
        with connect(self.w.http, timeout=10) as c:
            how = rng.randrange(5)
            if how == 0:
                c.send(request(target="/large"))
                c.sock.recv(1000)
                c.reset()
            elif how == 1:
                c.send(b"GET / HTTP/1.1\r\nHost: a.te")
            elif how == 2:
                c.send(bytes(rng.randrange(256) for _ in range(200)))
            elif how == 3:
                c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\nxyz")
            else:
                c.send(request() * 20)

    def tunnel(self):
        with connect(self.w.proxy, timeout=10) as c:
            c.ask(f"CONNECT 127.0.0.1:{self.app} HTTP/1.1\r\nHost: 127.0.0.1:{self.app}\r\n\r\n")
            c.ask(request())

    def run(self, seed):
        rng = random.Random(seed)
        c = None
        while not self.stop.is_set():
            try:
                time.sleep(PAUSE)
                if rng.random() < 0.1:
                    self.rude(rng)
                elif rng.random() < 0.05:
                    self.tunnel()
                else:
                    c = c or connect(self.w.http, timeout=20)
                    self.good(c, rng)
                    if rng.random() < 0.1:
                        c.close()
                        c = None
                with self.lock:
                    self.done += 1
            except (Closed, ConnectionError, TimeoutError, OSError, AssertionError):
                with self.lock:
                    self.odd += 1
                c = None


def sample(worker):
    with open(f"/proc/{worker}/status") as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    return rss, len(os.listdir(f"/proc/{worker}/fd"))


def slope_kib_an_hour(samples):
    n = len(samples)
    mt, mr = sum(t for t, *_ in samples) / n, sum(r for _, r, _ in samples) / n
    spread = sum((t - mt) ** 2 for t, *_ in samples)
    return sum((t - mt) * (r - mr) for t, r, _ in samples) / spread * 3600 if spread else 0


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    home = pathlib.Path(tempfile.mkdtemp(prefix="weir-soak-"))
    home.chmod(0o755)
    origin = Origin(answer)
    w = Weir(home, CONF, app=origin.port)
    w.wait_ports([w.http, w.proxy])
    worker = wait_until(w.workers)[0]
    load = Load(w, origin.port)
    threads = [threading.Thread(target=load.run, args=(i,), daemon=True) for i in range(CLIENTS)]
    for t in threads:
        t.start()
    begin, samples, reloads = time.monotonic(), [], 0
    while (elapsed := time.monotonic() - begin) < minutes * 60:
        time.sleep(5)
        samples.append((elapsed, *sample(worker)))
        if int(elapsed) // 20 > reloads:
            reloads += 1
            w.rewrite(w.text.replace("deny path /denied/*", "deny path /denied/* /refused/*") if reloads % 2 else w.text.replace(" /refused/*", ""))
            w.signal(signal.SIGHUP)
        if w.workers() != [worker]:
            sys.exit(f"the worker ended after {elapsed:.0f} s\n{w.stderr[-4000:]}")
        if len(samples) % 12 == 0:
            print(f"{elapsed:6.0f} s  {samples[-1][1] / 1024:7.1f} MiB  {samples[-1][2]:5d} descriptors  {load.done} done, {load.odd} broken off, {reloads} reloads", flush=True)
        os.truncate(home / "access.log", 0)
    load.stop.set()
    for t in threads:
        t.join(30)
    wait_until(lambda: sample(worker)[1] < 80, 60, "few descriptors once all is quiet")
    w.stop()
    rest = [s for s in samples if s[0] >= min(600, minutes * 60 / 3)]
    slope = slope_kib_an_hour(rest) / 1024
    most = [max(f for _, _, f in part) for part in (rest[:len(rest) // 2], rest[len(rest) // 2:])]
    print(f"memory {rest[0][1] / 1024:.1f} to {rest[-1][1] / 1024:.1f} MiB, slope {slope:+.2f} MiB an hour; most descriptors {most[0]}, then {most[1]}")
    short = minutes < 30  # too short for a slope of MiB an hour: then the size alone
    if (slope >= MIB_AN_HOUR and not short) or rest[-1][1] > rest[0][1] * 1.5 or most[1] > most[0] * 1.3 + 50:
        sys.exit("not flat")


main()
