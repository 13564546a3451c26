# SPDX-License-Identifier: Apache-2.0
"""The configuration language from outside: check, fmt, test blocks, messages."""
import json
import re

import pytest

from http1 import connect, request
from process import free_port

GOOD = """
log access off
pool app { server 127.0.0.1:8081 }
site a.test {
    listen 127.0.0.1:8080
    route /api/* -> pool app { strip /api }
    route *      -> respond 200 "ok"
}
"""


@pytest.fixture
def check(folder, cli):
    def run(text, *arguments, **options):
        (folder / "x.conf").write_text(text)
        return cli("check", "-c", "x.conf", *arguments, **options)
    return run


def test_a_good_file(check):
    done = check(GOOD)
    assert done.returncode == 0 and "error" not in done.stderr


def test_a_mistake_has_a_place_a_caret_and_a_suggestion(check):
    done = check("log access off\nsite * {\n    lisen 127.0.0.1:8080\n    route * -> respond 200\n}\n")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("x.conf:3:5: error: "))
    assert "did you mean" in done.stderr and "listen" in done.stderr
    assert any("lisen 127.0.0.1:8080" in line for line in lines[at:])
    caret = next(line for line in lines[at:] if "^" in line)
    source = next(line for line in lines[at:] if "lisen 127" in line and "error" not in line)
    assert caret.index("^") == source.index("lisen")


@pytest.mark.parametrize("text,place,words", [
    ("nonsense\n", "1:1", "nonsense"),
    ("timeouts { idle 60 }\n", r"1:17", "unit"),
    ("timeouts { idle 60parsecs }\n", r"1:17", ""),
    ("timeouts { idle 5s; idle 6s }\n", r"1:21", ""),
    ("limits { fields many }\n", r"1:17", ""),
    ("limits { body 10s }\n", r"1:15", ""),
    ("site * {\n    route * -> pool nobody\n}\n", r"2:\d+", "nobody"),
    ("pool p { server 127.0.0.1:99999 }\nsite * { route * -> pool p }\n", r"1:17", ""),
    ("pool p { }\nsite * { route * -> pool p }\n", r"1:\d+", "server"),
    ("pool p { server 127.0.0.1:1; max-connections 4; pre-open 1 }\nsite * { route * -> pool p }\n", r"1:\d+", "max-connections"),
    ("pool p { server 127.0.0.1:1; proxy-protocol v2; pre-open 1 }\nsite * { route * -> pool p }\n", r"1:\d+", "proxy-protocol"),
    ("pool p { server 127.0.0.1:1; max-idle 3; pre-open 4 }\nsite * { route * -> pool p }\n", r"1:\d+", "max-idle"),
    ("pool p { server srv:_http._tcp.x:80 }\nsite * { route * -> pool p }\n", r"1:17", "srv:NAME"),
    ("pool p { server srv:_http._tcp.x weight 3 }\nsite * { route * -> pool p }\n", r"1:17", "SRV"),
    ("pool p { server srv:_https._tcp.x; tls }\nsite * { route * -> pool p }\n", r"1:17", "name"),
    ("pool p { server 127.0.0.1:1; http2; max-connections 2 }\nsite * { route * -> pool p }\n", r"1:\d+", "max-connections"),
    ("pool p { server 127.0.0.1:1; max-requests 5; max-connections 2 queue 3 }\nsite * { route * -> pool p }\n", r"1:\d+", "max-requests"),
    ("site * {\n    route * -> respond 999\n}\n", r"2:24", ""),
    ("site * {\n    route * -> redirect 200 http://x/\n}\n", r"2:25", ""),
    ("site * { route * => pool x }\n", r"1:\d+", ""),
    ("site * {\n    listen 127.0.0.1:x\n route * -> respond 200 }\n", r"2:12", ""),
    ("site * {\n", r"[12]:\d+", ""),
    ("}\n", "1:1", ""),
    ('site * { route * -> respond 200 "open\n}\n', r"1:33", ""),
    ("pool p { server 127.0.0.1:1 }\npool p { server 127.0.0.1:2 }\nsite * { route * -> pool p }\n", r"2:\d+", "p"),
    ("site a.test { route * -> respond 200 }\nsite A.test { route * -> respond 200 }\n", r"2:\d+", ""),
    ("proxy 127.0.0.1:3128 { egress { allow 10.0.0.0/33 } }\n", r"1:39", ""),
    ("hosts { a.test nowhere }\nsite * { route * -> respond 200 }\n", r"1:16", ""),
    ("log access xml stdout\nsite * { route * -> respond 200 }\n", r"1:12", "xml"),
    ("${WEIR_TEST_UNSET} x\n", r"1:\d+", "WEIR_TEST_UNSET"),
    ("include missing/file.conf\n", r"1:\d+", "missing/file.conf"),
    ("site * { route * when { pat /x } -> respond 200 }\n", r"1:25", "path"),
    ("site * { route * when { path ~( } -> respond 200 }\n", r"1:\d+", ""),
])
def test_mistakes(check, text, place, words):
    done = check(text)
    assert done.returncode == 2
    assert re.search(rf"^x\.conf:{place}: error: ", done.stderr, re.M), done.stderr
    assert words in done.stderr


def test_all_mistakes_in_one_go(check):
    done = check("timeouts { idle 5 }\nlimits { fields x }\nnonsense\n" + GOOD)
    for line in (1, 2, 3):
        assert re.search(rf"^x\.conf:{line}:\d+: error: ", done.stderr, re.M)


def test_a_warning_alone_is_status_0(check):
    done = check(GOOD + "pool unused { server 127.0.0.1:1 }\n")
    assert done.returncode == 0 and re.search(r"^x\.conf:9:\d+: warning: .*unused", done.stderr, re.M)


