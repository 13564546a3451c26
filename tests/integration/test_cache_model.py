# SPDX-License-Identifier: Apache-2.0
"""The cache beside a model: a plain reading of RFC 9111 in Python, and random origins, ages and requests. Both have to decide alike.

Time is in the Age of the answers: a lifetime is 100 s or none, an age 0, 50 or 150 s, so that the seconds that the test takes do not matter.
"""
import hypothesis
import hypothesis.strategies as st
import pytest

import http1

CONF = """
log access off
cache main { memory 64MiB }
pool app { server 127.0.0.1:@o@ }
site * { listen 127.0.0.1:@p@
  cache main
  route * -> pool app }
"""

answers = st.fixed_dictionaries({
    "status": st.sampled_from([200, 200, 200, 404]),
    "directives": st.sets(st.sampled_from(["no-store", "private", "no-cache", "public", "must-revalidate", "proxy-revalidate", "s-maxage=100", "s-maxage=0",
                                           "max-age=100", "max-age=0"]), max_size=3),
    "age": st.sampled_from([0, 0, 50, 150]),
    "etag": st.booleans(),
    "vary": st.sampled_from([(), (), ("x-v",), ("x-v", "x-w"), ("*",)]),
    "cookie": st.sampled_from([False, False, True]),
})
requests = st.fixed_dictionaries({
    "method": st.sampled_from(["GET"] * 8 + ["POST"]),
    "url": st.integers(0, 1),
    "fields": st.fixed_dictionaries({"x-v": st.sampled_from([None, "a", "b"]), "x-w": st.sampled_from([None, None, "c"])}),
    "directive": st.sampled_from([None] * 5 + ["no-cache", "no-store", "max-age=0", "max-age=60", "max-stale", "max-stale=20", "min-fresh=200", "only-if-cached"]),
    "authorization": st.sampled_from([False] * 5 + [True]),
    "answer": answers,
})


def number(directives, name):
    found = [int(d.split("=")[1]) for d in directives if d.startswith(name + "=")]
    return min(found) if found else None


class Stored:
    def __init__(self, url, values, answer, body):
        self.url, self.values, self.body = url, values, body  # values: of the fields that Vary names
        self.take(answer)

    def take(self, answer):
        self.directives, self.age, self.etag, self.status = answer["directives"], answer["age"], answer["etag"], answer["status"]

    @property
    def explicit(self):
        shared = number(self.directives, "s-maxage")
        return shared if shared is not None else number(self.directives, "max-age")

    @property
    def left(self):
        return (self.explicit or 0) - self.age

    @property
    def never_stale(self):
        return bool(self.directives & {"must-revalidate", "proxy-revalidate"}) or number(self.directives, "s-maxage") is not None

    def usable(self, directive):
        name, _, value = (directive or "").partition("=")
        if "no-cache" in self.directives or name == "no-cache":
            return False
        if name == "max-age" and (value == "0" or self.age > int(value)) or name == "min-fresh" and self.left < int(value):
            return False
        if self.left > 0:
            return True
        return name == "max-stale" and not self.never_stale and (not value or -self.left <= int(value))


