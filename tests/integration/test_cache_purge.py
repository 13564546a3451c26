# SPDX-License-Identifier: Apache-2.0
"""Taking stored responses out: `weir purge` and `weir why`, the method PURGE, and that what went stays away over a restart."""
import signal
import threading

import pytest

import http1
from process import Weir, run_weir

CONF = """
admin unix:run/weir.sock
cache main { memory 64MiB@disk@; key ignore-query utm_* }
cache other { memory 16MiB }
pool app { server 127.0.0.1:@o@ }
site a.test b.test { listen 127.0.0.1:@p@
  cache main
  purge from @who@
  route * -> pool app }
site other.test { listen 127.0.0.1:@p@
  cache other
  route * -> pool app }
"""


class Tagged:
    def __init__(self):
        self.version = 0
        self.control = "max-age=600"

    def __call__(self, x):
        path = x.request.target.split("?")[0]
        fields = [("Cache-Control", self.control), ("ETag", f'"{self.version}"'), ("Vary", "X-Kind")]
        if path.startswith("/key"):
            fields.append(("Surrogate-Key", f"keys {path[1:]}"))
        else:
            fields.append(("Cache-Tag", f"all, {path[1:]}"))
        if x.request.fields.get("If-None-Match") == f'"{self.version}"':
            x.reply(304, b"", fields)
        else:
            x.reply(200, b"%s %d" % (x.request.target.encode(), self.version), fields)


@pytest.fixture(params=["memory", "disk"])
def cache(request, origin, folder):
    class Cache:
        def __init__(self):
            self.handler = Tagged()
            self.origin = origin(self.handler)
            self.w = None
            self.who = "127.0.0.1"
            self.on_disk = request.param == "disk"

        def start(self):
            conf = CONF.replace("@disk@", "; disk run/cache 64MiB" if self.on_disk else "").replace("@who@", self.who)
            ports = {"p": self.w.p} if self.w else {}
            self.w = Weir(folder, conf, o=self.origin.port, **ports)
            self.w.wait_ports([self.w.p])
            return self

        def restart(self, number=signal.SIGTERM):
            if number == signal.SIGKILL:
                self.w.kill()
            else:
                self.w.stop(number)
            return self.start()

        def get(self, target, host="a.test", fields=(), method="GET"):
            with http1.connect(self.w.p) as c:
                c.send(http1.request(method, target, host=host, fields=fields))
                return c.read_response(method)

        def fill(self, *targets, host="a.test"):
            for t in targets:
                self.get(t, host)

        def has(self, target, host="a.test", fields=()):
            return "weir; hit" in self.get(target, host, fields).fields.all("Cache-Status")[-1]

        def ask(self, *words):
            done = run_weir(folder, *words)
            assert done.returncode == 0, done.stderr
            return done.stdout

        def purge(self, *words):
            return int(self.ask("purge", *words).split()[0])

    c = Cache().start()
    yield c
    if c.w.running():
        c.w.stop()


def test_by_url_with_all_its_variants(cache):
    for kind in "abc":
        cache.get("/x", fields=[("X-Kind", kind)])
    cache.fill("/y")
    assert cache.purge("http://a.test/x?utm_source=mail#part") == 3
    assert cache.purge("http://a.test/x") == 0
    assert not cache.has("/x", fields=[("X-Kind", "b")])
    assert cache.has("/y")


def test_hosts_are_told_apart(cache):
    cache.fill("/x")
    cache.fill("/x", host="b.test")
    cache.fill("/x", host="other.test")
    assert cache.purge("http://b.test/x") == 1
    assert cache.has("/x") and cache.has("/x", host="other.test") and not cache.has("/x", host="b.test")


def test_by_prefix(cache):
    cache.fill("/p/1", "/p/2", "/p/2?q=1", "/q/1")
    assert cache.purge("--prefix", "http://a.test/p/") == 3
    assert not cache.has("/p/1") and cache.has("/q/1")
    assert cache.purge("--prefix", "http://A.test") == 2


@pytest.mark.parametrize("tag, n", [("all", 2), ("x", 1), ("keys", 1), ("key-1", 1), ("nobody", 0), ("al", 0)])
def test_by_tag(cache, tag, n):
    cache.fill("/x", "/y", "/key-1")
    assert cache.purge("--tag", tag) == n


def test_everything(cache):
    cache.fill("/x", "/y", "/key-1")
    cache.fill("/x", host="other.test")
    assert cache.purge("--all") == 4
    assert cache.purge("--all") == 0
    assert not cache.has("/x") and not cache.has("/x", host="other.test")
    assert cache.has("/x")  # and is stored again


