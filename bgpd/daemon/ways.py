"""How next hops are reached: as the kernel's other routes say, or through a gateway of ours.

A static route of our own (Calico's ``reachableBy``) is no route of others, so nothing in
the kernel that BGP may stand on would lead to such a next hop: it is reached as its
gateway is.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from fib.kernel_view import KernelView
from fib.next_hop_watch import NextHopState, NextHopWatch

Deliver = Callable[[list[NextHopState], list[bytes]], None]


class Ways:
    """The next hops in use and the way to each.

    Args:
        deliver: Takes the states that changed, and the addresses of those among them
            that are reached another way than before.

    Attributes:
        states: By address, as last found; empty where nobody watches.
    """

    def __init__(self, deliver: Deliver) -> None:
        self.states: dict[bytes, NextHopState] = {}
        self._deliver = deliver
        self._watch: NextHopWatch | None = None
        self._gateways: dict[bytes, bytes] = {}
        self._watched: dict[bytes, bytes] = {}  # next hop -> what is watched for it

    def follow(self, view: KernelView) -> None:
        """Watch the kernel from now on."""
        self._watch = NextHopWatch(view, self._changed)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._watch is not None:
            self._watch.close()

    def resolve(self, address: bytes) -> NextHopState:
        """Begin to watch a next hop; return what is known of it now."""
        if self._watch is None:
            return NextHopState(address, is_reachable=True)
        target = self._watched[address] = self._gateways.get(address, address)
        state = replace(self._watch.watch(target), address=address)
        self.states[address] = state
        return state

    def release(self, address: bytes) -> None:
        """Watch a next hop no longer."""
        self.states.pop(address, None)
        target = self._watched.pop(address, None)
        if self._watch is not None and target is not None:
            self._watch.unwatch(target)

    def reach_through(self, gateways: Mapping[bytes, bytes]) -> None:
        """Take other gateways than so far; what that changes is delivered."""
        before, self._gateways = self._gateways, dict(gateways)
        differ = before.items() ^ self._gateways.items()
        states = []
        for address in {address for address, _ in differ} & self._watched.keys():
            old, target = self.states[address], self._watched[address]
            new = self.resolve(address)
            if self._watch is not None:
                self._watch.unwatch(target)
            if new != old:
                states.append((old, new))
        self._tell(states)

    def _changed(self, found: list[NextHopState]) -> None:
        by_target = {state.address: state for state in found}
        states = []
        for address, target in self._watched.items():
            if target in by_target:
                new = replace(by_target[target], address=address)
                states.append((self.states[address], new))
                self.states[address] = new
        self._tell(states)

    def _tell(self, states: list[tuple[NextHopState, NextHopState]]) -> None:
        if states:
            moved = [
                new.address for old, new in states if new.hops and old.hops != new.hops
            ]
            self._deliver([new for _, new in states], moved)
