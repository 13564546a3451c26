# SPDX-License-Identifier: Apache-2.0
"""gRPC through weir, with Debian's python3-grpcio on both sides: every kind of call, metadata, status, deadlines, cancellation."""
import os
import threading
from concurrent import futures

import pytest
from process import wait_until

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
grpc = pytest.importorskip("grpc")

CONF = """
log access json stdout
pool app { server 127.0.0.1:@app@; http2 }
site * {
    listen 127.0.0.1:@http@
    h2c
    route * -> pool app
}
"""


class Service:
    def __init__(self):
        self.left = threading.Event()
        self.deadlines = []

    def unary(self, request, context):
        self.deadlines.append(context.time_remaining())
        context.send_initial_metadata((("x-initial", "i"),))
        context.set_trailing_metadata((("x-trailing", "t"), ("x-bytes-bin", b"\0\xff")))
        meta = dict(context.invocation_metadata())
        return request[::-1] + meta.get("x-in", "").encode()

    def fails(self, request, context):
        context.set_trailing_metadata((("x-why", "because"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: \u20ac")

    def slow(self, request, context):
        context.add_callback(self.left.set)
        self.left.wait(10)
        return b""

    def down(self, request, context):
        for i in range(int(request)):
            yield b"%d" % i * 1000

    def up(self, requests, context):
        return b"%d" % sum(len(r) for r in requests)

    def both(self, requests, context):
        for r in requests:
            yield r.upper()


@pytest.fixture
def calls(weir):
    service = Service()
    server = grpc.server(futures.ThreadPoolExecutor(8))
    handlers = {
        "unary": grpc.unary_unary_rpc_method_handler(service.unary), "fails": grpc.unary_unary_rpc_method_handler(service.fails),
        "slow": grpc.unary_unary_rpc_method_handler(service.slow), "down": grpc.unary_stream_rpc_method_handler(service.down),
        "up": grpc.stream_unary_rpc_method_handler(service.up), "both": grpc.stream_stream_rpc_method_handler(service.both),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    w = weir(CONF, app=port)
    channel = grpc.insecure_channel(f"127.0.0.1:{w.http}")
    service.channel, service.weir = channel, w
    yield service
    channel.close()
    server.stop(0).wait()


def test_unary_with_metadata_and_trailers(calls):
    call = calls.channel.unary_unary("/t.T/unary")
    answer, c = call.with_call(b"abc", metadata=(("x-in", "y"),), timeout=10)
    assert answer == b"cbay" and dict(c.initial_metadata())["x-initial"] == "i"
    trailing = dict(c.trailing_metadata())
    assert trailing["x-trailing"] == "t" and trailing["x-bytes-bin"] == b"\0\xff" and c.code() == grpc.StatusCode.OK
    assert 0 < calls.deadlines[0] <= 10
    assert call(b"x" * (3 << 20), timeout=20) == b"x" * (3 << 20)


def test_status_and_message(calls):
    with pytest.raises(grpc.RpcError) as e:
        calls.channel.unary_unary("/t.T/fails")(b"", timeout=10)
    assert e.value.code() == grpc.StatusCode.FAILED_PRECONDITION and e.value.details() == "not today: \u20ac"
    assert dict(e.value.trailing_metadata())["x-why"] == "because"
    with pytest.raises(grpc.RpcError) as e:
        calls.channel.unary_unary("/t.T/none")(b"", timeout=10)
    assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_streams_of_one_direction(calls):
    assert [len(m) for m in calls.channel.unary_stream("/t.T/down")(b"300", timeout=20)] == [len(b"%d" % i) * 1000 for i in range(300)]
    assert calls.channel.stream_unary("/t.T/up")((b"x" * 1000 for _ in range(500)), timeout=20) == b"500000"


def test_both_directions_take_turns(calls):
    said = threading.Semaphore(1)

    def questions():
        for i in range(50):
            assert said.acquire(timeout=10)  # only when the answer to the one before has come
            yield b"q%d" % i
    answers = []
    for a in calls.channel.stream_stream("/t.T/both")(questions(), timeout=30):
        answers.append(a)
        said.release()
    assert answers == [b"Q%d" % i for i in range(50)]


def test_deadlines_and_cancellation_reach_the_server(calls):
    with pytest.raises(grpc.RpcError) as e:
        calls.channel.unary_unary("/t.T/slow")(b"", timeout=0.5)
    assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert calls.left.wait(6)
    calls.left.clear()
    f = calls.channel.unary_unary("/t.T/slow").future(b"", timeout=30)
    n = calls.weir.stdout.count("/t.T/slow")
    f.cancel()
    assert f.cancelled()
    wait_until(lambda: calls.weir.stdout.count("/t.T/slow") > n, what="the end of the call in the log")


def test_many_calls_at_a_time(calls):
    call = calls.channel.unary_unary("/t.T/unary")
    pending = [call.future(b"%d" % i, timeout=30) for i in range(200)]
    assert [f.result() for f in pending] == [(b"%d" % i)[::-1] for i in range(200)]
