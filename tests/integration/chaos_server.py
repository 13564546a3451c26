# SPDX-License-Identifier: Apache-2.0
"""A server to be killed, stopped and turned bad by test_pool_chaos.py: `chaos_server.py PORT RECORD MODE`. It appends the ids of
the POSTs that it receives to RECORD, and does what the file MODE says: `ok`, `500` or `cut` (in the middle of an answer)."""
import pathlib
import socket
import sys
import threading

from http1 import Closed, Stream


def serve(sock, record, mode):
    stream = Stream(sock, timeout=60)
    try:
        while stream.buffer or stream.fill():
            request = stream.read_request()
            body = request.target.encode() * 40
            if request.method == "POST":
                record.write(request.body.decode() + "\n")
            now = mode.read_text() if request.target != "/healthz" else "ok"
            if now == "500":
                stream.send(b"HTTP/1.1 500 Sick\r\nContent-Length: 4\r\n\r\nsick")
                continue
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            if now == "cut" and request.method == "GET":
                stream.send(head + body[:len(body) // 2])
                return
            stream.send(head + body)
    except (Closed, OSError):
        pass
    finally:
        stream.close()


def main():
    port, record, mode = int(sys.argv[1]), open(sys.argv[2], "a", buffering=1), pathlib.Path(sys.argv[3])
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(sock, record, mode), daemon=True).start()


if __name__ == "__main__":
    main()
