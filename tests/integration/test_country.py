# SPDX-License-Identifier: Apache-2.0
"""`geoip FILE` and the condition `country`, with a database that is written here, by MaxMind's published format (version 2.0)."""
import ipaddress
import os
import signal

import pytest

from http1 import connect, request
from process import wait_until

CONF = """
log access off
trust client-ip from 127.0.0.1
geoip geo.mmdb
site a.test {
    listen 127.0.0.1:@http@
    deny when { country %s }
    route * -> respond 200 fine
}
"""
PLACES = {"192.0.2.0/24": {"country": {"iso_code": "DE"}}, "198.51.100.0/25": {"country": {"iso_code": "FR"}, "registered_country": {"iso_code": "DE"}},
          "203.0.113.7/32": {"registered_country": {"iso_code": "DE"}}, "203.0.113.8/32": {"continent": {"code": "EU"}},
          "2001:db8:1::/48": {"country": {"iso_code": "DE"}}}


def encode(v):
    """A value of the data section: strings, numbers, maps and arrays."""
    def control(kind, size):
        assert size < 285
        first = size if size < 29 else 29
        head = bytes([kind << 5 | first]) if kind <= 7 else bytes([first, kind - 7])
        return head + (bytes([size - 29]) if size >= 29 else b"")
    if isinstance(v, str):
        return control(2, len(v.encode())) + v.encode()
    if isinstance(v, dict):
        return control(7, len(v)) + b"".join(encode(k) + encode(x) for k, x in v.items())
    if isinstance(v, list):
        return control(11, len(v)) + b"".join(encode(x) for x in v)
    kind, width = v[0], v[1]
    data = width.to_bytes(8, "big").lstrip(b"\0")
    return control(kind, len(data)) + data


def database(places):
    nodes, data = [[None, None]], b""
    for network, value in places.items():
        net = ipaddress.ip_network(network)
        bits = format(int(net.network_address), "0128b")[:net.prefixlen] if net.version == 6 else \
            "0" * 96 + format(int(net.network_address), "032b")[:net.prefixlen]
        at = 0
        for bit in bits[:-1]:
            if nodes[at][int(bit)] is None:
                nodes.append([None, None])
                nodes[at][int(bit)] = len(nodes) - 1
            at = nodes[at][int(bit)]
        nodes[at][int(bits[-1])] = ("data", len(data))
        data += encode(value)
    n = len(nodes)
    tree = b"".join((n if r is None else r if isinstance(r, int) else n + 16 + r[1]).to_bytes(3, "big") for node in nodes for r in node)
    meta = {"node_count": (6, n), "record_size": (5, 24), "ip_version": (5, 6), "database_type": "Test-Country", "languages": ["en"],
            "binary_format_major_version": (5, 2), "binary_format_minor_version": (5, 0), "build_epoch": (9, 1800000000), "description": {"en": "test"}}
    return tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + encode(meta)


def status(w, client):
    with connect(w.http) as c:
        return c.ask(request(fields=[("X-Forwarded-For", client)])).status


@pytest.mark.parametrize("rule,denied", [
    ("DE", {"192.0.2.1", "203.0.113.7", "2001:db8:1::5", "::ffff:192.0.2.200"}),
    ("de FR", {"192.0.2.1", "203.0.113.7", "2001:db8:1::5", "::ffff:192.0.2.200", "198.51.100.1"}),
    ("not in DE FR", {"198.51.100.200", "203.0.113.8", "2001:db8:2::1", "10.0.0.1"}),
])
def test_countries(weir, rule, denied):
    conf = CONF % rule if not rule.startswith("not") else CONF.replace("country %s", "country not in DE FR")
    w = weir(conf, files={"geo.mmdb": database(PLACES)})
    for client in ("192.0.2.1", "198.51.100.1", "198.51.100.200", "203.0.113.7", "203.0.113.8", "2001:db8:1::5", "2001:db8:2::1", "::ffff:192.0.2.200", "10.0.0.1"):
        assert status(w, client) == (403 if client in denied else 200), client


def test_a_new_database_counts_after_a_reload(weir, folder):
    w = weir(CONF % "DE", files={"geo.mmdb": database(PLACES)})
    assert status(w, "192.0.2.1") == 403 and status(w, "192.0.3.1") == 200
    (folder / "new").write_bytes(database({"192.0.3.0/24": {"country": {"iso_code": "DE"}}}))
    os.replace(folder / "new", folder / "geo.mmdb")
    w.signal(signal.SIGHUP)
    wait_until(lambda: status(w, "192.0.3.1") == 403)
    assert status(w, "192.0.2.1") == 200


@pytest.mark.parametrize("conf,files,words", [
    (CONF % "DE", {}, "geo.mmdb"),
    (CONF % "DE", {"geo.mmdb": b""}, "cannot be read"),
    (CONF % "DE", {"geo.mmdb": database(PLACES)[:200]}, "cannot be read"),
    (CONF % "Germany", {"geo.mmdb": database(PLACES)}, "two letters"),
    ((CONF % "DE").replace("geoip geo.mmdb\n", ""), {}, "geoip FILE"),
])
def test_mistakes(cli, folder, conf, files, words):
    (folder / "weir.conf").write_text(conf.replace("@http@", "8080"))
    for name, data in files.items():
        (folder / name).write_bytes(data)
    done = cli("check")
    assert done.returncode == 2 and words in done.stderr, done.stderr


def test_what_is_torn_does_not_hurt(weir, cli, folder):
    """Databases with octets flipped: refused, or answered somehow; never a crash."""
    good = database(PLACES)
    (folder / "weir.conf").write_text((CONF % "DE").replace("@http@", "8080") + 'test "x" { site GET http://a.test/ from 192.0.2.1 -> deny }\n')
    for i in range(0, len(good), max(1, len(good) // 40)):
        (folder / "geo.mmdb").write_bytes(good[:i] + bytes([good[i] ^ 0x55]) + good[i + 1:])
        assert cli("check").returncode in (0, 2)
