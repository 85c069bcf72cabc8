"""Routing tables for next hops to be resolved in, without a kernel."""

from collections.abc import Iterable, Sequence

from fib.kernel_view import KernelView
from fib.netlink.rtnetlink import (
    RT_TABLE_LOCAL,
    RT_TABLE_MAIN,
    RTN_LOCAL,
    RTN_UNICAST,
    LinkMessage,
    RawHop,
    RouteMessage,
)
from fib.resolution import OwnRoute, Step
from rib.nlri import Nlri, parse_address, parse_prefix
from rib.zones import is_link_local, scoped

ETH0, ETH1, TUNL0 = 2, 3, 4
BLACKHOLE = 6


class Own:
    """Our own routes; implements ``fib.resolution.OwnRoutes``."""

    def __init__(self) -> None:
        self.table: dict[tuple[int, Nlri], OwnRoute] = {}
        self.neighbours: set[bytes] = set()

    def lengths(self, afi: int) -> Iterable[int]:
        return {nlri[0] for other, nlri in self.table if other == afi}

    def find(self, afi: int, nlri: Nlri) -> OwnRoute | None:
        return self.table.get((afi, nlri))

    def is_neighbour(self, address: bytes) -> bool:
        return address in self.neighbours

    def put(
        self, prefix: str, *groups: str, metric: int = 32, barred: str = ""
    ) -> None:
        """Let a prefix lead to groups of next hops, ``10.0.0.1 10.0.0.2%tunl0``."""
        made = tuple(map(_steps, groups))
        route = OwnRoute(metric, not groups and not barred, made, _steps(barred))
        self.table[parse_prefix(prefix)] = route


def _steps(text: str) -> Sequence[Step]:
    steps = []
    for each in text.split():
        address, _, device = each.partition("%")
        octets = parse_address(address)
        is_zone = is_link_local(octets)  # else a device that policy names
        key = scoped(octets, device) if is_zone else octets
        steps.append(Step(key, "" if is_zone else device))
    return steps


class Ground:
    """The kernel's routes of others and the links eth0, eth1 and tunl0."""

    def __init__(self) -> None:
        self.view = KernelView()
        self.own = Own()
        for index, name in ((ETH0, "eth0"), (ETH1, "eth1"), (TUNL0, "tunl0")):
            self.link(index, name)

    def link(self, index: int, name: str, *, is_up: bool = True) -> None:
        self.view.links.update(LinkMessage(index, name, is_up, is_up))

    def foreign(
        self,
        prefix: str,
        *hops: tuple[str, int],
        metric: int = 0,
        kind: int = RTN_UNICAST,
    ) -> None:
        """Put a route of others: hops are gateways, empty on the link, and devices."""
        raw: list[RawHop] = [
            (parse_address(gateway) if gateway else b"", index, False, 1)
            for gateway, index in hops
        ]
        self._put(RT_TABLE_MAIN, prefix, metric, kind, raw)

    def local(self, address: str, index: int = 1) -> None:
        self._put(RT_TABLE_LOCAL, address, 0, RTN_LOCAL, [(b"", index, False, 1)])

    def _put(
        self, table: int, prefix: str, metric: int, kind: int, raw: list[RawHop]
    ) -> None:
        afi, nlri = parse_prefix(prefix)
        route = RouteMessage(
            afi=afi,
            nlri=nlri,
            table=table,
            protocol=4,
            tos=0,
            metric=metric,
            object_id=0,
            has_input_interface=False,
            image=(kind, metric, b"", tuple(raw)),
        )
        self.view.put((afi, table, nlri), [route])
