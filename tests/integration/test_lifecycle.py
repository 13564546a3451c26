# SPDX-License-Identifier: Apache-2.0
"""Starting, stopping, reloading, dying: what the processes do."""
import ctypes
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from http1 import Closed, connect, request
from process import Weir, accepts, free_port, run_weir, wait_until, weir_binary

HELLO = """
log access off
site * {
    listen 127.0.0.1:@http@
    route * -> respond 200 "hello"
}
"""
PLAIN = """
log access off
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@http@
    route * -> pool app
}
"""


def answer(port, host):
    with connect(port) as c:
        return c.ask(request(host=host)).body.rstrip(b"\n")


def body(port):
    return answer(port, "a.test")


# ---- starting

def test_a_line_for_each_listener(weir):
    w = weir(HELLO + "proxy 127.0.0.1:@proxy@ { }\ndashboard 127.0.0.1:@dash@\n")
    for port in (w.http, w.proxy, w.dash):
        wait_until(lambda: f"127.0.0.1:{port}" in w.stderr, what=f"a line about port {port}")


def test_several_listeners_of_a_site(weir):
    w = weir("log access off\nsite * { listen 127.0.0.1:@a@\n listen 127.0.0.1:@b@\n listen [::1]:@a@\n route * -> respond 200 \"x\" }")
    assert body(w.a) == body(w.b) == b"x"
    with connect(w.a, host="::1") as c:
        assert c.ask(request()).status == 200


def test_the_worker_is_a_child(weir):
    w = weir(HELLO)
    assert len(wait_until(w.workers)) == 1


def test_as_root_the_worker_has_no_privileges(weir):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    w = weir(HELLO)
    wait_until(lambda: "listening" in w.stderr, what="the worker's word that it serves")
    status = pathlib.Path(f"/proc/{wait_until(w.workers)[0]}/status").read_text()
    assert not re.search(r"^[UG]id:.*\b0\b", status, re.M)
    assert re.search(r"^CapEff:\s+0+$", status, re.M) and re.search(r"^NoNewPrivs:\s+1$", status, re.M)


def test_a_taken_port(weir, folder):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        (folder / "weir.conf").write_text(HELLO.replace("@http@", str(port)))
        done = run_weir(folder, "run", "-c", "weir.conf")
        assert done.returncode == 1 and f"127.0.0.1:{port}" in done.stderr


