# SPDX-License-Identifier: Apache-2.0
"""The public tests for HTTP caches (npm's http-cache-tests, in the version of package-lock.json), against the reverse and the forward side.

All `required` tests pass but for those that test_cache_suite.json names, each with the reason; so do the `optimal` ones. A test that is
named there and passes has to be taken off the list.
"""
import json
import pathlib
import subprocess
import threading

import pytest

from process import Process, Weir, free_port, need, need_npm, wait_until

HERE = pathlib.Path(__file__).resolve().parent
SUITE = HERE / "node_modules" / "http-cache-tests"
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
    need_npm(HERE)
    return SUITE


@pytest.fixture(scope="module")
def results(suite, tmp_path_factory):
    """{side: {id: result}}, of both sides at once."""
    folder = tmp_path_factory.mktemp("suite")
    folder.chmod(0o755)
    port = free_port()
    settings = {f"npm_config_{k}": v for k, v in dict(protocol="http", port=str(port), pidfile=str(folder / "pid"), base="", id="").items()}
    server = Process(["node", str(suite / "server" / "server.mjs")], suite, env=settings)
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


@pytest.mark.parametrize("side", ["reverse", "forward"])
@pytest.mark.parametrize("kind", ["required", "optimal"])
def test_suite(results, side, kind):
    assert isinstance(results[side], dict), results[side]
    mine = {k: v for k, v in results[side].items() if v["kind"] == kind}
    known = json.loads((HERE / "test_cache_suite.json").read_text())
    failed = {k: v["why"] for k, v in mine.items() if not v["ok"]}
    assert len(mine) > (150 if kind == "required" else 80)
    assert {k: why for k, why in failed.items() if k not in known} == {}
    assert [k for k in known if k in mine and k not in failed] == []
