# SPDX-License-Identifier: Apache-2.0
"""Pools: which server a request goes to, what happens when one fails, and what never happens."""
import collections
import select
import threading
import time

import pytest

from http1 import Closed, connect, request
from origin import Origin
from process import free_port, wait_until

SITE = """
log access off
pool app {
    %s
}
site * {
    listen 127.0.0.1:@http@
    route * -> pool app
}
"""


def named(name):
    """Answers with the server's name."""
    return lambda x: x.reply(body=name.encode())


def failing(status):
    return lambda x: x.reply(status, b"failed", reason="Failed")


@pytest.fixture
def pool(weir, origin):
    """weir before a pool: pool(handlers, statements, options of the servers) gives (weir, origins)."""
    def start(handlers, statements="", options=()):
        origins = [origin(h) for h in handlers]
        options = list(options) + [""] * (len(origins) - len(options))
        lines = [f"server 127.0.0.1:{o.port} {text}" for o, text in zip(origins, options)]
        return weir(SITE % "\n    ".join(lines + [statements])), origins
    return start


def ask_many(port, n, **fields):
    with connect(port) as c:
        return [c.ask(request(**fields)) for _ in range(n)]


def spread(answers):
    return collections.Counter(a.body.decode() for a in answers)


# ---- choosing

@pytest.mark.parametrize("way", ["p2c", "round-robin", "least-requests", "random", "hash query k"])
def test_every_way_uses_all_servers(pool, way):
    w, _ = pool([named(n) for n in "abc"], f"balance {way}")
    with connect(w.http) as c:
        seen = spread(c.ask(request(target=f"/?k={i}")) for i in range(60))
    assert set(seen) == set("abc")


def test_round_robin_goes_by_weight(pool):
    w, _ = pool([named(n) for n in "abc"], "balance round-robin", ["", "weight 2", "weight 3"])
    assert spread(ask_many(w.http, 60)) == {"a": 10, "b": 20, "c": 30}


def test_a_backup_is_used_only_when_nobody_else_is_there(pool):
    w, origins = pool([named("main"), named("spare")], "", ["", "backup"])
    assert spread(ask_many(w.http, 20)) == {"main": 20}
    origins[0].stop()
    assert spread(ask_many(w.http, 5)) == {"spare": 5}


KEYS = {"header X-Key": lambda k: {"fields": [("X-Key", k)]}, "cookie id": lambda k: {"fields": [("Cookie", f"a=1; id={k}; b=2")]},
        "path": lambda k: {"target": f"/{k}"}, "query k": lambda k: {"target": f"/?a=1&k={k}"}}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_stays_with_its_server_and_comes_home(pool, weir, key):
    w, origins = pool([named(n) for n in "abc"], f"balance hash {key}", ["", "", "weight 2"])

    def homes():
        with connect(w.http) as c:
            return {str(i): c.ask(request(**KEYS[key](str(i)))).body for i in range(120)}
    before = homes()
    assert before == homes() and len(set(before.values())) == 3
    port = origins[0].port
    origins[0].stop()
    moved = [k for k, home in homes().items() if home != before[k]]
    assert moved and all(before[k] == b"a" for k in moved), "only the keys of the server that left move"
    assert len(moved) < 0.45 * 120
    back = Origin(named("a"), port=port)
    wait_until(lambda: homes() == before, what="every key at home again")
    back.stop()


def test_hash_by_client_address_keeps_a_client_together(pool):
    w, _ = pool([named(n) for n in "abcd"], "balance hash client-ip")
    assert len(spread(ask_many(w.http, 20))) == 1


@pytest.mark.parametrize("text", ["balance hash", "balance hash header", "balance hash path x", "balance p2c x", "balance nothing", "sticky cookie", "sticky client-ip x", "sticky header", "sticky cookie a=b"])
def test_a_wrong_balance_is_an_error(folder, cli, text):
    (folder / "x.conf").write_text(f"pool app {{ server 127.0.0.1:1\n {text} }}\nsite * {{ listen 127.0.0.1:{free_port()}\n route * -> pool app }}")
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 2 and "x.conf:2" in done.stderr


# ---- sessions

def cookie_of(answer):
    name, _, value = answer.fields["Set-Cookie"].split(";")[0].partition("=")
    assert name == "weir_s"
    return value


@pytest.mark.parametrize("way", ["p2c", "round-robin", "hash path"])
def test_a_session_stays_with_its_server(pool, way):
    w, origins = pool([named(n) for n in "abc"], f"balance {way}\n sticky cookie weir_s")
    first = ask_many(w.http, 1)[0]
    value = cookie_of(first)
    assert all(str(o.port) not in value and "127.0" not in value for o in origins), "it names nobody"
    assert "HttpOnly" in first.fields["Set-Cookie"]
    with connect(w.http) as c:
        for i in range(12):
            r = c.ask(request(target=f"/{i}", fields=[("Cookie", f"x=1; weir_s={value}")]))
            assert r.body == first.body and "Set-Cookie" not in r.fields


