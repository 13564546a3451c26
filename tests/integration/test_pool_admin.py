# SPDX-License-Identifier: Apache-2.0
"""What is seen and done from outside: states in `weir status`, `weir server`, metrics, connections and their headers."""
import json
import re
import signal
import socket
import struct
import threading
import time

import pytest

from http1 import connect, request
from process import wait_until
from test_pool import ask_many, failing, named, spread

CONF = """
log access off
admin unix:weir.sock
dashboard 127.0.0.1:@dash@
pool app {
    %s
}
site * {
    listen 127.0.0.1:@http@
    route * -> pool app
}
"""


@pytest.fixture
def app(weir, origin, cli):
    """app(handlers, statements) gives (weir, origins, status): status() is what `weir status --json` says, by port."""
    def start(handlers, statements=""):
        origins = [origin(h) for h in handlers]
        w = weir(CONF % "\n    ".join([f"server 127.0.0.1:{o.port}" for o in origins] + [statements]))

        def status():
            done = cli("status", "-c", "weir.conf", "--json")
            assert done.returncode == 0, done.stderr
            return {int(s["server"].rpartition(":")[2]): s for s in json.loads(done.stdout)["servers"]}
        return w, origins, status
    return start


def test_status_shows_servers_and_their_states(app, cli):
    w, (a, b, c, d), status = app([failing(500), named("b"), named("c"), named("d")], "balance round-robin\n eject after 1 error for 60s")
    ask_many(w.http, 8)
    s = status()
    assert {p: s[p]["state"] for p in s} == {a.port: "ejected", b.port: "up", c.port: "up", d.port: "up"}
    assert s[a.port]["failures"] == 1 and s[b.port]["failures"] == 0 and s[b.port]["requests"] == 0
    assert s[b.port]["connections"] >= 1 and s[b.port]["pool"] == "app" and s[b.port]["weight"] == 1
    text = cli("status", "-c", "weir.conf").stdout
    assert f"127.0.0.1:{a.port}: ejected" in text and "pool app: round-robin, 0 waiting" in text


def test_a_server_is_drained_disabled_and_enabled(app, cli):
    w, (a, b), status = app([named("a"), named("b")], "balance round-robin\n sticky cookie s")

    def order(word):
        done = cli("server", "-c", "weir.conf", "app", f"127.0.0.1:{a.port}", word)
        assert done.returncode == 0, done.stderr
    with connect(w.http) as c:
        answers = [c.ask(request()) for _ in range(2)]
    session = {"fields": [("Cookie", r.fields["Set-Cookie"].split(";")[0]) for r in answers if r.body == b"a"]}
    order("drain")
    assert spread(ask_many(w.http, 8)) == {"b": 8} and status()[a.port]["state"] == "draining"
    assert spread(ask_many(w.http, 4, **session)) == {"a": 4}, "sessions go on"
    w.rewrite(w.text + "# more\n")
    w.signal(signal.SIGHUP)
    wait_until(lambda: "generation 2" in w.stderr, what="the reload")
    assert spread(ask_many(w.http, 8)) == {"b": 8}, "a reload changes nothing of it"
    order("disable")
    assert spread(ask_many(w.http, 4, **session)) == {"b": 4} and status()[a.port]["state"] == "disabled"
    order("enable")
    assert spread(ask_many(w.http, 8)) == {"a": 4, "b": 4} and status()[a.port]["state"] == "up"


@pytest.mark.parametrize("words, code, says", [(("nobody", "127.0.0.1:1", "drain"), 1, "no pool nobody"), (("app", "127.0.0.1:1", "drain"), 1, "no server 127.0.0.1:1"),
                                               (("app", "{a}", "stop"), 2, "drain|disable|enable"), (("app", "{a}"), 2, "usage"), (("app", "x y", "drain"), 2, "usage")])
def test_wrong_orders(app, cli, words, code, says):
    _, (a,), _ = app([named("a")])
    done = cli("server", "-c", "weir.conf", *(x.format(a=f"127.0.0.1:{a.port}") for x in words))
    assert done.returncode == code and says in done.stderr


def test_metrics_of_servers(app):
    w, (a, b), _ = app([failing(503), named("b")], "balance round-robin\n retry 1 budget 100%")
    ask_many(w.http, 10)
    text = ask_many(w.dash, 1, target="/metrics")[0].body.decode()

    def value(name, server, **labels):
        labels = {"pool": "app", "server": f"127.0.0.1:{server.port}", **labels}
        for line in text.splitlines():
            if line.startswith(name + "{") and all(f'{k}="{v}"' in line for k, v in labels.items()):
                return float(line.rpartition(" ")[2])
    assert value("weir_upstream_requests_total", b, code="2xx") or value("weir_upstream_requests_total", b, status="2xx") == 10
    assert value("weir_upstream_connections_total", b) == 1 and value("weir_upstream_reuses_total", b) == 9
    assert value("weir_upstream_first_byte_seconds_count", b) == 10
    assert value("weir_upstream_connect_seconds_count", a) == 1


