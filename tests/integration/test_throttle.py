# SPDX-License-Identifier: Apache-2.0
"""`limit rate|requests|connections ... by ...`: what passes, what is refused and how, and who shares a count with whom."""
import threading

import pytest

from http1 import connect, request
from process import wait_until

CONF = """
log access off
%s
pool app { server 127.0.0.1:@app@ }
site a.test b.test {
    listen 127.0.0.1:@http@
    %s
    route /own/* -> pool app { %s }
    route *      -> pool app
}
"""
FORWARDED = "trust client-ip from 127.0.0.1"


@pytest.fixture
def site(weir, origin):
    def start(limit="", own="", top="", **options):
        o = origin(**options)
        return weir(CONF % (top, limit, own), app=o.port), o
    return start


def statuses(w, n, **options):
    with connect(w.http) as c:
        return [c.ask(request(**options)).status for _ in range(n)]


def test_a_rate_with_its_burst(site):
    w, o = site("limit rate 1/h burst 5 by client-ip")
    assert statuses(w, 8) == [200] * 5 + [429] * 3
    assert len(o.requests) == 5


def test_without_a_burst_the_number_of_the_rate_comes_at_once(site):
    w, _ = site("limit rate 6/h")
    assert statuses(w, 8) == [200] * 6 + [429] * 2


def test_a_refusal_says_when_to_come_again(site):
    w, _ = site("limit rate 2/h burst 1 by client-ip")
    with connect(w.http) as c:
        assert c.ask(request()).status == 200
        r = c.ask(request(fields=["Accept: application/problem+json"]))
        assert r.status == 429 and r.fields["Content-Type"] == "application/problem+json"
        assert 1700 < int(r.fields["Retry-After"]) <= 1800
        assert b"too_many_requests" in r.body
        assert c.ask(request()).status == 429  # the connection goes on


def test_the_rate_comes_back(site):
    w, _ = site("limit rate 20/s burst 1 by client-ip")
    assert statuses(w, 1) == [200]
    wait_until(lambda: statuses(w, 1) == [200])


def test_by_header(site):
    w, _ = site("limit rate 2/h by header X-Key")
    for key in ("one", "two", "x" * 400, "x" * 399 + "y"):
        assert statuses(w, 3, fields=[("X-Key", key)]) == [200, 200, 429]
    # Whoever leaves the field out counts by address.
    assert statuses(w, 3) == [200, 200, 429]


def test_by_host(site):
    w, _ = site("limit rate 2/h by host")
    assert statuses(w, 3, host="a.test") == [200, 200, 429]
    assert statuses(w, 1, host="A.TEST.") == [429]
    assert statuses(w, 3, host="b.test") == [200, 200, 429]


