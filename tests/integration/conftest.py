# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the integration tests. What is started here ends with its test, and a test fails where weir complained at its end."""
import os
import pathlib
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from origin import Origin, echo  # noqa: E402
from process import Process, Weir, free_port, need, run_weir  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    """A folder for a configuration, of which weir's unprivileged worker can read what is in it."""
    for path in [tmp_path, *tmp_path.parents]:
        if path == pathlib.Path(tempfile.gettempdir()):
            break
        path.chmod(0o755)
    return tmp_path


@pytest.fixture
def weir(folder):
    """weir(conf_text, name=port...) starts one and waits for its listeners; see process.Weir."""
    started = []

    def start(text, wait=True, **options):
        home = folder if not started else folder / f"weir{len(started)}"
        home.mkdir(exist_ok=True)
        given = set(options)
        process = Weir(home, text, **options)
        started.append(process)
        if wait:
            process.wait_ports(port for name, port in process.ports.items() if name not in given and not name.startswith("dead"))
        return process

    yield start
    failures = []
    for process in reversed(started):
        try:
            if process.done:
                process.kill()
                process.check_sanitizers()
            else:
                process.stop()
        except AssertionError as e:
            failures.append(str(e))
    assert not failures, "\n".join(failures)


@pytest.fixture
def origin():
    """origin(handler) starts a raw origin server; see origin.Origin."""
    started = []

    def start(handler=echo, **options):
        started.append(Origin(handler, **options))
        return started[-1]

    yield start
    for o in started:
        o.stop()
    for o in started:
        broken = [e for e in o.errors if isinstance(e, AssertionError) and type(e).__name__ not in ("Closed",)]
        assert not broken, f"an origin saw something wrong: {broken!r}"


@pytest.fixture
def cli(folder):
    """cli("check", "-c", "x.conf") runs a command of weir in the test's folder."""
    return lambda *arguments, **options: run_weir(folder, *arguments, **options)


@pytest.fixture
def process(folder):
    """process(argv, ports) starts another program and waits until it accepts there."""
    started = []

    def start(argv, ports=(), **options):
        p = Process([str(a) for a in argv], folder, **options)
        started.append(p)
        p.wait_ports(ports)
        return p

    yield start
    for p in started:
        p.child.terminate()
        p.wait()


@pytest.fixture
def www(folder):
    """A folder with a few files, as documents of nginx, Apache and Python's server."""
    root = folder / "www"
    root.mkdir()
    (root / "small.txt").write_bytes(b"small\n" * 20)
    (root / "large.bin").write_bytes(bytes(range(256)) * 4096 * 4)
    (root / "index.html").write_text("<!doctype html><title>peer</title>\n")
    return root


@pytest.fixture
def nginx(process, folder, www):
    """Starts nginx as an origin; returns its port."""
    def start(extra=""):
        port, home = free_port(), folder / "nginx"
        home.mkdir()
        (home / "nginx.conf").write_text(f"""
            daemon off; master_process off; pid {home}/pid; error_log stderr;
            events {{ worker_connections 256; }}
            http {{ access_log off; client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;
                    uwsgi_temp_path {home}/u; scgi_temp_path {home}/s; types {{ text/plain txt; text/html html; }} default_type application/octet-stream;
                    server {{ listen 127.0.0.1:{port}; root {www}; {extra} }} }}""")
        process([need("nginx"), "-p", home, "-c", home / "nginx.conf"], [port])
        return port
    return start


@pytest.fixture
def apache(process, folder, www):
    """Starts Apache as an origin; returns its port."""
    def start():
        program = need("apache2")
        modules = pathlib.Path("/usr/lib/apache2/modules")
        if not (modules / "mod_mpm_event.so").exists():
            pytest.skip("Apache's modules are not where Debian puts them")
        port, home = free_port(), folder / "apache"
        home.mkdir()
        (home / "httpd.conf").write_text(f"""
            ServerRoot {home}
            ServerName localhost
            PidFile {home}/pid
            ErrorLog /dev/stderr
            LoadModule mpm_event_module {modules}/mod_mpm_event.so
            LoadModule authz_core_module {modules}/mod_authz_core.so
            LoadModule dir_module {modules}/mod_dir.so
            Mutex pthread
            Listen 127.0.0.1:{port}
            User daemon
            Group daemon
            DocumentRoot {www}
            KeepAliveTimeout 30
            """)
        process([program, "-X", "-d", home, "-f", home / "httpd.conf"], [port])
        return port
    return start


@pytest.fixture
def python_server(process, www):
    """Starts Python's http.server (HTTP/1.0, a connection a request); returns its port."""
    def start():
        port = free_port()
        process([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", www, port], [port])
        return port
    return start