def test_too_few_descriptors(folder):
    """One sentence that says what is needed and what to do; nothing listens."""
    port = free_port()
    (folder / "weir.conf").write_text(HELLO.replace("@http@", str(port)))
    done = subprocess.run(["sh", "-c", 'ulimit -n 20 && exec "$@"', "sh", weir_binary(), "run", "-c", "weir.conf"], cwd=folder,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
    assert done.returncode == 1
    assert re.fullmatch(r"weir: Only 20 files may be open, and \d+ threads? .* need \d+ .*raise the limit \(ulimit -n.*\n", done.stderr)


def test_a_second_weir_on_the_same_ports(weir, folder):
    w = weir(HELLO)
    done = run_weir(folder, "run", "-c", "weir.conf")
    assert done.returncode == 1 and f"127.0.0.1:{w.http}" in done.stderr
    assert body(w.http) == b"hello"


@pytest.mark.parametrize("text", ["sites * { }\n", "site * { listen 127.0.0.1:@http@\n route * -> pool nobody }\n",
                                  HELLO + 'test "x" { site GET http://a.test/ -> respond 404 }\n'])
def test_a_configuration_with_a_mistake(folder, text):
    port = free_port()
    (folder / "weir.conf").write_text(text.replace("@http@", str(port)))
    done = run_weir(folder, "run", "-c", "weir.conf")
    assert done.returncode == 2 and re.search(r"weir\.conf:\d+", done.stderr)


def test_a_missing_file(folder):
    done = run_weir(folder, "run", "-c", "missing.conf")
    assert done.returncode in (1, 2) and "missing.conf" in done.stderr and len(done.stderr.splitlines()) <= 3


def test_the_file_is_weir_conf_by_default(weir):
    w = weir(HELLO, arguments=["run"])
    assert body(w.http) == b"hello"


@pytest.mark.parametrize("arguments", [["reverse"], ["nonsense"], ["run", "--nonsense"], ["check", "a", "b", "c"], ["run", "-c"],
                                       ["reverse", "--to", "no port"], ["forward", "--listen", "x"]])
def test_bad_usage(folder, arguments):
    done = run_weir(folder, *arguments)
    assert done.returncode == 2 and done.stderr


def test_version_and_help(folder):
    assert re.match(r"weir \d+\.\d+", run_weir(folder, "version").stdout)
    text = run_weir(folder, "help")
    assert text.returncode == 0
    for command in ("run", "check", "fmt", "reverse", "forward", "version"):
        assert command in text.stdout
        done = run_weir(folder, "help", command)
        assert done.returncode == 0 and command in done.stdout
        assert run_weir(folder, command, "--help").stdout == done.stdout


# ---- quick modes

def test_quick_reverse(weir, origin):
    o = origin()
    port = free_port()
    w = weir("", wait=False, arguments=["reverse", "--to", f"127.0.0.1:{o.port}", "--from", f"127.0.0.1:{port}"])
    w.wait_ports([port])
    assert body(port) == b"hello from the origin"


def test_quick_forward(weir):
    port = free_port()
    w = weir("", wait=False, arguments=["forward", "--listen", f"127.0.0.1:{port}"])
    w.wait_ports([port])
    with connect(port) as c:
        assert c.ask(request(target="http://10.0.0.1/")).status == 403


@pytest.mark.parametrize("arguments", [["reverse", "--to", "127.0.0.1:9", "--from", "127.0.0.1:8"], ["forward", "--listen", "127.0.0.1:8"]])
def test_quick_modes_print_a_configuration(folder, arguments):
    done = run_weir(folder, *arguments, "--print")
    assert done.returncode == 0 and "127.0.0.1:8" in done.stdout
    (folder / "printed.conf").write_text(done.stdout)
    checked = run_weir(folder, "check", "-c", "printed.conf")
    assert checked.returncode == 0, checked.stderr


# ---- stopping

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_its_children(weir, number):
    w = weir(HELLO)
    assert body(w.http) == b"hello"
    workers = wait_until(w.workers)
    w.stop(number)
    assert not accepts(w.http)
    for pid in workers:
        assert not os.path.exists(f"/proc/{pid}")


def test_sigterm_closes_idle_connections_at_once(weir):
    w = weir(HELLO)
    with connect(w.http) as idle:
        assert idle.ask(request()).status == 200
        w.signal(signal.SIGTERM)
        idle.expect_closed()
    w.stop()


def test_sigterm_completes_what_is_in_flight(weir, origin):
    go, asked = threading.Event(), threading.Event()

    def handler(x):
        asked.set()
        assert go.wait(10)
        x.reply(body=b"completed")
    o = origin(handler)
    w = weir(PLAIN, app=o.port)
    with connect(w.http) as c:
        c.send(request())
        assert asked.wait(10)
        w.signal(signal.SIGTERM)
        wait_until(lambda: not accepts(w.http), what="the listener's end")
        go.set()
        r = c.read_response()
        assert r.body == b"completed" and "close" in r.fields.get("Connection", "close")
        c.expect_closed()
    w.stop()


def test_a_drain_may_take_longer_than_a_hang(weir, origin):
    """One thread is done at once, the other has an answer under way: the first one is idle and does not hang."""
    go, asked = threading.Event(), threading.Event()

    def handler(x):
        asked.set()
        go.wait(3)  # longer than the watchdog waits for a thread that gives no sign
        x.reply(body=b"completed")
    o = origin(handler)
    w = weir("threads 2\n" + PLAIN, app=o.port)
    with connect(w.http) as c:
        c.send(request())
        assert asked.wait(10)
        w.signal(signal.SIGTERM)
        assert c.read_response().body == b"completed"
    w.stop()


def test_sigterm_completes_an_upload(weir, origin):
    o = origin()
    w = weir(PLAIN, app=o.port)
    with connect(w.http) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n12345")
        o.wait(lambda: o.connections == 1)
        w.signal(signal.SIGTERM)
        wait_until(lambda: not accepts(w.http), what="the listener's end")
        c.send(b"67890")
        assert c.read_response().body == b"1234567890"
    w.stop()


def test_sigterm_answers_what_had_arrived(weir):
    """On a kept connection, and on one that nobody had accepted yet."""
    w = weir(HELLO)
    worker = wait_until(w.workers)[0]
    with connect(w.http) as kept:
        assert kept.ask(request()).status == 200
        os.kill(worker, signal.SIGSTOP)
        kept.send(request())
        with connect(w.http) as new:
            new.send(request())
            w.signal(signal.SIGTERM)
            os.kill(worker, signal.SIGCONT)
            assert kept.read_response().body.rstrip() == new.read_response().body.rstrip() == b"hello"
            kept.expect_closed()
            new.expect_closed()
    w.stop()


def test_sigterm_does_not_wait_for_the_silent(weir):
    w = weir(HELLO)
    with connect(w.http), connect(w.http) as half:
        half.send(b"GET / HTTP/1.1\r\n")
        with connect(w.http) as third:
            assert third.ask(request()).status == 200
            w.signal(signal.SIGTERM)
            third.expect_closed()
            half.send(b"Host: a.test\r\n\r\n")
            assert half.read_response().status == 200
    w.stop()


def test_sigint_does_not_wait(weir, origin):
    asked = threading.Event()
    o = origin(lambda x: (asked.set(), x.stream.read_to_end()))
    w = weir(PLAIN, app=o.port)
    with connect(w.http) as c:
        c.send(request())
        assert asked.wait(10)
        w.stop(signal.SIGINT, timeout=10)


# ---- a worker that dies

def test_a_killed_worker_is_replaced(weir):
    w = weir(HELLO)
    old = wait_until(w.workers)
    os.kill(old[0], signal.SIGKILL)
    # Listeners stay open: nobody is refused, the connection waits until the new worker takes it.
    for _ in range(20):
        with connect(w.http) as c:
            try:
                assert c.ask(request()).status == 200
            except (Closed, ConnectionResetError):
                pass  # what the dead worker had already accepted is lost
    assert body(w.http) == b"hello"
    wait_until(lambda: w.workers() and w.workers() != old, what="a new worker")
    # And again: the supervisor did not use itself up.
    os.kill(wait_until(w.workers)[0], signal.SIGKILL)
    wait_until(lambda: accepts(w.http))
    assert body(w.http) == b"hello"


def test_a_killed_supervisor_leaves_nothing(folder):
    w = Weir(folder, HELLO)
    w.wait_ports([w.http])
    workers = wait_until(w.workers)
    w.kill()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers), what="the worker's end")
    assert not accepts(w.http)