def test_a_value_that_is_not_ours_is_ignored(pool):
    w, _ = pool([named(n) for n in "abc"], "balance round-robin\n sticky cookie weir_s")
    real = cookie_of(ask_many(w.http, 1)[0])
    for value in ("", "a", real[:-1], real[:-1] + ("0" if real[-1] != "0" else "1"), real + "0", '"' * 32, "f" * 32):
        answers = ask_many(w.http, 6, fields=[("Cookie", f"weir_s={value}")])
        assert set(spread(answers)) == set("abc") and all(cookie_of(a) for a in answers)


def test_a_session_whose_server_is_gone_moves_and_stays_there(pool):
    w, origins = pool([named(n) for n in "abc"], "sticky cookie weir_s")
    first = ask_many(w.http, 1)[0]
    origins["abc".index(first.body.decode())].stop()
    second = ask_many(w.http, 1, fields=[("Cookie", f"weir_s={cookie_of(first)}")])[0]
    assert second.status == 200 and second.body != first.body
    answers = ask_many(w.http, 6, fields=[("Cookie", f"weir_s={cookie_of(second)}")])
    assert spread(answers) == {second.body.decode(): 6}


def test_a_secret_makes_sessions_hold_elsewhere(weir, origin):
    origins = [origin(named(n)) for n in "abcd"]
    lines = "\n".join(f"server 127.0.0.1:{o.port}" for o in origins) + "\n balance round-robin\n sticky cookie weir_s secret %s"
    one, two, other = (weir(SITE % (lines % s)) for s in ("one-secret", "one-secret", "another"))
    r = ask_many(one.http, 1)[0]
    sent = {"fields": [("Cookie", f"weir_s={cookie_of(r)}")]}
    assert spread(ask_many(two.http, 8, **sent)) == {r.body.decode(): 8}
    assert len(spread(ask_many(other.http, 8, **sent))) == 4


def test_sticky_by_field_and_by_address(pool):
    w, _ = pool([named(n) for n in "abc"], "balance round-robin\n sticky header X-User")
    with connect(w.http) as c:
        seen = {u: {c.ask(request(fields=[("X-User", u)])).body for _ in range(4)} for u in map(str, range(30))}
        assert all(len(s) == 1 for s in seen.values()) and len(set.union(*seen.values())) == 3
        assert set(spread(c.ask(request()) for _ in range(6))) == set("abc"), "who says nothing goes by `balance`"
    w, _ = pool([named(n) for n in "abc"], "balance round-robin\n sticky client-ip")
    assert len(spread(ask_many(w.http, 6))) == 1


# ---- servers that cannot be reached

@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_connection_is_passed_over_without_retry(pool, method):
    w, origins = pool([named("a"), named("b")])
    origins[0].stop()
    with connect(w.http) as c:
        for _ in range(10):
            assert c.ask(request(method, body=b"x" if method == "POST" else None)).body == b"b"
    assert len(origins[1].requests) == 10


def test_content_goes_whole_to_the_server_that_is_there(pool):
    w, origins = pool([named("a"), lambda x: x.reply(body=x.request.body)], "balance round-robin")
    origins[0].stop()
    body = bytes(range(256)) * 1000
    with connect(w.http) as c:
        for _ in range(4):
            assert c.ask(request("POST", body=body)).body == body


def test_without_any_server_the_answer_is_an_error_until_one_is_back(pool):
    w, origins = pool([named("a")])
    port = origins[0].port
    origins[0].stop()
    assert ask_many(w.http, 2)[0].status in (502, 503)
    back = Origin(named("a"), port=port)
    assert ask_many(w.http, 1)[0].status == 200, "with one server and no `eject` it is tried with the next request"
    back.stop()


# ---- retries

def closing(x):
    x.close()


@pytest.mark.parametrize("fault", [failing(500), failing(503), closing, lambda x: (x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), x.close())])
def test_a_get_is_tried_again_elsewhere(pool, fault):
    w, origins = pool([fault, named("b")], "balance round-robin\n retry 2 budget 100%")
    answers = ask_many(w.http, 20)
    assert spread(answers) == {"b": 20} and origins[0].requests


def test_an_error_of_every_server_reaches_the_client_as_it_is(pool):
    w, origins = pool([failing(503), failing(500)], "retry 3 budget 100%")
    r = ask_many(w.http, 1)[0]
    assert r.status in (500, 503) and r.body == b"failed"
    assert sum(len(o.requests) for o in origins) == 2, "each server is asked once"


