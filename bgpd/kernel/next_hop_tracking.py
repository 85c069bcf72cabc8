"""How next hops are reached: through the routing table, or through one of our gateways.

A static route of our own (Calico's ``reachableBy``) names the gateway of some next hops:
these are reached as the gateway is.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from fib.next_hop_state import NextHopState
from rib.attributes.text import format_next_hop
from rib.next_hops import Reachability
from rib.nlri import Nlri, format_prefix
from rib.zones import parts_of

if TYPE_CHECKING:  # only where the kernel is followed
    from fib.kernel_view import KernelView
    from fib.next_hop_watch import NextHopWatch
    from fib.resolution import OwnRoutes

_log = logging.getLogger(__name__)

Deliver = Callable[[list[NextHopState], list[bytes]], None]


class NextHopTracker:
    """The next hops in use and how each resolves, by their keys (``rib.zones``).

    What a ``NextHopTable`` asks (``rib.next_hops.NextHopResolver``). Until ``follow``, and for
    good where next hops are trusted, each is taken for reachable, and none is watched.

    Attributes:
        states: By key, as last found; empty if tracking is off.
    """

    def __init__(self) -> None:
        self.states: dict[bytes, NextHopState] = {}
        self._deliver: Deliver | None = None
        self._watch: NextHopWatch | None = None
        self._gateways: dict[bytes, bytes] = {}
        self._watched: dict[bytes, bytes] = {}  # next hop -> what is watched for it

    def follow(
        self,
        view: "KernelView",
        own: "OwnRoutes | None",
        deliver: Deliver,
        *,
        uses_default: bool = True,
        more: Callable[[], None] | None = None,
    ) -> "NextHopWatch":
        """Track the kernel from now on.

        Args:
            view: As ``NextHopWatch`` takes it, which is returned.
            own: Likewise.
            deliver: Takes the states that changed, and the keys of those among them that are
                reached another way than before.
            uses_default: As ``NextHopWatch`` takes it.
            more: Likewise.
        """
        from fib.next_hop_watch import NextHopWatch  # noqa: PLC0415  # for this alone

        self._deliver = deliver
        watch = NextHopWatch(
            view, self._changed, own, uses_default=uses_default, more=more
        )
        self._watch = watch
        return watch

    def note(self, afi: int, nlris: Collection[Nlri]) -> bool:
        """Note that some of our routes changed; return whether ``look_again`` has work."""
        return self._watch is not None and self._watch.note(afi, nlris)

    def note_all(self) -> None:
        """Note that any of our routes may lead elsewhere."""
        if self._watch is not None:
            self._watch.note_all()

    def look_again(self) -> Iterator[None]:
        """Deliver the effect of our changed routes on next hops, a slice for each step."""
        return iter(()) if self._watch is None else self._watch.look_again()

    def gateway_of(self, address: bytes) -> bytes:
        """Return the gateway of a next hop, by default itself."""
        return self._gateways.get(parts_of(address).address, address)

    def close(self) -> None:
        """Stop tracking."""
        if self._watch is not None:
            self._watch.close()

    def resolve(self, key: bytes) -> Reachability:
        """Begin to track a next hop; return its state for the decision process."""
        return reachability(self.track(key))

    def track(self, address: bytes) -> NextHopState:
        """Begin to track a next hop; return its present state."""
        if self._watch is None:
            return NextHopState(address, is_reachable=True)
        target = self._watched[address] = self.gateway_of(address)
        state = replace(self._watch.watch(target), address=address)
        self.states[address] = state
        _warn_of_loop(state)
        return state

    def release(self, key: bytes) -> None:
        """Stop tracking a next hop."""
        self.states.pop(key, None)
        target = self._watched.pop(key, None)
        if self._watch is not None and target is not None:
            self._watch.unwatch(target)

    def reach_through(self, gateways: Mapping[bytes, bytes]) -> None:
        """Replace the gateways, and deliver what that changes."""
        self._gateways = dict(gateways)
        states = []
        for address, target in [*self._watched.items()]:
            if target == self.gateway_of(address):
                continue
            old, new = self.states[address], self.track(address)
            if self._watch is not None:
                self._watch.unwatch(target)
            if new != old:
                states.append((old, new))
        self._notify(states)

    def _changed(self, found: list[NextHopState]) -> None:
        by_target = {state.address: state for state in found}
        states = []
        for address, target in self._watched.items():
            if target in by_target:
                new = replace(by_target[target], address=address)
                states.append((self.states[address], new))
                self.states[address] = new
        self._notify(states)

    def _notify(self, states: list[tuple[NextHopState, NextHopState]]) -> None:
        for old, new in states:
            if new.loop is not None and old.loop is None:
                _warn_of_loop(new)
        if states and self._deliver is not None:
            moved = [
                new.address for old, new in states if new.hops and old.hops != new.hops
            ]
            self._deliver([new for _, new in states], moved)


def reachability(state: NextHopState) -> Reachability:
    """Return the state for the decision process; our own address leads nowhere."""
    return Reachability(
        state.address,
        state.is_reachable and not state.is_local,
        state.metric,
        state.interface,
        state.is_local,
    )


def _warn_of_loop(state: NextHopState) -> None:
    if state.loop is not None:
        afi, nlri = state.loop
        address, _, zone = parts_of(state.address)
        _log.warning(
            "next hop %(next_hop)s resolves only through itself, by way of %(prefix)s; its "
            "routes are unusable",
            {
                "event": "resolution-loop",
                "next_hop": format_next_hop(address, zone),
                "prefix": format_prefix(nlri, afi),
            },
        )
