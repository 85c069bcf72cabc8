"""Machines on links of their own, and a peer that speaks by hand over one of them.

For tests about zones: the same link-local address stands at the far end of every link.
"""

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Self

from bgpd.lab.namespace import Namespace, run
from bgpd.net.sockets import set_md5_key
from bgpd.wire.framing import KEEPALIVE, Framer, MessageType, encode_message
from bgpd.wire.update import end_of_rib
from rib.attributes import make_attributes, parse_as_path
from rib.attributes.codes import MP_REACH_NLRI
from rib.attributes.path_attributes import encode_attribute
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import parse_address, parse_prefix
from tests.support.daemons import Daemon, write_yaml
from tests.support.kernel_namespace import _setns
from tests.support.scripted_peer import an_open

OURS = "d"
BGP_PORT = 179
_numbers = count()
_SYSCTLS = {
    f"ipv6/conf/{which}/{key}": value
    for which in ("all", "default")
    for key, value in (("accept_dad", "0"), ("accept_ra", "0"), ("forwarding", "1"))
}


class Links:
    """Namespaces, gone with the context.

    Attributes:
        prefix: Of their names.
        sockets: Closed with them.
    """

    def __init__(self) -> None:
        self.prefix = f"pybgpd-links-{os.getpid()}-{next(_numbers)}-"
        self.sockets: list[socket.socket] = []
        self._names: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self.sockets:
            sock.close()
        for name in self._names:
            run(["ip", "netns", "delete", self.prefix + name])

    def machine(self, *names: str) -> None:
        for name in names:
            run(["ip", "netns", "add", self.prefix + name])
            self._names.append(name)
            self.at(name).setup(_SYSCTLS, ["link set lo up"])

    def at(self, name: str) -> Namespace:
        return Namespace(self.prefix + name)

    def ip(self, name: str, *lines: str) -> None:
        self.at(name).setup({}, lines)

    def join(
        self,
        far: str,
        device: str,
        *,
        ours: Iterable[str] = ("fe80::d/64",),
        theirs: Iterable[str] = ("fe80::a/64",),
    ) -> None:
        """Join a machine's e0 to one of our devices, with these addresses alone."""
        end = self.prefix + far
        self.ip(OURS, f"link add {device} type veth peer name e0 netns {end}")
        for name, dev, addresses in ((OURS, device, ours), (far, "e0", theirs)):
            self.ip(
                name,
                f"link set {dev} addrgenmode none",
                *(f"addr add {each} dev {dev} nodad" for each in addresses),
                f"link set {dev} up",
            )
            # IPv6 addresses given while a link is down have no routes before it is up.
            self.ip(name, *(f"addr replace {a} dev {dev} nodad" for a in addresses))

    def kernel_routes(self, *arguments: str) -> list[str]:
        """Return our BGP routes of the kernel, as ``ip route`` has them."""
        text = self.at(OURS).run(["ip", *arguments, "route", "show", "proto", "bird"])
        return [" ".join(line.split()) for line in text.splitlines() if line.strip()]

    def listener(self, name: str) -> socket.socket:
        """Listen on a machine as BGP speakers do."""
        with self.inside(name):
            made = a_socket("::")
        self.sockets.append(made)
        made.bind(("::", BGP_PORT))
        made.listen()
        made.settimeout(15)
        return made

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.prefix}{name}", os.O_RDONLY)
        try:
            _setns(there)
            yield
        finally:
            _setns(home)
            os.close(home)
            os.close(there)

    def daemon(
        self, folder: Path, settings: dict[str, Any], *, is_stock_loop: bool = False
    ) -> Daemon:
        """Return pybgpd in our namespace; on asyncio's own loop where asked."""
        prefix = self.at(OURS).argv(())
        if is_stock_loop:
            hidden = folder / "hidden"
            hidden.mkdir(exist_ok=True)
            (hidden / "uvloop.py").write_text("raise ImportError", encoding="utf-8")
            prefix += ["env", f"PYTHONPATH={hidden}"]
        file = folder / "pybgpd.yaml"
        daemon = Daemon(folder, "run", "--config", str(file), prefix=prefix)
        write_yaml(file, {**settings, "control": {"path": daemon.control}})
        return daemon


