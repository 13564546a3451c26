# SPDX-License-Identifier: Apache-2.0
"""`pac`: the script by which browsers find the proxy. It is run by node, with the functions that browsers give it."""
import json
import subprocess

import pytest

from http1 import connect, request
from process import need

CONF = """
log access off
proxy 127.0.0.1:@proxy@ {
    auth basic file users
    %s
}
"""
BROWSER = """
const isPlainHostName = h => !h.includes('.');
const dnsDomainIs = (h, d) => h.endsWith(d);
"""


def ask(w, path, method="GET", host="proxy.corp.test:3128"):
    with connect(w.ports["proxy"]) as c:
        return c.ask(request(method, path, host=host))


def decisions(script, hosts):
    need("node")
    program = BROWSER + script + f"console.log(JSON.stringify({json.dumps(hosts)}.map(h => FindProxyForURL('http://' + h + '/', h))))"
    return json.loads(subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True, timeout=20).stdout)


@pytest.mark.parametrize("path", ["/proxy.pac", "/wpad.dat", "/wpad.dat?x=1"])
def test_the_script_leads_here_but_for_the_exceptions(weir, path):
    w = weir(CONF % "pac direct .corp.test only.test", files={"users": ""})
    r = ask(w, path)
    assert r.status == 200 and r.fields.get("Content-Type") == "application/x-ns-proxy-autoconfig"
    here = "PROXY proxy.corp.test:3128"
    assert decisions(r.body.decode(), ["www.example", "intranet", "corp.test", "a.corp.test", "notcorp.test", "only.test", "x.only.test", "127.0.0.1"]) == \
        [here, "DIRECT", "DIRECT", "DIRECT", here, "DIRECT", here, "DIRECT"]
    assert ask(w, path, "HEAD").status == 200


def test_nothing_else_is_served_and_nothing_without_the_statement(weir):
    w = weir(CONF % "pac", files={"users": ""})
    assert ask(w, "/").status == 400 and ask(w, "/proxy.pac", "POST").status == 400 and ask(w, "/x/proxy.pac").status == 400
    assert decisions(ask(w, "/proxy.pac", host="p.test").body.decode(), ["a.test"]) == ["PROXY p.test:80"]
    w = weir(CONF % "", files={"users": ""})
    assert ask(w, "/proxy.pac").status == 400


def test_mistakes(cli, folder):
    (folder / "weir.conf").write_text('proxy 127.0.0.1:3128 {\n    pac direct "a b"\n}\n')
    done = cli("check", "-c", "weir.conf")
    assert done.returncode == 2 and "weir.conf:2:16" in done.stderr
