# SPDX-License-Identifier: Apache-2.0
"""RFC 9218: in which order answers that wait side by side are sent. All windows are shut until every answer stands, and are opened at
once; so the order of DATA frames is the server's choice alone."""
import struct

import pytest
from h2client import INITIAL_WINDOW_SIZE, NO_RFC7540_PRIORITIES, Client, frame
from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame

PRIORITY_UPDATE = 0x10
BODY = b"x" * 16384 * 3  # three frames each; together they fit in the connection's window of 65,535 only where it is opened too
CONF = """
pool app { server 127.0.0.1:@app@ }
site a.test {
    listen 127.0.0.1:@http@
    h2c
    route * -> pool app
}
"""


def update(stream, value):
    return frame(PRIORITY_UPDATE, 0, 0, struct.pack("!I", stream) + value.encode())


@pytest.fixture
def order(weir, origin):
    """order(priorities of requests..., updates={n: value}, before={n: value}, answers={n: value}): numbers of requests as their DATA frames came."""
    def ask(*priorities, updates=None, before=None, answers=None):
        o = origin(lambda x: x.reply(body=BODY, fields=[("Priority", answers[int(x.request.target[1:])])]
                                     if answers and int(x.request.target[1:]) in answers else []))
        w = weir("log access off\n" + CONF, app=o.port)
        with Client(w.http, tls=False, settings={INITIAL_WINDOW_SIZE: 0}) as c:
            c.auto_window = False
            for n, value in (before or {}).items():
                c.send(update(1 + 2 * n, value))
            streams = [c.headers(c.fields(path=f"/{n}", scheme="http", extra=[("priority", p)] if p is not None else []))
                       for n, p in enumerate(priorities)]
            heads = 0
            while heads < len(streams):
                heads += isinstance(c.read_frame(), HeadersFrame)
            assert c.settings[NO_RFC7540_PRIORITIES] == 1
            open_all = frame(8, 0, 0, struct.pack("!I", 1 << 20))
            c.send(b"".join(update(1 + 2 * n, v) for n, v in (updates or {}).items()) + open_all, SettingsFrame(0, settings={INITIAL_WINDOW_SIZE: len(BODY)}))
            seen, left = [], len(BODY) * len(streams)
            while left:
                f = c.read_frame()
                if isinstance(f, DataFrame) and f.data:
                    seen.append((f.stream_id - 1) // 2)
                    left -= len(f.data)
            return seen
    return ask


def runs(seen):
    """The order without repetitions next to each other."""
    return [n for i, n in enumerate(seen) if i == 0 or seen[i - 1] != n]


def test_urgency_decides(order):
    assert runs(order("u=7", "u=0", "u=5", "u=1")) == [1, 3, 2, 0]


def test_three_is_the_default_and_what_cannot_be_read_counts_as_absent(order):
    assert runs(order("u=4", None, "u=2", "u=9;;,,(")) == [2, 1, 3, 0]


def test_of_the_same_urgency_the_first_one_goes_first(order):
    assert runs(order("u=2", "u=2", "u=2")) == [0, 1, 2]


def test_incremental_ones_share(order):
    seen = order("u=2, i", "u=2, i", "u=2, i")
    assert len(runs(seen)) > 5 and set(seen[:3]) == {0, 1, 2}


def test_urgent_ones_come_before_those_that_share(order):
    seen = order("u=4, i", "u=1", "u=4, i")
    assert runs(seen)[0] == 1 and 1 not in runs(seen)[1:]
    assert len(runs(seen)) > 3


def test_an_update_takes_the_fields_place(order):
    assert runs(order("u=1", "u=2", "u=3", updates={0: "u=6", 2: "u=0"})) == [2, 1, 0]


def test_an_update_before_its_request(order):
    assert runs(order(None, None, before={1: "u=0"})) == [1, 0]


def test_the_servers_answer_may_say_more(order):
    assert runs(order("u=2", "u=3", answers={1: "u=0"})) == [1, 0]