def test_a_shadowed_route(check):
    done = check('site * {\n    listen 127.0.0.1:8080\n    route /a/* -> respond 200 "a"\n    route /a/b -> respond 200 "b"\n}\n')
    assert done.returncode == 0 and re.search(r"^x\.conf:4:\d+: warning: ", done.stderr, re.M)


def test_findings_as_json(check):
    done = check("nonsense\n" + GOOD + "pool unused { server 127.0.0.1:1 }\n", "--json")
    assert done.returncode == 2
    json.loads(done.stdout)
    assert "nonsense" in done.stdout and "unused" in done.stdout


def test_the_configuration_as_json(check):
    done = check(GOOD, "--json")
    assert done.returncode == 0
    text = json.dumps(json.loads(done.stdout))
    for word in ("a.test", "127.0.0.1:8081", "/api"):
        assert word in text


def test_includes_variables_and_quotes(folder, cli, weir):
    (folder / "sites").mkdir()
    (folder / "sites" / "a.conf").write_text('site a.test {\n    listen 127.0.0.1:${PORT}\n    route * -> respond 200 "${TEXT:-a \\"default\\"}"\n}\n')
    (folder / "sites" / "b.conf").write_text("site b.test {\n    lisen 1\n}\n")
    (folder / "x.conf").write_text("include sites/*.conf\n")
    done = cli("check", "-c", "x.conf", env={"PORT": "8080"})
    assert done.returncode == 2 and re.search(r"^sites/b\.conf:2:5: error: ", done.stderr, re.M)
    (folder / "sites" / "b.conf").unlink()
    port = free_port()
    w = weir("log access \\\n    off # continued\ninclude sites/*.conf\n", env={"PORT": str(port)})
    w.wait_ports([port])
    with connect(port) as c:
        assert c.ask(request()).body.rstrip() == b'a "default"'


def test_an_include_of_itself_ends(check):
    done = check("include x.conf\n")
    assert done.returncode == 2 and re.search(r"^x\.conf:1:\d+: error: ", done.stderr, re.M)


def test_fmt_keeps_comments_and_is_stable(folder, cli):
    (folder / "x.conf").write_text(
        "# top\nlog   access off   # why\n\n\nsite *   {\nlisten 127.0.0.1:8080 ; route /a/* when { method GET ; not header X y }  -> respond 200 \"a;b # no\"\n"
        "   # inside\n  route * -> respond 404 }\n")
    one = cli("fmt", "-c", "x.conf")
    assert one.returncode == 0
    for comment in ("# top", "# why", "# inside", '"a;b # no"'):
        assert comment in one.stdout
    assert (folder / "x.conf").read_text() != one.stdout
    (folder / "y.conf").write_text(one.stdout)
    two = cli("fmt", "-c", "y.conf")
    assert two.stdout == one.stdout
    assert cli("check", "-c", "y.conf").returncode == 0
    first, second = (cli("check", "-c", f, "--json").stdout.replace("y.conf", "x.conf") for f in ("x.conf", "y.conf"))
    assert re.sub(r":\d+", "", first) == re.sub(r":\d+", "", second)
    assert cli("fmt", "-c", "x.conf", "--write").returncode == 0 and (folder / "x.conf").read_text() == one.stdout


def test_tests_in_the_file(check):
    base = """pool app { server 127.0.0.1:1 }
site a.test {
    listen 127.0.0.1:8080
    deny when { path /admin/* }
    route /api/* -> pool app { strip /api }
    route /old/* -> redirect 301 http://b.test/{rest}
    route /day/* when { time mon-fri 09:00-17:30 UTC } -> respond 200 "open"
    route *      -> respond 404
}
proxy 127.0.0.1:3128 { policy { deny domain ads.test .blocked.test; default allow } }
"""
    good = """test "1" { site GET http://a.test/api/x -> pool app path /x }
test "2" { site GET http://a.test/admin/x -> deny }
test "3" { site GET http://a.test/old/y -> redirect 301 http://b.test/y }
test "4" { site GET http://a.test/day/x at "tue 10:00" -> respond 200 }
test "5" { site GET http://a.test/day/x at "sun 10:00" -> respond 404 }
test "6" { proxy GET http://ads.test/ -> deny }
test "7" { proxy GET http://x.blocked.test/ -> deny }
test "8" { proxy GET http://good.test/ -> allow }
"""
    done = check(base + good)
    assert done.returncode == 0, done.stderr
    for wrong in ("site GET http://a.test/api/x -> respond 404", "site GET http://a.test/day/x at \"tue 18:00\" -> respond 200",
                  "proxy GET http://ads.test/ -> allow", "proxy GET http://good.test/ -> deny"):
        done = check(base + f'test "wrong" {{ {wrong} }}\n')
        assert done.returncode == 2 and re.search(r"x\.conf:11\b", done.stderr) and "wrong" in done.stderr, wrong


def test_statements_in_any_order(weir):
    w = weir('site * { route * -> pool late; listen 127.0.0.1:@http@ }\npool late { server 127.0.0.1:@dead@ }\nlog access off\n')
    with connect(w.http) as c:
        assert c.ask(request()).status in (502, 503)


@pytest.mark.parametrize("bad", [b"\0", b"\xff\xfe", b"site * {" * 1000, b'"' + b"x" * 100000, b"\\\n" * 1000, b"a" * 1000000, b"{}" * 500],
                         ids=["NUL", "UTF-16", "deep", "string", "continuations", "word", "braces"])
def test_noise_is_refused_in_order(folder, cli, bad):
    (folder / "x.conf").write_bytes(bad)
    done = cli("check", "-c", "x.conf")
    assert done.returncode in (0, 2) and (done.returncode == 0) == ("error" not in done.stderr)
