# SPDX-License-Identifier: Apache-2.0
"""`privacy`: what leaves, by the tables of docs/privacy.md."""
import json
import re

import pytest

from http1 import connect, request
from process import ROOT, wait_until

CONF = """
log access json access.log
hosts { x.test 127.0.0.1; www.x.test 127.0.0.1 }
resolver 127.0.0.1:1
proxy 127.0.0.1:@proxy@ {
    egress { allow 127.0.0.1/32 ports 1-65535 }
    privacy LEVEL
}
"""


@pytest.fixture
def ask(weir, origin):
    o = origin(lambda x: x.reply(body=b"x", fields=[("ETag", '"1"'), ("Set-Cookie", "a=b"), ("Accept-CH", "DPR"), ("Last-Modified", "Sat, 31 Jan 2026 12:00:00 GMT")]))

    def start(level):
        w = weir(CONF.replace("LEVEL", level))

        def get(*fields, target="/"):
            authority = f"x.test:{o.port}"
            with connect(w.proxy) as c:
                r = c.ask(request(target=f"http://{authority}{target}", host=authority, fields=fields))
            return o.requests[-1], r
        get.weir, get.port = w, o.port
        return get
    return start


def table():
    """Rows of the table in the documentation: names, standard, strict."""
    text = (ROOT / "docs" / "privacy.md").read_text().split("## Requests")[1].split("## Answers")[0]
    for line in re.findall(r"^\| (`.*?) \| (.*?) \| (.*?) \|$", text, re.M):
        for name in re.findall(r"`([^`]+)`", line[0]):
            yield name.replace("*", "x"), line[1], line[2]


SKIP = {"Via", "Referer", "User-Agent", "Accept-Language", "DNT", "Sec-GPC"}


@pytest.mark.parametrize("level, column", [("standard", 1), ("strict", 2)])
@pytest.mark.parametrize("third", [False, True])
def test_the_documented_table(ask, level, column, third):
    rows = [r for r in table() if r[0] not in SKIP and "parameters" not in r[0]]
    assert len(rows) > 25
    page = "http://page.example/" if third else "http://www.x.test/"
    get = ask(level)
    sent, _ = get(("Referer", page), *[(name, '"v"') for name, *_ in rows if "_" not in name])
    for row in rows:
        what = row[column]
        if "_" in row[0]:
            continue # a parameter
        gone = what == "dropped" or ("where another site's page asks" in what and third)
        assert (row[0] not in sent.fields) == gone, (row, third)


def test_the_table_is_the_program_s():
    """Each row of the program's table stands in the documentation."""
    text = (ROOT / "docs" / "privacy.md").read_text()
    for name in re.findall(r'^PRIVACY\("([^"]+)"', (ROOT / "src" / "policy" / "privacy.tbl").read_text(), re.M):
        assert f"`{name}`" in text, name


@pytest.mark.parametrize("level", ["standard", "strict"])
@pytest.mark.parametrize("name", ["X-Forwarded-For", "X_Forwarded_For", "X-Forwarded-Anything", "Forwarded", "X-Real-IP", "X.Real.IP", "X-Client-IP", "True-Client-IP",
                                  "CF-Connecting-IP", "X-Request-Id", "Client-IP", "X-Cluster-Client-IP"])
def test_claims_do_not_leave(ask, level, name):
    sent, _ = ask(level)((name, "192.0.2.7"))
    assert b"192.0.2.7" not in sent.raw_head


def test_off_lets_pass(ask):
    sent, _ = ask("off")(("X-Forwarded-For", "192.0.2.7"), ("From", "a@b.test"), ("Via", "1.1 inner.test"))
    assert sent.fields["X-Forwarded-For"] == "192.0.2.7" and "From" in sent.fields and "inner.test" in sent.fields["Via"]


@pytest.mark.parametrize("level", ["standard", "strict"])
def test_via_names_no_host(ask, level):
    sent, _ = ask(level)(("Via", "1.0 inner.test:3128 (Squid), HTTP/2 weir"), ("Via", "bad"))
    assert sent.fields["Via"] == "1.0 proxy, HTTP/2 weir, 1.1 proxy, 1.1 weir"


@pytest.mark.parametrize("level, referer, left", [
    ("standard", "http://x.test:@/a?b", "http://x.test:@/a?b"), ("standard", "http://www.x.test/a?b", "http://www.x.test/"), ("standard", "http://u:p@y.example/a", "http://y.example/"),
    ("standard", "https://y.example/a", None), ("standard", "about:blank", None),
    ("strict", "http://x.test:@/a?b", "http://x.test:@/"), ("strict", "http://www.x.test/a", "http://www.x.test/"), ("strict", "http://y.example/a", None)])
def test_referer(ask, level, referer, left):
    get = ask(level)
    port = str(get.port)
    sent, _ = get(("Referer", referer.replace("@/", port + "/") if "x.test:@" in referer else referer))
    assert sent.fields.get("Referer") == (left.replace("@", port) if left else None)


def test_strict_makes_clients_alike(ask):
    get = ask("strict")
    one, r = get(("User-Agent", "Mine/1"), ("Accept-Language", "fr-CH, fr;q=0.9, en;q=0.1"), target="/?a=1&utm_source=x&gclid=2&b")
    two, _ = get()
    assert one.fields["User-Agent"] == two.fields["User-Agent"] and one.fields["Accept-Language"] == "fr"
    assert one.fields["DNT"] == "1" and one.fields["Sec-GPC"] == "1" and one.target == "/?a=1&b"
    assert "Accept-CH" not in r.fields and "ETag" in r.fields and "Set-Cookie" in r.fields


def test_strict_answers_to_other_sites(ask):
    _, r = ask("strict")(("Sec-Fetch-Site", "cross-site"))
    assert not {"ETag", "Set-Cookie", "Last-Modified"} & {n for n, _ in r.fields}


def test_strict_logs(ask):
    get = ask("strict")
    get(("Cookie", "secret=1"), ("Referer", "http://x.test/?secret"), target="/p?secret=2")
    get(target="/q")
    lines = wait_until(lambda: len(t := (get.weir.folder / "access.log").read_text().splitlines()) == 2 and t, what="two lines")
    one, two = map(json.loads, lines)
    assert "secret" not in lines[0] and "127.0.0.1" not in one["client"] and one["client"] == two["client"]
    assert one["target"].endswith("/p")
