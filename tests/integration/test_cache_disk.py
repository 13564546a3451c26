# SPDX-License-Identifier: Apache-2.0
"""The disk tier: what is stored is there after a restart, however the process ended, and nothing damaged reaches a client."""
import os
import pathlib
import itertools
import random
import re
import shutil
import signal
import tempfile
import threading
import time

import pytest

import http1
from process import Weir, need, wait_until

CONF = """
cache main { memory @memory@MiB; disk run/cache/ 64MiB }
pool app { server 127.0.0.1:@o@ }
site * { listen 127.0.0.1:@p@
  cache main
  route * -> pool app }
"""


def body_of(target, version=0):
    """Content that tells its place: any piece of another one, or at another place, shows."""
    name, _, size = target.partition("?")
    line = f"{name} {version} ".encode()
    size = int(size or 1000)
    return b"".join(line + b"%d\n" % i for i in range(size // len(line) + 1))[:size]


class Versions:
    """An origin whose answers are fresh for long."""

    def __init__(self):
        self.version = 0
        self.fields = [("Cache-Control", "max-age=600")]

    def __call__(self, x):
        fields = self.fields + [("ETag", f'"{self.version}"'), ("Cache-Tag", "all, " + x.request.target.split("?")[0].strip("/"))]
        x.reply(200, body_of(x.request.target, self.version), fields)


@pytest.fixture
def disk(origin, folder):
    class Disk:
        def __init__(self):
            self.handler = Versions()
            self.origin = origin(self.handler)
            self.w = None
            self.memory = 64

        def start(self, conf=CONF):
            ports = {"p": self.w.p} if self.w else {}
            self.w = Weir(folder, conf, o=self.origin.port, memory=self.memory, **ports)
            self.w.wait_ports([self.w.p])
            return self.w

        def kill(self):
            self.w.kill()
            self.w.check_sanitizers()

        def get(self, target, method="GET", fields=()):
            with http1.connect(self.w.p) as c:
                c.send(http1.request(method, target, host="a.test", fields=fields))
                return c.read_response(method)

        def get_some(self, target):
            """The content as far as it came, and whether that was all of it."""
            with http1.connect(self.w.p) as c:
                c.send(http1.request("GET", target, host="a.test", fields=[("Connection", "close")]))
                response = c.read_response(content=False)
                assert response.status == 200
                body = c.read_to_end()
                return body, len(body) == int(response.fields["Content-Length"])

        @property
        def asked(self):
            return len(self.origin.requests)

        @property
        def folder(self):
            return folder / "run" / "cache"

        def segments(self):
            return sorted(self.folder.glob("*.segment"))

    disk = Disk()
    yield disk
    if disk.w and disk.w.running():
        disk.w.stop()


SIZES = [0, 1, 500, 1000, 20000, 70000, 262144, 300000, 1500000]


def is_hit(response):
    return "weir; hit" in response.fields.all("Cache-Status")[-1]


def settle(disk, n):
    """Waits until the folder has n octets or more: what is stored is written behind the answer."""
    wait_until(lambda: sum(s.stat().st_size for s in disk.segments()) >= n, timeout=60, what="the folder's growth")


def test_stored_responses_are_there_after_a_stop(disk):
    disk.start()
    for n in SIZES:
        assert disk.get(f"/s{n}?{n}").body == body_of(f"/s{n}?{n}")
    disk.w.stop()
    asked = disk.asked
    disk.start()
    for n in SIZES:
        response = disk.get(f"/s{n}?{n}")
        assert response.body == body_of(f"/s{n}?{n}") and is_hit(response)
        again = disk.get(f"/s{n}?{n}")
        assert again.body == response.body and is_hit(again)
    assert disk.asked == asked


def test_a_folder_on_tmpfs(disk):
    """Which has no reads that do not wait, and no reason to."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no /dev/shm here")
    store = pathlib.Path(tempfile.mkdtemp(prefix="weir-", dir="/dev/shm"))
    try:
        store.chmod(0o755)
        conf = CONF.replace("run/cache/", f"{store}/cache")
        disk.start(conf)
        for n in SIZES:
            disk.get(f"/t{n}?{n}")
        disk.w.stop()
        asked = disk.asked
        disk.start(conf)
        for n in SIZES:
            assert disk.get(f"/t{n}?{n}").body == body_of(f"/t{n}?{n}")
        assert disk.asked == asked
        disk.w.stop()
    finally:
        shutil.rmtree(store)


def test_the_folder_is_the_workers_alone(disk):
    disk.start()
    stat = disk.folder.stat()
    assert stat.st_mode & 0o777 == 0o700
    if os.geteuid() == 0:
        assert stat.st_uid == 65534


@pytest.mark.parametrize("victim", ["worker", "all"])
def test_a_kill_loses_no_more_than_what_was_being_written(disk, victim):
    w = disk.start()
    targets = [f"/k{i}?{random.Random(i).choice(SIZES)}" for i in range(60)]
    for t in targets:
        disk.get(t)
    settle(disk, sum(int(t.split("?")[1]) for t in targets))
    if victim == "worker":
        old = w.workers()
        os.kill(old[0], signal.SIGKILL)
        wait_until(lambda: w.workers() and w.workers() != old, what="another worker")
    else:
        disk.kill()
        disk.start()
    asked = disk.asked
    for t in targets:
        assert disk.get(t).body == body_of(t)
    assert disk.asked - asked <= 3


def test_killed_while_many_are_being_stored(disk):
    """Row CA-19 of the attack set: at a random point of it. Whatever is given out afterwards is right, and of this time."""
    rng = random.Random(3)
    for round in range(int(os.environ.get("WEIR_KILLS", 2))):
        targets = [f"/c{i}?{rng.choice([0, 900, 9000, 70000, 300000])}" for i in range(40)]
        disk.handler.version = round
        disk.start()
        wanted = disk.asked + rng.randrange(2, 36)

        def ask_on(mine):
            try:
                for t in mine:
                    disk.get(t)
            except (OSError, AssertionError):
                pass  # it was killed

        clients = [threading.Thread(target=ask_on, args=(targets[i::4],)) for i in range(4)]
        for c in clients:
            c.start()
        wait_until(lambda: disk.asked >= wanted, what="some fetches")
        disk.kill()
        for c in clients:
            c.join()
        disk.start()
        for t in targets:
            body, whole = disk.get_some(t)
            right = body_of(t, round)
            assert right.startswith(body) and (not whole or body == right), t
        assert is_hit(disk.get(targets[0]))
        disk.w.stop()
        shutil.rmtree(disk.folder)


def test_flipped_bits_and_cut_files_reach_nobody(disk):
    disk.start()
    targets = [f"/f{i}?{random.Random(i).choice(SIZES)}" for i in range(80)]
    rng = random.Random(1)
    for t in targets:
        disk.get(t)
    for how in range(4):
        disk.kill() if how % 2 else disk.w.stop()
        for segment in disk.segments():
            data = bytearray(segment.read_bytes())
            for _ in range(40):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            if how == 3:
                del data[rng.randrange(len(data)) :]
            segment.write_bytes(data)
        disk.start()
        broken = 0
        for t in targets:
            for _ in range(3):
                body, whole = disk.get_some(t)
                assert body_of(t).startswith(body)
                if whole:
                    break
                broken += 1
            else:
                pytest.fail(f"{t} is not healed")
        assert broken <= 40


def test_bits_that_flip_while_it_runs_reach_nobody(disk):
    disk.memory = 1
    disk.start()
    target = "/live?3000000"
    disk.get(target)
    settle(disk, 3000000)
    for i in range(30):  # the segment is full, and its content goes out by sendfile
        disk.get(f"/filler{i}?100000")
    for _ in range(3):
        assert is_hit(disk.get(target))
    segment = disk.segments()[0]
    with open(segment, "r+b") as f:
        data = f.read()
        at = data.index(b"/live 0 100\n")
        f.seek(at)
        f.write(b"#")
    body, _ = disk.get_some(target)
    assert body_of(target).startswith(body)
    assert disk.get(target).body == body_of(target)


def test_a_changed_response_is_the_one_that_is_there(disk):
    disk.handler.fields = [("Cache-Control", "max-age=0")]
    disk.start()
    for version in range(5):
        disk.handler.version = version
        assert disk.get("/c?5000").body == body_of("/c?5000", version)
    disk.handler.fields = [("Cache-Control", "max-age=600")]
    disk.handler.version = 7
    assert disk.get("/c?5000").body == body_of("/c?5000", 7)
    disk.w.stop()
    disk.start()
    response = disk.get("/c?5000")
    assert response.body == body_of("/c?5000", 7) and is_hit(response)


def test_an_unsafe_request_takes_it_off_the_disk(disk):
    disk.start()
    disk.get("/u?5000")
    disk.get("/stays?5000")
    disk.w.stop()
    disk.start()
    disk.get("/u?5000", method="DELETE")
    disk.kill()
    disk.start()
    assert not is_hit(disk.get("/u?5000"))
    assert is_hit(disk.get("/stays?5000"))


def test_variants_ranges_and_conditions_from_disk(disk):
    disk.memory = 1
    disk.handler.fields = [("Cache-Control", "max-age=600"), ("Vary", "X-Kind")]
    disk.start()
    for kind in ("a", "b"):
        disk.handler.version = kind
        disk.get("/v?400000", fields=[("X-Kind", kind)])
    disk.w.stop()
    asked = disk.asked
    disk.start()
    for kind in ("b", "a"):
        response = disk.get("/v?400000", fields=[("X-Kind", kind)])
        assert response.body == body_of("/v?400000", kind) and is_hit(response)
        part = disk.get("/v?400000", fields=[("X-Kind", kind), ("Range", "bytes=299000-301999")])
        assert part.status == 206 and part.body == body_of("/v?400000", kind)[299000:302000]
        assert disk.get("/v?400000", fields=[("X-Kind", kind), ("If-None-Match", f'"{kind}"')]).status == 304
    assert disk.asked == asked
    assert not is_hit(disk.get("/v?400000", fields=[("X-Kind", "c")]))


def test_a_stale_one_is_validated_and_its_content_kept(disk):
    class Validates(Versions):
        def __call__(self, x):
            if x.request.fields.get("If-None-Match"):
                x.reply(304, b"", [("Cache-Control", "max-age=600"), ("ETag", '"0"'), ("X-New", "yes")])
            else:
                super().__call__(x)

    disk.handler.__class__ = Validates
    disk.handler.fields = [("Cache-Control", "max-age=1")]
    disk.start()
    for n in (1000, 900000):
        disk.get(f"/r{n}?{n}")
    disk.w.stop()
    stored = time.time()
    wait_until(lambda: time.time() > stored + 1.1, what="its end of freshness")
    disk.start()
    for n in (1000, 900000):
        response = disk.get(f"/r{n}?{n}")
        assert response.body == body_of(f"/r{n}?{n}") and response.fields.get("X-New") == "yes"
        assert is_hit(disk.get(f"/r{n}?{n}"))
    disk.w.stop()
    asked = disk.asked
    disk.start()
    for n in (1000, 900000):
        response = disk.get(f"/r{n}?{n}")
        assert response.body == body_of(f"/r{n}?{n}") and is_hit(response) and response.fields.get("X-New") == "yes"
    assert disk.asked == asked


def test_it_accepts_soon_over_a_damaged_folder(disk):
    disk.start(CONF.replace("64MiB }", "200MiB }"))
    asked = itertools.count()

    def is_full():  # of what comes faster than the disk writes some is left out
        disk.get(f"/big{next(asked)}?2000000")
        return sum(s.stat().st_size for s in disk.segments()) >= 80_000_000
    wait_until(is_full, timeout=60, what="a folder of 80 MB")
    disk.kill()
    for segment in disk.segments():
        with open(segment, "r+b") as f:
            for _ in range(50):
                f.seek(random.randrange(segment.stat().st_size))
                f.write(b"\0" * 100)
    before = time.monotonic()
    disk.start(CONF.replace("64MiB }", "200MiB }"))
    assert time.monotonic() - before < 5  # INTERFACE 2
    for i in range(next(asked)):
        body, whole = disk.get_some(f"/big{i}?2000000")
        assert body_of(f"/big{i}?2000000").startswith(body)
        if not whole:
            assert disk.get(f"/big{i}?2000000").body == body_of(f"/big{i}?2000000")


def test_a_checked_hit_goes_out_by_sendfile(disk, process, folder):
    """None of its content passes through the process: the first hit after a start compares it, the next ones are the kernel's."""
    disk.memory, target, size = 1, "/film?3000000", 3_000_000
    disk.start()
    disk.get(target)
    settle(disk, size)
    disk.w.stop()
    asked = disk.asked
    disk.start()
    assert disk.get(target).body == body_of(target) and disk.asked == asked
    out = folder / "trace"
    p = process([need("strace"), "-f", "-e", "trace=sendfile,read,pread64,preadv2,sendmsg,sendto,write,writev", "-o", out, "-p", wait_until(disk.w.workers)[0]])
    wait_until(lambda: "attached" in p.stderr or not p.running(), what="strace")
    if not p.running():
        pytest.skip(f"strace may not attach here: {p.stderr.strip()}")
    whole, part = disk.get(target), disk.get(target, fields=[("Range", "bytes=1000000-1999999")])
    p.signal(signal.SIGINT)
    p.wait()
    assert whole.body == body_of(target) and part.body == body_of(target)[1_000_000:2_000_000] and part.status == 206 and disk.asked == asked
    moved = {}
    for line in out.read_text().splitlines():
        m = re.match(r"\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed).* = (\d+)", line)
        if m:
            moved[m[1]] = moved.get(m[1], 0) + int(m[2])
    assert moved["sendfile"] == size + 1_000_000, moved
    assert sum(n for name, n in moved.items() if name != "sendfile") < 20_000, moved


def test_the_numbers(disk):
    disk.start("dashboard 127.0.0.1:@dash@\n" + CONF)

    def number(name, **labels):
        with http1.connect(disk.w.dash) as c:
            text = c.ask(http1.request(target="/metrics", host=f"127.0.0.1:{disk.w.dash}")).body.decode()
        label = "".join(f'{k}="{v}",' for k, v in labels.items())
        return int(next(line for line in text.splitlines() if line.startswith(f"weir_cache_{name}{{{label}}}")).split()[-1])

    for _ in range(3):
        disk.get("/a?1000")
        disk.get("/b?300000")
    wait_until(lambda: number("disk_stored_total", cache="main") == 2, timeout=60, what="the writing")
    assert number("hits_total", site="*") == 4 and number("forwards_total", site="*") == 2
    assert number("objects", cache="main") == 2 and number("stored_total", cache="main") == 2
    assert number("memory_bytes", cache="main") > 301000
    assert number("disk_objects", cache="main") == 2
    assert number("disk_bytes", cache="main") == sum(s.stat().st_size for s in disk.segments())
    disk.w.stop()
    segment = disk.segments()[0]
    data = segment.read_bytes()
    at = data.index(b"/a 0 20\n")
    segment.write_bytes(data[:at] + b"#" + data[at + 1 :])
    disk.start("dashboard 127.0.0.1:@dash@\n" + CONF)
    assert not is_hit(disk.get("/a?1000")) and is_hit(disk.get("/b?300000"))
    assert number("disk_damaged_total", cache="main") == 1 and number("disk_hits_total", cache="main") >= 1
    assert number("disk_loading", cache="main") == 0


def test_content_beyond_the_limit_is_not_stored(disk):
    class Chunked(Versions):
        def __call__(self, x):
            body = body_of(x.request.target)
            x.reply_chunked(*[body[i : i + 100000] for i in range(0, len(body), 100000)], fields=self.fields)

    disk.handler.__class__ = Chunked
    disk.memory = 1
    disk.start(CONF.replace("64MiB }", "64MiB; max-object 2MiB }"))
    for target, stored in (("/in?1500000", True), ("/out?3000000", False)):
        for _ in range(2):
            response = disk.get(target)
            assert response.body == body_of(target)
        wait_until(lambda: is_hit(disk.get(target)) == stored, what="the writing")
