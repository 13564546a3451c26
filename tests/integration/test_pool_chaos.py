# SPDX-License-Identifier: Apache-2.0
"""The contract's pool under load while its servers are killed, stopped, restarted, cut and made to answer 500, one after the other:
no client sees any of it, and no POST is sent twice. A short run here; `make chaos` makes it a minute of 500 requests a second."""
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from http1 import Closed, connect, request
from process import free_port, wait_until
from test_contract import contract

SECONDS = float(os.environ.get("WEIR_CHAOS_SECONDS", "8"))
RATE = float(os.environ.get("WEIR_CHAOS_RATE", "150"))
CLIENTS = 6


class Server:
    def __init__(self, folder, number, port):
        self.port, self.record, self.mode = port, folder / f"record{number}", folder / f"mode{number}"
        self.mode.write_text("ok")
        self.start()

    def start(self):
        code = pathlib.Path(__file__).with_name("chaos_server.py")
        self.child = subprocess.Popen([sys.executable, str(code), str(self.port), str(self.record), str(self.mode)], env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})

    def kill(self):
        self.child.kill()
        self.child.wait()

    def posts(self):
        return self.record.read_text().split() if self.record.exists() else []


def killed(server, pause):
    server.kill()
    pause()
    server.start()


def stopped(server, pause):
    server.child.send_signal(signal.SIGSTOP)
    pause()
    server.child.send_signal(signal.SIGCONT)


def in_mode(mode):
    def trouble(server, pause):
        server.mode.write_text(mode)
        pause()
        server.mode.write_text("ok")
    return trouble


TROUBLES = [killed, stopped, in_mode("500"), in_mode("cut")]


class Client(threading.Thread):
    """Sends GETs at its share of the rate, and now and then a POST with an id of its own."""

    def __init__(self, port, number, ending):
        super().__init__(daemon=True)
        self.port, self.number, self.ending = port, number, ending
        self.bad, self.posts, self.gets = [], 0, 0

    def run(self):
        due = time.monotonic()
        while not self.ending.is_set():
            due += CLIENTS / RATE
            time.sleep(max(0, due - time.monotonic()))
            try:
                with connect(self.port, timeout=15) as c:
                    self.exchange(c)
            except (Closed, OSError) as e:
                self.bad.append(repr(e))

    def exchange(self, c):
        target = f"/{self.number}/{self.gets}"
        r = c.ask(request(target=target))
        self.gets += 1
        if r.status != 200 or r.body != target.encode() * 40:
            self.bad.append(repr(r))
        if self.gets % 10 == 0:
            self.posts += 1
            c.ask(request("POST", "/post", body=f"{self.number}-{self.posts}".encode()))


@pytest.fixture
def servers(folder):
    started = [Server(folder, i, free_port()) for i in range(3)]
    yield started
    for s in started:
        s.kill()


def test_clients_notice_nothing(weir, servers):
    ports = {f"o1808{i + 1}": s.port for i, s in enumerate(servers)}
    w = weir(contract("pool.conf"), **ports)
    with connect(w.p18080) as c:
        wait_until(lambda: c.ask(request()).status == 200, what="the first server")
    ending = threading.Event()
    clients = [Client(w.p18080, i, ending) for i in range(CLIENTS)]
    for c in clients:
        c.start()
    turns = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        server, trouble = servers[turns % 3], TROUBLES[turns % len(TROUBLES)]
        trouble(server, lambda: ending.wait(1.2))
        # The next one begins once this server answers again, as it would where somebody looks after them.
        ending.wait(0.6)
        turns += 1
    ending.set()
    for c in clients:
        c.join()
    bad = [b for c in clients for b in c.bad]
    asked = sum(c.gets for c in clients)
    assert not bad, f"{len(bad)} of {asked} GETs went wrong: {bad[:3]}"
    assert asked > SECONDS * RATE / 3, "there was load"
    posts = [p for s in servers for p in s.posts()]
    assert len(posts) == len(set(posts)), "no POST is sent twice"