class Model:
    """What a shared cache does, one request after the other."""

    def __init__(self):
        self.stored = []  # the newest first

    def find(self, q):
        return next((s for s in self.stored if s.url == q["url"] and all(q["fields"][n] == v for n, v in s.values)), None)

    def shareable(self, q, fresh):
        if q["authorization"] and not (fresh.directives & {"public", "must-revalidate"}) and number(fresh.directives, "s-maxage") is None:
            return "once"
        if fresh.status >= 400 and fresh.explicit is None:
            return "once"
        return "yes"

    def judge(self, q, answer):
        """"yes", "once" (this answer is not stored) or "never" (nor are those that follow)."""
        fresh = Stored(q["url"], (), answer, None)
        if answer["directives"] & {"no-store", "private"}:
            return "never"
        if self.shareable(q, fresh) == "once" and q["authorization"] and not (fresh.directives & {"public", "must-revalidate"}) and number(
                fresh.directives, "s-maxage") is None:
            return "once"
        if "*" in answer["vary"]:
            return "never"
        if self.shareable(q, fresh) == "once":
            return "once"
        if answer["cookie"] and fresh.explicit is None:
            return "never"
        useful = fresh.left > 0 and "no-cache" not in fresh.directives or fresh.status == 200 and answer["etag"]
        return "yes" if useful else "never"

    def ask(self, q):
        """(what weir does, the stored response that it validates or answers with)."""
        if q["method"] != "GET" or q["directive"] == "no-store":
            return "forward", None
        s = self.find(q)
        if s and s.usable(q["directive"]):
            return "hit", s
        if q["directive"] == "only-if-cached":
            return "504", None
        return ("validate" if s and s.etag and s.status == 200 else "fetch"), s

    def take(self, q, s, answer, body, not_modified):
        if q["method"] != "GET":
            self.stored = [x for x in self.stored if x.url != q["url"] or answer["status"] >= 400]
            return
        if q["directive"] == "no-store":
            return
        if not_modified:
            merged = dict(answer, directives=answer["directives"] or s.directives, etag=s.etag, status=s.status)
            self.stored.remove(s)
            if merged["directives"] & {"no-store", "private"} or "*" in answer["vary"]:
                return
            names = answer["vary"] or tuple(n for n, _ in s.values)
            s.values = tuple((n, q["fields"][n]) for n in names)
            s.take(merged)
            self.stored.insert(0, s)
            return
        verdict = self.judge(q, answer)
        values = tuple((n, q["fields"][n]) for n in answer["vary"]) if verdict == "yes" else ()
        if verdict != "once":
            self.stored = [x for x in self.stored if x.url != q["url"] or x.values != values]
        if verdict == "yes":
            self.stored.insert(0, Stored(q["url"], values, answer, body))


def fields_of(answer, with_etag=True):
    out = [("Cache-Control", ", ".join(sorted(answer["directives"])))] if answer["directives"] else []
    out += [("Age", str(answer["age"]))] if answer["age"] else []
    out += [("ETag", '"e"')] if answer["etag"] and with_etag else []
    out += [("Vary", ", ".join(answer["vary"]))] if answer["vary"] else []
    return out + ([("Set-Cookie", "a=b")] if answer["cookie"] else [])


class Run:
    def __init__(self, weir, origin):
        self.origin = origin(self.serve)
        self.weir = weir(CONF, o=self.origin.port)
        self.client = http1.connect(self.weir.p)
        self.answer = self.seen = None
        self.n = self.examples = 0

    def serve(self, x):
        self.seen = x.request
        if x.request.fields.get("If-None-Match") == '"e"':
            return x.reply(304, fields=fields_of(self.answer, with_etag=False))
        self.n += 1
        x.reply(self.answer["status"], b"answer %d" % self.n, fields_of(self.answer))

    def one(self, model, q, prefix):
        self.answer, self.seen = q["answer"], None
        want, s = model.ask(q)
        fields = [(n, v) for n, v in q["fields"].items() if v is not None]
        fields += [("Cache-Control", q["directive"])] if q["directive"] else []
        fields += [("Authorization", "Basic YTpi")] if q["authorization"] else []
        r = self.client.ask(http1.request(q["method"], f"/{prefix}/{q['url']}", host="a.test", fields=fields, body=b"z" if q["method"] == "POST" else None))
        status = r.fields["Cache-Status"]
        if want == "hit":
            assert self.seen is None and r.body == s.body and status.startswith("weir; hit"), (want, status, r.body)
            return
        if want == "504":
            assert self.seen is None and r.status == 504
            return
        assert self.seen is not None and "fwd=" in status, (want, status)
        assert ("If-None-Match" in self.seen.fields) == (want == "validate"), want
        assert r.body == (s.body if want == "validate" else b"answer %d" % self.n)
        model.take(q, s, q["answer"], r.body, want == "validate")


@pytest.fixture
def run(weir, origin):
    r = Run(weir, origin)
    yield r
    r.client.close()


def test_decisions(run):
    @hypothesis.settings(max_examples=600, deadline=None, derandomize=True, database=None,
                         suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(st.lists(requests, min_size=2, max_size=10))
    def decide(script):
        run.examples += 1
        model = Model()
        for q in script:
            run.one(model, q, run.examples)
    decide()
    assert run.n > 500