def test_a_killed_supervisor_takes_a_hanging_worker_along(folder):
    w = Weir(folder, HELLO)
    w.wait_ports([w.http])
    wait_until(lambda: "listening" in w.stderr, what="the worker's word that it serves")
    worker = wait_until(w.workers)[0]
    os.kill(worker, signal.SIGSTOP)
    w.kill()
    wait_until(lambda: not os.path.exists(f"/proc/{worker}"), what="the worker's end")


def test_a_worker_that_hangs_is_replaced_whenever_it_does(weir):
    """Before it serves, or after: what is stopped at once may not have come so far."""
    w = weir(HELLO)
    wait_until(lambda: "listening" in w.stderr, what="the worker's word that it serves")
    first = w.workers()[0]
    os.kill(first, signal.SIGKILL)
    second = wait_until(lambda: [p for p in w.workers() if p != first], what="a second worker")[0]
    os.kill(second, signal.SIGSTOP)
    wait_until(lambda: [p for p in w.workers() if p not in (first, second)], timeout=20, what="a third worker")
    assert body(w.http) == b"hello"


def test_the_stack_of_a_hang_is_in_the_log(weir):
    """One thread is held by a debugger, as it were; the others go on."""
    libc = ctypes.CDLL(None, use_errno=True)
    attach, detach, wall = 16, 17, 0x40000000
    w = weir("threads 2\n" + HELLO)
    wait_until(lambda: "listening" in w.stderr, what="the worker's word that it serves")
    worker = w.workers()[0]
    tid = next(int(t.name) for t in pathlib.Path(f"/proc/{worker}/task").iterdir() if (t / "comm").read_text() == "weir/1\n")
    if libc.ptrace(attach, tid, None, None):
        pytest.skip("ptrace is not allowed here")
    os.waitpid(tid, wall)
    wait_until(lambda: "thread 1 does not answer" in w.stderr, what="the watchdog's word")
    assert libc.ptrace(detach, tid, None, None) == 0  # now the signal can reach it
    wait_until(lambda: re.search(r"in thread weir/1; its stack:\n(.*\[0x[0-9a-f]+\]\n)+", w.stderr), what="the stack")
    wait_until(lambda: w.workers() and w.workers() != [worker], what="a new worker")
    assert body(w.http) == b"hello"


