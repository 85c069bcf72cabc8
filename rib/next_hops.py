"""The next hops in use, one object each, so that a change of one is one store.

Pure: whoever watches the kernel (or nobody, where next hops are trusted) tells
``apply`` what became of an address; it answers with the next hops whose paths must be
decided again (RFC 4271 9.1.2.1).
"""

from collections.abc import Iterable
from typing import NamedTuple

from rib.path import NextHop


class Reachability(NamedTuple):
    """What is known of the way to one address.

    Attributes:
        address: 4 or 16 octets.
        is_reachable: A route that BGP did not make leads there.
        metric: Its cost (RFC 4271 9.1.2.2 e).
    """

    address: bytes
    is_reachable: bool
    metric: int = 0


class NextHopTable:
    """Interns next hops by address.

    Args:
        trusts: New next hops count as reachable at metric 0. Otherwise they are
            unreachable until ``apply`` says better, and ``drain_new`` lists them so that
            somebody starts to watch them.
    """

    def __init__(self, *, trusts: bool) -> None:
        self._trusts = trusts
        self._by_address: dict[bytes, NextHop] = {}
        self._new: list[bytes] = []

    def get(self, octets: bytes) -> NextHop:
        """Return the object for a next-hop field of 0, 4, 16 or 32 octets.

        Of an IPv6 pair the global address counts (RFC 2545 3).
        """
        found = self._by_address.get(octets)
        if found is None:
            found = self._make(octets)
        return found

    def _make(self, octets: bytes) -> NextHop:
        address = octets[:16]
        if len(octets) > len(address):
            shared = self._by_address[octets] = self.get(address)
            return shared
        made = NextHop(address, is_reachable=self._trusts or not address)
        self._by_address[address] = made
        if address and not self._trusts:
            self._new.append(address)
        return made

    def drain_new(self) -> list[bytes]:
        """Return the addresses met since the last call, and forget them."""
        new, self._new = self._new, []
        return new

    def apply(self, states: Iterable[Reachability]) -> list[NextHop]:
        """Store what became of addresses; return the next hops that changed."""
        changed = []
        for address, is_reachable, metric in states:
            hop = self._by_address.get(address)
            if hop is None or (hop.is_reachable, hop.metric) == (is_reachable, metric):
                continue
            hop.is_reachable, hop.metric = is_reachable, metric
            changed.append(hop)
        return changed

    def unused(self, is_used: Iterable[NextHop]) -> list[bytes]:
        """Forget next hops that are not among ``is_used``; return their addresses."""
        keep = set(is_used)
        gone = [a for a, hop in self._by_address.items() if a and hop not in keep]
        for address in gone:
            del self._by_address[address]
        return gone

    def __iter__(self) -> Iterable[NextHop]:  # type: ignore[override]
        return iter(dict.fromkeys(self._by_address.values()))
