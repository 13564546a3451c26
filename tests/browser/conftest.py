# SPDX-License-Identifier: Apache-2.0
"""Debian's Chromium, driven by playwright-core in the version of package-lock.json, beside the fixtures of the integration tests."""
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
INTEGRATION = HERE.parent / "integration"
sys.path.insert(0, str(INTEGRATION))

import certs  # noqa: E402
from process import need, need_npm  # noqa: E402

_spec = importlib.util.spec_from_file_location("integration_conftest", INTEGRATION / "conftest.py")
_shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_shared)
folder, weir, origin, process = _shared.folder, _shared.weir, _shared.origin, _shared.process


@pytest.fixture(scope="session")
def modules():
    """The folder with node_modules."""
    need("node")
    need_npm(HERE)
    return HERE


@pytest.fixture
def chromium(modules, tmp_path):
    """chromium(*steps, names={"shop.test:443": port}, arguments=[...]) visits pages; see browse.mjs for what a step and its outcome are. The authority of certs.py of that name is installed in its home, and nothing else of this machine's is used."""
    program = need("chromium")
    home = tmp_path / "home"

    def install(authority):
        db = home / ".pki" / "nssdb"
        db.mkdir(parents=True)
        for more in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "weir tests", "-i", str(certs.authority(authority)[0])]):
            subprocess.run([need("certutil"), "-d", f"sql:{db}", *more], check=True, capture_output=True)

    def visit(*steps, names=None, arguments=(), authority="ca"):
        if not home.exists():
            install(authority)
        rules = ", ".join([f"MAP {name} 127.0.0.1:{port}" for name, port in (names or {}).items()])
        args = ["--no-sandbox", *([f"--host-resolver-rules={rules}"] if rules else []), *arguments]
        task = {"executable": program, "args": args, "steps": steps}
        done = subprocess.run(["node", str(HERE / "browse.mjs")], input=json.dumps(task), capture_output=True, text=True, timeout=120,
                              env={**os.environ, "HOME": str(home)})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return visit
