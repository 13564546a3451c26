# SPDX-License-Identifier: Apache-2.0
"""What happens under load: the worker is killed, the configuration is reloaded again and again."""
import os
import signal
import threading
import time

import pytest

from http1 import Closed, connect, request
from process import wait_until

CONF = """
log access off
pool app { server 127.0.0.1:@app@ }
site a.test {
    listen 127.0.0.1:@http@
    set response-header X-Gen 0
    route * -> pool app
}
"""


class Clients:
    """Some on kept connections, some on new ones, as fast as they can."""

    def __init__(self, port, n=6):
        self.port, self.stop = port, threading.Event()
        self.statuses, self.failures, self.generations = {}, [], set()
        self.refused = 0
        self.threads = [threading.Thread(target=self.run, args=(i % 2 == 0,)) for i in range(n)]
        for t in self.threads:
            t.start()

    def run(self, keep):
        c = None
        while not self.stop.is_set():
            try:
                c = c or connect(self.port, timeout=20)
                r = c.ask(request())
                self.statuses[r.status] = self.statuses.get(r.status, 0) + 1
                self.generations.add(r.fields.get("X-Gen"))
                if not keep:
                    c.close()
                    c = None
            except ConnectionRefusedError as e:
                self.refused += 1
                self.failures.append(e)
            except (Closed, ConnectionError, TimeoutError) as e:
                self.failures.append(e)
                c = None

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join(30)


def test_a_hundred_reloads(weir, origin):
    o = origin()
    w = weir(CONF, app=o.port)
    worker = wait_until(w.workers)
    clients = Clients(w.http)
    for i in range(1, 101):
        w.rewrite(CONF.replace("X-Gen 0", f"X-Gen {i}"))
        w.signal(signal.SIGHUP)
        time.sleep(0.02)  # so that they follow each other, and not one signal stands for many
    wait_until(lambda: "100" in clients.generations, 30, "the last configuration")
    clients.end()
    assert not clients.failures and set(clients.statuses) == {200}
    assert len(clients.generations) >= 10
    assert w.workers() == worker


def test_the_worker_is_killed(weir, origin):
    """Whoever connects then is never refused, and is answered as soon as the next worker stands."""
    o = origin()
    w = weir(CONF, app=o.port)
    wait_until(w.workers)
    clients = Clients(w.http)
    for _ in range(3):
        wait_until(lambda: sum(clients.statuses.values()) > 50)
        [worker] = wait_until(w.workers)
        os.kill(worker, signal.SIGKILL)
        start = time.monotonic()
        with connect(w.http, timeout=20) as c:
            while True:
                try:
                    assert c.ask(request()).status == 200
                    break
                except (Closed, ConnectionError):  # it had been accepted by the one that died
                    c.close()
                    c.__init__(connect(w.http, timeout=20).sock, 20)
        print(f"answered {1000 * (time.monotonic() - start):.0f} ms after the kill")
        wait_until(lambda: w.workers() not in ([], [worker]))
        clients.statuses.clear()
    clients.end()
    assert clients.refused == 0
    assert set(clients.statuses) <= {200}
