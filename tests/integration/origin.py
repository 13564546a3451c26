# SPDX-License-Identifier: Apache-2.0
"""A programmable origin: plain sockets and a thread for each connection; it records what it received."""
import socket
import threading

from http1 import Closed, Stream, chunked


class Exchange:
    """What a handler gets: the request, and the connection to answer on."""

    def __init__(self, origin, stream, request):
        self.origin, self.stream, self.request = origin, stream, request
        self.keep = True

    def send(self, data):
        self.stream.send(data)

    def reply(self, status=200, body=b"", fields=(), reason="OK"):
        """A whole answer with Content-Length."""
        lines = [f"HTTP/1.1 {status} {reason}"] + [f"{n}: {v}" for n, v in fields]
        if status not in (204, 304) and not any(n.lower() in ("content-length", "transfer-encoding") for n, _ in fields):
            lines.append(f"Content-Length: {len(body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self.send(head if self.request.method == "HEAD" else head + body)

    def reply_chunked(self, *parts, fields=(), trailers=()):
        head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n"
        self.send(head.encode("latin-1") + chunked(*parts, trailers=trailers))

    def close(self):
        self.keep = False
        self.stream.close()

    def reset(self):
        self.keep = False
        self.stream.reset()


def echo(exchange):
    """Answers with the content that came, or with a short text."""
    exchange.reply(body=exchange.request.body or b"hello from the origin")


class Origin:
    """handler(exchange) is called for each request, after its content was read (read_content False: before that)."""

    def __init__(self, handler=echo, read_content=True, port=0, host="127.0.0.1", family=socket.AF_INET, tls=None):
        self.handler, self.read_content, self.tls = handler, read_content, tls
        self.handshakes = []  # with tls (an SSLContext): the streams over TLS
        self.requests = []
        self.errors = []
        self.connections = 0  # ever accepted
        self.open = 0
        self.changed = threading.Condition()
        self.streams = set()
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port))
        self.listener.listen(512)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                self.connections += 1
                self.open += 1
                stream = Stream(sock, timeout=30)
                self.streams.add(stream)
                self.changed.notify_all()
            threading.Thread(target=self._serve, args=(stream, self.connections), daemon=True).start()

    def _serve(self, stream, number):
        try:
            if self.tls:
                stream.sock = self.tls.wrap_socket(stream.sock, server_side=True)
                stream.reused = stream.sock.session_reused
                self.handshakes.append(stream)
            while True:
                if not stream.buffer and not stream.fill():
                    break
                request = stream.read_request(content=self.read_content)
                request.connection = number
                with self.changed:
                    self.requests.append(request)
                    self.changed.notify_all()
                exchange = Exchange(self, stream, request)
                self.handler(exchange)
                if not exchange.keep:
                    break
        except (Closed, ConnectionError, TimeoutError, OSError) as e:
            self.errors.append(e)
        except Exception as e:  # a handler's assertion: the test shows it at the end
            self.errors.append(e)
            raise
        finally:
            stream.close()
            with self.changed:
                self.open -= 1
                self.streams.discard(stream)
                self.changed.notify_all()

    def wait(self, condition, timeout=10):
        """Waits until condition() holds; it is looked at whenever a connection or request came or went."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout), f"did not come true within {timeout} s"

    @property
    def last(self):
        assert self.requests, "the origin received nothing"
        return self.requests[-1]

    def stop_listening(self):
        # A blocked accept is not woken by close alone.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.thread.join(5)

    def stop(self):
        """Refuses connections from now on, and ends the ones that are open."""
        self.stop_listening()
        with self.changed:
            streams = list(self.streams)
        for stream in streams:
            try:
                stream.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
