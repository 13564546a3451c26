# SPDX-License-Identifier: Apache-2.0
"""HTTP/1 as the tests see it: raw bytes out, strictly parsed messages in.

The parser here shares nothing with weir's and takes no liberties: an answer whose framing is in doubt is an error.
"""
import socket


class Malformed(AssertionError):
    """The other side sent something that is not HTTP/1.1."""


class Closed(AssertionError):
    """The connection ended where a message was expected."""


class Fields(list):
    """Field lines in order, as (name, value) pairs of str; names compare without case."""

    def all(self, name):
        return [v for n, v in self if n.lower() == name.lower()]

    def get(self, name, default=None):
        """The value of a field, its lines joined as RFC 9110 section 5.3 says."""
        values = self.all(name)
        return ", ".join(values) if values else default

    def __getitem__(self, key):
        if isinstance(key, str):
            value = self.get(key)
            if value is None:
                raise KeyError(key)
            return value
        return super().__getitem__(key)

    def __contains__(self, name):
        return bool(self.all(name)) if isinstance(name, str) else super().__contains__(name)


class Message:
    def __init__(self, start, fields, raw_head):
        self.start = start
        self.fields = fields
        self.raw_head = raw_head
        self.body = b""
        self.trailers = Fields()
        self.chunks = None  # sizes, where the content was chunked


class Request(Message):
    """What an origin received."""

    def __init__(self, start, fields, raw_head):
        super().__init__(start, fields, raw_head)
        parts = start.split(" ")
        if len(parts) != 3:
            raise Malformed(f"request line: {start!r}")
        self.method, self.target, self.version = parts
        self.connection = None  # number of the connection that it came on


class Response(Message):
    def __init__(self, start, fields, raw_head):
        super().__init__(start, fields, raw_head)
        version, _, rest = start.partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or len(rest) < 4 or not rest[:3].isdigit() or rest[3] != " ":
            raise Malformed(f"status line: {start!r}")
        self.version, self.status, self.reason = version, int(rest[:3]), rest[4:]
        self.interim = []

    def __repr__(self):
        return f"<{self.start!r} {list(self.fields)!r} {self.body[:200]!r}>"


def parse_fields(lines):
    fields = Fields()
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or any(c in name for c in ' \t"(),/;<=>?@[\\]{}'):
            raise Malformed(f"field line: {line!r}")
        fields.append((name, value.strip(" \t")))
    return fields


class Stream:
    """A socket with a buffer, and a timeout on every wait (seconds)."""

    def __init__(self, sock, timeout=10):
        self.sock = sock
        self.sock.settimeout(timeout)
        self.buffer = b""
        self.at_end = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Ends the connection with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def end(self):
        """Half-closes: nothing more will be sent."""
        self.sock.shutdown(socket.SHUT_WR)

    def fill(self):
        """One more receive; False at the end."""
        if self.at_end:
            return False
        data = self.sock.recv(1 << 18)
        self.buffer += data
        self.at_end = not data
        return bool(data)

    def take(self, n):
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read_exactly(self, n):
        parts, have = [self.buffer], len(self.buffer)
        self.buffer = b""
        while have < n:
            if not self.fill():
                raise Closed(f"connection ended after {have} of {n} bytes")
            parts.append(self.buffer)
            have += len(self.buffer)
            self.buffer = b""
        self.buffer = b"".join(parts)
        return self.take(n)

    def read_until(self, mark):
        while mark not in self.buffer:
            if not self.fill():
                raise Closed(f"connection ended; so far: {self.buffer[:400]!r}")
        return self.take(self.buffer.index(mark) + len(mark))

    def read_to_end(self):
        parts = [self.buffer]
        self.buffer = b""
        try:
            while self.fill():
                parts.append(self.buffer)
                self.buffer = b""
        except ConnectionResetError:
            self.at_end = True
        return b"".join(parts)

    def expect_closed(self):
        """Nothing more comes, and the connection ends (by FIN or RST) before the timeout."""
        rest = self.read_to_end()
        assert rest == b"", f"more bytes where the end was expected: {rest[:400]!r}"

    def read_head(self, kind):
        head = self.read_until(b"\r\n\r\n")
        lines = head[:-4].decode("latin-1").split("\r\n")
        if any("\n" in line or "\r" in line or "\0" in line for line in lines):
            raise Malformed(f"bare CR, LF or NUL in {head!r}")
        return kind(lines[0], parse_fields(lines[1:]), head)

    def read_chunked(self, message):
        message.chunks = []
        parts = []
        while True:
            line = self.read_until(b"\r\n")[:-2]
            digits = line.split(b";")[0]
            if not digits or digits.strip(b"0123456789abcdefABCDEF"):
                raise Malformed(f"chunk size: {line!r}")
            size = int(digits, 16)
            if size == 0:
                break
            message.chunks.append(size)
            parts.append(self.read_exactly(size))
            if self.read_exactly(2) != b"\r\n":
                raise Malformed("chunk without CRLF behind it")
        message.body = b"".join(parts)
        trailers = b""
        while not (trailers == b"\r\n" or trailers.endswith(b"\r\n\r\n")):
            trailers += self.read_until(b"\r\n")
        message.trailers = parse_fields(t for t in trailers.decode("latin-1").split("\r\n") if t)

    def read_content(self, message, until_end):
        coding, length = message.fields.get("Transfer-Encoding"), message.fields.all("Content-Length")
        if coding is not None:
            if length:
                raise Malformed("both Transfer-Encoding and Content-Length")
            if coding.lower() != "chunked":
                raise Malformed(f"Transfer-Encoding: {coding}")
            self.read_chunked(message)
        elif length:
            if len(length) != 1 or not length[0].isdigit():
                raise Malformed(f"Content-Length: {length!r}")
            message.body = self.read_exactly(int(length[0]))
        elif until_end:
            message.body = self.read_to_end()

    def read_response(self, method="GET", content=True):
        """The next final response; the interim ones before it are in its `interim`."""
        interim = []
        while True:
            response = self.read_head(Response)
            if response.status == 101 or response.status >= 200:
                break
            if "Content-Length" in response.fields or "Transfer-Encoding" in response.fields:
                raise Malformed(f"interim response with framing: {response!r}")
            interim.append(response)
        response.interim = interim
        bodiless = method == "HEAD" or response.status in (101, 204, 304) or (method == "CONNECT" and response.status < 300)
        if not bodiless and content:
            self.read_content(response, until_end=True)
        return response

    def read_request(self, content=True):
        request = self.read_head(Request)
        if content:
            self.read_content(request, until_end=False)
        return request

    def ask(self, request, method=None):
        """Sends a request as it stands and reads the response to it."""
        data = request if isinstance(request, bytes) else request.encode("latin-1")
        self.send(data)
        return self.read_response(method or data.split(b" ", 1)[0].decode("latin-1"))


def connect(port, host="127.0.0.1", timeout=10):
    sock = socket.create_connection((host, port), timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is sent in two pieces arrives in two pieces
    return Stream(sock, timeout)


def request(method="GET", target="/", host="a.test", fields=(), body=None, version="HTTP/1.1"):
    """A well-formed request; fields is a list of (name, value) or of whole lines."""
    lines = [f"{method} {target} {version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f if isinstance(f, str) else f"{f[0]}: {f[1]}" for f in fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def chunked(*parts, trailers=()):
    """Content in chunked coding, a chunk for each part."""
    out = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts if p)
    return out + b"0\r\n" + b"".join(f"{n}: {v}\r\n".encode() for n, v in trailers) + b"\r\n"