def test_metrics_say_which_servers_are_up(app, cli):
    w, (a, b, c), _ = app([failing(500), named("b"), named("c")], "balance round-robin\n eject after 1 error for 60s")

    def up():
        text = ask_many(w.dash, 1, target="/metrics")[0].body.decode()
        return {int(port): int(v) for port, v in re.findall(r'^weir_upstream_up\{pool="app",server="127.0.0.1:(\d+)",?\} (\d)$', text, re.M)}
    assert up() == {a.port: 1, b.port: 1, c.port: 1}
    ask_many(w.http, 3)
    assert up() == {a.port: 0, b.port: 1, c.port: 1}, "ejected"
    assert cli("server", "-c", "weir.conf", "app", f"127.0.0.1:{b.port}", "disable").returncode == 0
    assert up() == {a.port: 0, b.port: 0, c.port: 1}, "disabled"
    w.rewrite(w.text.replace(f"server 127.0.0.1:{b.port} \n", "").replace(f"server 127.0.0.1:{b.port}\n", ""))
    w.signal(signal.SIGHUP)
    wait_until(lambda: "generation 2" in w.stderr, what="the reload")
    wait_until(lambda: b.port not in up(), what="the line of the server going")
    assert up() == {a.port: 0, c.port: 1}, "who is no more has no state"


def test_a_thousand_servers_by_reload_move_nothing(app):
    w, (a, b), status = app([failing(503), named("b")], "balance round-robin\n eject after 1 error for 60s")
    with connect(w.http) as c:
        for _ in range(6):
            c.ask(request())
        before = status()
        assert before[a.port]["state"] == "ejected"
        more = "\n    ".join(f"server 127.1.{n // 250}.{n % 250 + 1}:9 backup" for n in range(1000))
        w.rewrite(w.text.replace("balance round-robin", "balance round-robin\n    " + more))
        w.signal(signal.SIGHUP)
        wait_until(lambda: "generation 2" in w.stderr, what="the reload")
        assert spread(c.ask(request()) for _ in range(20)) == {"b": 20}
    assert (a.connections, b.connections) == (1, 1), "connections live on"


# ---- connections

def test_a_connection_carries_only_so_many_requests(app):
    w, (o,), _ = app([named("a")], "connection-requests 3")
    ask_many(w.http, 9)
    assert o.connections == 3


def test_an_old_connection_is_not_used_again(app):
    w, (o,), _ = app([lambda x: (time.sleep(0.02), x.reply())], "connection-age 10ms")
    ask_many(w.http, 3)
    assert o.connections == 3, "each was too old when its answer was complete"


def test_connections_are_counted(app):
    w, (o,), status = app([named("a")])
    ask_many(w.http, 3)
    assert status()[o.port]["connections"] == 1
    o.stop()
    wait_until(lambda: status()[o.port]["connections"] == 0, what="the closed connection being gone")


def proxy_server(parse):
    """A server that reads a PROXY protocol header of each connection first; gives its port and what it read."""
    seen = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        def one(s):
            f = s.makefile("rwb")
            try:
                seen.append(parse(f))
                while (line := f.readline()):
                    if line == b"\r\n":
                        f.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                        f.flush()
            except OSError:
                pass
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(s,), daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()
    return listener, seen


def read_v1(f):
    return f.readline().decode()


def read_v2(f):
    head = f.read(16)
    assert head[:12] == b"\r\n\r\n\0\r\nQUIT\n"
    command, family, length = head[12], head[13], struct.unpack(">H", head[14:])[0]
    return command, family, f.read(length)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_servers_are_told_the_client_by_proxy_protocol(weir, version):
    listener, seen = proxy_server(read_v1 if version == "v1" else read_v2)
    w = weir(CONF % f"server 127.0.0.1:{listener.getsockname()[1]}\n proxy-protocol {version}")
    with connect(w.http) as c:
        port = c.sock.getsockname()[1]
        for _ in range(3):
            assert c.ask(request()).body == b"ok"
    if version == "v1":
        assert seen == [f"PROXY TCP4 127.0.0.1 127.0.0.1 {port} {w.http}\r\n"] * 3
    else:
        assert seen == [(0x21, 0x11, socket.inet_aton("127.0.0.1") * 2 + struct.pack(">HH", port, w.http))] * 3
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_checks_are_nobodys_connections(weir):
    listener, seen = proxy_server(read_v2)
    w = weir(CONF % f"server 127.0.0.1:{listener.getsockname()[1]}\n proxy-protocol v2\n check GET / every 20ms")
    wait_until(lambda: seen, what="a check")
    assert seen[0][0] == 0x20, "LOCAL"
    assert "is down" not in w.stderr
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
