"""Other programs' kernel routes, to be announced: which ones, and their changes.

As BIRD does, routes of the kernel's own making (unless asked for by number), with a type
of service or an input interface, to link-local, loopback and multicast destinations are
left out, and of several routes for a prefix the lowest metric counts.

The kernel's own routes are those of connected prefixes. An address of full length is such
a prefix, too, and one that the kernel keeps in table local alone.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from fib.kernel_view import Changed, KernelView
from fib.netlink.rtnetlink import RT_TABLE_LOCAL, RT_TABLE_MAIN, RouteMessage
from fib.routes import Hop, TargetKind
from rib.family import ADDRESS_OCTETS, AFI_IPV4, SAFI_UNICAST, Family
from rib.zones import is_link_local

_UNSPECIFIED, _REDIRECT, _KERNEL = 0, 1, 2  # RTPROT_*
_KINDS: Final = {kind.value: kind for kind in TargetKind}
_AFI_OF_OCTETS: Final = {octets: afi for afi, octets in ADDRESS_OCTETS.items()}


@dataclass(frozen=True, slots=True)
class RedistributedRoute:
    """A route of another program.

    Attributes:
        protocol: Whose: the kernel's RTPROT_* number.
        kind: Unicast, blackhole or unreachable.
        metric: Kernel priority.
        hops: Where it leads; gateways empty where directly connected.
        preferred_source: 4 or 16 octets, or empty.
    """

    protocol: int
    kind: TargetKind
    metric: int
    hops: tuple[Hop, ...]
    preferred_source: bytes = b""


RedistributedChange = tuple[Family, bytes, RedistributedRoute | None]
Deliver = Callable[[list[RedistributedChange]], None]


class RedistributedRoutes:
    """Follows chosen foreign routes of table main on a ``KernelView``.

    Args:
        view: Started by the caller.
        deliver: Called with changes; ``None`` for a route that went.
        protocols: RTPROT_* numbers to learn; ``None`` for all but the kernel's own.
        interfaces: Patterns of devices, one of which must lead out; a ``!`` before a
            pattern leaves its devices out. Empty for any.
    """

    def __init__(
        self,
        view: KernelView,
        deliver: Deliver,
        *,
        protocols: Iterable[int] | None = None,
        interfaces: Iterable[str] = (),
    ) -> None:
        self._view = view
        self._deliver = deliver
        self._protocols = None if protocols is None else frozenset(protocols)
        self._has_hosts = self._protocols is not None and _KERNEL in self._protocols
        patterns = list(interfaces)
        self._wanted = [p for p in patterns if not p.startswith("!")]
        self._unwanted = [p[1:] for p in patterns if p.startswith("!")]
        self.known: dict[tuple[Family, bytes], RedistributedRoute] = {}
        view.subscribe(self._handle_changes)

    def start(self) -> None:
        """Deliver what is there already."""
        self._handle_changes(frozenset(self._view.keys()))

    def close(self) -> None:
        """Stop following."""
        self._view.unsubscribe(self._handle_changes)

    def _handle_changes(self, changed: Changed) -> None:
        changes: list[RedistributedChange] = []
        hosts = self._hosts()
        keys = {
            (afi, nlri)
            for afi, table, nlri in changed
            if table == RT_TABLE_MAIN or (table == RT_TABLE_LOCAL and self._has_hosts)
        }
        for afi, nlri in keys:
            family = Family(afi, SAFI_UNICAST)
            new = self._choose(afi, nlri) or hosts.get(nlri)
            if new == self.known.get((family, nlri)):
                continue
            if new is None:
                del self.known[family, nlri]
            else:
                self.known[family, nlri] = new
            changes.append((family, nlri, new))
        if changes:
            self._deliver(changes)

    def _hosts(self) -> dict[bytes, RedistributedRoute]:
        """Return the connected prefixes that are one address, where they are wanted."""
        if not self._has_hosts:
            return {}
        return {
            nlri: RedistributedRoute(
                _KERNEL, TargetKind.UNICAST, 0, (Hop(b"", device),)
            )
            for address, nlri, device in self._view.connected()
            if nlri[0] == len(address) * 8
            and not _is_special(_AFI_OF_OCTETS[len(address)], nlri)
            and self._is_chosen({device})
        }

    def _choose(self, afi: int, nlri: bytes) -> RedistributedRoute | None:
        if _is_special(afi, nlri):
            return None
        for route in self._view.routes(afi, nlri):
            learned = self._learn(route)
            if learned is not None:
                return learned
        return None

    def _learn(self, route: RouteMessage) -> RedistributedRoute | None:
        kind, metric, source, raw_hops = route.image
        if kind not in _KINDS or route.tos or route.has_input_interface:
            return None
        if self._protocols is None:
            if route.protocol in (_UNSPECIFIED, _REDIRECT, _KERNEL):
                return None
        elif route.protocol not in self._protocols:
            return None
        links = self._view.links.by_index
        hops = tuple(
            Hop(gateway, links[index].name, is_onlink=is_onlink, weight=weight)
            for gateway, index, is_onlink, weight in raw_hops
            if index in links
        )
        if not self._is_chosen({hop.interface for hop in hops}):
            return None
        return RedistributedRoute(route.protocol, _KINDS[kind], metric, hops, source)

    def _is_chosen(self, names: set[str]) -> bool:
        if any(fnmatchcase(n, p) for n in names for p in self._unwanted):
            return False
        return not self._wanted or any(
            fnmatchcase(n, p) for n in names for p in self._wanted
        )


def _is_special(afi: int, nlri: bytes) -> bool:
    first = nlri[1:3].ljust(2, b"\0")
    if not nlri[0]:
        return False  # the default route is a route like others
    if afi == AFI_IPV4:
        # 127/8, 224/4 and above, 169.254/16
        return first[0] == 127 or first[0] >= 224 or first == b"\xa9\xfe"
    is_loopback = nlri == bytes([128]) + bytes(15) + b"\1"
    host = nlri[1:].ljust(16, b"\0")
    return is_link_local(host) or first[0] == 0xFF or is_loopback
