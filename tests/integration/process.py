# SPDX-License-Identifier: Apache-2.0
"""weir and its peers as processes of a test: started on free ports, waited for by condition, ended by their own id."""
import fcntl
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
SANITIZER = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:|check failed:)")
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:exitcode=99:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "TSAN_OPTIONS": "halt_on_error=1:exitcode=99",
}


def weir_binary():
    named = os.environ.get("WEIR_BIN")
    candidates = [pathlib.Path(named)] if named else [ROOT / "build" / b / "weir" for b in ("test", "release")]
    for path in candidates:
        if path.exists():
            return str(path.resolve())
    pytest.fail(f"no weir to test: {', '.join(map(str, candidates))} (make test builds it)")


_ports_given = set()
_ports_file = None


def _claim_port(port):
    """Whether the port is ours alone among the test processes of this machine, until this one ends: a locked byte of one file."""
    global _ports_file
    if _ports_file is None:
        _ports_file = open(pathlib.Path(tempfile.gettempdir()) / f"weir-test-ports-{os.getuid()}", "a")
    if port in _ports_given:
        return False
    try:
        fcntl.lockf(_ports_file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _ports_given.add(port)
    return True


def free_port():
    """A port below the range that the kernel gives to clients, so that no connection takes it meanwhile; each port is
    given once, also to tests that run at the same time in other processes."""
    rng = random.SystemRandom()
    while True:
        port = rng.randrange(20000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if _claim_port(port):
            return port


def wait_until(condition, timeout=10, what="the condition"):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come true within {timeout} s"
        time.sleep(0.01)


def accepts(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False


class Process:
    """A child in the foreground; its output is collected."""

    def __init__(self, argv, cwd, env=None, **options):
        self.argv = argv
        self.child = subprocess.Popen(argv, cwd=cwd, env={**os.environ, **ENVIRONMENT, **(env or {})}, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.output = {"stdout": [], "stderr": []}
        self.readers = [threading.Thread(target=self._collect, args=(n,), daemon=True) for n in self.output]
        for r in self.readers:
            r.start()

    def _collect(self, name):
        for line in getattr(self.child, name):
            self.output[name].append(line.decode("utf-8", "replace"))

    @property
    def pid(self):
        return self.child.pid

    @property
    def stderr(self):
        return "".join(self.output["stderr"])

    @property
    def stdout(self):
        return "".join(self.output["stdout"])

    def running(self):
        return self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, timeout=15):
        """The exit status."""
        status = self.child.wait(timeout)
        for r in self.readers:
            r.join(timeout)
        return status

    def wait_ports(self, ports, timeout=15):
        for port in ports:
            wait_until(lambda: accepts(port) or not self.running(), timeout, f"{self.argv[0]} on port {port}")
            if not self.running():
                self.wait()
                raise AssertionError(f"{' '.join(self.argv)} ended with {self.child.returncode}:\n{self.stderr}{self.stdout}")

    def kill(self):
        if self.running():
            self.child.kill()
        self.wait()


class Weir(Process):
    """A running weir. `@name@` in the configuration is a port: one that was passed, or a free one that weir listens on
    (`@dead...@`: a free one where nobody listens)."""

    def __init__(self, folder, text, env=None, files=None, arguments=None, open_files=None, **ports):
        self.folder = folder
        self.ports = dict(ports)
        self.text = self.fill_in(text)
        self.conf = folder / "weir.conf"
        self.conf.write_text(self.text)
        for name, content in (files or {}).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        argv = [weir_binary(), *(arguments or ["run", "-c", "weir.conf"])]
        if open_files:
            argv = ["sh", "-c", f'ulimit -n {open_files} && exec "$@"', "sh", *argv]
        super().__init__(argv, folder, env)
        self.done = False

    def fill_in(self, text):
        def value(match):
            return str(self.ports.setdefault(match[1], free_port()))
        return re.sub(r"@(\w+)@", value, text)

    def rewrite(self, text):
        """Another configuration in the same place, with the same ports."""
        self.text = self.fill_in(text)
        self.conf.write_text(self.text)

    def __getattr__(self, name):
        try:
            return self.__dict__["ports"][name]
        except KeyError:
            raise AttributeError(name) from None

    def workers(self):
        """Process ids of the supervisor's children."""
        path = f"/proc/{self.pid}/task/{self.pid}/children"
        with open(path) as f:
            return [int(p) for p in f.read().split()]

    def check_sanitizers(self):
        assert not SANITIZER.search(self.stderr), f"a sanitizer or a check reported:\n{self.stderr}"

    def stop(self, number=signal.SIGTERM, timeout=15):
        """Ends it in order: status 0, and nothing that a sanitizer reported."""
        self.done = True
        if self.running():
            self.signal(number)
        try:
            status = self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"weir did not end within {timeout} s of signal {number}:\n{self.stderr}") from None
        self.check_sanitizers()
        assert status == 0, f"weir ended with {status}:\n{self.stderr}"


def run_weir(folder, *arguments, env=None, timeout=60, data=None):
    """A command of weir to its end: .returncode, .stdout, .stderr (text)."""
    done = subprocess.run([weir_binary(), *arguments], cwd=folder, env={**os.environ, **ENVIRONMENT, **(env or {})},
                          capture_output=True, timeout=timeout, input=data or b"")
    done.stdout, done.stderr = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    assert not SANITIZER.search(done.stderr), done.stderr
    return done


def need(program):
    """The path of a program of another project; skips the test where it is not installed."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        pytest.skip(f"{program} is not installed")
    return path


def need_shared(*parts):
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"../shared/{'/'.join(parts)} is not there")
    return path


def need_npm(folder):
    """Installs the packages of the folder's package-lock.json there, once; skips the test where they cannot be had."""
    need("npm")
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".weir-lock"
    with open(folder / "package.json") as f:
        fcntl.flock(f, fcntl.LOCK_EX)  # several test processes may come at once
        if installed.exists() and installed.read_text() == lock.read_text():
            return
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, timeout=120)
        if done.returncode:
            pytest.skip(f"npm's packages cannot be fetched: {done.stderr[-300:]}")
        shutil.copy(lock, installed)
