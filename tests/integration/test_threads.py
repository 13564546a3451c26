# SPDX-License-Identifier: Apache-2.0
"""A worker with several threads: what they share is asked for by all of them at once. `make tsan` runs this under
ThreadSanitizer, whose reports fail it."""
import signal
import threading

from http1 import connect, request
from process import wait_until

CONF = """
threads 3
log access json @log@
dashboard 127.0.0.1:@dash@
limits { per-client 1000 }
pool app { server 127.0.0.1:@app@; max-requests 50 queue 100 wait 5s }
site * {
    listen 127.0.0.1:@http@
    compress
    route /hello -> respond 200 hello
    route *      -> pool app
}
proxy 127.0.0.1:@forward@ { egress { allow 127.0.0.0/8; connect-ports any } }
"""
THREADS, ROUNDS = 6, 12


def test_all_at_once(weir, origin, folder):
    o = origin(lambda x: x.reply(body=x.request.target.encode() * 50, fields=[("Content-Type", "text/plain")]))
    w = weir(CONF, app=o.port, log=folder / "access.log")
    failures = []

    def client(n):
        try:
            for i in range(ROUNDS):
                target = f"/{n}/{i}"
                with connect(w.http, timeout=30) as c:
                    assert c.ask(request(target="/hello")).body == b"hello"
                    assert c.ask(request(target=target)).body == target.encode() * 50
                with connect(w.forward, timeout=30) as c:
                    assert c.ask(request(target=f"http://127.0.0.1:{o.port}{target}")).body == target.encode() * 50
                    r = c.ask(f"CONNECT 127.0.0.1:{o.port} HTTP/1.1\r\nHost: 127.0.0.1:{o.port}\r\n\r\n".encode())
                    assert r.status == 200
                    assert c.ask(request(target="/t")).body == b"/t" * 50
                with connect(w.dash, timeout=30) as c:
                    assert c.ask(request(target="/metrics", host="127.0.0.1")).status == 200
        except Exception as e:  # shown by the main thread
            failures.append(e)
            raise

    threads = [threading.Thread(target=client, args=(n,)) for n in range(THREADS)]
    for t in threads:
        t.start()
    for sig in (signal.SIGHUP, signal.SIGUSR1, signal.SIGHUP):
        w.child.send_signal(sig)
        wait_until(lambda: len(o.requests) > 5 or not any(t.is_alive() for t in threads), timeout=60, what="requests")
    for t in threads:
        t.join()
    assert not failures
