"""How BGP next hops are reached, without BGP's own routes (RFC 4271 9.1.2.1).

Each watched address is looked up, longest prefix first, among the kernel's other routes.
Only a change is told. The lookup is repeated for those addresses that a changed prefix
covers, and for all of them when a link changes.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fib.kernel_view import Changed, KernelView
from fib.routes import Hop
from fib.rtnetlink import RTN_LOCAL, RTN_UNICAST
from rib.nlri import make_nlri


@dataclass(frozen=True, slots=True)
class NextHopState:
    """What is known of the way to one next hop.

    Attributes:
        address: 4 or 16 octets, as watched.
        interface: As watched with a link-local address, else the way out; empty if
            there is none.
        is_reachable: Paths through it are eligible.
        metric: The covering route's kernel metric: interior cost (RFC 4271 9.1.2.2 e).
        gateway: Whom to send to: ``address`` itself where it is directly connected.
        hops: Every usable way, ready for a ``Target``; more than one over ECMP.
        is_local: It is an address of this machine.
    """

    address: bytes
    interface: str = ""
    is_reachable: bool = False
    metric: int = 0
    gateway: bytes = b""
    hops: tuple[Hop, ...] = ()
    is_local: bool = False


Deliver = Callable[[list[NextHopState]], None]
_Watched = tuple[bytes, str]


class NextHopWatch:
    """Watches addresses on a ``KernelView``.

    Args:
        view: Started by the caller, before or after.
        deliver: Called with the states that changed, never from within ``watch``.
    """

    def __init__(self, view: KernelView, deliver: Deliver) -> None:
        self._view = view
        self._deliver = deliver
        self._states: dict[_Watched, NextHopState] = {}
        self._counts: dict[_Watched, int] = {}
        view.subscribe(self._handle_changes)

    def close(self) -> None:
        """Watch nothing any more."""
        self._view.unsubscribe(self._handle_changes)
        self._states.clear()
        self._counts.clear()

    def watch(self, address: bytes, interface: str = "") -> NextHopState:
        """Return the present state of ``address`` and have its changes delivered.

        Args:
            address: 4 or 16 octets.
            interface: The device of an IPv6 link-local address, which means nothing
                without.
        """
        key = (address, interface)
        self._counts[key] = self._counts.get(key, 0) + 1
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = self._resolve(address, interface)
        return state

    def unwatch(self, address: bytes, interface: str = "") -> None:
        """Undo one ``watch``."""
        key = (address, interface)
        count = self._counts.get(key, 0) - 1
        if count > 0:
            self._counts[key] = count
        else:
            self._counts.pop(key, None)
            self._states.pop(key, None)

    def state(self, address: bytes, interface: str = "") -> NextHopState | None:
        """Return what was last found; ``None`` if it is not watched."""
        return self._states.get((address, interface))

    def _handle_changes(self, changed: Changed) -> None:
        prefixes = {(afi, nlri) for afi, _, nlri in changed}
        lengths = {(afi, nlri[0]) for afi, nlri in prefixes}
        news = []
        for key, old in self._states.items():
            address, interface = key
            afi = 1 if len(address) == 4 else 2
            is_touched = bool(interface) or any(
                (afi, make_nlri(address, bits)) in prefixes
                for family, bits in lengths
                if family == afi
            )
            if is_touched:
                new = self._resolve(address, interface)
                if new != old:
                    self._states[key] = new
                    news.append(new)
        if news:
            self._deliver(news)

    def _resolve(self, address: bytes, interface: str) -> NextHopState:
        view = self._view
        if interface:
            link = view.links.by_name.get(interface)
            if link is None or not link.is_up:
                return NextHopState(address, interface)
            return NextHopState(
                address,
                interface,
                is_reachable=True,
                gateway=address,
                hops=(Hop(address, interface),),
            )
        route = view.lookup(address)
        if route is None:
            return NextHopState(address)
        kind, metric, _, raw_hops = route.image
        if kind == RTN_LOCAL:
            return NextHopState(address, is_reachable=True, is_local=True)
        if kind != RTN_UNICAST:
            return NextHopState(address)
        ways = tuple(
            Hop(
                gateway or address,
                view.links.by_index[index].name,
                is_onlink=is_onlink,
                weight=weight,
            )
            for gateway, index, is_onlink, weight in raw_hops
            if view.is_usable((gateway, index, is_onlink, weight))
        )
        if not ways:
            return NextHopState(address)
        return NextHopState(
            address,
            interface=ways[0].interface,
            is_reachable=True,
            metric=metric,
            gateway=ways[0].gateway,
            hops=ways,
        )