class WirePeer:
    """A connection of a peer's, written and read by hand.

    Args:
        sock: Connected.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.seen: list[tuple[int, bytes]] = []
        self._framer = Framer(65535)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    @classmethod
    def to_us(
        cls,
        links: Links,
        name: str,
        local: str,
        remote: str,
        *,
        password: str = "",
        seconds: float = 10.0,
        patience: float = 2.0,
    ) -> Self:
        """Connect from a machine; a link-local address is on its e0.

        Args:
            links: Where.
            name: The machine.
            local: Its address.
            remote: Ours.
            password: TCP MD5 key; empty is none.
            seconds: Tried again for so long.
            patience: Seconds of one attempt.
        """
        deadline = time.monotonic() + seconds
        while True:
            with links.inside(name):
                sock = a_socket(local)
                scope = socket.if_nametoindex("e0")
                if password:
                    set_md5_key(sock, remote, password)
            try:
                sock.bind(_place(local, 0, scope))
                sock.settimeout(patience)
                sock.connect(_place(remote, BGP_PORT, scope))
            except OSError:
                sock.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                links.sockets.append(sock)
                return cls(sock)

    @classmethod
    def from_us(cls, links: Links, listener: socket.socket) -> Self:
        """Wait for a connection from us."""
        sock, _ = listener.accept()
        links.sockets.append(sock)
        return cls(sock)

    def send(self, *messages: bytes) -> None:
        self.sock.sendall(b"".join(messages))

    def until(self, done: Callable[[int, bytes], bool], seconds: float = 15.0) -> bytes:
        """Read until a message fits; return its body, all are kept in ``seen``."""
        deadline = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select(
                [self.sock], [], [], max(0.0, deadline - time.monotonic())
            )
            assert ready, f"not within {seconds} s; seen: {self.seen}"
            data = self.sock.recv(1 << 16)
            assert data, f"closed; seen: {self.seen}"
            found = [(int(kind), body) for kind, body in self._framer.feed(data)]
            self.seen += found
            for kind, body in found:
                if done(kind, body):
                    return body

    def establish(
        self,
        asn: int,
        families: Iterable[Family] = (IPV6_UNICAST,),
        **capabilities: Any,
    ) -> None:
        """Bring the session up and say that there are no routes yet."""
        families = tuple(families)
        self.send(an_open(asn, families=families, **capabilities))
        self.until(lambda kind, _: kind == MessageType.KEEPALIVE)
        self.send(KEEPALIVE, *map(end_of_rib, families))


def a_socket(addr: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in addr else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def _place(addr: str, port: int, scope: int) -> tuple[Any, ...]:
    if ":" not in addr:
        return addr, port
    return addr, port, 0, scope if addr.startswith("fe80:") else 0


def an_announcement(next_hop: bytes, *prefixes: str, as_path: str = "65001") -> bytes:
    """Return an UPDATE with MP_REACH_NLRI, its next hop field as given."""
    block = make_attributes(next_hop=b"", as_path=parse_as_path(as_path)).octets
    afi, _ = parse_prefix(prefixes[0])
    run_ = b"".join(parse_prefix(prefix)[1] for prefix in prefixes)
    head = afi.to_bytes(2, "big") + b"\1" + bytes([len(next_hop)])
    block += encode_attribute(MP_REACH_NLRI, head + next_hop + b"\0" + run_)
    body = b"\0\0" + len(block).to_bytes(2, "big") + block
    return encode_message(MessageType.UPDATE, body)


def next_hop_of(body: bytes) -> bytes | None:
    """Return the next hop field of an UPDATE's MP_REACH_NLRI; ``None`` without one."""
    at, end = 4, 4 + int.from_bytes(body[2:4], "big")
    while at < end:
        is_long = body[at] & 0x10
        size = int.from_bytes(body[at + 2 : at + (4 if is_long else 3)], "big")
        start = at + (4 if is_long else 3)
        if body[at + 1] == MP_REACH_NLRI:
            return body[start + 4 : start + 4 + body[start + 3]]
        at = start + size
    return None


LINK_LOCAL = parse_address("fe80::a")
FAMILIES = (IPV4_UNICAST, IPV6_UNICAST)