def test_a_suspended_process_group_is_no_hang(weir):
    w = weir(HELLO)
    wait_until(lambda: "listening" in w.stderr, what="the worker's word that it serves")
    worker = w.workers()
    w.signal(signal.SIGSTOP)
    os.kill(worker[0], signal.SIGSTOP)
    time.sleep(2.5)  # longer than a hang may last: time itself is what is tested
    os.kill(worker[0], signal.SIGCONT)
    w.signal(signal.SIGCONT)
    assert body(w.http) == b"hello"
    assert w.workers() == worker and "does not answer" not in w.stderr


# ---- reloading

def test_sighup_brings_the_new_configuration(weir):
    w = weir(HELLO)
    worker = wait_until(w.workers)
    with connect(w.http) as kept:
        assert kept.ask(request()).body.rstrip() == b"hello"
        w.rewrite(HELLO.replace('"hello"', '"changed"'))
        w.signal(signal.SIGHUP)
        wait_until(lambda: body(w.http) == b"changed", what="the new configuration")
        # The connection that was there before lives on and sees it too.
        assert kept.ask(request()).body.rstrip() == b"changed"
    assert w.workers() == worker


def test_a_broken_file_changes_nothing(weir):
    w = weir(HELLO)
    w.rewrite(HELLO.replace("respond 200", "respnd 200"))
    w.signal(signal.SIGHUP)
    wait_until(lambda: re.search(r"weir\.conf:\d+:\d+: error: ", w.stderr), what="the reason on stderr")
    assert body(w.http) == b"hello"
    w.rewrite(HELLO.replace('"hello"', '"mended"'))
    w.signal(signal.SIGHUP)
    wait_until(lambda: body(w.http) == b"mended", what="the mended configuration")


def test_a_failing_test_refuses_a_reload(weir):
    w = weir(HELLO)
    w.rewrite(HELLO.replace('"hello"', '"changed"') + 'test "t" { site GET http://a.test/ -> respond 404 }\n')
    w.signal(signal.SIGHUP)
    wait_until(lambda: re.search(r"weir\.conf:\d+", w.stderr), what="the reason on stderr")
    assert body(w.http) == b"hello"