@pytest.mark.parametrize("fault", [failing(500), closing])
def test_a_post_that_was_received_is_never_sent_again(pool, fault):
    w, origins = pool([fault, fault], "retry 2 budget 100%")
    with connect(w.http) as c:
        assert c.ask(request("POST", body=b"once")).status in (500, 502)
    assert sum(len(o.requests) for o in origins) == 1


def test_a_put_takes_its_content_along(pool):
    w, origins = pool([failing(503), lambda x: x.reply(body=x.request.body)], "balance round-robin\n retry 2 budget 100%")
    body = b"0123456789" * 3000
    with connect(w.http) as c:
        for _ in range(4):
            assert c.ask(request("PUT", body=body)).body == body
    assert origins[0].requests and all(r.body == body for r in origins[0].requests)


def test_content_beyond_the_limit_is_not_kept_for_another_try(pool):
    w, origins = pool([failing(503), failing(503)], "retry 2 budget 100% content 1KiB")
    with connect(w.http) as c:
        assert c.ask(request("PUT", body=b"x" * 5000)).status == 503
    assert sum(len(o.requests) for o in origins) == 1


def test_retries_stay_within_their_budget(pool):
    w, origins = pool([failing(503)] * 3, "retry 2 budget 50%")
    ask_many(w.http, 150)
    sent = sum(len(o.requests) for o in origins)
    assert 150 < sent <= 240


def test_when_all_fail_servers_see_a_fifth_more_than_clients_ask(pool):
    w, origins = pool([failing(503)] * 3, "retry 2")
    ask_many(w.http, 400)
    sent = sum(len(o.requests) for o in origins)
    assert 400 < sent <= 480


def test_without_retry_an_error_is_the_answer(pool):
    w, origins = pool([failing(500), failing(500)])
    assert ask_many(w.http, 1)[0].status == 500
    assert sum(len(o.requests) for o in origins) == 1


def test_a_try_has_its_own_deadline(pool):
    release = threading.Event()
    w, origins = pool([lambda x: (release.wait(20), x.reply()), named("b")], "balance round-robin\n retry 1 budget 100% try 200ms")
    assert spread(ask_many(w.http, 4)) == {"b": 4}
    release.set()


# ---- ejection

def test_a_failing_server_is_ejected_and_comes_back(pool):
    state = {"status": 500}
    w, origins = pool([lambda x: x.reply(state["status"], b"a"), named("b"), named("c")],
                      "balance round-robin\n eject after 3 errors for 300ms\n retry 1 budget 100%")
    assert set(spread(ask_many(w.http, 12))) == {"b", "c"}
    seen = len(origins[0].requests)
    assert seen == 3, "three errors in a row are enough"
    state["status"] = 200
    wait_until(lambda: len(origins[0].requests) > seen or not ask_many(w.http, 3), what="the server being asked again")
    assert spread(ask_many(w.http, 9))["a"] == 3


def test_never_more_than_half_is_ejected(pool):
    w, origins = pool([failing(500)] * 4, "balance round-robin\n eject after 1 error for 60s")
    ask_many(w.http, 40)
    before = [len(o.requests) for o in origins]
    ask_many(w.http, 40)
    assert sorted(len(o.requests) - n for o, n in zip(origins, before)) == [0, 0, 20, 20]


def test_a_server_that_fails_in_part_is_ejected_by_its_rate(pool):
    turns = {"n": 0}

    def every_other(x):
        turns["n"] += 1
        x.reply(500 if turns["n"] % 2 else 200, b"a")
    w, origins = pool([every_other, named("b"), named("c")], "balance round-robin\n eject after 3 errors for 60s rate 40%")
    ask_many(w.http, 120)
    seen = len(origins[0].requests)
    assert 20 <= seen <= 22
    ask_many(w.http, 9)
    assert len(origins[0].requests) == seen


def test_a_server_that_is_far_slower_than_the_others_is_ejected(pool):
    w, origins = pool([lambda x: (time.sleep(0.1), x.reply(body=b"a")), named("b"), named("c")], "balance round-robin\n eject after 3 errors for 60s slower 5")
    ask_many(w.http, 60)
    assert len(origins[0].requests) < 15


# ---- limits of a server

def gate():
    """A handler that answers once it is let go."""
    event = threading.Event()
    return event, lambda x: (event.wait(20), x.reply(body=b"done"))


def in_background(port, n, **fields):
    answers, threads = [], []
    for _ in range(n):
        t = threading.Thread(target=lambda: answers.append(ask_many(port, 1, **fields)[0]))
        t.start()
        threads.append(t)
    return answers, threads


def test_what_does_not_fit_waits_in_line(pool):
    go, handler = gate()
    w, (o,) = pool([handler], "max-requests 2 queue 3 wait 10s")
    answers, threads = in_background(w.http, 5)
    o.wait(lambda: len(o.requests) == 2)
    go.set()
    for t in threads:
        t.join()
    assert [a.status for a in answers] == [200] * 5


