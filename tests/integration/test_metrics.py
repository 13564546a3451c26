# SPDX-License-Identifier: Apache-2.0
"""/metrics: Prometheus text that adds up."""
import re
import signal

import pytest

from http1 import connect, request
from process import wait_until

CONF = """
log access off
dashboard 127.0.0.1:@dash@
pool app { server 127.0.0.1:@app@ }
site a.test { listen 127.0.0.1:@http@
    route /x -> respond 200 "x"
    route *  -> pool app
}
"""


def metrics(w):
    """{name{labels}: value}, after a strict look at the format."""
    with connect(w.dash) as c:
        r = c.ask(request(target="/metrics", host=f"127.0.0.1:{w.dash}"))
    assert r.status == 200 and r.fields["Content-Type"].startswith("text/plain")
    values, types = {}, {}
    for line in r.body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types and kind in ("counter", "gauge", "histogram", "summary")
            types[name] = kind
        elif not line.startswith("#") and line:
            m = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? (-?[0-9.e+-]+|\+Inf|NaN)', line)
            assert m, line
            assert m[1].startswith(("weir_", "process_")), line
            base = re.sub(r"_(bucket|sum|count)$", "", m[1])
            assert m[1] in types or base in types, line
            key = m[1] + (m[2] or "")
            assert key not in values, f"twice: {key}"
            values[key] = float(m[3])
    for name, kind in types.items():
        assert (kind == "counter") == name.endswith("_total"), name
    return values


def total(values, pattern):
    return sum(v for k, v in values.items() if re.search(pattern, k.split("{")[0]))


@pytest.fixture
def measured(weir, origin):
    o = origin()
    return weir(CONF, app=o.port), o


def test_requests_are_counted(measured):
    w, o = measured
    before = metrics(w)
    with connect(w.http) as c:
        for _ in range(7):
            assert c.ask(request()).status == 200
        assert c.ask(request(target="/x")).status == 200
    wait_until(lambda: total(metrics(w), r"^weir_.*request.*_total$") >= total(before, r"^weir_.*request.*_total$") + 8, what="the counter")


def test_the_generation_is_numbered_from_the_start(measured):
    assert metrics(measured[0])["weir_generation"] == 1


def test_labels_come_from_the_configuration_only(measured):
    w, o = measured
    with connect(w.http) as c:
        c.ask(request(target="/evil-target", host="a.test", fields=[("X-Evil", "evil-field")]))
        c.ask(request(host="evil-host.test"))
        c.ask(request("EVILMETHOD"))
    text = str(metrics(w)).lower()
    for word in ("evil-target", "evil-field", "evil-host", "evilmethod"):
        assert word not in text


def test_no_counter_goes_down_on_reload(measured):
    w, o = measured
    with connect(w.http) as c:
        for _ in range(5):
            c.ask(request())
        before = wait_until(lambda: (m := metrics(w)) and total(m, r"request.*_total$") >= 5 and m, what="five requests")
        w.rewrite(CONF.replace('"x"', '"y"'))
        w.signal(signal.SIGHUP)
        wait_until(lambda: c.ask(request(target="/x")).body.rstrip() == b"y", what="the reload")
    after = metrics(w)
    for key, value in before.items():
        if key.split("{")[0].endswith("_total"):
            assert after.get(key, -1) >= value, key


def test_only_get_and_only_what_exists(measured):
    w, o = measured
    with connect(w.dash) as c:
        assert c.ask(request(target="/nothing", host="127.0.0.1")).status == 404
        assert c.ask(request("HEAD", "/metrics", host="127.0.0.1")).status == 200
        assert c.ask(request("POST", "/metrics", host="127.0.0.1", body=b"x")).status == 405


def test_a_page_of_another_site_cannot_read_it(measured):
    """DNS rebinding: a name that is not this machine's gets nothing."""
    w, o = measured
    with connect(w.dash) as c:
        r = c.ask(request(target="/metrics", host="evil.test"))
        assert "Access-Control-Allow-Origin" not in r.fields


def test_a_dashboard_beyond_loopback_is_refused(folder, cli):
    (folder / "x.conf").write_text("dashboard 0.0.0.0:9900\nsite * { route * -> respond 200 }\n")
    assert cli("check", "-c", "x.conf").returncode == 2


def test_tunnels_are_counted_while_they_are_open(weir, origin):
    o = origin()
    w = weir("log access off\ndashboard 127.0.0.1:@dash@\nproxy 127.0.0.1:@proxy@ { egress { allow 127.0.0.0/8; connect-ports any } }")

    def tunnels():
        return total(metrics(w), "^weir_tunnels$")

    assert tunnels() == 0
    with connect(w.proxy) as c:
        assert c.ask(request("CONNECT", f"127.0.0.1:{o.port}", host=f"127.0.0.1:{o.port}"), method="CONNECT").status == 200
        wait_until(lambda: tunnels() == 1, what="an open tunnel")
    wait_until(lambda: tunnels() == 0, what="its end")
