# SPDX-License-Identifier: Apache-2.0
"""The attack rows of ../shared/attacks, sent by their own runner. It needs fixed ports, so each part runs in a network namespace."""
import json
import os
import subprocess
import sys
import threading

import pytest

from netns import World
from process import Weir, need, need_shared

PARTS = 4


def guard_conf():
    return need_shared("contract", "guard.conf").read_text()


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_rows(folder, mode):
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    need("ip")
    runner, rows = need_shared("attacks", "run_attacks.py"), need_shared("attacks", "rows.jsonl")
    lines = [line for line in rows.read_text().splitlines() if json.loads(line)["mode"] == mode]
    try:
        net = World(*(f"a{i}" for i in range(PARTS)))
    except subprocess.CalledProcessError as e:
        pytest.skip(f"no network namespaces here: {e.stderr.strip()}")
    results, problems = {}, []

    def part(i):
        home = folder / f"part{i}"
        home.mkdir()
        (home / "rows.jsonl").write_text("\n".join(lines[i::PARTS]) + "\n")
        port = 18080 if mode == "reverse" else 13128
        try:
            with net.inside(f"a{i}"):
                w = Weir(home, guard_conf())
                try:
                    w.wait_ports([port])
                    subprocess.run([sys.executable, runner, "127.0.0.1", str(port), mode, home / "out", home / "rows.jsonl"],
                                   check=True, capture_output=True, timeout=500)
                finally:
                    w.stop()
            for name, verdict, _ in json.loads((home / "out").read_text()):
                results[name] = verdict
        except Exception as e:
            problems.append(e)
    threads = [threading.Thread(target=part, args=(i,)) for i in range(PARTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    net.close()
    assert not problems, problems
    assert len(results) > 20
    failed = {name: verdict for name, verdict in sorted(results.items()) if not verdict.startswith("PASS")}
    assert not failed, f"{len(failed)} of {len(results)}: {failed}"
