# SPDX-License-Identifier: Apache-2.0
"""A programmable ICAP server (RFC 3507): plain sockets, a thread for each connection; it parses strictly and records what it received."""
import itertools
import socket
import threading

from http1 import Closed, Malformed, Stream, chunked, parse_fields

# What scanners are tried with, put together here so that none chokes on this file.
EICAR = "".join([r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE", "!$H+H*"]).encode()


class Asked:
    """One request to the server: its parts, and the connection to answer on."""

    def __init__(self, server, stream):
        self.server, self.stream = server, stream
        head = stream.read_until(b"\r\n\r\n")
        lines = head[:-4].decode("latin-1").split("\r\n")
        self.method, self.url, version = lines[0].split(" ")
        if version != "ICAP/1.0":
            raise Malformed(f"version: {version}")
        self.fields = parse_fields(lines[1:])
        if "Host" not in self.fields:
            raise Malformed("no Host")
        self.http_request = self.http_response = b""
        self.preview, self.body, self.whole, self.has_content = b"", b"", True, False
        self.keep = True
        self._read_parts()

    def _read_parts(self):
        parts = [p.strip().split("=") for p in self.fields["Encapsulated"].split(",")]
        offsets = [int(n) for _, n in parts]
        if offsets[0] != 0 or offsets != sorted(offsets):
            raise Malformed(f"Encapsulated: {parts}")
        for (name, start), end in zip(parts[:-1], offsets[1:]):
            text = self.stream.read_exactly(end - int(start))
            if not text.endswith(b"\r\n\r\n") or text.count(b"\r\n\r\n") != 1:
                raise Malformed(f"{name} does not end where it was said: {text!r}")
            if b"chunked" in text.lower():
                raise Malformed("a transfer coding in an encapsulated head")
            if name == "req-hdr":
                self.http_request = text
            else:
                self.http_response = text
        last = parts[-1][0]
        expected = {"OPTIONS": ["null-body"], "REQMOD": ["req-body", "null-body"], "RESPMOD": ["res-body", "null-body"]}[self.method]
        if last not in expected:
            raise Malformed(f"{last} in a {self.method}")
        self.has_content = last != "null-body"
        self.has_preview = "Preview" in self.fields
        if self.has_preview and self.has_content:
            self.preview, self.whole = self._read_chunks()
            limit = int(self.fields["Preview"])
            if len(self.preview) > limit or (not self.whole and len(self.preview) != limit):
                raise Malformed(f"a preview of {len(self.preview)} bytes where {limit} were promised")
            self.body = self.preview

    def _read_chunks(self):
        """The content up to a last chunk, and whether that is the content's end (ieof, or no preview)."""
        parts = []
        while True:
            line = self.stream.read_until(b"\r\n")[:-2]
            size = int(line.split(b";")[0], 16)
            if size == 0:
                if self.stream.read_exactly(2) != b"\r\n":
                    raise Malformed("something behind the last chunk")
                return b"".join(parts), line.replace(b" ", b"").endswith(b";ieof")
            parts.append(self.stream.read_exactly(size))
            if self.stream.read_exactly(2) != b"\r\n":
                raise Malformed("chunk without CRLF behind it")

    def send(self, data):
        self.stream.send(data)

    def chunks(self):
        """The content as it comes, behind the preview (which it asks the rest of)."""
        if self.has_preview:
            yield self.preview
            if self.whole:
                return
            self.send("ICAP/1.0 100 Continue\r\n\r\n")
        while True:
            size = int(self.stream.read_until(b"\r\n")[:-2].split(b";")[0], 16)
            data = self.stream.read_exactly(size)
            self.stream.read_exactly(2)
            if size == 0:
                self.whole = True
                return
            yield data

    def read(self):
        """All of the content."""
        if self.has_content and not (self.has_preview and self.whole):
            self.body = b"".join(self.chunks())
        return self.body

    def head(self, status, *parts, fields=(), reason="OK"):
        lines = [f"ICAP/1.0 {status} {reason}", f'ISTag: "{self.server.tag}"'] + [f"{n}: {v}" for n, v in fields]
        offset, at = [], 0
        for name, text in parts:
            offset.append(f"{name}={at}")
            at += len(text)
        if parts:
            lines.append("Encapsulated: " + ", ".join(offset))
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + b"".join(t for n, t in parts if n.endswith("-hdr")))

    def unchanged(self):
        self.head(204, ("null-body", b""), reason="No modifications needed")

    def answer(self, http_head, body=b"", fields=()):
        """200 with this response."""
        self.head(200, ("res-hdr", http_head), ("res-body" if body else "null-body", b""), fields=fields)
        if body:
            self.send(chunked(body))

    def block(self, threat="Test.Threat", page=b"<p>the scanner's own page"):
        self.answer(f"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\nX-Page: scanner\r\n\r\n".encode(), page,
                    fields=[("X-Infection-Found", f"Type=0; Resolution=2; Threat={threat};")])

    def close(self):
        self.keep = False
        self.stream.close()


def scanner(asked):
    """Looks for EICAR in the whole content; says 204 where it may, else sends back what came."""
    body = asked.read()
    if EICAR in body:
        asked.block("Eicar-Test")
    elif not asked.has_content or "204" in asked.fields.get("Allow", ""):
        asked.unchanged()
    elif asked.method == "REQMOD":
        asked.head(200, ("req-hdr", asked.http_request), ("req-body", b""))
        asked.send(chunked(body))
    else:
        asked.answer(asked.http_response, body)


def streaming(asked):
    """Sends everything back as it comes, without keeping any of it."""
    parts = asked.chunks()
    first = next(parts, b"")
    second = next(parts, b"")  # behind `100 Continue`, where that is to be said
    if asked.method == "REQMOD":
        asked.head(200, ("req-hdr", asked.http_request), ("req-body", b""))
    else:
        asked.head(200, ("res-hdr", asked.http_response), ("res-body", b""))
    for data in itertools.chain([first, second], parts):
        if data:
            asked.send(b"%x\r\n" % len(data) + data + b"\r\n")
    asked.send(b"0\r\n\r\n")


class IcapServer:
    """handler(asked) answers REQMOD and RESPMOD; OPTIONS are answered here from `options` (None: by the handler as well)."""

    def __init__(self, handler=scanner, methods="REQMOD, RESPMOD", preview=1024, options=(), port=0, tag="first"):
        self.handler, self.methods, self.preview, self.options, self.tag = handler, methods, preview, list(options), tag
        self.open = 0
        self.asked, self.n_options, self.connections, self.errors = [], 0, 0, []
        self.changed = threading.Condition()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(128)
        self.port = self.listener.getsockname()[1]
        self.streams = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = Stream(sock, timeout=30)
            with self.changed:
                self.connections += 1
                self.open += 1
                self.streams.add(stream)
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream):
        try:
            while True:
                if not stream.buffer and not stream.fill():
                    return
                asked = Asked(self, stream)
                self._answer(asked)
                if not asked.keep:
                    return
        except (Closed, OSError):
            pass
        except Exception as e:  # noqa: BLE001: shown at the test's end
            self.errors.append(e)
        finally:
            with self.changed:
                self.open -= 1
                self.streams.discard(stream)
            stream.close()

    def _answer(self, asked):
        if asked.method == "OPTIONS":
            with self.changed:
                self.n_options += 1
            if self.options is not None and not callable(self.options):
                fields = [("Methods", self.methods), ("Service", "test"), ("Allow", "204"), ("Options-TTL", "3600")]
                if self.preview is not None:
                    fields.append(("Preview", self.preview))
                given = {n.lower() for n, _ in self.options}
                asked.head(200, ("null-body", b""), fields=[f for f in fields if f[0].lower() not in given] + self.options)
            else:
                self.options(asked)
            return
        with self.changed:
            self.asked.append(asked)
            self.changed.notify_all()
        self.handler(asked)

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        except OSError:
            pass
        self.listener.close()
        for s in list(self.streams):
            s.close()
