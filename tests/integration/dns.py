# SPDX-License-Identifier: Apache-2.0
"""A small DNS server for tests: UDP and TCP on one port, answers from a table."""
import ipaddress
import socket
import struct
import threading

A, CNAME, AAAA, SRV = 1, 5, 28, 33


def encode_name(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.rstrip(".").split(".") if part) + b"\0"


class DnsServer:
    """names: {"a.test": ["127.0.0.1", "::1"]}; a name that is not there does not exist. `truncate`: names answered by TCP
    only; `silent`: names never answered. A tuple (priority, weight, port, target) is an SRV record; `beside`: the addresses of targets
    come with their answer."""

    def __init__(self, names, truncate=(), silent=(), ttl=1, host="127.0.0.1", port=0, beside=False):
        self.names, self.truncate, self.silent, self.ttl, self.beside = names, set(truncate), set(silent), ttl, beside
        self.asked = []  # (name, type, "udp" or "tcp")
        self.udp, self.tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for _ in range(50):  # a port that is free for both
            self.udp.bind((host, port))
            try:
                self.tcp.bind((host, self.udp.getsockname()[1]))
                break
            except OSError:
                self.udp.close()
                self.udp = socket.socket(type=socket.SOCK_DGRAM)
        self.port = self.tcp.getsockname()[1]
        self.tcp.listen(16)
        for target in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=target, daemon=True).start()

    def answer(self, query, transport):
        number, _, questions = struct.unpack(">HHH", query[:6])
        assert questions == 1
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, question = ".".join(labels).lower(), query[12:at + 5]
        kind = struct.unpack(">H", query[at + 1:at + 3])[0]
        self.asked.append((name, kind, transport))
        if name in self.silent:
            return None
        if name in self.truncate and transport == "udp":
            return struct.pack(">HHHHHH", number, 0x8780, 1, 0, 0, 0) + question
        records, extra = [], []
        for value in self.names.get(name, ()):
            if isinstance(value, tuple):
                if kind == SRV:
                    data = struct.pack(">HHH", *value[:3]) + encode_name(value[3])
                    records.append(b"\xc0\x0c" + struct.pack(">HHIH", SRV, 1, self.ttl, len(data)) + data)
                    extra += [(value[3], ip) for ip in self.names.get(value[3], ()) if self.beside]
                continue
            try:
                address = ipaddress.ip_address(value)
            except ValueError:  # an alias
                records.append(b"\xc0\x0c" + struct.pack(">HHIH", CNAME, 1, self.ttl, len(encode_name(value))) + encode_name(value))
                continue
            if kind == (A if address.version == 4 else AAAA):
                records.append(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, self.ttl, len(address.packed)) + address.packed)
        code = 0x8580 if name in self.names else 0x8583
        for owner, ip in extra:
            address = ipaddress.ip_address(ip)
            kind = A if address.version == 4 else AAAA
            records.append(encode_name(owner) + struct.pack(">HHIH", kind, 1, self.ttl, len(address.packed)) + address.packed)
        return struct.pack(">HHHHHH", number, code, 1, len(records) - len(extra), 0, len(extra)) + question + b"".join(records)

    def _serve_udp(self):
        while True:
            try:
                query, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            reply = self.answer(query, "udp")
            if reply:
                self.udp.sendto(reply, peer)

    def _serve_tcp(self):
        while True:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_stream, args=(conn,), daemon=True).start()

    def _serve_stream(self, conn):
        with conn:
            data = b""
            while True:
                more = conn.recv(4096)
                if not more:
                    return
                data += more
                while len(data) >= 2 and len(data) >= 2 + struct.unpack(">H", data[:2])[0]:
                    size = struct.unpack(">H", data[:2])[0]
                    reply = self.answer(data[2:2 + size], "tcp")
                    data = data[2 + size:]
                    if reply:
                        conn.sendall(struct.pack(">H", len(reply)) + reply)

    def stop(self):
        self.udp.close()
        self.tcp.close()
