# SPDX-License-Identifier: Apache-2.0
"""Checks of servers, names that move, and what becomes of a pool when the configuration changes."""
import collections
import signal
import socket
import threading
import time

import pytest

from dns import DnsServer
from http1 import connect, request
from origin import Origin
from process import wait_until

SITE = """
log access off
%s
pool app {
    %s
}
site * {
    listen 127.0.0.1:@http@
    route * -> pool app
}
"""


class Server:
    """A handler that answers checks as it is told, and the rest with its name."""

    def __init__(self, name):
        self.name, self.status, self.fields, self.body = name, 200, [], b"fine"

    def __call__(self, x):
        if x.request.target == "/healthz":
            x.reply(self.status, self.body, self.fields)
        else:
            x.reply(body=self.name.encode())


def spread(port, n=12, **fields):
    with connect(port) as c:
        return collections.Counter(c.ask(request(**fields)).body.decode() for _ in range(n))


def uses(port, names):
    return wait_until(lambda: set(spread(port)) == set(names), what=f"requests going to {names} alone")


@pytest.fixture
def checked(weir, origin):
    """checked(statements) gives (weir, [server a, server b], [their origins])."""
    def start(statements, top="", **ports):
        servers = [Server("a"), Server("b")]
        origins = [origin(s) for s in servers]
        lines = [f"server 127.0.0.1:{o.port}" for o in origins] + ["balance round-robin", statements]
        return weir(SITE % (top, "\n    ".join(lines)), **ports), servers, origins
    return start


def test_a_server_is_down_while_its_checks_fail(checked):
    w, (a, b), origins = checked("check GET /healthz every 30ms rise 2 fall 2")
    uses(w.http, "ab")
    a.status = 500
    uses(w.http, "b")
    a.status = 302
    uses(w.http, "ab")
    assert "is down" in w.stderr and "is up" in w.stderr


def test_what_a_check_asks(checked):
    w, _, origins = checked("check GET /healthz every 30ms host health.test")
    origins[0].wait(lambda: origins[0].requests)
    r = origins[0].requests[0]
    assert (r.method, r.target, r.fields["Host"]) == ("GET", "/healthz", "health.test")


def test_one_thread_asks_for_all(weir, origin):
    o = origin(Server("a"))
    w = weir("threads 4\n" + SITE % ("", f"server 127.0.0.1:{o.port}\n check GET /healthz every 100ms"))
    o.wait(lambda: len(o.requests) >= 2)
    before = o.connections
    assert before < 6, "not once for each thread"
    assert spread(w.http, 1) == {"a": 1}


@pytest.mark.parametrize("rule, bad, good", [
    ("expect 204", {"status": 200}, {"status": 204}),
    ("expect 200-299 418", {"status": 404}, {"status": 418}),
    ("body ~^ready", {"body": b"not ready"}, {"body": b"ready or not"}),
    ("body *yes*", {"body": b"no"}, {"body": b"oh yes!"}),
    ("field X-Ready", {"fields": []}, {"fields": [("X-Ready", "1")]}),
    ("field X-Ready yes", {"fields": [("X-Ready", "no")]}, {"fields": [("X-Ready", "yes")]}),
])
def test_what_a_good_answer_is(checked, rule, bad, good):
    w, (a, b), _ = checked(f"check GET /healthz every 20ms rise 1 fall 1 {rule}")
    for s, values in ((a, bad), (b, good)):
        for name, value in values.items():
            setattr(s, name, value)
    uses(w.http, "b")
    for name, value in good.items():
        setattr(a, name, value)
    uses(w.http, "ab")


def test_a_server_that_only_accepts_passes_tcp_but_not_http(weir, origin):
    mute = socket.create_server(("127.0.0.1", 0))
    o = origin(Server("b"))
    lines = f"server 127.0.0.1:{mute.getsockname()[1]}\n server 127.0.0.1:{o.port}\n balance round-robin\n"
    w = weir(SITE % ("", lines + "check GET /healthz every 30ms timeout 50ms rise 1 fall 1"))
    wait_until(lambda: "is down" in w.stderr, what="the server that says nothing being down")
    assert set(spread(w.http)) == {"b"}
    w.rewrite(SITE % ("", lines + "check tcp every 30ms rise 1 fall 1"))
    w.signal(signal.SIGHUP)
    wait_until(lambda: "is up" in w.stderr, what="the server that accepts being up")
    mute.close()


def test_when_all_are_down_all_are_tried(checked):
    w, (a, b), _ = checked("check GET /healthz every 20ms rise 1 fall 1")
    a.status = b.status = 500
    wait_until(lambda: w.stderr.count("is down") >= 2, what="both being down")
    assert set(spread(w.http)) == {"a", "b"}


def test_a_server_that_is_tried_although_it_is_down_is_given_its_time(weir, origin):
    """The checks may be what is wrong."""
    def serve(x):
        if x.request.target == "/healthz":
            x.reply(500)
        else:
            time.sleep(0.4)
            x.reply(body=b"late")
    o = origin(serve)
    w = weir(SITE % ("", f"server 127.0.0.1:{o.port}\n check GET /healthz every 50ms\n retry 2 budget 100%"))
    wait_until(lambda: "is down" in w.stderr, what="the server being down")
    assert spread(w.http, 1) == {"late": 1}
    assert sum(r.target == "/" for r in o.requests) == 1