def test_with_watch_an_edit_counts_by_itself_and_a_broken_one_does_not(weir, folder):
    included = "watch\ninclude more.conf\n" + HELLO.replace("site *", "site a.test")
    w = weir(included, files={"more.conf": "timeouts { header 7s }\n"})
    (folder / "more.conf").write_text('site b.test { listen 127.0.0.1:%d; route * -> respond 200 "b" }\n' % w.http)
    wait_until(lambda: answer(w.http, "b.test") == b"b", what="the included file")
    w.rewrite("watch\n" + HELLO.replace('"hello"', '"changed"'))
    wait_until(lambda: answer(w.http, "b.test") == b"changed", what="the edited configuration")
    w.rewrite("watch\n" + HELLO.replace("respond 200", "respnd 200"))
    wait_until(lambda: re.search(r"weir\.conf:\d+:\d+: error: ", w.stderr), what="the reason on stderr")
    assert body(w.http) == b"changed"
    w.rewrite("watch\n" + HELLO.replace('"hello"', '"mended"'))
    wait_until(lambda: body(w.http) == b"mended", what="the mended configuration")


def test_a_dry_run_says_what_a_reload_would_change_and_changes_nothing(weir):
    admin = "admin unix:run/weir.sock\n"
    w = weir(admin + HELLO)
    assert "nothing changed" in run_weir(w.folder, "reload", "--dry-run").stdout
    w.rewrite(admin + HELLO.replace('"hello"', '"changed"') + "cache fresh { disk fresh-folder 20MiB }\n")
    tried = run_weir(w.folder, "reload", "--dry-run")
    assert tried.returncode == 0 and '+ weir.conf' in tried.stdout and "changed" in tried.stdout
    assert body(w.http) == b"hello" and "generation 2" not in w.stderr and not (w.folder / "fresh-folder").exists()
    w.rewrite(admin + HELLO.replace("respond 200", "respnd 200"))
    tried = run_weir(w.folder, "reload", "--dry-run")
    assert tried.returncode == 2 and re.search(r"weir\.conf:\d+:\d+: error: ", tried.stderr + tried.stdout)


def test_listeners_come_and_go(weir):
    w = weir(HELLO)
    w.ports["more"] = free_port()
    w.rewrite(HELLO.replace("route", "listen 127.0.0.1:@more@\n    route"))
    w.signal(signal.SIGHUP)
    wait_until(lambda: accepts(w.more), what="the new listener")
    assert body(w.more) == body(w.http) == b"hello"
    w.rewrite(HELLO)
    w.signal(signal.SIGHUP)
    wait_until(lambda: not accepts(w.more), what="the end of the listener")
    assert body(w.http) == b"hello"


def test_a_request_ends_on_the_configuration_that_it_began_with(weir, origin):
    go, asked = threading.Event(), threading.Event()

    def handler(x):
        if x.request.target == "/slow":
            asked.set()
            assert go.wait(10)
        x.reply(body=b"old")
    o = origin(handler)
    w = weir(PLAIN.replace("route", "set response-header X-Gen 1\n    route"), app=o.port)
    with connect(w.http) as c:
        c.send(request(target="/slow"))
        assert asked.wait(10)
        w.rewrite(HELLO.replace("route", "set response-header X-Gen 2\n    route"))
        w.signal(signal.SIGHUP)
        wait_until(lambda: body(w.http) == b"hello", what="the new configuration")
        go.set()
        r = c.read_response()
        assert r.body == b"old" and r.fields["X-Gen"] == "1"
        assert c.ask(request()).fields["X-Gen"] == "2"


