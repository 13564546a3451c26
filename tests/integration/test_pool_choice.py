# SPDX-License-Identifier: Apache-2.0
"""Routes with several pools: split by shares, failover in order."""
import json
import threading

import pytest

from http1 import connect, request
from process import free_port
from test_pool import ask_many, failing, named, spread

CONF = """
log access off
pool a { server 127.0.0.1:@a@ }
pool b { server 127.0.0.1:@b@ }
site * {
    listen 127.0.0.1:@http@
    route * -> %s
}
"""


@pytest.fixture
def choice(weir, origin):
    """choice(target, handlers) gives (weir, origin of a, origin of b)."""
    def start(target, handlers=None):
        a, b = (origin(h) for h in handlers or (named("a"), named("b")))
        return weir(CONF % target, a=a.port, b=b.port), a, b
    return start


def test_a_split_goes_by_its_shares(choice):
    w, _, _ = choice("split { pool a 20%; pool b 80% }")
    seen = spread(ask_many(w.http, 400))
    assert 40 <= seen["a"] <= 130, "80 are expected; less than 40 or more than 130 happens once in a million times"


def test_a_pool_without_a_share_has_the_rest(choice):
    w, _, _ = choice("split { pool a 0%; pool b }")
    assert spread(ask_many(w.http, 30)) == {"b": 30}


@pytest.mark.parametrize("by, fields", [("header X-User", lambda i: {"fields": [("X-User", i)]}), ("query u", lambda i: {"target": f"/?u={i}"}), ("path", lambda i: {"target": f"/{i}"})])
def test_a_split_by_a_key_is_the_same_for_the_same_client(choice, by, fields):
    w, _, _ = choice(f"split by {by} {{ pool a 50%; pool b 50% }}")
    with connect(w.http) as c:
        for i in map(str, range(20)):
            assert len({c.ask(request(**fields(i))).body for _ in range(4)}) == 1
        assert {c.ask(request(**fields(str(i)))).body for i in range(20)} == {b"a", b"b"}


def test_a_split_by_a_cookie_sets_it_once(choice):
    w, _, _ = choice("split by cookie side { pool a 50%; pool b 50% }")
    for _ in range(10):
        with connect(w.http) as c:
            first = c.ask(request())
            pair = first.fields["Set-Cookie"].split(";")[0]
            assert pair.startswith("side=")
            for _ in range(4):
                r = c.ask(request(fields=[("Cookie", pair)]))
                assert r.body == first.body and "Set-Cookie" not in r.fields
            assert "Set-Cookie" in c.ask(request(fields=[("Cookie", "side=10000")])).fields, "no place of ours"


def test_a_failover_begins_with_its_first_pool(choice):
    w, a, b = choice("failover { pool a; pool b }")
    assert spread(ask_many(w.http, 6)) == {"a": 6}
    a.stop()
    with connect(w.http) as c:
        assert spread(c.ask(request(m, body=b"x" if m == "POST" else None)) for m in ("GET", "POST", "GET")) == {"b": 3}


def test_a_failover_takes_over_errors_within_the_rules_of_retry(choice):
    w, a, b = choice("failover { pool a; pool b } {\n retry 1 budget 100%\n }", (failing(503), named("b")))
    assert spread(ask_many(w.http, 4)) == {"b": 4}
    with connect(w.http) as c:
        assert c.ask(request("POST", body=b"x")).status == 503, "the server has received it"


def test_the_last_word_of_a_failover(choice):
    w, a, b = choice('failover { pool a; pool b; respond 503 "back soon" }')
    a.stop()
    b.stop()
    r = ask_many(w.http, 1)[0]
    assert (r.status, r.body.strip()) == (503, b"back soon")


def test_what_the_cache_still_has_comes_before_the_last_word(weir, origin):
    def old(x):
        x.reply(body=b"stored", fields=[("Cache-Control", "max-age=60, stale-if-error=600"), ("Age", "61")])
    a, b = origin(old), origin(old)
    w = weir('cache main { memory 8MiB }\n' + CONF.replace("site * {", "site * {\n    cache main") % 'failover { pool a; pool b; respond 503 "back soon" }', a=a.port, b=b.port)
    assert ask_many(w.http, 1, target="/x")[0].body == b"stored"
    a.stop()
    b.stop()
    assert ask_many(w.http, 1, target="/x")[0].body == b"stored"
    r = ask_many(w.http, 1, target="/never-asked-for")[0]
    assert (r.status, r.body.strip()) == (503, b"back soon")