def test_whoever_finds_the_line_full_hears_so_at_once(pool):
    go, handler = gate()
    w, (o,) = pool([handler], "max-requests 1 queue 0")
    answers, threads = in_background(w.http, 1)
    o.wait(lambda: len(o.requests) == 1)
    r = ask_many(w.http, 1)[0]
    assert r.status == 503 and int(r.fields["Retry-After"]) >= 1
    go.set()
    threads[0].join()
    assert answers[0].status == 200 and len(o.requests) == 1


@pytest.mark.parametrize("statements", ["max-connections 2 queue 3 wait 10s", "max-requests 5 queue 3 wait 10s\n max-connections 2"])
def test_connections_are_limited_and_the_rest_waits(pool, statements):
    at_once, peak, lock = [0], [0], threading.Lock()

    def handler(x):
        with lock:
            at_once[0] += 1
            peak[0] = max(peak[0], at_once[0])
        x.origin.wait(lambda: len(x.origin.requests) >= 2)
        with lock:
            at_once[0] -= 1
        x.reply()
    w, (o,) = pool([handler], statements)
    answers, threads = in_background(w.http, 5)
    for t in threads:
        t.join()
    assert [a.status for a in answers] == [200] * 5 and peak[0] == 2


def test_without_a_queue_who_would_need_one_more_connection_gets_503(pool):
    go, handler = gate()
    w, (o,) = pool([handler], "max-connections 1")
    answers, threads = in_background(w.http, 1)
    o.wait(lambda: len(o.requests) == 1)
    assert ask_many(w.http, 1)[0].status == 503
    go.set()
    threads[0].join()
    assert answers[0].status == 200


def test_kept_connections_of_other_threads_are_given_up(weir, origin):
    o = origin(named("a"))
    w = weir("threads 3\n" + SITE % f"server 127.0.0.1:{o.port}\n max-connections 1 queue 100 wait 10s")
    # Who serves a connection is the kernel's choice: of so many each thread has some.
    streams = [connect(w.http) for _ in range(12)]
    for _ in range(3):
        assert [s.ask(request()).status for s in streams] == [200] * 12
    answers, threads = in_background(w.http, 20)
    for t in threads:
        t.join()
    assert [a.status for a in answers] == [200] * 20 and o.connections > 1


def test_whoever_waits_too_long_hears_so(pool):
    go, handler = gate()
    w, (o,) = pool([handler], "max-requests 1 queue 5 wait 300ms")
    answers, threads = in_background(w.http, 1)
    o.wait(lambda: len(o.requests) == 1)
    began = time.monotonic()
    r = ask_many(w.http, 1)[0]
    assert r.status == 503 and time.monotonic() - began > 0.2, "not at once"
    go.set()
    threads[0].join()


def refused_of(streams, timeout):
    """The stream that an answer comes on first, or None."""
    ready = select.select([s.sock for s in streams], [], [], timeout)[0]
    return next((s for s in streams if s.sock in ready), None)


def test_a_client_that_leaves_the_line_is_gone_from_it(pool):
    go, handler = gate()
    w, (o,) = pool([handler], "max-requests 1 queue 1 wait 10s")
    answers, threads = in_background(w.http, 1)
    o.wait(lambda: len(o.requests) == 1)
    two = [connect(w.http), connect(w.http)]
    for c in two:
        c.send(request())
    late = refused_of(two, 10)
    assert late.read_response().status == 503, "there is a place for one"
    next(c for c in two if c is not late).reset()

    def finds_room():
        c = connect(w.http)
        c.send(request())
        return None if refused_of([c], 0.2) else c
    c = wait_until(finds_room, what="the place in the line being free")
    go.set()
    assert c.read_response().status == 200
    threads[0].join()
    assert answers[0].status == 200 and len(o.requests) == 2, "whoever left was not sent to the server"


def test_who_is_more_important_goes_first(weir, origin):
    order = []
    go = threading.Event()

    def handler(x):
        order.append(x.request.target)
        go.wait(20)
        x.reply()
    o = origin(handler)
    w = weir(SITE.replace("route *", "route /low -> pool app {\n priority low\n }\n    route /high -> pool app {\n priority high\n }\n    route *") % f"server 127.0.0.1:{o.port}\n max-requests 1 queue 5 wait 20s")
    streams = []
    for target in ("/first", "/low", "/plain", "/high"):
        c = connect(w.http, timeout=20)
        c.send(request(target=target))
        streams.append(c)
        if target == "/first":
            o.wait(lambda: order == ["/first"])
        else:  # in line before the next one comes
            assert refused_of([c], 0.2) is None
    go.set()
    assert all(c.read_response().status == 200 for c in streams)
    assert order == ["/first", "/high", "/plain", "/low"]