@pytest.mark.parametrize("words", [("http://a.test/x",), ("--prefix", "http://a.test/x"), ("--tag", "x"), ("--all",)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_purged_stays_away_over_a_restart(cache, words, number):
    cache.fill("/x", "/y")
    cache.restart()
    cache.fill("/x", "/y")
    assert cache.purge(*words) >= 1
    cache.restart(number)
    assert not cache.has("/x")
    if cache.on_disk and "--all" not in words and number == signal.SIGTERM:
        assert cache.has("/y")


@pytest.mark.parametrize("words", [("http://a.test/x",), ("--prefix", "http://a.test/x"), ("--tag", "x"), ("--all",)])
def test_softly_it_is_validated_before_its_next_use(cache, words):
    cache.fill("/x")
    asked = len(cache.origin.requests)
    assert cache.purge("--soft", *words) == 1
    if cache.on_disk:
        cache.restart()
    response = cache.get("/x")
    assert "fwd=stale" in response.fields.all("Cache-Status")[-1] and response.status == 200
    assert cache.origin.requests[-1].fields.get("If-None-Match") == '"0"' and len(cache.origin.requests) == asked + 1
    assert cache.has("/x")


def test_why(cache):
    url = "http://a.test/x"
    assert "not" in cache.ask("why", url)
    cache.fill("/x")
    said = cache.ask("why", url)
    assert "stored" in said and "fresh" in said and "age" in said and "X-Kind" in said
    if cache.on_disk:
        cache.restart()
        said = cache.ask("why", url)
        assert "stored" in said and "fresh" in said and "on disk" in said
    cache.purge(url)
    assert "not" in cache.ask("why", url)
    cache.handler.control = "private"
    cache.fill("/x")
    assert "not stored" in cache.ask("why", url)


@pytest.mark.parametrize("words, status", [((), 2), (("http://a.test/", "--all"), 2), (("nonsense",), 2), (("--tag", "a b"), 2), (("--tag",), 2)])
def test_what_purge_does_not_understand(cache, folder, words, status):
    assert run_weir(folder, "purge", *words).returncode == status


def test_where_nobody_listens(cache, folder):
    cache.w.stop()
    for command in (("purge", "--all"), ("why", "http://a.test/")):
        done = run_weir(folder, *command)
        assert done.returncode == 1 and "run/weir.sock" in done.stderr


def test_the_method(cache):
    cache.fill("/x", "/y", "/key-1")
    response = cache.get("/x", method="PURGE")
    assert response.status == 200 and response.body.split()[0] == b"1"
    assert not cache.has("/x") and cache.has("/y")
    response = cache.get("/any", method="PURGE", fields=[("Surrogate-Key", "nobody key-1"), ("Cache-Tag", "y, nothing")])
    assert response.body.split()[0] == b"2"
    cache.fill("/y")
    response = cache.get("/y", method="PURGE", fields=[("Soft-Purge", "1")])
    assert response.body.split()[0] == b"1"
    assert "fwd=stale" in cache.get("/y").fields.all("Cache-Status")[-1]
    asked = len(cache.origin.requests)
    assert cache.get("/x", method="PURGE", host="other.test").status == 405  # no statement there
    assert len(cache.origin.requests) == asked
    if cache.on_disk:
        cache.fill("/z")
        cache.get("/z", method="PURGE")
        cache.restart(signal.SIGKILL)
        assert not cache.has("/z")


def test_the_method_is_refused_to_others(origin, folder, request):
    handler = Tagged()
    o = origin(handler)
    w = Weir(folder, CONF.replace("@disk@", "").replace("@who@", "10.0.0.0/8"), o=o.port)
    w.wait_ports([w.p])
    with http1.connect(w.p) as c:
        for method in ("GET", "PURGE", "GET"):
            c.send(http1.request(method, "/x", host="a.test"))
            response = c.read_response(method)
            assert response.status == (405 if method == "PURGE" else 200)
    assert "hit" in response.fields.all("Cache-Status")[-1]
    w.stop()


@pytest.mark.parametrize("words", [("http://a.test/slow",), ("--tag", "all"), ("--all",)], ids=["url", "tag", "all"])
def test_what_is_being_fetched_meanwhile(cache, words):
    """Its answer may be from before the purge: who waits for it gets it, but nobody who asks later does."""
    came, go = threading.Event(), threading.Event()

    def slow(x):
        n = len([r for r in cache.origin.requests if r.target == "/slow"])
        if n == 1:
            came.set()
            assert go.wait(20)
        x.reply(200, b"answer %d" % n, [("Cache-Control", "max-age=600"), ("Cache-Tag", "all")])
    cache.origin.handler = slow
    first = []
    asks = threading.Thread(target=lambda: first.append(cache.get("/slow").body))
    asks.start()
    assert came.wait(20)
    cache.purge(*words)
    assert cache.get("/slow").body == b"answer 2"  # and does not wait for the first one's
    go.set()
    asks.join()
    assert first == [b"answer 1"]
    assert cache.get("/slow").body == b"answer 2" and cache.has("/slow")