def test_many_reloads_under_way(weir, origin):
    """Reloads while requests go on: every answer is whole and of some generation, and nothing leaks (the sanitizer would say)."""
    o = origin()
    text = PLAIN.replace("route", "set response-header X-Gen @gen@\n    route")
    w = weir(text, app=o.port, gen=0)
    stop, seen, failures = threading.Event(), set(), []

    def client():
        try:
            with connect(w.http) as c:
                while not stop.is_set():
                    r = c.ask(request())
                    assert r.status == 200
                    seen.add(int(r.fields["X-Gen"]))
        except Exception as e:
            failures.append(e)
    threads = [threading.Thread(target=client) for _ in range(4)]
    for t in threads:
        t.start()
    for generation in range(1, 21):
        w.ports["gen"] = generation
        w.rewrite(text)
        w.signal(signal.SIGHUP)
        wait_until(lambda: generation in seen or failures, what=f"generation {generation}")
    stop.set()
    for t in threads:
        t.join()
    assert not failures


def test_a_worker_that_dies_during_a_reload(weir):
    """Who asked is told, the last good configuration serves, and the next reload is not refused."""
    w = weir("admin unix:run/control\n" + HELLO)
    old = wait_until(w.workers)[0]
    os.kill(old, signal.SIGSTOP)
    w.rewrite("admin unix:run/control\n" + HELLO.replace('"hello"', '"changed"'))
    done = []
    asker = threading.Thread(target=lambda: done.append(run_weir(w.folder, "reload")))
    asker.start()
    # The watchdog kills the stopped worker while the reload waits for it.
    asker.join(20)
    assert done and done[0].returncode == 1
    wait_until(lambda: w.workers() and w.workers() != [old], what="a new worker")
    assert body(w.http) == b"hello"
    assert run_weir(w.folder, "reload").returncode == 0
    assert body(w.http) == b"changed"


def test_a_sighup_without_a_worker_is_not_lost(weir):
    w = weir(HELLO)
    w.rewrite(HELLO.replace('"hello"', '"changed"'))
    os.kill(wait_until(w.workers)[0], signal.SIGKILL)
    w.signal(signal.SIGHUP)  # the worker is dead, whether the supervisor knows or not
    wait_until(lambda: "generation 2" in w.stderr, what="the new configuration")
    assert body(w.http) == b"changed"


def test_a_changed_number_of_threads_is_said(weir):
    w = weir("admin unix:run/control\nthreads 1\n" + HELLO)
    w.rewrite("admin unix:run/control\nthreads 2\n" + HELLO)
    done = run_weir(w.folder, "reload")
    assert done.returncode == 0 and "threads stays 1" in done.stdout
    assert body(w.http) == b"hello"


def test_status_counts_what_the_worker_did(weir, origin):
    o = origin()
    w = weir("admin unix:run/weir.sock\npool app { server 127.0.0.1:@app@ }\nsite * {\n    listen 127.0.0.1:@http@\n    route * -> pool app\n}\n", app=o.port)
    with connect(w.http) as c:
        for _ in range(3):
            assert c.ask(request()).status == 200

        def numbers():
            done = run_weir(w.folder, "status", "--json")
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)
        wait_until(lambda: numbers()["requests"] == 3 and numbers()["connections"]["open"] == 1)
        accepted = numbers()["connections"]["accepted"]
        with connect(w.http) as second:
            assert second.ask(request()).status == 200
            wait_until(lambda: numbers()["connections"] == {"open": 2, "accepted": accepted + 1})
            assert f"connections: 2 open, {accepted + 1} accepted" in run_weir(w.folder, "status").stdout


