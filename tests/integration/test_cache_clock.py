# SPDX-License-Identifier: Apache-2.0
"""weir in the simulator beside the model of cache_model.py: random origins, clocks and requests, and both have to decide alike.

Lifetimes end in 5 s and everything else happens at tens, so that what the steps themselves take makes no difference.
"""
import os
import pathlib
import subprocess

import hypothesis
import hypothesis.strategies as st
import pytest

from cache_model import FAILURES, Model
from process import weir_binary

QUIET_S = 0.05  # the script waits for what goes on behind an answer
seldom = lambda *values, n=5: st.sampled_from([None] * n + list(values))  # noqa: E731

answers = st.fixed_dictionaries({
    "status": st.sampled_from([200] * 8 + [404, 301, 503, 500, None]),
    "directives": st.sets(st.sampled_from(["no-store", "private", "no-cache", "public", "must-revalidate", "proxy-revalidate", "must-understand", "immutable",
                                           "s-maxage=25", "s-maxage=0", "max-age=45", "max-age=45", "max-age=5", "stale-while-revalidate=35",
                                           "stale-while-revalidate=35", "stale-if-error=35", "stale-if-error=65"]), max_size=4),
    "expires": seldom(65, 5, -10, "0", n=4),
    "age": st.sampled_from([0, 0, 0, 10, 30]),
    "skew": st.sampled_from([0, 0, 0, -20, 20]),  # of the origin's clock
    "modified": seldom(-550, -150, n=3),
    "etag": st.booleans(),
    "vary": st.sampled_from([(), (), (), ("x-v",), ("x-v", "x-w"), ("*",)]),
    "cookie": st.sampled_from([False] * 4 + [True]),
})
steps = st.fixed_dictionaries({
    "wait": st.sampled_from([0, 0, 10, 10, 20, 30, 60]),
    "method": st.sampled_from(["GET"] * 12 + ["HEAD", "HEAD", "POST", "DELETE"]),
    "url": st.sampled_from(["/a", "/a", "/b"]),
    "selecting": st.fixed_dictionaries({"x-v": st.sampled_from([None, "a", "b"]), "x-w": st.sampled_from([None, None, "c"])}),
    "directive": seldom("no-cache", "no-store", "max-age=0", "max-age=20", "max-stale", "max-stale=20", "min-fresh=30", "only-if-cached", n=8),
    "authorization": st.sampled_from([False] * 5 + [True]),
    "match": seldom('"e"', '"x"', n=6),
    "answer": answers,
})


class Simulator:
    def __init__(self, program):
        self.p = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, lines):
        self.p.stdin.write("W\t1\n" + "\n".join(lines) + "\nE\n")
        self.p.stdin.flush()
        out = []
        while (line := self.p.stdout.readline()) != ".\n":
            assert line, "the simulator ended"
            out.append(line.rstrip("\n").split("\t"))
        return out


@pytest.fixture(scope="module")
def simulator():
    program = pathlib.Path(os.environ.get("WEIR_CACHE_SCRIPT") or pathlib.Path(weir_binary()).parent / "tests" / "simulation" / "cache_script")
    if not program.exists():
        pytest.skip("the simulator's program is not built here")
    s = Simulator(program)
    yield s
    s.p.stdin.close()
    assert s.p.wait(30) == 0


def lines_of(a):
    """What the origin says."""
    out = [f"Date: @{a['skew']}@"]
    out += ["Cache-Control: " + ", ".join(sorted(a["directives"]))] if a["directives"] else []
    out += ["Expires: " + ("0" if a["expires"] == "0" else f"@{a['skew'] + a['expires']}@")] if a["expires"] is not None else []
    out += [f"Age: {a['age']}"] if a["age"] else []
    out += [f"Last-Modified: @{a['modified']}@"] if a["modified"] else []
    out += ['ETag: "e"'] if a["etag"] else []
    out += ["Vary: " + ", ".join(a["vary"])] if a["vary"] else []
    return "\t".join(["R", str(a["status"] or 0)] + out + (["Set-Cookie: a=b"] if a["cookie"] else []))


def fields_of(a, now):
    """The same for the model."""
    f = {"date": now + a["skew"]}
    if a["directives"]:
        f["cache-control"] = a["directives"]
    if a["expires"] is not None:
        f["expires"] = None if a["expires"] == "0" else now + a["skew"] + a["expires"]
    if a["modified"]:
        f["last-modified"] = now + a["modified"]
    f.update({k: v for k, v in (("age", a["age"]), ("vary", a["vary"]), ("set-cookie", a["cookie"]), ("etag", '"e"' if a["etag"] else None)) if v})
    return f


def question_of(q):
    out = [f"{n}: {v}" for n, v in q["selecting"].items() if v]
    out += [f"Cache-Control: {q['directive']}"] if q["directive"] else []
    out += ["Authorization: Basic YTpi"] if q["authorization"] else []
    out += [f"If-None-Match: {q['match']}"] if q["match"] and q["method"] == "GET" else []
    return "\t".join(["Q", q["method"], q["url"]] + out)


