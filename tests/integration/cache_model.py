# SPDX-License-Identifier: Apache-2.0
"""A shared cache as RFC 9111 and RFC 5861 read, without any performance: what is stored, for how long it is fresh, and what a request gets.

Times are seconds of a clock that the test sets. A message is a status and a dict of fields; dates in it are seconds on the same clock.
"""
NEVER = (206, 304, 412, 416, 417, 421, 426, 431)  # statuses that answer their own request alone
HEURISTIC = (200, 203, 204, 300, 301, 308)  # errors need explicit freshness (docs/decisions/0020-cache-where-rules-disagree.md)
FAILURES = (None, 500, 502, 503, 504)  # None: no answer


def number(directives, name):
    """Of several the strictest."""
    found = [int(d.split("=")[1]) for d in directives if d.startswith(name + "=")]
    return min(found) if found else None


class Stored:
    """A stored response; `fields` has cache-control (a set), age, date, expires, last-modified, etag, vary (a tuple), set-cookie."""

    def __init__(self, url, values, status, fields, body, now):
        self.url, self.values, self.status, self.body = url, values, status, body  # values: the request's of the fields that Vary names
        self.must_validate = False
        self.take(fields, now)

    def take(self, fields, now):
        self.fields, self.received = dict(fields), now

    @property
    def directives(self):
        return self.fields.get("cache-control", set())

    @property
    def date(self):
        return self.fields.get("date", self.received)

    @property
    def explicit(self):
        """4.2.1."""
        for name in ("s-maxage", "max-age"):
            if number(self.directives, name) is not None:
                return number(self.directives, name)
        if "expires" not in self.fields:
            return None
        expires = self.fields["expires"]
        return 0 if expires is None else max(0, expires - self.date)  # None: no date at all

    @property
    def lifetime(self):
        if self.explicit is not None:
            return self.explicit
        if self.status not in HEURISTIC or "last-modified" not in self.fields or "set-cookie" in self.fields:
            return 0
        return min(max(0, self.date - self.fields["last-modified"]) / 10, 24 * 3600)  # 4.2.2

    @property
    def initial_age(self):
        """4.2.3, without a delay of the response."""
        return max(0, self.received - self.date, self.fields.get("age", 0))

    def age(self, now):
        return self.initial_age + now - self.received

    def left(self, now):
        return self.lifetime - self.age(now)

    @property
    def strict(self):
        return bool(self.directives & {"must-revalidate", "proxy-revalidate", "no-cache"}) or number(self.directives, "s-maxage") is not None

    def beyond(self, name):
        """RFC 5861: how long after its freshness it may be used."""
        return 0 if self.strict else number(self.directives, name) or 0

    @property
    def has_validator(self):
        return self.status == 200 and ("etag" in self.fields or "last-modified" in self.fields)

    def usable(self, directive, now):
        """"yes", "behind" (and it is validated in the background) or "no" (4.2.4, 5.2.1)."""
        name, _, value = (directive or "").partition("=")
        if self.must_validate or "no-cache" in self.directives or name == "no-cache":
            return "no"
        if name == "max-age" and (value == "0" or self.age(now) > int(value)) or name == "min-fresh" and self.left(now) < int(value):
            return "no"
        if self.left(now) > 0:
            return "yes"
        if name == "max-stale" and not self.strict and (not value or -self.left(now) <= int(value)):
            return "yes"
        return "behind" if -self.left(now) < self.beyond("stale-while-revalidate") else "no"

    def replaces_failure(self, directive, now):
        return not self.strict and directive != "no-cache" and -self.left(now) < self.beyond("stale-if-error")


class Model:
    """One request after the other."""

    def __init__(self):
        self.stored, self.now = [], 0  # the newest first

    def find(self, url, selecting):
        return next((s for s in self.stored if s.url == url and all(selecting.get(n) == v for n, v in s.values)), None)

    def judge(self, authorization, status, fields):
        """Section 3: "yes", "once" (this answer is not stored) or "never" (so nor is what was there before)."""
        d = fields.get("cache-control", set())
        fresh = Stored(None, (), status, fields, None, self.now)
        if status in NEVER:
            return "once"
        if "no-store" in d and "must-understand" not in d or "private" in d:
            return "never"
        if authorization and not d & {"public", "must-revalidate"} and number(d, "s-maxage") is None:
            return "once"
        if "*" in fields.get("vary", ()):
            return "never"
        if status >= 400 and fresh.explicit is None:
            return "once"
        if fresh.explicit is None and "set-cookie" in fields:
            return "never"
        is_fresh = fresh.lifetime > fresh.initial_age or fresh.beyond("stale-while-revalidate") or fresh.beyond("stale-if-error")
        return "yes" if is_fresh and "no-cache" not in d or fresh.has_validator else "never"

    def plan(self, q):
        """(what is done, the stored response that it concerns): "forward", "hit", "behind", "504", "validate", "fetch"."""
        if q["method"] not in ("GET", "HEAD") or q["directive"] == "no-store":
            return "forward", None
        s = self.find(q["url"], q["selecting"])
        use = s.usable(q["directive"], self.now) if s else "no"
        if use != "no":
            return ("hit" if use == "yes" else "behind"), s
        if q["directive"] == "only-if-cached":
            return "504", None
        if q["method"] == "HEAD":
            return "forward", s
        return ("validate" if s and s.has_validator else "fetch"), s

    def invalidate(self, url):
        """4.4."""
        self.stored = [s for s in self.stored if s.url != url]

    def refresh(self, s, q, fields, keeps_values=False):
        """4.3.4 and 4.3.5: what is stored has the newer fields; what describes its content stays."""
        merged = dict(s.fields, **{n: v for n, v in fields.items() if n != "etag"})
        if "age" not in fields:
            merged.pop("age", None)
        d = merged.get("cache-control", set())
        names = merged.get("vary", ())
        self.stored.remove(s)
        if "no-store" in d and "must-understand" not in d or "private" in d or "*" in names and not keeps_values:
            return
        if not keeps_values:
            s.values = tuple((n, q["selecting"].get(n)) for n in names)
        s.must_validate = False
        s.take(merged, self.now)
        self.stored.insert(0, s)

    def store(self, q, status, fields, body):
        verdict = self.judge(q["authorization"], status, fields)
        values = tuple((n, q["selecting"].get(n)) for n in fields.get("vary", ())) if verdict == "yes" else ()
        if verdict != "once":
            self.stored = [s for s in self.stored if s.url != q["url"] or s.values != values]
        if verdict == "yes":
            self.stored.insert(0, Stored(q["url"], values, status, fields, body, self.now))

    def head(self, q, status, fields):
        """4.3.5. The content's length is always the same here."""
        s = self.find(q["url"], q["selecting"])
        if status != 200 or not s or s.status != 200:
            return
        if any(n in fields and fields[n] != s.fields.get(n) for n in ("etag", "last-modified")):
            s.must_validate = True
        else:
            self.refresh(s, q, fields, keeps_values=True)
