# SPDX-License-Identifier: Apache-2.0
"""`weir upgrade`: another binary takes over, or the one before goes on."""
import json
import os
import pathlib
import re
import shutil
import threading

import pytest

from http1 import Closed, connect, request
from process import run_weir, wait_until, weir_binary

CONF = """
threads 2
log access off
admin unix:run/weir.sock
site * {
    listen 127.0.0.1:@http@
    route /slow -> pool app
    route * -> respond 200 "hello"
}
pool app { server 127.0.0.1:@app@ }
"""


def version():
    return re.search(rb"weir (\d+\.\d+\.\d+)", run_weir(pathlib.Path("/"), "version").stdout.encode())[1]


def install(path, binary):
    """As package managers do it: the new file is renamed over the old one."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(binary)
    fresh.chmod(0o755)
    fresh.rename(path)


def of_another_version(binary):
    """The same program, but it says another version of itself."""
    old = version()
    return binary.replace(b"weir " + old, b"weir 9.9.9").replace(b"\0" + old + b"\0", b"\0" + b"9.9.9".ljust(len(old), b"\0") + b"\0")


@pytest.fixture
def own(weir, origin, folder, monkeypatch):
    """A weir of a binary of its own, which tests may replace."""
    binary = pathlib.Path(weir_binary()).read_bytes()
    path = folder / "weir"
    install(path, binary)
    monkeypatch.setenv("WEIR_BIN", str(path))
    release = threading.Event()

    def slow(exchange):
        release.wait(30)
        exchange.reply(body=b"slow")

    w = weir(CONF, app=origin(slow).port)
    w.binary, w.path, w.release = binary, path, release
    return w


def status(w):
    return json.loads(run_weir(w.folder, "status", "--json").stdout)


def get(w, path="/"):
    with connect(w.http) as c:
        return c.ask(request("GET", path)).body


def test_another_version_takes_over_and_what_is_under_way_is_completed(own):
    before = status(own)
    waiting = connect(own.http)
    waiting.send(request("GET", "/slow"))
    wait_until(lambda: status(own)["connections"]["open"] >= 1)
    install(own.path, of_another_version(own.binary))
    done = run_weir(own.folder, "upgrade")
    assert done.returncode == 0, done.stderr
    assert "9.9.9" in done.stdout
    after = status(own)
    assert after["version"] == "9.9.9" and after["pid"] == before["pid"] and after["worker"] != before["worker"]
    assert get(own) == b"hello"
    own.release.set()
    assert waiting.read_response().body == b"slow"
    waiting.close()
    wait_until(lambda: not os.path.exists(f"/proc/{before['worker']}"))
    again = run_weir(own.folder, "upgrade")  # and from there to itself
    assert again.returncode == 0, again.stderr
    assert run_weir(own.folder, "reload").returncode == 0
    assert get(own) == b"hello"


def test_no_request_is_refused_while_versions_change(own):
    stop, failures, served = threading.Event(), [], [0]

    def ask():
        while not stop.is_set():
            try:
                assert get(own) == b"hello"
                served[0] += 1
            except (Closed, OSError, AssertionError) as e:
                failures.append(repr(e))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for t in threads:
        t.start()
    for n in range(3):
        install(own.path, of_another_version(own.binary) if n % 2 == 0 else own.binary)
        done = run_weir(own.folder, "upgrade")
        assert done.returncode == 0, done.stderr
        at = served[0]
        wait_until(lambda: served[0] > at + 20)
    stop.set()
    for t in threads:
        t.join()
    assert not failures


@pytest.mark.parametrize("binary, reason", [
    (b"#!/bin/sh\necho 'this is not it' >&2\nexit 3\n", "this is not it"),
    (b"\x7fELF garbage", "cannot take over"),
])
def test_a_binary_that_does_not_run_changes_nothing(own, binary, reason):
    before = status(own)
    install(own.path, binary)
    done = run_weir_as(own, "upgrade")
    assert done.returncode == 1 and reason in done.stderr
    install(own.path, own.binary)
    after = status(own)
    assert (after["pid"], after["worker"]) == (before["pid"], before["worker"])
    assert get(own) == b"hello"


def run_weir_as(own, *arguments):
    """With a binary that surely works, whatever stands at the path."""
    good = own.path.with_name("good")
    if not good.exists():
        install(good, own.binary)
    before, os.environ["WEIR_BIN"] = os.environ["WEIR_BIN"], str(good)
    try:
        return run_weir(own.folder, *arguments)
    finally:
        os.environ["WEIR_BIN"] = before


def test_a_version_whose_worker_does_not_serve_gives_way_to_the_one_before(own):
    before = status(own)
    # Its `check` is fine; as a supervisor it starts a worker that ends at once.
    real = own.path.with_name("real")
    shutil.copy(own.path, real)
    script = f"#!/bin/sh\ncase \"$1\" in check) exec {real} \"$@\";; esac\nWEIR_TEST=1 exec {real} run -c nothing.conf\n"
    install(own.path, script.encode())
    done = run_weir_as(own, "upgrade")
    assert done.returncode == 1, done.stdout
    wait_until(lambda: status_of(own).get("worker") == before["worker"])
    assert status_of(own)["pid"] == before["pid"]
    assert get(own) == b"hello"
    assert run_weir_as(own, "reload").returncode == 0  # it is in charge again
    install(own.path, own.binary)
    assert run_weir(own.folder, "upgrade").returncode == 0
    assert get(own) == b"hello"


def status_of(own):
    done = run_weir_as(own, "status", "--json")
    return json.loads(done.stdout) if done.returncode == 0 else {}