class Walk:
    """Says of each step what weir has to do."""

    def __init__(self):
        self.model, self.n, self.noted = Model(), 0, {}

    def says(self, q):
        """The origin's answer to a GET, POST or DELETE without conditions: status and content."""
        self.n += 1
        return q["answer"]["status"], f"answer {self.n:04}"

    def for_client(self, q, status, body, etag):
        if q["method"] == "GET" and status == 200 and q["match"] and q["match"] == etag:
            return 304, ""
        return status, "" if q["method"] == "HEAD" else body

    def refused(self, q, s, fields):
        """The origin does not answer, or with an error: what is stored may stand in."""
        if s and s.replaces_failure(q["directive"], self.model.now):
            return self.for_client(q, s.status, s.body, s.fields.get("etag"))
        return None

    def not_modified(self, q, s):
        a = q["answer"]
        return a["status"] == 200 and s is not None and (a["etag"] if "etag" in s.fields else bool(a["modified"]) if "last-modified" in s.fields else False)

    def fetch(self, q, s, what, conditional=False):
        """What goes to the origin for the cache's sake, and what comes of it; None in place of an answer: the proxy's own 502."""
        a, m = q["answer"], self.model
        fields = fields_of(a, m.now)
        if a["status"] is None:
            return self.refused(q, s, fields) or (502, "")
        if what == "validate" and self.not_modified(q, s):
            tag, status, body = s.fields.get("etag"), s.status, s.body
            m.refresh(s, q, fields)
            return self.for_client(q, status, body, tag)
        if conditional and a["status"] == 200 and q["match"] == fields.get("etag"):
            return 304, ""
        status, body = self.says(q)
        stand_in = self.refused(q, s, fields) if status in FAILURES else None
        if stand_in:
            return stand_in
        verdict = m.judge(q["authorization"], status, fields)
        if verdict == "never":
            self.noted[q["url"]] = m.now
        m.store(q, status, fields, body)
        if verdict != "yes":
            return status, body  # as it came
        return self.for_client(q, status, body, fields.get("etag"))

    def forward(self, q):
        a, m = q["answer"], self.model
        fields = fields_of(a, m.now)
        if a["status"] is None:
            return 502, ""
        if q["method"] == "HEAD":
            if q["directive"] != "no-store":
                m.head(q, a["status"], fields)
            return a["status"], ""
        if q["method"] == "GET" and a["status"] == 200 and q["match"] and q["match"] == fields.get("etag"):
            return 304, ""  # the client's own condition went on
        status, body = self.says(q)
        if q["method"] != "GET" and status < 400:
            m.invalidate(q["url"])
        return status, body

    def step(self, q, tag):
        """tag: the If-None-Match that the origin saw."""
        m = self.model
        m.now += q["wait"]
        what, s = m.plan(q)
        age = None
        if what in ("hit", "behind"):
            age = int(s.age(m.now))
            result = self.for_client(q, s.status, s.body, s.fields.get("etag"))
            if what == "behind":
                self.fetch(dict(q, method="GET", match=None), s, "validate" if s.has_validator else "fetch")
        elif what == "504":
            result = 504, ""
        elif what == "forward":
            result = self.forward(q)
        else:
            # The client's own condition goes on only where it is remembered that nothing is stored for this URL.
            conditional = what == "fetch" and tag != "" and tag == q["match"]
            assert not conditional or (not s and m.now - self.noted.get(q["url"], -99) < 60 + 1)
            result = self.fetch(q, s, what, conditional)
        m.now += QUIET_S
        return what, result, age


def compare(walk, q, out):
    status, body, age, cache_status, n_seen, method, tag, modified = out
    what, (want_status, want_body), want_age = walk.step(q, tag)
    detail = (what, want_status, want_body, want_age, "but", out)
    assert (int(status), body) == (want_status, want_body), detail
    assert cache_status.startswith("weir; hit") == (what in ("hit", "behind")), detail
    assert (n_seen == "0") == (what in ("hit", "504")), detail
    if want_age is not None:
        assert abs(int(age) - want_age) <= 1, detail
    if what == "validate":
        assert tag or modified == "1", detail
    if what == "fetch":
        assert tag in ("", q["match"]) and modified == "0", detail


def test_decisions(simulator):
    seen = set()

    @hypothesis.settings(max_examples=int(os.environ.get("WEIR_EXAMPLES", 600)), deadline=None, derandomize=True, database=None,
                         suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(st.lists(steps, min_size=2, max_size=9))
    def decide(script):
        lines = []
        for q in script:
            lines += [f"A\t{q['wait'] * 1000}"] if q["wait"] else []
            lines += [lines_of(q["answer"]), question_of(q)]
        walk = Walk()
        for q, out in zip(script, simulator.run(lines), strict=True):
            hypothesis.note("\n".join(lines))
            compare(walk, q, out)
            seen.add(out[3].split(";")[1].strip())
    decide()
    assert seen >= {"hit", "fwd=uri-miss", "fwd=vary-miss", "fwd=stale", "fwd=request", "fwd=method"}
