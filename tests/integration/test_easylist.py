# SPDX-License-Identifier: Apache-2.0
"""EasyList rules: weir's index against a plain reading of the same rules (easylist.py), over generated rules and URLs.

WEIR_EASYLIST_URLS sets how many URLs (make easylist: 100,000).
"""
import os
import pathlib
import random
import re
import subprocess

import pytest

import easylist
from process import weir_binary

URLS = int(os.environ.get("WEIR_EASYLIST_URLS", 3000))
WORDS = ["ads", "ad", "banner", "track", "pixel", "img", "js", "static", "cdn", "api", "v1", "x", "promo", "stat", "count", "a-b", "a_b", "q%20r", "Ad"]
HOSTS = ["ads.test", "shop.test", "cdn.shop.test", "track.example", "a.track.example", "news.example", "m.news.example", "ads.test.evil.example", "xads.test", "my-ads.test"]
ENDS = ["", ".js", ".gif", ".html", ".php"]


def program():
    path = pathlib.Path(weir_binary()).parent / "tests" / "unit" / "policy" / "easylist_decide"
    if not path.exists():
        pytest.skip("the build has no easylist_decide")
    return path


def decide(folder, rules, questions, *arguments):
    (folder / "rules.txt").write_text(rules)
    (folder / "l.conf").write_text("list l { easylist rules.txt }\nproxy 127.0.0.1:1 { policy { deny list l } }\n")
    done = subprocess.run([program(), "l.conf", *arguments], cwd=folder, input="".join("\t".join(q) + "\n" for q in questions), text=True, capture_output=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def yes(folder, rule, url, destination="", referer=""):
    return decide(folder, rule + "\n", [(url, destination, referer)])[0].startswith("yes")


def make_url(r):
    host = r.choice(HOSTS)
    port = r.choice(["", "", "", ":8080", ":80"])
    path = "/".join(r.choice(WORDS) for _ in range(r.randrange(4))) + r.choice(ENDS)
    query = r.choice(["", "", "?" + "&".join(f"{r.choice(WORDS)}={r.choice(WORDS)}" for _ in range(r.randrange(1, 3)))])
    return f"http://{host}{port}/{path}{query}".replace(":80/", "/")


def make_regex(r):
    part = lambda: r.choice([r.choice(WORDS), r.choice(WORDS) + "?", "(" + r.choice(WORDS) + "|" + r.choice(WORDS) + ")", "[a-z/]{2,}", "\\/", "\\.", r.choice(WORDS) + "+", "\\w+", ".*",
                             r.choice(["shop", "track", "news", "example", "(?=a)", "[^]x]"]), r.choice(WORDS) + "{0,2}", "a|b", "^http:\\/\\/", "html$"])
    while True:
        text = "".join(part() for _ in range(r.randrange(1, 5)))
        try:
            re.compile(text)
        except re.error:
            continue
        return "/" + text + "/"


def make_pattern(r):
    body = "".join(r.choice([r.choice(WORDS), r.choice(WORDS), "/", ".", "^", "*", "-", "=", "?", r.choice(ENDS)]) for _ in range(r.randrange(1, 5)))
    host = r.choice(HOSTS)
    return r.choice([body, body, "||" + host + "^", "||" + host + "^" + body, "||" + host + "/" + body, "||" + host.split(".")[-2] + body, "|http://" + host + "/" + body,
                     body + "|", "||" + host + "^*" + body + "|", "/" + r.choice(WORDS) + "\\d?/", make_regex(r), make_regex(r), "||" + host[:-1], "*" + body + "*", "|" + body, "||*." + host + "^"])


def make_rule(r):
    options = []
    for _ in range(r.choice([0, 0, 1, 1, 2])):
        options.append(r.choice(["third-party", "~third-party", "image", "script", "~image", "~script", "xmlhttprequest", "document", "subdocument", "important", "match-case",
                                 "domain=shop.test", "domain=news.example|~m.news.example", "domain=~shop.test", "domain=track.example|ads.test", "domain=news.*", "domain=shop.*|~cdn.shop.test|m.news.*", "stylesheet", "other", "unknown=1"]))
    options = list({o.lstrip("~").split("=")[0]: o for o in options}.values()) # nothing twice: what a contradiction means nobody says
    return ("@@" if r.random() < 0.25 else "") + make_pattern(r) + ("$" + ",".join(options) if options else "")


def test_against_a_plain_reading(folder):
    r = random.Random(20)
    rounds = max(1, URLS // 1000)
    for number in range(rounds):
        rules = "\n".join(make_rule(r) for _ in range(r.choice([3, 20, 60, 60, 250])))  # of many rules some have nothing rare
        questions = [(make_url(r), r.choice(list(easylist.DESTINATIONS)), r.choice(["", f"http://{r.choice(HOSTS)}/page"])) for _ in range(URLS // rounds)]
        plain = easylist.List(rules)
        for line, q in zip(decide(folder, rules, questions), questions, strict=True):
            assert line.startswith("yes") == plain.blocks(*q), f"round {number}: {q} is {line}; rules:\n{rules}"


@pytest.mark.parametrize("rule, url, blocked", [
    ("||ads.test^", "http://ads.test/", True),
    ("||ads.test^", "http://a.ads.test:8080/x", True),
    ("||ads.test^", "http://xads.test/", False),
    ("||ads.test^", "http://ads.test.evil.example/", False),
    ("||ads.test^", "http://x.example/ads.test/", False),
    ("||ads.test^", "http://ADS.test/", True),
    ("||ads.test/x", "http://ads.test:8080/x", False), # the port is part of the URL
    ("|http://x.example/ad", "http://x.example/ad1", True),
    ("|x.example", "http://x.example/", False),
    ("ad|", "http://x.example/ad", True),
    ("ad|", "http://x.example/ad/", False),
    ("/ad^", "http://x.example/ad", True),
    ("/ad^", "http://x.example/ad?x", True),
    ("/ad^", "http://x.example/ads", False),
    ("/ad^", "http://x.example/ad-x", False),
    ("/a*b/c", "http://x.example/a1/2b/c", True),
    ("/AD/", "http://x.example/ad/", True), # a regular expression
    ("/banner/*/img^", "http://x.example/banner/foo/img?x", True),
    ("/^http://x\\.example/[a-c]+$/", "http://x.example/abc", True),
    ("/^http://x\\.example/[a-c]+$/", "http://x.example/abd", False),
    ("/img[0-9]{2}/$image", "http://x.example/img12", False), # the type is not known
    ("ad$match-case", "http://x.example/AD", False),
    ("AD$match-case", "http://x.example/AD", True),
    ("ad$nonsense", "http://x.example/ad", False),
    ("##.ad", "http://x.example/ad", False),
    ("x.example##.ad", "http://x.example/ad", False),
    ("ad\n@@||x.example^", "http://x.example/ad", False),
    ("ad$important\n@@||x.example^", "http://x.example/ad", True),
    ("ad\nad$badfilter", "http://x.example/ad", False),
    ("ad$image,script\nad$image,script,badfilter", "http://x.example/ad", False),
    ("ad$method=post", "http://x.example/ad", False),
    ("ad$method=get|post", "http://x.example/ad", True),
    ("ad$denyallow=x.example", "http://x.example/ad", False),
    ("ad$denyallow=y.example", "http://x.example/ad", True),
    ("ad$to=x.example", "http://www.x.example/ad", True),
    ("ad$to=~x.example", "http://www.x.example/ad", False),
])
def test_rules(folder, rule, url, blocked):
    assert yes(folder, rule, url) == blocked


@pytest.mark.parametrize("rule, destination, referer, blocked", [
    ("ad$image", "image", "", True), ("ad$image", "script", "", False), ("ad$~image", "image", "", False), ("ad$~image", "script", "", True), ("ad$~image", "", "", True),
    ("ad$xhr", "empty", "", True), ("ad$subdocument", "iframe", "", True), ("ad$media", "video", "", True),
    ("ad$third-party", "", "http://y.example/", True), ("ad$third-party", "", "http://www.x.example/", False), ("ad$third-party", "", "", False),
    ("ad$~third-party", "", "http://www.x.example/", True), ("ad$~third-party", "", "http://y.example/", False), ("ad$1p", "", "", True),
    ("ad$domain=y.example", "", "http://www.y.example/", True), ("ad$domain=y.example", "", "http://z.example/", False), ("ad$domain=y.example", "", "", False),
    ("ad$domain=~y.example", "", "http://y.example/", False), ("ad$domain=~y.example", "", "", True),
    ("ad$domain=y.example|~w.y.example", "", "http://w.y.example/", False),
    ("ad$domain=google.*", "", "http://www.google.co.uk/", True), ("ad$domain=google.*", "", "http://google.evil.com/", False),
])
def test_options(folder, rule, destination, referer, blocked):
    assert yes(folder, rule, "http://x.example/ad", destination, referer) == blocked


def test_two_labels_of_a_public_suffix_are_two_parties(folder):
    assert yes(folder, "ad$third-party", "http://a.co.uk/ad", "", "http://b.co.uk/")
    assert not yes(folder, "ad$third-party", "http://www.a.co.uk/ad", "", "http://a.co.uk/")


def test_real_lists(folder):
    """Debian's copies of EasyList and the like are read; nearly all their rules are known, and what is known of them blocks."""
    assets = pathlib.Path("/usr/share/chromium/extensions/ublock-origin/assets/thirdparties")
    files = [p for p in (assets / "easylist" / "easylist.txt", assets / "easylist" / "easyprivacy.txt") if p.exists()]
    if not files:
        pytest.skip("webext-ublock-origin-chromium is not installed")
    text = "\n".join(p.read_text() for p in files)
    hosts = re.findall(r"^\|\|([a-z0-9.-]+)\^$", text, re.M)
    excepted = re.findall(r"^@@\|\|([a-z0-9.-]+)", text, re.M)
    hosts = [h for h in hosts if not any(h.endswith(x) or x.endswith(h) for x in excepted)][:2000]
    *answers, last = decide(folder, text, [(f"http://x.{h}/", "script", "") for h in hosts] + [("http://www.debian.org/", "document", "")])
    assert len(hosts) > 1000 and all(a.startswith("yes") for a in answers) and last.startswith("no")
