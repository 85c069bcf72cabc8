"""How BGP next hops are reached, and how that changes (RFC 4271 9.1.2.1).

Each watched address is resolved (``fib.resolution``), and again when a route changes that
had a say in it or could have, of others (``fib.kernel_view`` reports them) or our own (``note``
reports them). Only a change is delivered.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

from fib.interest import Interest
from fib.kernel_view import Changed, KernelView
from fib.netlink.rtnetlink import RT_TABLE_LOCAL
from fib.next_hop_state import NextHopState
from fib.resolution import EVERY_LENGTH, OwnRoutes, Resolver
from rib.family import AFI_IPV4, AFI_IPV6
from rib.nlri import Nlri

SLICE: Final = 256  # addresses looked up in one go, a few milliseconds


Deliver = Callable[[list[NextHopState]], None]


class NextHopWatch:
    """Watches addresses on a ``KernelView``.

    Args:
        view: Started by the caller, before or after.
        deliver: Called with the states that changed, never from within ``watch``.
        own: Our routes; ``None`` leaves them out.
        uses_default: Whether a default route leads to next hops.
        more: Called if more has changed than one pass checks; the caller then takes
            the steps of ``look_again``.
    """

    def __init__(
        self,
        view: KernelView,
        deliver: Deliver,
        own: OwnRoutes | None = None,
        *,
        uses_default: bool = True,
        more: Callable[[], None] | None = None,
    ) -> None:
        self._more = more
        self._view = view
        self._deliver = deliver
        self._resolver = Resolver(view, own, uses_default=uses_default)
        self._states: dict[bytes, NextHopState] = {}
        self._counts: dict[bytes, int] = {}
        self.interest: dict[int, Interest] = {
            AFI_IPV4: Interest(),
            AFI_IPV6: Interest(),
        }
        # Of each resolved address: what was looked up for it, and the other way round,
        # where that is another one.
        self._looked_at: dict[bytes, tuple[tuple[bytes, int], ...]] = {}
        self._asking: dict[bytes, set[bytes]] = {}
        self._waiting: dict[bytes, None] = {}  # affected by our changed routes
        view.subscribe(self._handle_changes)

    def close(self) -> None:
        """Watch nothing any more."""
        self._view.unsubscribe(self._handle_changes)
        self._waiting.clear()
        for key in [*self._states]:
            self._forget(key)

    def watch(self, address: bytes) -> NextHopState:
        """Return the present state of a next hop and have its changes delivered.

        Args:
            address: Its key: 4 or 16 octets, a link-local one with its zone
                (``rib.zones``).
        """
        self._counts[address] = self._counts.get(address, 0) + 1
        state = self._states.get(address)
        if state is None:
            state = self._states[address] = self._resolve(address)
        return state

    def unwatch(self, address: bytes) -> None:
        """Undo one ``watch``."""
        count = self._counts.get(address, 0) - 1
        if count > 0:
            self._counts[address] = count
        else:
            self._forget(address)

    def state(self, address: bytes) -> NextHopState | None:
        """Return what was last found; ``None`` if it is not watched."""
        return self._states.get(address)

    # -- what changed ------------------------------------------------------------------

    def note(self, afi: int, nlris: Collection[Nlri]) -> bool:
        """Note that our routes changed; return whether ``look_again`` has work."""
        touched = self.interest[afi].touched(nlris)
        if touched:
            self._waiting.update(dict.fromkeys(self._concerned(touched)))
        return bool(self._waiting)

    def note_all(self) -> None:
        """Note that any of our routes may lead elsewhere, as under another policy."""
        self._waiting.update(dict.fromkeys(self._states))

    def look_again(self) -> Iterator[None]:
        """Resolve again the next hops that our changed routes cover; each step does a slice."""
        while self._waiting:
            self._renew_some()
            yield

    def _concerned(self, touched: dict[bytes, int]) -> Iterator[bytes]:
        """Yield what rests on touched addresses, unless a longer prefix decided."""
        for address, length_bits in touched.items():
            for key in (address, *self._asking.get(address, ())):
                for other, decided in self._looked_at.get(key, ()):
                    if other == address and length_bits >= decided:
                        yield key

    def _handle_changes(self, changed: Changed) -> None:
        waiting = self._waiting
        for afi, interest in self.interest.items():
            # What table local has goes before all else, whatever its length.
            local = [
                n for a, table, n in changed if a == afi and table == RT_TABLE_LOCAL
            ]
            other = [
                n for a, table, n in changed if a == afi and table != RT_TABLE_LOCAL
            ]
            touched = interest.touched(other)
            touched.update(dict.fromkeys(interest.touched(local), EVERY_LENGTH))
            waiting.update(dict.fromkeys(self._concerned(touched)))
        self._renew_some()
        while waiting and self._more is None:
            self._renew_some()
        if waiting and self._more is not None:
            self._more()

    def _renew_some(self) -> None:
        """Resolve again what waits, as much as can be done in one go."""
        news = []
        resolver = self._resolver
        until = resolver.looks + SLICE
        while self._waiting and resolver.looks < until:
            key, _ = self._waiting.popitem()
            old = self._states.get(key)
            if old is None:
                continue  # watched no longer
            new = self._resolve(key)
            if new != old:
                self._states[key] = new
                news.append(new)
        if news:
            self._deliver(news)

    # -- resolving ---------------------------------------------------------------------

    def _resolve(self, address: bytes) -> NextHopState:
        found = self._resolver.resolve(address)
        self._rest_on(address, found.looked_at)
        if found.is_local:
            return NextHopState(address, is_reachable=True, is_local=True)
        if not found.hops:
            return NextHopState(address, loop=found.loop)
        first = found.hops[0]
        return NextHopState(
            address,
            interface=first.interface,
            is_reachable=True,
            metric=found.metric,
            gateway=first.gateway,
            hops=found.hops,
            through=found.through,
        )

    def _rest_on(self, key: bytes, looked_at: dict[bytes, int]) -> None:
        """Note which addresses a state rests on, in place of those of before."""
        before = {address for address, _ in self._looked_at.get(key, ())}
        self._looked_at[key] = tuple(looked_at.items())
        for address in looked_at.keys() - before:
            if address != key:
                self._asking.setdefault(address, set()).add(key)
            self._interest_in(address).add(address)
        self._rest_no_more(key, before - looked_at.keys())

    def _rest_no_more(self, key: bytes, addresses: Iterable[bytes]) -> None:
        for address in addresses:
            if address != key:
                asking = self._asking[address]
                asking.discard(key)
                if not asking:
                    del self._asking[address]
            self._interest_in(address).remove(address)

    def _interest_in(self, address: bytes) -> Interest:
        return self.interest[AFI_IPV4 if len(address) == 4 else AFI_IPV6]

    def _forget(self, key: bytes) -> None:
        self._counts.pop(key, None)
        self._states.pop(key, None)
        looked_at = self._looked_at.pop(key, ())
        self._rest_no_more(key, [address for address, _ in looked_at])
