# SPDX-License-Identifier: Apache-2.0
"""What `make run` starts: the demo as it stands in examples/start (on other ports), and every curl line that is printed."""
import re
import shlex
import subprocess

import pytest

from http1 import connect, request
from process import ROOT, need

PORTS = {"8080": "front", "8081": "one", "8082": "two", "3128": "forward", "9900": "dash"}
CURL_LINES = re.findall(r"^  (curl .*)$", (ROOT / "scripts" / "run").read_text(), re.M)


def other_ports(text, port):
    return re.sub(r"\b(" + "|".join(PORTS) + r")\b", lambda m: port(PORTS[m[1]]), text)


@pytest.fixture
def demo(weir):
    example = ROOT / "examples" / "start"
    # Ranges such as 8080-8082 have no counterpart among free ports: the three ports take its place.
    text = (example / "weir.conf").read_text().replace("8080-8082", "8080 8081 8082")
    files = {f"www/{p.name}": p.read_bytes() for p in (example / "www").iterdir()}
    return weir(other_ports(text, lambda name: f"@{name}@"), files=files)


def test_there_are_four_or_more_lines_to_try():
    assert len(CURL_LINES) >= 4


@pytest.mark.parametrize("line", CURL_LINES)
def test_each_line_works(demo, line):
    need("curl")
    arguments = shlex.split(other_ports(line, lambda name: str(demo.ports[name])))
    done = subprocess.run([*arguments, "-sS", "-o", "/dev/null", "-w", "%{http_code}"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1][0] in "23", done.stdout


def test_the_pages(demo):
    with connect(demo.front) as c:
        servers = set()
        for _ in range(4):
            r = c.ask(request(host=f"127.0.0.1:{demo.front}"))
            assert r.status == 200 and b"weir is running" in r.body
            servers.add(r.fields["X-Served-By"])
        assert servers == {"one", "two"}
        assert c.ask(request(target="/old/hello")).status == 301
    with connect(demo.forward) as c:
        r = c.ask(request(target=f"http://127.0.0.1:{demo.front}/hello", host=f"127.0.0.1:{demo.front}"))
        assert r.status == 200 and "Via" in r.fields
        assert c.ask(request(target="http://10.0.0.1/", host="10.0.0.1")).status == 403
        assert 400 <= c.ask(request()).status < 500
    with connect(demo.dash) as c:
        assert re.search(r"^# TYPE weir_", c.ask(request(target="/metrics", host="127.0.0.1")).body.decode(), re.M)


def test_the_example_is_clean(cli):
    done = cli("check", "-c", str(ROOT / "examples" / "start" / "weir.conf"))
    assert done.returncode == 0 and "warning" not in done.stderr
