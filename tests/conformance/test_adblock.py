# SPDX-License-Identifier: Apache-2.0
"""EasyList and EasyPrivacy as Debian ships them: weir decides as Ghostery's engine does (npm's @ghostery/adblocker, in the version of
package-lock.json), on URLs that are made from the rules themselves, so that nearly every one is near some rule.

WEIR_EASYLIST_URLS sets how many URLs (make easylist: 100,000). Documents are left out: a browser's extension blocks none by rules that
do not say so, a firewall does (docs/decisions/0031).
"""
import os
import pathlib
import random
import re
import subprocess

import pytest

from process import need, need_npm, weir_binary

HERE = pathlib.Path(__file__).resolve().parent
LISTS = pathlib.Path("/usr/share/chromium/extensions/ublock-origin/assets/thirdparties/easylist")
URLS = int(os.environ.get("WEIR_EASYLIST_URLS", 4000))
AGREE = 0.999
WORDS = "news article image assets static js css main app vendor login search product user api v1 data feed post video page ads track pixel collect event banner".split()
DESTINATIONS = {"script": "script", "image": "image", "stylesheet": "style", "subdocument": "iframe", "xmlhttprequest": "empty", "font": "font", "media": "video", "object": "object"}
URL = re.compile(r"https?://([a-z0-9.-]+\.[a-z]{2,})(:\d+)?(/[^\s\"<>\\^`{|}#%]*)")


def split(rule):
    """(pattern, options)"""
    rule = rule.removeprefix("@@")
    if rule.startswith("/") and rule.endswith("/") and len(rule) > 2:
        return None, []  # a regular expression: nothing is made of it
    m = re.match(r"^(.*)\$([~\w-][^$]*)$", rule)
    return (m[1], m[2].split(",")) if m else (rule, [])


def make_url(r, pattern, sites):
    """One that fits the pattern, or nearly."""
    body = re.sub(r"\*", lambda _: r.choice(["", "x", "-a", "1", "/" + r.choice(WORDS), r.choice(WORDS)]), pattern.strip("|"))
    body = re.sub(r"\^$", lambda _: r.choice(["/", "/?", "/x"]), body).replace("^", r.choice(["/", "/", "?", "&"]))
    if pattern.startswith("||"):
        url = "https://" + r.choice(["", "", "www.", "a.b."]) + body
    elif pattern.startswith("|"):
        url = body
    else:
        url = "https://" + r.choice(sites) + "/" + r.choice(["", r.choice(WORDS), r.choice(WORDS) + "/"]) + body.removeprefix("/")
    if not pattern.endswith("|"):
        url += r.choice(["", "", ".js", "/x", "?a=1", r.choice(WORDS)])
    if r.random() < 0.2:
        i = r.randrange(len(url) // 2, len(url))
        url = url[:i] + r.choice("xz-_/.") + url[i:]
    return url if URL.fullmatch(url) and ".." not in URL.fullmatch(url)[1] else None


def make_question(r, rules, sites):
    while True:
        pattern, options = split(r.choice(rules))
        url = pattern and make_url(r, pattern, sites)
        if not url:
            continue
        pages = [d for o in options if o.startswith("domain=") for d in o[7:].split("|") if d[0] != "~"]
        page = r.choice([r.choice(sites), URL.fullmatch(url)[1], "www." + r.choice(pages or sites), r.choice(pages or sites)]).replace(".*", ".com")
        kinds = [DESTINATIONS[o] for o in options if o in DESTINATIONS]
        kind = r.choice(kinds) if kinds and r.random() < 0.6 else r.choice(list(DESTINATIONS.values()))
        return f"{url}\t{kind}\thttps://{page}/"


def run(argv, folder, questions):
    done = subprocess.run(argv, cwd=folder, input="".join(q + "\n" for q in questions), text=True, capture_output=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_decisions_are_those_of_another_engine(tmp_path):
    files = [LISTS / "easylist.txt", LISTS / "easyprivacy.txt"]
    program = pathlib.Path(weir_binary()).parent / "tests" / "unit" / "policy" / "easylist_decide"
    if not all(f.exists() for f in files) or not program.exists():
        pytest.skip("webext-ublock-origin-chromium is not installed, or the build has no easylist_decide")
    need("node")
    need_npm(HERE)
    text = "\n".join(f.read_text() for f in files)
    (tmp_path / "rules.txt").write_text(text)
    (tmp_path / "l.conf").write_text("list l { easylist rules.txt }\nproxy 127.0.0.1:1 { policy { deny list l } }\n")
    r = random.Random(8)
    rules = [line for line in text.splitlines() if line and line[0] not in "![" and not re.search(r"#@?[?$]?#", line)]
    sites = ["".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(r.randrange(4, 12))) + r.choice([".com", ".org", ".net", ".io", ".de", ".co.uk"]) for _ in range(2000)]
    questions = [make_question(r, rules, sites) for _ in range(URLS)]
    ours = run([program, "l.conf"], tmp_path, questions)
    theirs = run(["node", HERE / "adblock.mjs", tmp_path / "rules.txt"], HERE, questions)
    differ = [f"{q}: weir {a.strip()}, Ghostery {b}" for q, a, b in zip(questions, ours, theirs, strict=True) if a.split()[0] != b.split()[0]]
    blocked = sum(a.startswith("yes") for a in ours)
    print(f"{len(questions)} URLs, {blocked} blocked, {len(differ)} decided differently", *differ[:20], sep="\n")
    assert URLS * 0.2 < blocked < URLS * 0.95
    assert len(differ) <= URLS * (1 - AGREE), "\n".join(differ[:20])
