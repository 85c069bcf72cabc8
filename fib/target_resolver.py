"""From targets to what the kernel gets, and back.

Interface names become numbers, gateways the interface that reaches them, and hops on links
that are down are left out. Where nothing is left, a ``Fault`` says why.
"""

import errno
from sys import byteorder
from typing import Final

from fib.kernel_links import Links
from fib.netlink.rtnetlink import (
    DEFAULT_METRIC,
    RTA_GATEWAY,
    RTA_OIF,
    RTA_VIA,
    RTM_NEWROUTE,
    Image,
    RawHop,
    canonical_hops,
    parse_attributes,
    route_lookup,
)
from fib.netlink.sockets import RequestSocket
from fib.routes import Fault, Hop, Target, TargetKind
from rib.zones import is_link_local

NOT_CONNECTED: Final = Fault(errno.ENETUNREACH, "gateway is not directly connected")
NO_ZONE: Final = Fault(errno.ENETUNREACH, "the gateway's link is unknown")
_MOST_WEIGHT: Final = 256
_U32_LEN: Final = 4


class TargetResolver:
    """Resolves the targets of one family; nothing is remembered here.

    Args:
        afi: Which.
        sock: Where to ask which interface reaches a gateway.
        links: Kept up to date by the caller.
    """

    def __init__(self, afi: int, sock: RequestSocket, links: Links) -> None:
        self._afi = afi
        self._sock = sock
        self._links = links

    def resolve(self, target: Target) -> tuple[RawHop, ...] | Fault:
        """Return the hops of a target that can be used now, or why there are none."""
        weights: dict[tuple[bytes, int, bool], int] = {}
        fault: Fault | None = None
        for hop in target.hops:
            found = self._resolve_hop(hop)
            if isinstance(found, Fault):
                fault = fault or found
            else:  # the kernel rejects duplicate hops
                weights[found[:3]] = weights.get(found[:3], 0) + found[3]
        if not weights:
            return fault or Fault(errno.EINVAL, "the target has no hops")
        return canonical_hops(
            (*hop, min(w, _MOST_WEIGHT)) for hop, w in weights.items()
        )

    def _resolve_hop(self, hop: Hop) -> RawHop | Fault:
        if is_link_local(hop.gateway) and not hop.interface:
            return NO_ZONE
        if hop.interface:
            link = self._links.by_name.get(hop.interface)
            if link is None:
                return Fault(errno.ENODEV, f"there is no interface {hop.interface}")
        else:
            index = self._interface_towards(hop.gateway) if hop.gateway else 0
            if not index:
                return NOT_CONNECTED
            link = self._links.by_index.get(index)
            if link is None:
                return Fault(errno.ENODEV, f"no interface with number {index}")
        if not link.is_up:
            return Fault(errno.ENETDOWN, f"interface {link.name} is down")
        return hop.gateway, link.link, hop.is_onlink, hop.weight

    def _interface_towards(self, gateway: bytes) -> int:
        """Return the interface of a connected gateway; 0 where another one is between."""
        answers, fault = self._sock.ask(route_lookup(gateway))
        if fault is not None:
            return 0
        for data, item in answers:
            if item.type == RTM_NEWROUTE:
                found = parse_attributes(data, item.start + 12, item.end)
                if RTA_GATEWAY in found or RTA_VIA in found:
                    return 0
                octets = found.get(RTA_OIF, bytes(_U32_LEN))
                return int.from_bytes(octets, byteorder)
        return 0

    def describe(self, image: Image) -> Target:
        """Return the target that a route found in the kernel would have been made from."""
        kind, metric, source, hops = image
        if metric == DEFAULT_METRIC[self._afi]:
            metric = 0
        named = tuple(
            Hop(gateway, self._name(index), is_onlink=is_onlink, weight=weight)
            for gateway, index, is_onlink, weight in hops
        )
        try:
            known = TargetKind(kind)
        except ValueError:  # prohibit, throw: nothing we would write
            known = TargetKind.UNREACHABLE
        return Target(known, named, metric, source)

    def _name(self, index: int) -> str:
        link = self._links.by_index.get(index)
        return link.name if link is not None else f"if{index}"
