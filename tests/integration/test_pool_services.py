# SPDX-License-Identifier: Apache-2.0
"""Servers that are services: SRV records (RFC 2782) with ports, weights and priorities."""
import pytest

from dns import SRV, DnsServer
from http1 import connect, request
from process import wait_until
from test_pool_health import SITE, Server, spread, uses

NAME = "_http._tcp.app.test"
HERE = {"a.test": ["127.0.0.1"], "b.test": ["127.0.0.1"], "c.test": ["127.0.0.1"]}


@pytest.fixture
def service(weir, origin):
    """service(records, ...) gives (weir, the name server): records(port of a, of b, of c) are those of NAME."""
    started = []

    def start(records, more="balance round-robin", **options):
        origins = [origin(Server(n)) for n in "abc"]
        ports = [o.port for o in origins]
        d = DnsServer({NAME: records(*ports), **HERE}, **options)
        started.append(d)
        d.ports, d.origins = ports, origins
        return weir(SITE % (f"resolver 127.0.0.1:{d.port}", f"server srv:{NAME}\n {more}")), d
    yield start
    for d in started:
        d.stop()


@pytest.mark.parametrize("beside", [False, True])
def test_ports_and_weights_are_those_of_the_records(service, beside):
    w, d = service(lambda a, b, c: [(0, 10, a, "a.test"), (0, 30, b, "b.test")], ttl=3600, beside=beside)
    uses(w.http, ["a", "b"])
    assert spread(w.http, 40) == {"a": 10, "b": 30}
    asked = [name for name, kind, _ in d.asked]
    assert ("a.test" in asked) != beside, "what came beside the answer need not be asked for"


def test_a_weight_of_nothing_is_next_to_nothing_beside_others_and_equal_among_its_like(service):
    w, d = service(lambda a, b, c: [(0, 0, a, "a.test"), (0, 1, b, "b.test")], ttl=1)
    uses(w.http, ["b"])
    d.names[NAME] = [(0, 0, d.ports[0], "a.test"), (0, 0, d.ports[1], "b.test")]
    wait_until(lambda: spread(w.http, 20) == {"a": 10, "b": 10}, what="equal shares")


def test_each_priority_stands_in_for_those_before_it(service):
    w, d = service(lambda a, b, c: [(30, 0, c, "c.test"), (20, 0, b, "b.test"), (10, 0, a, "a.test")], ttl=3600)
    uses(w.http, ["a"])
    d.origins[0].stop()
    assert set(spread(w.http, 5)) == {"b"}
    d.origins[1].stop()
    assert set(spread(w.http, 5)) == {"c"}


def test_a_service_is_asked_for_again_when_its_time_is_over_and_followed(service):
    w, d = service(lambda a, b, c: [(0, 0, a, "a.test")], more="check GET /healthz every 50ms")
    uses(w.http, ["a"])
    d.names[NAME] = [(0, 0, d.ports[1], "a.test"), (0, 0, d.ports[2], "c.test")]
    uses(w.http, ["b", "c"])


@pytest.mark.parametrize("answer", [[], [(0, 0, 1, ".")], None])
def test_a_service_that_fails_keeps_its_last_good_answer_and_says_so(service, answer):
    w, d = service(lambda a, b, c: [(0, 0, a, "a.test")])
    uses(w.http, ["a"])
    before = d.names.pop(NAME)
    if answer is not None:
        d.names[NAME] = answer
    wait_until(lambda: "does not resolve" in w.stderr, what="weir saying so")
    assert spread(w.http, 3) == {"a": 3}
    d.names[NAME] = before
    wait_until(lambda: "resolves again" in w.stderr, what="the service being back")


def test_one_target_that_does_not_resolve_keeps_its_place_and_holds_up_nobody(service):
    w, d = service(lambda a, b, c: [(0, 0, a, "a.test"), (0, 0, b, "b.test")])
    uses(w.http, ["a", "b"])
    d.names["a.test"] = []
    wait_until(lambda: "not all targets" in w.stderr, what="weir saying so")
    uses(w.http, ["a", "b"])
    d.names[NAME] = [(0, 0, d.ports[0], "a.test"), (0, 0, d.ports[2], "c.test")]
    uses(w.http, ["a", "c"])


def test_a_service_that_nobody_knows_is_an_error_and_no_reason_not_to_start(service):
    w, d = service(lambda a, b, c: [])
    def status():
        with connect(w.http) as c:
            return c.ask(request()).status
    assert status() in (502, 503, 504)
    d.names[NAME] = [(0, 0, d.ports[0], "a.test")]
    wait_until(lambda: status() == 200, what="the service being known")
    assert SRV in [kind for name, kind, _ in d.asked if name == NAME]


def test_a_server_that_stands_beside_a_service_is_of_its_first_priority_and_backup_behind_its_last(service, origin):
    spare, beside = origin(Server("spare")), origin(Server("beside"))
    w, d = service(lambda a, b, c: [(0, 0, a, "a.test"), (1, 0, b, "b.test")], ttl=3600,
                   more=f"server 127.0.0.1:{spare.port} backup\n server 127.0.0.1:{beside.port}\n balance round-robin")
    uses(w.http, ["a", "beside"])
    d.origins[0].stop()
    beside.stop()
    assert set(spread(w.http, 5)) == {"b"}
    d.origins[1].stop()
    assert set(spread(w.http, 5)) == {"spare"}


def test_checks_ask_for_the_domain_of_the_service(service):
    hosts = set()

    class Watched(Server):
        def __call__(self, x):
            hosts.add(x.request.fields.get("host"))
            super().__call__(x)
    w, d = service(lambda a, b, c: [(0, 0, a, "a.test")], more="check GET /healthz every 20ms")
    d.origins[0].handler = Watched("a")
    wait_until(lambda: "app.test" in hosts, what="a check with the domain in Host")
