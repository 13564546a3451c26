# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 as the tests see it: frames by hyperframe and hpack (Debian's python3-h2 brings them), so that what no library would send can
be sent; and a client that is well-behaved until it is told otherwise."""
import socket
import struct

import certs
import hpack
from hyperframe.frame import (ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame,
                              WindowUpdateFrame)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, \
    COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(12)
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE, _, \
    ENABLE_CONNECT_PROTOCOL, NO_RFC7540_PRIORITIES = range(1, 10)


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """Any frame, lawful or not."""
    n = len(payload) if length is None else length
    return struct.pack("!HBBBI", n >> 8, n & 255, kind, flags, stream) + payload


class Answer:
    def __init__(self):
        self.interim, self.fields, self.body, self.trailers = [], None, b"", None
        self.ended, self.reset = False, None

    @property
    def status(self):
        return int(dict(self.fields)[":status"]) if self.fields is not None else None

    def field(self, name):
        return ", ".join(v for n, v in self.fields if n == name) if any(n == name for n, _ in self.fields) else None

    def __repr__(self):
        return f"<{self.fields} {self.body[:200]!r} trailers={self.trailers} ended={self.ended} reset={self.reset}>"


class Client:
    """A connection. Frames that come are kept in `frames`; answers are put together in `answers` by stream."""

    def __init__(self, port, name="a.test", tls=True, settings=None, timeout=10, greet=True, context=None, sock=None):
        if sock is None:
            sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                sock = (context or certs.context(alpn=["h2"])).wrap_socket(sock, server_hostname=name)
                assert sock.selected_alpn_protocol() == "h2"
        sock.settimeout(timeout)
        self.sock = sock
        self.buffer = b""
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.frames, self.answers = [], {}
        self.block = None
        self.goaway = None  # error code of the last one
        self.closed = False
        self.next = 1
        self.settings = {}
        self.auto_window = self.auto_ack = True
        self.open_windows = {}
        if greet:
            self.send(PREFACE, SettingsFrame(0, settings=settings or {}))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.sock.close()

    def send(self, *parts):
        data = b"".join(p.serialize() if isinstance(p, Frame) else p for p in parts)
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError, OSError):
            self.closed = True

    # ---- What goes out

    def fields(self, method="GET", path="/", authority="a.test", scheme="https", extra=()):
        f = [(":method", method)]
        f += [(":scheme", scheme)] if scheme is not None else []
        f += [(":authority", authority)] if authority is not None else []
        f += [(":path", path)] if path is not None else []
        return f + list(extra)

    def headers(self, fields, stream=None, end=True, flags=("END_HEADERS",)):
        """Sends a head; its stream."""
        if stream is None:
            stream, self.next = self.next, self.next + 2
        f = HeadersFrame(stream, self.encoder.encode(fields), flags=list(flags) + (["END_STREAM"] if end else []))
        self.answers.setdefault(stream, Answer())
        self.send(f)
        return stream

    def data(self, stream, content=b"", end=False):
        out = []
        while len(content) > 16384:
            out.append(DataFrame(stream, content[:16384]))
            content = content[16384:]
        self.send(*out, DataFrame(stream, content, flags=["END_STREAM"] if end else []))

    # ---- What comes in

    def fill(self):
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        except OSError as e:
            if isinstance(e, (TimeoutError, BlockingIOError)):
                raise
            data = b""
        if not data:
            self.closed = True
        self.buffer += data
        return bool(data)

    def read_frame(self):
        """The next frame, or None at the end of the connection."""
        while True:
            if len(self.buffer) >= 9:
                f, n = Frame.parse_frame_header(memoryview(self.buffer[:9]))
                if len(self.buffer) >= 9 + n:
                    f.parse_body(memoryview(self.buffer[9:9 + n]))
                    self.buffer = self.buffer[9 + n:]
                    self.note(f)
                    return f
            if self.closed or not self.fill():
                return None

    def note(self, f):
        self.frames.append(f)
        a = self.answers.get(f.stream_id)
        if isinstance(f, (HeadersFrame, ContinuationFrame)):
            self.block = f.data if isinstance(f, HeadersFrame) else self.block + f.data
            if isinstance(f, HeadersFrame):
                self.block_ends = "END_STREAM" in f.flags
            if "END_HEADERS" in f.flags:
                fields = [(n if isinstance(n, str) else n.decode("latin-1"), v if isinstance(v, str) else v.decode("latin-1"))
                          for n, v in self.decoder.decode(self.block, raw=True)]
                self.note_fields(a, fields)
                a.ended |= self.block_ends
        elif isinstance(f, DataFrame):
            a.body += f.data
            a.ended |= "END_STREAM" in f.flags
            if self.auto_window and f.flow_controlled_length:
                n = f.flow_controlled_length
                self.send(WindowUpdateFrame(0, window_increment=n), *([] if a.ended else [WindowUpdateFrame(f.stream_id, window_increment=n)]))
        elif isinstance(f, RstStreamFrame):
            if a:
                a.reset = f.error_code
        elif isinstance(f, GoAwayFrame):
            self.goaway = f.error_code
        elif isinstance(f, SettingsFrame) and "ACK" not in f.flags:
            self.settings.update(f.settings)
            if self.auto_ack:
                self.send(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(f, PingFrame) and "ACK" not in f.flags and self.auto_ack:
            self.send(PingFrame(0, f.opaque_data, flags=["ACK"]))

    @staticmethod
    def note_fields(a, fields):
        assert all(n == n.lower() for n, _ in fields), fields
        status = dict(fields).get(":status")
        if status is None:
            assert a.fields is not None
            a.trailers = fields
        elif status.startswith("1"):
            a.interim.append(fields)
        else:
            assert a.fields is None, "two heads"
            a.fields = fields

    def until(self, condition, what="it"):
        while not condition():
            assert self.read_frame() is not None, f"the connection ended before {what}; goaway={self.goaway} answers={self.answers}"

    def answer(self, stream):
        a = self.answers[stream]
        self.until(lambda: a.ended or a.reset is not None, f"the answer on {stream}")
        return a

    def ask(self, *args, body=None, trailers=None, **options):
        stream = self.headers(self.fields(*args, **options), end=body is None and trailers is None)
        if body is not None:
            self.data(stream, body, end=trailers is None)
        if trailers is not None:
            self.headers(trailers, stream=stream)
        return self.answer(stream)

    def ping(self, opaque=b"12345678"):
        """True: the connection lives and all that was sent before has been looked at."""
        self.send(PingFrame(0, opaque))
        while True:
            f = self.read_frame()
            if f is None:
                return False
            if isinstance(f, PingFrame) and "ACK" in f.flags and f.opaque_data == opaque:
                return True

    def to_end(self):
        """Reads until the connection ends; the code of the GOAWAY, or None."""
        while self.read_frame() is not None:
            pass
        return self.goaway
