"""The next hops in use, one object each, so that a change of one is one store.

Pure: a ``NextHopResolver`` is asked once for each new address, and the code that watches the kernel
later passes its state to ``apply``; ``apply`` answers with the next hops whose paths must
be decided again (RFC 4271 9.1.2.1).
"""

from collections.abc import Callable, Iterable, Iterator
from sys import getrefcount, maxsize
from typing import Final, NamedTuple, Protocol

from rib.path import NextHop
from rib.references import UNUSED
from rib.zones import scoped

DISCARDS: Final = frozenset({bytes(4), bytes(16)})
"""Next hops of routes whose packets are dropped here: the unspecified addresses, which no peer can
send as a next hop and nothing resolves."""
_FLOOR: Final = 4096  # next hops below which only upkeep looks
_SLICE: Final = 2048  # looked at in one go; each that goes may be a word to the kernel
_PAIR: Final = 32  # octets of a global and a link-local address


class Reachability(NamedTuple):
    """The state of one next hop.

    Attributes:
        address: Its key (``rib.zones``); 4 or 16 octets for most.
        is_reachable: A route that BGP did not make leads there.
        metric: Its cost (RFC 4271 9.1.2.2 e).
        interface: The device of that way; empty where unknown.
        is_local: It is an address of this machine.
    """

    address: bytes
    is_reachable: bool
    metric: int = 0
    interface: str = ""
    is_local: bool = False


class NextHopResolver(Protocol):
    """Resolves next hops, by their keys (``rib.zones``)."""

    def resolve(self, key: bytes) -> Reachability:
        """Begin to track a next hop; return its present state, with the same key."""

    def release(self, key: bytes) -> None:
        """Stop tracking a next hop that no path has any more."""


class TrustingResolver:
    """Treats every next hop as reachable, as a reflector off the forwarding path must."""

    def resolve(self, key: bytes) -> Reachability:
        """See ``NextHopResolver``."""
        return Reachability(key, is_reachable=True)

    def release(self, key: bytes) -> None:
        """See ``NextHopResolver``."""


TRUSTING: Final = TrustingResolver()


class NextHopTable:
    """Interns next hops by address, and by link if the address needs one.

    Args:
        resolver: Asked once for each new key.

    Attributes:
        known: Returns the object for a key that ``get`` has seen, else ``None``.
    """

    def __init__(self, resolver: NextHopResolver = TRUSTING) -> None:
        self._resolver = resolver
        # A field of 32 octets whose link is not known shares the object of its first 16.
        self._by_field: dict[bytes, NextHop] = {}
        self.known: Callable[[bytes], NextHop | None] = self._by_field.get
        self._next_sweep = _FLOOR

    def __len__(self) -> int:
        return len(self._by_field)

    def beside(self, resolver: NextHopResolver) -> "NextHopTable":
        """Return another table with the same objects; only that one gets what is new there.

        Args:
            resolver: Asked for what neither has.
        """
        other = NextHopTable(resolver)
        other._by_field.update(self._by_field)
        return other

    def get(self, octets: bytes, zone: str = "") -> NextHop:
        """Return the object for a next-hop field of 0, 4, 16 or 32 octets.

        Of an IPv6 pair the global address counts where the link is not known (RFC 2545 3).
        What is originated here has none, and needs no way.

        Args:
            octets: The field.
            zone: The device over which it came; empty where that peer is not next door.
        """
        if zone and len(octets) > 4:
            octets = scoped(octets, zone)
        found = self._by_field.get(octets)
        return self._make(octets) if found is None else found

    def _make(self, octets: bytes) -> NextHop:
        address = octets[:16]
        if len(octets) == _PAIR:
            made = self.get(address)
        elif address and octets not in DISCARDS:
            _, is_reachable, metric, interface, is_local = self._resolver.resolve(
                octets
            )
            made = NextHop(
                address,
                key=octets,
                is_reachable=is_reachable,
                metric=metric,
                interface=interface,
                is_local=is_local,
            )
        else:
            made = NextHop(address)
        self._by_field[octets] = made
        return made

    def apply(self, states: Iterable[Reachability]) -> list[NextHop]:
        """Store new states of addresses; return the next hops that changed."""
        changed = []
        for address, is_reachable, metric, interface, is_local in states:
            hop = self._by_field.get(address)
            if hop is None:
                continue
            state = (is_reachable, metric, interface, is_local)
            if state == (hop.is_reachable, hop.metric, hop.interface, hop.is_local):
                continue
            hop.is_reachable, hop.metric, hop.interface, hop.is_local = state
            changed.append(hop)
        return changed

    @property
    def is_due(self) -> bool:
        """Whether there are twice as many as the last sweep left."""
        return len(self._by_field) >= self._next_sweep

    def sweep_unused(self) -> Iterator[list[bytes]]:
        """Forget next hops that no path has, in slices; yields their keys.

        Exact, by CPython's reference count: a path that a session remembers for later
        prefixes keeps its next hop too.
        """
        self._next_sweep = maxsize  # at once: no other is due before this one has ended
        return self._slices()

    def _slices(self) -> Iterator[list[bytes]]:
        fields = list(self._by_field)
        # Pairs first: they are made again from their global address when one is met.
        for pairs in _sliced([octets for octets in fields if len(octets) == _PAIR]):
            for octets in pairs:
                del self._by_field[octets]
            yield []
        for addresses in _sliced([octets for octets in fields if len(octets) != _PAIR]):
            yield self._forget_unused(addresses)
        self._next_sweep = max(_FLOOR, 2 * len(self._by_field))

    def _forget_unused(self, addresses: Iterable[bytes]) -> list[bytes]:
        by_field = self._by_field
        gone = []
        for octets in addresses:
            hop = by_field.get(octets)
            if hop is not None and getrefcount(hop) <= UNUSED:
                del by_field[octets]
                if octets and octets not in DISCARDS:
                    gone.append(octets)
                    self._resolver.release(octets)
        return gone

    def forget_unused(self) -> list[bytes]:
        """Do the whole of ``sweep_unused`` at once; return the addresses."""
        return [address for some in self.sweep_unused() for address in some]


def _sliced(octets: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(octets), _SLICE):
        yield octets[start : start + _SLICE]
