# SPDX-License-Identifier: Apache-2.0
"""An origin of HTTP/2 with prior knowledge, by python3-h2; a handler answers each request when its stream has ended (or at once)."""
import socket
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings


class Request:
    def __init__(self, connection, stream, fields):
        self.connection, self.stream = connection, stream
        self.fields = [(n.decode(), v.decode()) for n, v in fields]
        self.body, self.trailers, self.ended, self.reset = b"", None, False, None

    def __getitem__(self, name):
        return ", ".join(v for n, v in self.fields if n == name)

    def __contains__(self, name):
        return any(n == name for n, _ in self.fields)

    # ---- The answer

    def head(self, status=200, fields=(), end=False):
        self.connection.do(lambda c: c.send_headers(self.stream, [(":status", str(status)), *fields], end_stream=end))

    def data(self, content, end=False):
        self.connection.send_content(self.stream, content, end)

    def end(self, trailers=None):
        self.connection.do(lambda c: c.send_headers(self.stream, trailers, end_stream=True) if trailers else c.end_stream(self.stream))

    def reply(self, status=200, body=b"", fields=(), trailers=None):
        self.head(status, [("content-length", str(len(body))), *fields], end=not body and not trailers)
        if body:
            self.data(body, end=not trailers)
        if trailers:
            self.end(trailers)

    def refuse(self, code):
        self.connection.do(lambda c: c.reset_stream(self.stream, code))


class Connection:
    def __init__(self, origin, sock):
        self.origin, self.sock = origin, sock
        config = h2.config.H2Configuration(client_side=False, header_encoding=None, validate_outbound_headers=origin.strict, normalize_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values={
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: origin.streams, h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 65535})
        self.lock = threading.Condition(threading.RLock())
        self.requests = {}

    def do(self, what):
        with self.lock:
            what(self.h2)
            try:
                self.sock.sendall(self.h2.data_to_send())
            except OSError:
                pass

    def send_content(self, stream, content, end):
        while content:
            with self.lock:
                n = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(content))
                if n <= 0:
                    if not self.lock.wait(10):
                        raise TimeoutError("the window stays closed")
                    continue
                part, content = content[:n], content[n:]
                self.do(lambda c: c.send_data(stream, part, end_stream=end and not content))
                end = end and bool(content)
        if end:
            self.do(lambda c: c.end_stream(stream))

    def run(self):
        try:
            self.do(lambda c: c.initiate_connection())
            while data := self.sock.recv(65536):
                with self.lock:
                    events = self.h2.receive_data(data)
                    self.do(lambda c: None)
                    for e in events:
                        self.on(e)
                    self.lock.notify_all()
        except OSError:
            pass
        except Exception as e:
            self.origin.errors.append(e)
        with self.lock:
            for r in self.requests.values():
                r.reset = r.reset if r.ended else -1
            self.lock.notify_all()
        self.sock.close()

    def start(self, request):
        threading.Thread(target=self.handle, args=(request,), daemon=True).start()

    def handle(self, request):
        try:
            self.origin.handler(request)
        except Exception as e:
            if request.reset is None:  # nobody wants the answer any more otherwise
                self.origin.errors.append(e)

    def on(self, e):
        if isinstance(e, h2.events.RequestReceived):
            r = self.requests[e.stream_id] = Request(self, e.stream_id, e.headers)
            self.origin.requests.append(r)
            if self.origin.at_once:
                self.start(r)
        elif isinstance(e, h2.events.DataReceived):
            self.requests[e.stream_id].body += e.data
            if e.flow_controlled_length:
                self.do(lambda c: c.acknowledge_received_data(e.flow_controlled_length, e.stream_id))
        elif isinstance(e, h2.events.TrailersReceived):
            self.requests[e.stream_id].trailers = [(n.decode(), v.decode()) for n, v in e.headers]
        elif isinstance(e, h2.events.StreamEnded):
            r = self.requests[e.stream_id]
            r.ended = True
            if not self.origin.at_once:
                self.start(r)
        elif isinstance(e, h2.events.StreamReset):
            self.requests[e.stream_id].reset = e.error_code


class H2Origin:
    def __init__(self, handler, at_once=False, streams=100, strict=True, ssl=None):
        self.handler, self.at_once, self.streams, self.strict = handler, at_once, streams, strict
        self.requests, self.connections, self.errors = [], [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ssl = ssl
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        try:
            if self.ssl:
                s = self.ssl.wrap_socket(s, server_side=True)
            c = Connection(self, s)
        except OSError:
            return
        self.connections.append(c)
        c.run()

    def stop(self):
        self.listener.close()
        for c in self.connections:
            try:
                c.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
