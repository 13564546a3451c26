# SPDX-License-Identifier: Apache-2.0
"""Network namespaces for tests, and captures inside them."""
import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import threading

CLONE_NEWNET = 0x40000000
ETH_P_IP = 0x0800
ETH_P_ALL = 3
libc = ctypes.CDLL(None, use_errno=True)


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


class Packet:
    """An IPv4 packet with TCP or UDP in it."""

    def __init__(self, data):
        size = (data[0] & 15) * 4
        self.protocol = {6: "tcp", 17: "udp"}.get(data[9], str(data[9]))
        self.source, self.target = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
        self.source_port = self.target_port = self.flags = 0
        rest = data[size:struct.unpack(">H", data[2:4])[0]]
        self.payload = rest
        if self.protocol in ("tcp", "udp"):
            self.source_port, self.target_port = struct.unpack(">HH", rest[:4])
            self.flags = rest[13] if self.protocol == "tcp" else 0
            self.payload = rest[(rest[12] >> 4) * 4:] if self.protocol == "tcp" else rest[8:]

    def is_syn(self):
        return self.protocol == "tcp" and self.flags & 0x12 == 0x02


class Capture:
    """All IPv4 packets of a namespace's links, from now on."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))  # a socket for IP alone would not see what goes out
        self.packets = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                data, (_, protocol, *_) = self.socket.recvfrom(65536)
            except OSError:
                return
            if protocol == ETH_P_IP:
                self.packets.append(Packet(data))

    def addresses(self):
        return {a for p in list(self.packets) for a in (p.source, p.target)}

    def stream(self, source, target):
        """The TCP payloads from one address to another, one after the other."""
        return b"".join(p.payload for p in list(self.packets) if (p.protocol, p.source, p.target) == ("tcp", source, target))


class World:
    """Namespaces with point-to-point links between them."""

    def __init__(self, *names):
        self.names = {name: f"weir-{os.getpid()}-{name}" for name in names}
        self.made = []
        self.links = 0
        for full in self.names.values():
            ip("netns", "add", full)
            self.made.append(full)
            ip("-n", full, "link", "set", "lo", "up")

    def link(self, a, a_address, b, b_address):
        """A cable between two namespaces; each end knows the way to the other's address and to no other."""
        self.links += 1
        ends = [f"l{self.links}{a[:6]}", f"l{self.links}{b[:6]}"]
        ip("link", "add", ends[0], "netns", self.names[a], "type", "veth", "peer", "name", ends[1], "netns", self.names[b])
        for name, end, mine, other in ((a, ends[0], a_address, b_address), (b, ends[1], b_address, a_address)):
            ip("-n", self.names[name], "address", "replace", f"{mine}/32", "dev", end)
            ip("-n", self.names[name], "link", "set", end, "up")
            ip("-n", self.names[name], "route", "replace", f"{other}/32", "dev", end, "src", mine)

    @contextlib.contextmanager
    def inside(self, name):
        """Sockets and processes that this thread makes in the block belong to that namespace."""
        with open("/proc/thread-self/ns/net") as before, open(f"/run/netns/{self.names[name]}") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                libc.setns(before.fileno(), CLONE_NEWNET)

    def close(self):
        for full in self.made:
            subprocess.run(["ip", "netns", "delete", full], capture_output=True)