@pytest.mark.parametrize("by,addresses,alike", [
    ("client-ip", ["192.0.2.1", "192.0.2.2"], False),
    ("client-ip", ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2"], True),
    ("client-ip", ["2001:db8:0:1::1", "2001:db8:0:2::1"], False),
    ("client-ip /56", ["2001:db8:0:1::1", "2001:db8:0:2::1"], True),
    ("client-ip /60", ["2001:db8:0:1::1", "2001:db8:0:11::1"], False),
    ("client-ip /128", ["2001:db8::1", "2001:db8::2"], False),
    ("client-ip", ["192.0.2.1", "::ffff:192.0.2.1"], True),
], ids=lambda v: str(v))
def test_who_is_one_client(site, by, addresses, alike):
    w, _ = site(f"limit rate 1/h by {by}", top=FORWARDED)
    assert statuses(w, 2, fields=[("X-Forwarded-For", addresses[0])]) == [200, 429]
    assert statuses(w, 1, fields=[("X-Forwarded-For", addresses[1])]) == [429 if alike else 200]


def test_whom_nobody_trusts_cannot_be_another_client(site):
    w, _ = site("limit rate 1/h by client-ip")
    assert [statuses(w, 1, fields=[("X-Forwarded-For", f"192.0.2.{i}")])[0] for i in range(4)] == [200, 429, 429, 429]


def test_a_route_adds_to_its_site(site):
    w, _ = site("limit rate 4/h by client-ip", own="limit rate 2/h by client-ip")
    assert statuses(w, 3, target="/own/x") == [200, 200, 429]  # the third counted for the site
    assert statuses(w, 2) == [200, 429]


def test_threads_count_together(site):
    w, o = site("limit rate 30/h by client-ip", top="threads 2")
    seen = []
    for _ in range(40):
        with connect(w.http) as c:
            seen.append(c.ask(request()).status)
    assert seen.count(200) == 30 and seen.count(429) == 10


def test_requests_under_way(site):
    go = threading.Event()

    def handler(x):
        go.wait(20)
        x.reply()
    w, o = site("limit requests 3 by client-ip", handler=handler)
    held = [connect(w.http) for _ in range(3)]
    for c in held:
        c.send(request())
    o.wait(lambda: len(o.requests) == 3)
    with connect(w.http) as c:
        r = c.ask(request())
        assert r.status == 429 and r.fields["Retry-After"] == "1"
        go.set()
        for h in held:
            assert h.read_response().status == 200
        assert statuses(w, 10) == [200] * 10
    for h in held:
        h.close()


def test_a_client_that_leaves_gives_its_place_back(site):
    w, o = site("limit requests 1 by client-ip", handler=lambda x: x.stream.read_to_end() if x.request.target == "/hang" else x.reply())
    c = connect(w.http)
    c.send(request(target="/hang"))
    o.wait(lambda: len(o.requests) == 1)
    assert statuses(w, 1) == [429]
    c.reset()
    wait_until(lambda: statuses(w, 1) == [200])


def test_connections(site):
    w, o = site("limit connections 2 by client-ip")
    a, b = connect(w.http), connect(w.http)
    for c in (a, b, a, b):
        assert c.ask(request()).status == 200
    with connect(w.http) as c:
        r = c.ask(request())
        assert r.status == 503 and r.fields["Retry-After"] == "1" and r.fields["Connection"] == "close"
        c.expect_closed()
    assert a.ask(request()).status == 200
    b.close()
    wait_until(lambda: statuses(w, 1) == [200])
    a.close()


def test_connections_whose_key_changes(site):
    """The place goes along: it is held for the key of the latest request, and for no other."""
    w, o = site("limit connections 1 by header X-Key")
    key = lambda k: request(fields=[("X-Key", k)])  # noqa: E731
    with connect(w.http) as a, connect(w.http) as b:
        assert a.ask(key("one")).status == 200
        assert a.ask(key("two")).status == 200
        assert b.ask(key("one")).status == 200
        assert a.ask(key("one")).status == 503


def test_a_reload_forgets_nothing(site):
    w, o = site("limit rate 3/h by client-ip")
    assert statuses(w, 2) == [200] * 2
    w.rewrite(w.text.replace("route *  ", "# moved\n  route *  ").replace('site a.test b.test', 'site a.test b.test c.test'))
    import signal
    w.signal(signal.SIGHUP)
    wait_until(lambda: statuses(w, 1, host="c.test")[0] in (200, 429))
    got = statuses(w, 2)
    assert got[-1] == 429


def test_a_forward_proxy(weir, origin):
    o = origin()
    w = weir("log access off\nproxy 127.0.0.1:@http@ { egress { allow 127.0.0.1 ports @app@ }\n limit rate 2/h by client-ip }", app=o.port)
    assert statuses(w, 3, target=f"http://127.0.0.1:{o.port}/", host=f"127.0.0.1:{o.port}") == [200, 200, 429]


def test_what_is_refused_is_counted_and_logged(weir, origin):
    o = origin()
    w = weir("dashboard 127.0.0.1:@dash@\n" + (CONF % ("", "limit rate 1/h by client-ip", "")).replace("log access off", ""), app=o.port)
    assert statuses(w, 2) == [200, 429]
    wait_until(lambda: '"reason":"too_many_requests"' in w.stdout)
    line = next(x for x in w.stdout.splitlines() if "too_many_requests" in x)
    where = 1 + next(i for i, x in enumerate(w.text.splitlines()) if "limit rate" in x)
    assert f'"rule":"weir.conf:{where}"' in line and '"phase":"authorize"' in line
    with connect(w.dash) as c:
        assert b'weir_limit_refusals_total{limit="limit rate"} 1\n' in c.ask(request(target="/metrics", host="127.0.0.1")).body


@pytest.mark.parametrize("statement,words", [
    ("limit rate 5 by client-ip", "a rate is wanted"),
    ("limit rate 0/s", "a rate is wanted"),
    ("limit rate 5/d", "a rate is wanted"),
    ("limit requests 0", "at least 1"),
    ("limit requests 5/s", "whole number"),
    ("limit requests 5 burst 3", "only a rate has a burst"),
    ("limit rate 5/s burst 0", "out of range"),
    ("limit rate 5/s by cookie", "by client-ip"),
    ("limit rate 5/s by header", "by client-ip"),
    ("limit rate 5/s by client-ip /129", "by client-ip"),
    ("limit bytes 5", "not possible"),
])
def test_mistakes(cli, folder, statement, words):
    (folder / "weir.conf").write_text(f"site a.test {{ listen 127.0.0.1:8080\n    {statement}\n    route * -> respond 200 }}\n")
    done = cli("check")
    assert done.returncode == 2 and words in done.stderr and "weir.conf:2:" in done.stderr, done.stderr
