# SPDX-License-Identifier: Apache-2.0
"""A Prometheus of Debian's scrapes weir, loads the rules of contrib/ and can answer every question of its board."""
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest

from http1 import connect, request
from process import ROOT, free_port, wait_until
from test_metrics import CONF

CONTRIB = ROOT / "contrib"
pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="Debian's prometheus is not installed")


def ask(port, path, **query):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as r:
        return json.load(r)["data"]


def is_ready(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=10).status == 200
    except urllib.error.HTTPError:
        return False


def scrape(w, accept=None):
    fields = [("Accept", accept)] if accept else []
    with connect(w.dash) as c:
        return c.ask(request(target="/metrics", host=f"127.0.0.1:{w.dash}", fields=fields))


def board_questions():
    board = json.loads((CONTRIB / "grafana/weir.json").read_text())
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")


def rule_questions(rules):
    return [(r["name"], r["query"]) for g in rules["groups"] for r in g["rules"]]


def test_the_metrics_are_as_promtool_wants_them(weir, origin):
    w = weir(CONF, app=origin().port)
    text = scrape(w).body
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_a_prometheus_scrapes_and_answers_the_questions_of_rules_and_board(weir, origin, process, folder):
    w = weir(CONF, app=origin().port)
    for _ in range(5):
        with connect(w.http) as c:
            assert c.ask(request()).status == 200
    shutil.copy(CONTRIB / "prometheus/weir.rules.yml", folder)
    text = (CONTRIB / "prometheus/prometheus.yml").read_text().replace("127.0.0.1:9900", f"127.0.0.1:{w.dash}").replace("15s", "1s")
    (folder / "prometheus.yml").write_text(text)
    subprocess.run(["promtool", "check", "config", "prometheus.yml"], cwd=folder, check=True, capture_output=True)
    port = free_port()
    process(["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}"], [port])
    wait_until(lambda: is_ready(port), 30, "a Prometheus that is ready")
    found = wait_until(lambda: ask(port, "query", query='weir_requests_total{status="2xx"} > 0')["result"], 30, "a scrape with the requests")
    assert float(found[0]["value"][1]) == 5
    assert ask(port, "targets")["activeTargets"][0]["health"] == "up"
    table = re.findall(r'^METRIC\(\w+, \w+, \w+, (\w+), "(\w+)"', (ROOT / "src/admin/metrics.tbl").read_text(), re.M)
    names = {name + ("_bucket" if kind == "histogram" else "") for kind, name in table}
    rules = rule_questions(ask(port, "rules"))
    assert len(rules) == (CONTRIB / "prometheus/weir.rules.yml").read_text().count("- alert:")
    for title, question in [*board_questions(), *rules]:
        ask(port, "query", query=question)  # an error of syntax is answered by 400
        for name in re.findall(r"\bweir_\w+", question):
            assert name in names, f"{title}: {name}"
    assert not [a for a in ask(port, "alerts")["alerts"] if a["state"] == "firing"]