def test_status_as_json_with_any_name(weir):
    w = weir('admin unix:run/control\npool "a\\"b" { server 127.0.0.1:@dead@ }\n' + HELLO)
    done = run_weir(w.folder, "status", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["pools"] == ['a"b'], done.stdout


def test_more_sockets_than_there_may_be(folder):
    listens = "".join(f"listen 127.0.1.{n}:{free_port()}\n" for n in range(1, 34))
    (folder / "weir.conf").write_text(f'threads 128\nsite * {{ {listens} route * -> respond 200 "x" }}\n')
    done = run_weir(folder, "run", "-c", "weir.conf")
    assert done.returncode == 1 and "4096" in done.stderr


def test_a_folder_that_only_root_may_enter_survives_a_reload(weir, folder):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    text = "log access off\nsite * {\n    listen 127.0.0.1:@http@\n    route * -> files private/www\n}\n"
    w = weir(text, files={"private/www/a.txt": "one", "private/more/a.txt": "two"})
    (folder / "private").chmod(0o700)
    with connect(w.http) as c:
        assert c.ask(request(target="/a.txt")).body == b"one"
    w.rewrite(text.replace("www", "more"))
    w.signal(signal.SIGHUP)
    wait_until(lambda: "generation 2" in w.stderr or "stays" in w.stderr, what="the outcome")
    with connect(w.http) as c:
        assert c.ask(request(target="/a.txt")).body == b"two"


def test_many_listeners_at_once(weir):
    """More than the channel to the worker holds at a time."""
    w = weir("threads 16\n" + HELLO)
    listens = "".join(f"listen 127.0.1.{n}:@http@\n" for n in range(1, 41))
    w.rewrite("threads 16\n" + HELLO.replace("route", listens + "route"))
    w.signal(signal.SIGHUP)
    wait_until(lambda: "generation 2" in w.stderr or "stays" in w.stderr, timeout=20, what="the outcome")
    with connect(w.http, host="127.0.1.40") as c:
        assert c.ask(request()).status == 200


def test_a_unix_listener_leaves_no_socket_behind(weir, folder):
    w = weir(HELLO.replace("route", "listen unix:a.sock\n    route"))
    wait_until((folder / "a.sock").exists, what="the socket")
    w.rewrite(HELLO)
    w.signal(signal.SIGHUP)
    wait_until(lambda: not (folder / "a.sock").exists(), what="the socket's end")


# ---- log files

def test_a_reload_changes_the_log_file(weir, folder):
    text = HELLO.replace("access off", "access json one.log")
    w = weir(text)
    body(w.http)
    wait_until(lambda: (folder / "one.log").exists() and (folder / "one.log").read_text(), what="a line in the first file")
    w.rewrite(text.replace("one.log", "two.log"))
    w.signal(signal.SIGHUP)
    wait_until((folder / "two.log").exists, what="the second file")
    wait_until(lambda: "generation 2" in w.stderr, what="the new generation")
    body(w.http)
    wait_until(lambda: (folder / "two.log").read_text(), what="a line in the second file")
    assert (folder / "one.log").read_text().count("\n") == 1


def test_sigusr1_leaks_no_descriptor(weir, folder):
    w = weir(HELLO.replace("access off", "access json access.log"))
    log = folder / "access.log"
    worker = wait_until(w.workers)[0]
    wait_until(lambda: "listening" in w.stderr, what="the worker's word that it serves")

    def to_log(pid):
        links = []
        for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            try:
                links.append(os.readlink(fd))
            except FileNotFoundError:
                pass
        return sum("access.log" in link for link in links)
    for n in range(5):
        log.rename(folder / f"access.log.{n}")
        w.signal(signal.SIGUSR1)
        wait_until(log.exists, what="the new file")
        body(w.http)
        wait_until(log.read_text, what="a line in the new file")
    assert to_log(worker) == to_log(w.pid) == 1


def test_sigusr1_reopens_the_log(weir, folder):
    w = weir(HELLO.replace("access off", "access json access.log"))
    log = folder / "access.log"
    body(w.http)
    wait_until(lambda: log.exists() and log.read_text().count("\n") == 1, what="the first line")
    log.rename(folder / "access.log.1")
    w.signal(signal.SIGUSR1)
    wait_until(log.exists, what="the new file")
    body(w.http)
    wait_until(lambda: log.read_text().count("\n") == 1, what="the second line")
    assert (folder / "access.log.1").read_text().count("\n") == 1


