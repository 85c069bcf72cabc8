"""The IPIP tunnel device ``tunl0``: there, up, and with this node's tunnel address.

In a Calico cluster Felix makes and addresses it, and so it is left as it is where it is
right. But routes through it are ours where we program IPIP pools, and a node must not wait
for another program's start to reach the others: what is missing is added. Nothing is taken
away but an address that was added here and is another one now.
"""

import asyncio
import errno
import logging
from struct import Struct
from typing import Final

from fib.errors import FibError
from fib.kernel_view import Changed, KernelView
from fib.netlink.rtnetlink import (
    AF_INET,
    IFA_ADDRESS,
    IFA_LOCAL,
    IFF_UP,
    IFLA_IFNAME,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REQUEST,
    RT_TABLE_LOCAL,
    RTM_DELADDR,
    RTM_NEWADDR,
    RTM_NEWLINK,
    attribute,
    message,
)
from fib.netlink.sockets import RequestSocket
from fib.routes import Fault
from rib.family import AFI_IPV4
from rib.nlri import format_address, make_nlri

TUNNEL: Final = "tunl0"
_RETRY: Final = 10.0  # seconds; another program may have its own mind
_SOON: Final = 0.2  # seconds until the check for a new device
_IFINFO: Final = Struct("=BBHiII")  # family, 0, type, ifindex, flags, change
_IFADDR: Final = Struct("=BBBBI")  # family, prefix length, flags, scope, ifindex
_IFLA_LINKINFO, _IFLA_INFO_KIND = 18, 1
_NO_SUCH_DEVICE: Final = frozenset({errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL})

_log = logging.getLogger(__name__)


class Tunnel:
    """Keeps the tunnel device as it must be.

    Args:
        view: The kernel; started by the caller.

    Attributes:
        fault: Why the device is not as it must be; empty where it is.
    """

    def __init__(self, view: KernelView) -> None:
        self.fault = ""
        self._view = view
        self._address = b""
        self._added = b""
        self._not_before = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._sock: RequestSocket | None = None

    def keep(self, address: bytes) -> None:
        """Keep the device with ``address`` (4 octets) from now on; empty leaves it alone."""
        if address == self._address:
            return
        if not self._address:
            self._view.subscribe(self._handle_changes)
        self._address, self._not_before = address, 0.0
        if not address:
            self._view.unsubscribe(self._handle_changes)
        self._repair()

    async def close(self) -> None:
        """Stop following the device, and leave it unchanged."""
        if self._address:
            self._view.unsubscribe(self._handle_changes)
            self._address = b""
        self._wait(None)
        if self._sock is not None:
            await self._sock.close()
            self._sock = None

    def _handle_changes(self, changed: Changed) -> None:
        ours = (AFI_IPV4, RT_TABLE_LOCAL, make_nlri(self._address, 32))
        if ours in changed:
            self._repair()

    def _is_right(self) -> bool:
        return any(
            (address, device) == (self._address, TUNNEL)
            for address, _, device in self._view.addresses()
        )

    def _repair(self) -> None:
        """Add what is missing, and check again while something still is."""
        self._wait(None)
        self._forget_former()
        if not self._address or self._is_right():
            self._set_fault("")
            return
        now = asyncio.get_running_loop().time()
        if now < self._not_before:  # another program disagrees
            self._wait(self._not_before - now)
            return
        self._not_before = now + _RETRY
        self._wait(_RETRY)
        self._set_fault(self._set_up())
        if not self.fault:
            self._wait(None)

    def _wait(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, self._repair)

    def _forget_former(self) -> None:
        link = self._view.links.by_name.get(TUNNEL)
        if not self._address or self._added in (b"", self._address):
            return
        if link is not None:
            self._ask(RTM_DELADDR, 0, _an_address(link.link, self._added))
        self._added = b""

    def _set_up(self) -> str:
        """Make, raise and address the device; return what went wrong."""
        link = self._view.links.by_name.get(TUNNEL)
        if link is None:
            fault = self._ask(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, _a_tunnel())
            if fault is None or fault.errno == errno.EEXIST:
                self._not_before = 0.0
                self._wait(_SOON)  # until the view has the news of it
                return f"{TUNNEL} is being created"
            if fault.errno in _NO_SUCH_DEVICE:
                return f"{TUNNEL}: the kernel has no IPIP tunnels (module ipip)"
            return f"cannot create {TUNNEL}: {fault.text}"
        index = link.link
        if not link.is_admin_up:
            fault = self._ask(
                RTM_NEWLINK, 0, _IFINFO.pack(0, 0, 0, index, IFF_UP, IFF_UP)
            )
            if fault is not None:
                return f"cannot bring up {TUNNEL}: {fault.text}"
        fault = self._ask(
            RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, _an_address(index, self._address)
        )
        if fault is not None and fault.errno != errno.EEXIST:
            text = format_address(self._address)
            return f"cannot assign {text} to {TUNNEL}: {fault.text}"
        self._added = self._address
        _log.info(
            "%(interface)s has the address %(local_address)s",
            {
                "event": "tunnel-up",
                "interface": TUNNEL,
                "local_address": format_address(self._address),
            },
        )
        return ""

    def _ask(self, kind: int, flags: int, payload: bytes) -> Fault | None:
        request = message(kind, NLM_F_REQUEST | flags, 0, payload)
        try:
            if self._sock is None:
                self._sock = RequestSocket()
            return self._sock.ask(request)[1]
        except FibError as error:
            return Fault(error.errno, str(error))
        except OSError as error:  # no descriptor is left
            return Fault(error.errno or errno.EIO, error.strerror or str(error))

    def _set_fault(self, text: str) -> None:
        if text and text != self.fault:
            _log.warning(
                "%(reason)s",
                {"event": "tunnel-failed", "reason": text, "interface": TUNNEL},
            )
        self.fault = text


def _a_tunnel() -> bytes:
    kind = attribute(_IFLA_INFO_KIND, b"ipip")
    return (
        _IFINFO.pack(0, 0, 0, 0, IFF_UP, IFF_UP)
        + attribute(IFLA_IFNAME, TUNNEL.encode() + b"\0")
        + attribute(_IFLA_LINKINFO, kind)
    )


def _an_address(index: int, address: bytes) -> bytes:
    return (
        _IFADDR.pack(AF_INET, 32, 0, 0, index)
        + attribute(IFA_LOCAL, address)
        + attribute(IFA_ADDRESS, address)
    )