def test_requests_that_wait_for_a_server_that_is_found_down_go_elsewhere(weir, origin):
    hang = threading.Event()

    def stuck(x):
        hang.wait(20)
        x.close()
    a, o = origin(stuck), origin(Server("b"))
    w = weir(SITE % ("", f"server 127.0.0.1:{a.port}\n server 127.0.0.1:{o.port}\n balance round-robin\n"
                     "check GET /healthz every 100ms timeout 100ms fall 2 rise 1\n retry 1"))
    assert spread(w.http, 2) == {"b": 2}
    hang.set()


def test_health_lives_on_over_a_reload(checked):
    w, (a, b), origins = checked("check GET /healthz every 50ms rise 50 fall 2")
    a.status = 500
    uses(w.http, "b")
    w.rewrite(w.text + "# another generation\n")
    w.signal(signal.SIGHUP)
    wait_until(lambda: "generation 2" in w.stderr, what="the reload")
    a.status = 200
    assert set(spread(w.http)) == {"b"}, "the new generation knows what the old one knew"


@pytest.mark.parametrize("text", ["check GET", "check GET x", "check POST /x", "check tcp /x", "check tls", "check GET /x expect 99", "check tcp expect 200",
                                  "check GET /x expect 300-200", "check GET /x field a b c", "check GET /x rise 0", "eject after 0 errors for 1s", "retry 2 budget 20"])
def test_a_wrong_statement_is_an_error(folder, cli, text):
    (folder / "x.conf").write_text(f"pool app {{ server 127.0.0.1:1\n {text} }}\nsite * {{ listen 127.0.0.1:1\n route * -> pool app }}")
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 2 and "x.conf:2:" in done.stderr


# ---- names

@pytest.fixture
def names():
    started = []

    def start(table, **options):
        started.append(DnsServer(table, **options))
        return started[-1]
    yield start
    for d in started:
        d.stop()


def same_port(origin, hosts):
    """Origins at several addresses, on one port."""
    first = origin(Server(hosts[0]), host=hosts[0])
    return first.port, [first] + [origin(Server(h), host=h, port=first.port) for h in hosts[1:]]


def test_each_address_of_a_name_is_a_server(weir, origin, names):
    port, _ = same_port(origin, ["127.0.0.1", "127.0.0.2"])
    d = names({"app.test": ["127.0.0.1", "127.0.0.2"]})
    w = weir(SITE % (f"resolver 127.0.0.1:{d.port}", f"server app.test:{port}\n balance round-robin"))
    uses(w.http, ["127.0.0.1", "127.0.0.2"])


def test_a_name_that_moves_is_followed(weir, origin, names):
    port, _ = same_port(origin, ["127.0.0.1", "127.0.0.2"])
    d = names({"app.test": ["127.0.0.1"]})
    w = weir(SITE % (f"resolver 127.0.0.1:{d.port}", f"server app.test:{port}\n check GET /healthz every 50ms"))
    uses(w.http, ["127.0.0.1"])
    d.names["app.test"] = ["127.0.0.2"]
    uses(w.http, ["127.0.0.2"])
    d.names["app.test"] = ["127.0.0.1", "127.0.0.2"]
    uses(w.http, ["127.0.0.1", "127.0.0.2"])


def test_a_name_that_fails_keeps_its_last_good_answer_and_says_so(weir, origin, names):
    port, _ = same_port(origin, ["127.0.0.1"])
    d = names({"app.test": ["127.0.0.1"]})
    w = weir(SITE % (f"resolver 127.0.0.1:{d.port}", f"server app.test:{port}"))
    uses(w.http, ["127.0.0.1"])
    del d.names["app.test"]
    wait_until(lambda: "does not resolve" in w.stderr, what="weir saying so")
    assert spread(w.http, 3) == {"127.0.0.1": 3}
    d.names["app.test"] = ["127.0.0.1"]
    wait_until(lambda: "resolves again" in w.stderr, what="the name being back")


def test_a_name_that_never_resolved_is_a_server_that_is_down(weir, origin, names):
    o = origin(Server("b"))
    d = names({})
    w = weir(SITE % (f"resolver 127.0.0.1:{d.port}", f"server nobody.test:80\n server 127.0.0.1:{o.port}\n balance round-robin"))
    assert spread(w.http, 6) == {"b": 6}
    w.rewrite(SITE % (f"resolver 127.0.0.1:{d.port}", "server nobody.test:80"))
    w.signal(signal.SIGHUP)
    wait_until(lambda: "generation 2" in w.stderr, what="the reload")
    with connect(w.http) as c:
        assert c.ask(request()).status in (502, 503, 504)


# ---- unix sockets

def test_a_server_may_be_a_unix_socket(weir, folder):
    listener = socket.socket(socket.AF_UNIX)
    path = folder / "app.sock"
    listener.bind(str(path))
    path.chmod(0o666)
    folder.chmod(0o755)
    listener.listen(8)

    def serve():
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            while s.recv(65536):
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix")
    threading.Thread(target=serve, daemon=True).start()
    w = weir(SITE % ("", f"server unix:{path}\n check GET / every 50ms"))
    assert spread(w.http, 3) == {"unix": 3}
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
