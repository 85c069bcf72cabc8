"""How one address is reached: the kernel's other routes and our own ones (RFC 4271 9.1.2.1).

A link-local address is on the link that it was heard on, and nowhere else (RFC 4007 9). Of two
addresses (RFC 2545 3) the global one counts where it is reached, else the link-local one: the
link is known, the prefix on it need not be.

The longest prefix that contains any other decides, whichever program put it there. One of our routes
leads to a next hop that is resolved in turn, level by level, until another program's route names a
device. Three things do not resolve a next hop:

* a path whose next hop is reached through the very address that is asked about. The route's
  next best path is tried instead, then shorter prefixes; so neither a gateway that announces
  its own address nor two that announce each other's makes a loop, and what comes out does
  not depend on what was there before;
* a default route, where the operator says so;
* for the address of an eBGP neighbour on one of our links, one of our routes that is longer
  than the link's prefix: it would draw all that goes to that neighbour elsewhere.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, Protocol

from fib.kernel_view import KernelView
from fib.netlink.rtnetlink import RT_TABLE_LOCAL, RTN_LOCAL, RTN_UNICAST, RouteMessage
from fib.next_hop_state import Prefix
from fib.routes import Hop
from rib.family import ADDRESS_OCTETS, AFI_IPV4, AFI_IPV6
from rib.nlri import Nlri, make_nlri
from rib.zones import is_link_local, parts_of, scoped

MOST_LEVELS: Final = 16  # our routes, one leading to the next
_MOST_LOOKS: Final = 256  # for one address; more mean a tangle of routes
IPV6_OCTETS: Final = ADDRESS_OCTETS[AFI_IPV6]
EVERY_LENGTH: Final = 255  # of a changed prefix that counts whatever decided


class Step(NamedTuple):
    """The next hop of one of our paths.

    Attributes:
        address: The next hop's key (``rib.zones``).
        device: The device that the kernel policy names, such as a tunnel; empty where
            the way to ``address`` says it.
    """

    address: bytes
    device: str = ""


class OwnRoute(NamedTuple):
    """One of our routes.

    Attributes:
        metric: The kernel's priority.
        is_discard: It leads nowhere, on purpose.
        groups: Its next hops: those that forward together, then those of each path that
            would take their place, best first.
        barred: Next hops of paths that cannot be used, perhaps because of a loop.
    """

    metric: int
    is_discard: bool
    groups: Iterable[Sequence[Step]]
    barred: Sequence[Step] = ()


class OwnRoutes(Protocol):
    """The routes that this speaker puts into the kernel."""

    def lengths(self, afi: int) -> Iterable[int]:
        """Return every prefix length that may occur, in bits."""

    def find(self, afi: int, nlri: Nlri) -> OwnRoute | None:
        """Return the route for one prefix."""

    def is_neighbour(self, address: bytes) -> bool:
        """Say whether an eBGP neighbour, one hop away, has this address."""


@dataclass(slots=True)
class Resolution:
    """What was found out about one address.

    Attributes:
        hops: Every usable way; empty for none.
        metric: Of the route of others at the end of the way.
        is_local: It is an address of this machine.
        through: Our routes on the way, the first one first.
        loop: Our route that was skipped because it leads back to an address
            it would have to resolve; ``None`` for none.
        looked_at: Each address that was looked up on the way, with the length of the
            shortest prefix that had a say: a shorter one changes nothing.
    """

    hops: tuple[Hop, ...] = ()
    metric: int = 0
    is_local: bool = False
    through: tuple[Prefix, ...] = ()
    loop: Prefix | None = None
    looked_at: dict[bytes, int] = field(default_factory=dict)


class Resolver:
    """Resolves addresses as things stand now.

    Args:
        view: Routes of others.
        own: Our routes; ``None`` leaves them out.
        uses_default: Whether a default route resolves.

    Attributes:
        looks: Addresses looked up so far, those on the way to others too.
    """

    def __init__(
        self, view: KernelView, own: OwnRoutes | None = None, *, uses_default: bool
    ) -> None:
        self._view = view
        self._own = own
        self._uses_default = uses_default
        self.looks = 0

    def resolve(self, address: bytes) -> Resolution:
        """Return how a next hop, by its key (``rib.zones``), is reached; 10 us a look."""
        question = _Question(self._view, self._own, uses_default=self._uses_default)
        found = question.ask(address, ())
        self.looks += question.looks
        return found


class _Question:
    """One address being resolved, with what was found out of others on the way."""

    def __init__(
        self, view: KernelView, own: OwnRoutes | None, *, uses_default: bool
    ) -> None:
        self._view = view
        self._own = own
        self._uses_default = uses_default
        self._known: dict[bytes, Resolution] = {}  # without a loop on the way
        self.looks = 0

    def ask(self, address: bytes, chain: tuple[bytes, ...]) -> Resolution:
        """Resolve an address that ``chain`` leads to."""
        known = self._known.get(address)
        if known is None:
            known = self._look(address, chain)
            if known.loop is None:
                self._known[address] = known
        return known

    def _look(self, address: bytes, chain: tuple[bytes, ...]) -> Resolution:
        self.looks += 1
        if is_link_local(address):
            return self._on_link(address)
        if len(address) > IPV6_OCTETS:
            return self._of_pair(address, chain)
        found = Resolution()
        looked_at = found.looked_at
        local = self._view.longest(address, RT_TABLE_LOCAL)
        if local is not None:
            looked_at[address] = len(address) * 8
            found.is_local = local.image[0] == RTN_LOCAL
            return found
        for length_bits, foreign, own in self._candidates(address):
            looked_at[address] = length_bits
            if own is None:
                self._take_foreign(found, address, foreign)
                return found
            if own.is_discard:
                return found
            afi = AFI_IPV4 if len(address) == 4 else AFI_IPV6
            place = afi, make_nlri(address, length_bits)
            if self._take_own(found, place, own, (*chain, address)):
                return found
        looked_at[address] = 0
        return found

    def _on_link(self, key: bytes) -> Resolution:
        """Resolve a link-local address; the view reports fe80::/10 with every link."""
        found = Resolution(looked_at={key: 0})
        address, _, zone = parts_of(key)
        link = self._view.links.by_name.get(zone)
        if link is not None and link.is_up:
            found.is_local = self._view.is_local(address, link.link)
            found.hops = () if found.is_local else (Hop(address, zone),)
        return found

    def _of_pair(self, key: bytes, chain: tuple[bytes, ...]) -> Resolution:
        """Resolve a global and a link-local address of one router."""
        address, link_local, zone = parts_of(key)
        beside = self._on_link(scoped(link_local, zone))
        known = self.ask(address, chain)
        found = known if known.hops or known.is_local else beside
        looked_at = {**known.looked_at, **beside.looked_at}
        return replace(found, looked_at=looked_at)

    def _candidates(
        self, address: bytes
    ) -> Iterator[tuple[int, RouteMessage | None, OwnRoute | None]]:
        """Yield each route that contains an address, ours or not, in order."""
        view, own = self._view, self._own
        afi = AFI_IPV4 if len(address) == 4 else AFI_IPV6
        lengths = {*view.lengths(afi)}
        if own is not None and not self._is_on_link_neighbour(own, address):
            lengths.update(own.lengths(afi))
        else:
            own = None
        for length_bits in sorted(lengths, reverse=True):
            if not length_bits and not self._uses_default:
                return
            nlri = make_nlri(address, length_bits)
            foreign = view.best(afi, nlri)
            mine = None if own is None else own.find(afi, nlri)
            is_first = foreign is None or (
                mine is not None and mine.metric < foreign.metric
            )
            if mine is not None and is_first:
                yield length_bits, None, mine
            if foreign is not None:
                yield length_bits, foreign, None

    def _is_on_link_neighbour(self, own: OwnRoutes, address: bytes) -> bool:
        if not own.is_neighbour(address):
            return False
        route = self._view.lookup(address)
        return (
            route is not None
            and route.image[0] == RTN_UNICAST
            and any(
                not gateway and self._view.is_usable((gateway, index, False, 1))
                for gateway, index, _, _ in route.image[3]
            )
        )

    def _take_foreign(
        self, found: Resolution, address: bytes, route: RouteMessage | None
    ) -> None:
        if route is None or route.image[0] != RTN_UNICAST:
            return
        view = self._view
        # The kernel finds our own route to an IPv6 gateway where it looks whether that is
        # on the link, and would refuse it.
        is_hidden = found.loop is not None and len(address) == IPV6_OCTETS
        found.metric = route.metric
        found.hops = tuple(
            Hop(
                gateway or address,
                view.links.by_index[index].name,
                is_onlink=is_onlink or (is_hidden and not gateway),
                weight=weight,
            )
            for gateway, index, is_onlink, weight in route.image[3]
            if view.is_usable((gateway, index, is_onlink, weight))
        )

    def _take_own(
        self,
        found: Resolution,
        place: Prefix,
        own: OwnRoute,
        chain: tuple[bytes, ...],
    ) -> bool:
        """Follow one of our routes; return false if it only leads back."""
        for group in own.groups:
            ways = [
                way
                for step in group
                if (way := self._follow(found, place, step, chain)) is not None
            ]
            if ways:
                found.hops = tuple(
                    dict.fromkeys(hop for way in ways for hop in way.hops)
                )
                found.metric = ways[0].metric
                found.through = (place, *ways[0].through)
                return True
        for step in own.barred:  # no way, but a loop to report; one is enough
            if found.loop is None:
                self._follow(found, place, step, chain)
        return False

    def _follow(
        self, found: Resolution, place: Prefix, step: Step, chain: tuple[bytes, ...]
    ) -> Resolution | None:
        """Resolve the next hop of one of our paths; ``None`` if it leads nowhere."""
        if step.address in chain:
            found.loop = found.loop or place
            return None
        if step.device:
            link = self._view.links.by_name.get(step.device)
            if link is None or not link.is_up:
                return None
            address = parts_of(step.address).address
            return Resolution((Hop(address, step.device, is_onlink=True),))
        if len(chain) > MOST_LEVELS or self.looks >= _MOST_LOOKS:
            found.loop = found.loop or place
            return None
        way = self.ask(step.address, chain)
        for address, length_bits in way.looked_at.items():
            known = found.looked_at.get(address, length_bits)
            found.looked_at[address] = min(known, length_bits)
        if way.loop is not None:
            found.loop = found.loop or way.loop
        return way if way.hops else None
