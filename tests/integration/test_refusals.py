# SPDX-License-Identifier: Apache-2.0
"""Answers of rules besides `deny`: `allow` in a site, `tarpit`, `challenge` (solved here by Node running the page's own script)."""
import re
import signal
import subprocess
import time

import pytest

from http1 import connect, request
from process import need, wait_until

CONF = """
log access off
timeouts { tarpit %s }
pool app { server 127.0.0.1:@app@ }
site a.test {
    listen 127.0.0.1:@http@
    %s
    route * -> pool app
}
"""


@pytest.fixture
def site(weir, origin):
    def start(rules, tarpit="1s", **options):
        o = origin(**options)
        return weir(CONF % (tarpit, rules), app=o.port), o
    return start


def status(w, **options):
    with connect(w.http) as c:
        return c.ask(request(**options)).status


def test_an_allow_spares_the_rules_behind_it(site):
    w, _ = site("allow path /admin/open\n deny path /admin/*")
    assert status(w, target="/admin/x") == 403
    assert status(w, target="/admin/open") == 200
    assert status(w, target="/admin/./open") == 200
    assert status(w, target="/admin/open/../x") == 403


def test_a_tarpit_takes_its_time(site):
    w, o = site("tarpit path /trap")
    with connect(w.http) as c:
        start = time.monotonic()
        assert c.ask(request(target="/trap")).status == 403
        assert time.monotonic() - start > 0.5
        c.expect_closed()
    assert not o.requests
    assert status(w) == 200


def test_others_do_not_wait_for_who_is_in_the_tarpit(site):
    w, o = site("tarpit path /trap", tarpit="60s")
    trapped = [connect(w.http) for _ in range(50)]
    for c in trapped:
        c.send(request(target="/trap"))
    for _ in range(20):
        assert status(w) == 200
    for c in trapped:
        c.close()


def test_a_drain_does_not_wait_for_the_tarpit(site):
    w, o = site("tarpit path /trap", tarpit="600s")
    with connect(w.http, timeout=20) as c:
        c.send(request(target="/trap"))
        assert status(w) == 200
        w.signal(signal.SIGTERM)
        assert c.read_response().status == 403
    w.stop()


PAGE = r"""
let html = require('fs').readFileSync(0, 'latin1'), cookie = '', reloaded = false, work = [];
let document = { get cookie() { return cookie }, set cookie(v) { cookie = v }, getElementById() { return {} } };
let location = { protocol: 'http:', reload() { reloaded = true } };
let script = html.match(/<script nonce="[^"]+">([^]*?)<\/script>/)[1];
new Function('document', 'location', 'navigator', 'setTimeout', script)(document, location, { cookieEnabled: true }, f => work.push(f));
while (work.length) work.shift()();
if (!reloaded) process.exit(1);
process.stdout.write(cookie);
"""


def solve(page):
    return subprocess.run([need("node"), "-e", PAGE], input=page, capture_output=True, check=True, timeout=120).stdout.decode()


def test_a_challenge(site):
    w, o = site("challenge path /guarded/*")
    assert status(w) == 200
    seen = len(o.requests)
    with connect(w.http) as c:
        r = c.ask(request(target="/guarded/x"))
        assert r.status == 403 and r.fields["Content-Type"].startswith("text/html") and r.fields["Cache-Control"] == "no-store"
        nonce = re.search(rb'<script nonce="([^"]+)">', r.body)[1].decode()
        assert f"script-src 'nonce-{nonce}'" in r.fields["Content-Security-Policy"]
        assert len(o.requests) == seen
        cookie = solve(r.body)
        attributes = [a.strip() for a in cookie.split(";")]
        assert "Path=/" in attributes and "SameSite=Lax" in attributes
        pair = attributes[0]
        assert c.ask(request(target="/guarded/x", fields=[("Cookie", pair)])).status == 200
        assert c.ask(request(target="/guarded/y", fields=[("Cookie", f"a=b; {pair}; c=d")])).status == 200
        assert c.ask(request("POST", "/guarded/y", fields=[("Cookie", pair)], body=b"x")).status == 200
        for wrong in (pair[:-1], pair + "0", pair.replace("-", "_", 1), "weir-challenge=", "x" + pair):
            assert c.ask(request(target="/guarded/x", fields=[("Cookie", wrong)])).status in (403, 200 if wrong in (pair[:-1], pair + "0") else 403)


def test_the_work_counts_after_a_reload(site):
    w, o = site("challenge path /guarded/*")
    with connect(w.http) as c:
        pair = solve(c.ask(request(target="/guarded/x")).body).split(";")[0]
    w.rewrite(w.text.replace("/guarded/*", "/guarded/* /more"))
    w.signal(signal.SIGHUP)
    wait_until(lambda: status(w, target="/more") == 403)
    assert status(w, target="/more", fields=[("Cookie", pair)]) == 200


def test_a_challenge_does_not_spare_the_rules_behind_it(site):
    w, o = site("challenge path /guarded/*\n deny path /guarded/never")
    with connect(w.http) as c:
        pair = solve(c.ask(request(target="/guarded/never")).body).split(";")[0]
        assert c.ask(request(target="/guarded/x", fields=[("Cookie", pair)])).status == 200
        assert c.ask(request(target="/guarded/never", fields=[("Cookie", pair)])).status == 403


def test_what_shows_no_page_gets_none(site):
    w, o = site("challenge path /guarded/*")
    with connect(w.http) as c:
        r = c.ask(request("POST", "/guarded/x", body=b"x"))
        assert r.status == 403 and b"<script" not in r.body
        r = c.ask(request(target="/guarded/x", fields=["Accept: application/json"]))
        assert r.status == 403 and r.fields["Content-Type"] == "application/problem+json" and b"challenged" in r.body
        r = c.ask(request("HEAD", "/guarded/x"))
        assert r.status == 403


def test_tests_and_explain_know_them(cli, folder):
    (folder / "weir.conf").write_text("""
site a.test { listen 127.0.0.1:8080
    tarpit path /trap
    challenge path /work
    route * -> respond 200 }
test "x" { site GET http://a.test/trap -> tarpit
    site GET http://a.test/work -> challenge
    site GET http://a.test/ -> respond 200 }
""")
    assert cli("check").returncode == 0
    done = cli("explain", "site GET http://a.test/trap")
    assert done.returncode == 0 and "tarpit" in done.stdout and "deny" in done.stdout and "weir.conf:3" in done.stdout
