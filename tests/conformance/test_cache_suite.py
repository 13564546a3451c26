# SPDX-License-Identifier: Apache-2.0
"""The public tests for HTTP caches (npm's http-cache-tests, in the version of package-lock.json), against the reverse and the forward side.

All `required` tests pass but for those that test_cache_suite.json names, each with the reason, which the suite itself does not count as failures:
they are not set up, or what they depend on does not hold. Of the `optimal` ones 95 % pass, without those that would break the RFC or INTERFACE. A
test that is named there and passes has to be taken off the list.

With CACHE_TESTS=FOLDER a checkout of github.com/http-tests/cache-tests (after `npm install` in it) is run instead.
"""
import json
import os
import pathlib
import subprocess
import threading

import pytest

from process import Process, Weir, free_port, need, need_npm, wait_until

HERE = pathlib.Path(__file__).resolve().parent
NEWER = os.environ.get("CACHE_TESTS")
SUITE = pathlib.Path(NEWER) if NEWER else HERE / "node_modules" / "http-cache-tests"
CONF = """
log access off
cache main { memory 64MiB }
pool app { server 127.0.0.1:@server@ }
site * {
    listen 127.0.0.1:@http@
    cache main
    route * -> pool app
}
proxy 127.0.0.1:@forward@ {
    egress { allow 127.0.0.0/8 }
    cache main
}
"""


@pytest.fixture(scope="module")
def suite():
    need("node")
    if not NEWER:
        need_npm(HERE)
    return SUITE


@pytest.fixture(scope="module")
def results(suite, tmp_path_factory):
    """{side: {id: result}}, of both sides at once."""
    folder = tmp_path_factory.mktemp("suite")
    folder.chmod(0o755)
    port = free_port()
    settings = {f"npm_config_{k}": v for k, v in dict(protocol="http", port=str(port), pidfile=str(folder / "pid"), base="", id="").items()}
    server = Process(["node", str(suite / ("test-engine/server" if NEWER else "server") / "server.mjs")], suite, env=settings)
    server.wait_ports([port])
    weir = Weir(folder, CONF, server=port)
    weir.wait_ports([weir.http, weir.forward])
    out = {}

    def run(side, *arguments):
        done = subprocess.run(["node", "--no-warnings", str(HERE / "run.mjs"), *arguments], capture_output=True, text=True, timeout=150)
        out[side] = json.loads(done.stdout) if done.returncode == 0 else done.stderr

    sides = [threading.Thread(target=run, args=("reverse", f"http://127.0.0.1:{weir.http}")),
             threading.Thread(target=run, args=("forward", f"http://127.0.0.1:{port}", str(weir.forward)))]
    for side in sides:
        side.start()
    for side in sides:
        side.join()
    weir.stop()
    weir.check_sanitizers()
    server.kill()
    return out


@pytest.fixture(params=["reverse", "forward"])
def run(request, results):
    """One side's results by kind, and the lists of what is known."""
    side = results[request.param]
    assert isinstance(side, dict), side
    by_kind = {kind: {k: v for k, v in side.items() if v["kind"] == kind} for kind in ("required", "optimal")}
    return by_kind["required"], by_kind["optimal"], json.loads((HERE / "test_cache_suite.json").read_text())


def not_passed(tests):
    return {k: (v["verdict"], v["why"]) for k, v in tests.items() if v["verdict"] != "pass"}


def test_required(run):
    required, _, known = run
    known = known["newer"] | {"headers-store-Transfer-Encoding": 1} if NEWER else known["required"]
    assert len(required) > 150
    assert {k: v for k, v in not_passed(required).items() if k not in known} == {}
    assert [k for k in known if k in required and required[k]["verdict"] == "pass"] == []
    assert NEWER or [k for k, v in required.items() if v["verdict"] == "fail"] == []  # by the suite's own count


def test_optimal(run):
    _, optimal, known = run
    known = known["forbidden"], known["left out"]
    missed = not_passed(optimal)
    assert len(optimal) > 80
    assert {k: v for k, v in missed.items() if not any(k in names for names in known)} == {}
    assert [k for names in known for k in names if k in optimal and k not in missed] == []
    lawful = [k for k in optimal if k not in known[0]]
    assert sum(k not in missed for k in lawful) >= 0.95 * len(lawful)
