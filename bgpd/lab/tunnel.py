"""IPIP (RFC 2003) on a TUN device, where the kernel has none of its own.

Run inside a namespace as ``python -m bgpd.lab.tunnel DEVICE``, once the TUN device is there.
For every packet that the kernel sends into the device, the kernel is asked which gateway its
own table has for it, just as its ``ipip`` device asks the route that brought the packet; the
packet then goes to that gateway as IP protocol 4. So it is the routes that routers program
that carry the packets, and a route without a gateway carries none. What comes in as protocol
4 leaves the device on this side.

The kernel's own device cannot be overtaken by a change of the route; here a packet may be on
its way to this process meanwhile. If its route leads elsewhere by then it is sent there.
"""

import argparse
import contextlib
import fcntl
import os
import selectors
import socket
import struct
import subprocess
from typing import Final

from fib.errors import FibError
from fib.netlink.rtnetlink import RTM_NEWROUTE, RawHop, parse_route, route_lookup
from fib.netlink.sockets import RequestSocket

READY: Final = "ready"
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_IPIP: Final = 4  # IP protocol number
_MAX_PACKET: Final = 65536
_BURST: Final = 64  # packets of one side before the other has its turn


def kernel_has_ipip() -> bool:
    """Return whether the kernel makes IPIP devices; asked in a namespace of its own."""
    probe = ["unshare", "--net", "ip", "link", "show", "dev", "tunl0"]
    load = ["unshare", "--net", "ip", "link", "add", "probe", "type", "ipip"]
    subprocess.run(load, capture_output=True, check=False)  # it loads the module
    return not subprocess.run(probe, capture_output=True, check=False).returncode


def open_device(name: str) -> int:
    """Attach to a TUN device; return its file descriptor.

    Raises:
        OSError: It is not a TUN device, or another process serves it.
    """
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    flags = _IFF_TUN | _IFF_NO_PI
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", name.encode(), flags))
    return device


def destination(packet: bytes) -> bytes:
    """Return the IPv4 destination of a packet; empty if it is not IPv4."""
    is_ipv4 = len(packet) >= 20 and packet[0] >> 4 == 4
    return packet[16:20] if is_ipv4 else b""


def payload(packet: bytes) -> bytes:
    """Return what an IPv4 packet carries."""
    return packet[(packet[0] & 0xF) * 4 :] if packet else b""


class Tunnel:
    """One end; packets that cannot go anywhere are dropped, as the kernel does."""

    def __init__(self, device: str) -> None:
        self._device = open_device(device)
        self._index = socket.if_nametoindex(device)
        self._wire = socket.socket(socket.AF_INET, socket.SOCK_RAW, _IPIP)
        self._wire.setblocking(False)
        self._plain = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._kernel = RequestSocket()

    def run(self) -> None:
        """Carry packets both ways for ever."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._device, selectors.EVENT_READ, self._encapsulate)
            selector.register(self._wire, selectors.EVENT_READ, self._decapsulate)
            while True:
                for key, _ in selector.select():
                    with contextlib.suppress(BlockingIOError):
                        for _ in range(_BURST):
                            key.data()

    def _encapsulate(self) -> None:
        packet = os.read(self._device, _MAX_PACKET)
        target = destination(packet)
        hop = self._hop(target) if target else None
        if hop is None:
            return
        gateway, index = hop[:2]
        with contextlib.suppress(OSError):  # no way to it, or no room: dropped
            if index != self._index:
                self._plain.sendto(packet, (socket.inet_ntoa(target), 0))
            elif gateway:
                self._wire.sendto(packet, (socket.inet_ntoa(gateway), 0))

    def _decapsulate(self) -> None:
        packet = self._wire.recv(_MAX_PACKET)
        with contextlib.suppress(OSError):  # the kernel takes no such packet
            os.write(self._device, payload(packet))

    def _hop(self, target: bytes) -> RawHop | None:
        """Return gateway and device of the route to ``target``; None without a route.

        Nothing is remembered: the answer may be another one for the next packet.
        """
        try:
            answers, _ = self._kernel.ask(route_lookup(target))
        except FibError:
            return None
        for data, item in answers:
            if item.type == RTM_NEWROUTE:
                route = parse_route(data, item.start, item.end)
                if route is not None and route.image[3]:
                    return route.image[3][0]
        return None


def main() -> None:
    """Run as a program; see the module."""
    parser = argparse.ArgumentParser(prog="tunnel")
    parser.add_argument("device")
    tunnel = Tunnel(parser.parse_args().device)
    print(READY, flush=True)  # noqa: T201 - its output
    tunnel.run()


if __name__ == "__main__":
    main()