def test_a_route_with_a_choice_has_its_block_too(choice):
    w, a, _ = choice("split { pool a 100%; pool b 0% } {\n    set response-header X-Set yes\n    }")
    assert ask_many(w.http, 1)[0].fields["X-Set"] == "yes"


def test_explain_and_json_know_the_pools(folder, cli):
    (folder / "x.conf").write_text(CONF.replace("@a@", "1").replace("@b@", "2").replace("@http@", str(free_port())) % "split { pool a 5%; pool b 95% }")
    done = cli("explain", "-c", "x.conf", "site GET http://x.test/")
    assert "split a b" in done.stdout and "x.conf:7" in done.stdout
    done = cli("check", "-c", "x.conf", "--json")
    assert done.returncode == 0 and '"choice"' in done.stdout and json.loads(done.stdout)


# ---- mirror

MIRROR = CONF.replace("%s", "pool a {\n        mirror pool b @share@%%\n    }")


@pytest.fixture
def mirrored(weir, origin):
    def start(real, shadow, share=100):
        a, b = origin(real), origin(shadow)
        return weir(MIRROR.replace("@share@%%", f"{share}%"), a=a.port, b=b.port), a, b
    return start


def test_copies_go_to_the_mirror_and_their_answers_nowhere(mirrored):
    w, a, b = mirrored(lambda x: x.reply(body=b"real"), lambda x: x.reply(500, b"shadow"))
    with connect(w.http) as c:
        for i in range(5):
            assert c.ask(request("POST", f"/{i}?q=1", fields=[("X-Own", "yes")], body=b"content %d" % i)).body == b"real"
            assert c.ask(request(target=f"/{i}")).body == b"real"
    b.wait(lambda: len(b.requests) == 10)
    posts = [r for r in b.requests if r.method == "POST"]
    assert sorted((r.target, r.body) for r in posts) == sorted((r.target, r.body) for r in a.requests if r.method == "POST")
    assert all(r.fields["X-Own"] == "yes" and r.fields["Host"] == "a.test" and "Via" in r.fields for r in posts)


def test_a_share_of_the_requests_is_copied(mirrored):
    w, a, b = mirrored(named("a"), named("b"), 20)
    ask_many(w.http, 200)
    b.wait(lambda: len(b.requests) >= 10)
    assert len(b.requests) < 90


def test_a_mirror_that_hangs_or_is_gone_slows_nobody(mirrored):
    hang = threading.Event()
    w, a, b = mirrored(named("a"), lambda x: hang.wait(30))
    assert spread(ask_many(w.http, 100)) == {"a": 100}
    b.stop()
    assert spread(ask_many(w.http, 50)) == {"a": 50}
    hang.set()


def test_content_that_is_too_long_is_not_copied(mirrored):
    w, a, b = mirrored(named("a"), named("b"))
    with connect(w.http) as c:
        assert c.ask(request("POST", "/long", body=b"x" * 300000)).status == 200
        assert c.ask(request("POST", "/short", body=b"x" * 30000)).status == 200
    b.wait(lambda: b.requests)
    assert [r.target for r in b.requests] == ["/short"]


@pytest.mark.parametrize("target", ["split", "split { }", "split { pool a 50% }", "split { pool a 50%; pool b 60% }", "split { pool a; pool b }", "split { pool c 100% }", "failover { pool a 5% }",
                                    "failover { respond 503 }", "split { pool a 100%; respond 503 }", "split by cookie { pool a 100% }", "split of path { pool a 100% }", "failover { server x }"])
def test_a_wrong_choice_is_an_error(folder, cli, target):
    (folder / "x.conf").write_text(CONF.replace("@a@", "1").replace("@b@", "2").replace("@http@", str(free_port())) % target)
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 2 and "x.conf:7" in done.stderr
