"""Loc-RIB -> kernel: which target each entry of the table has.

A target is made once per distinct entry (and fate in the kernel policy), and prefixes that
share it are submitted in one batch. Routes that we originate as own blocks are blackholes,
so that addresses of a block that no workload uses do not bounce between nodes; routes
learned from the kernel are not given back to it.

While we recover from a restart, what an earlier run left in the kernel stays: the first
path of a prefix that is heard need not be the best, and may be gone a moment later.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from bgpd.config.settings import FibSettings
from bgpd.pipeline.local_sources import LocalSources
from fib.kernel_policy import KernelDecision, KernelPolicy, KernelRules
from fib.next_hop_state import NextHopState
from fib.routes import Fib, Hop, Target, TargetKind
from rib.change import Change
from rib.family import Family
from rib.loc_rib import LocRib
from rib.memo import Memo
from rib.next_hops import DISCARDS
from rib.nlri import Nlri
from rib.path import Path, SourceKind
from rib.path_set import Entry, best_of, multipath_of
from rib.zones import parts_of

SUBMIT_SLICE: Final = 8192  # prefixes looked at in one go, a few milliseconds
_MEMO_MAX: Final = 16384
_FROM_PEERS: Final = frozenset({SourceKind.EBGP, SourceKind.IBGP})
ACCEPTED: Final = KernelDecision(True, None, "", "")
"""What a kernel policy that says nothing makes of every path."""

_UNKNOWN: Final = Target(TargetKind.BLACKHOLE)  # compared by identity

_Outcome = tuple[KernelDecision, ...]
# What a target is made of: its metric, and each next hop's key with the policy's device.
_TargetKey = tuple[int, tuple[tuple[bytes, str], ...]]


class RouteProgrammer:
    """Submits one family's routes.

    Args:
        fib: The kernel's table.
        family: Of the routes.
        settings: Metric and table.
        ways: Next hop, by its key -> how it is reached; a missing one is its own gateway.
        origins: Whose routes are ours to write, beside those of peers.
    """

    def __init__(
        self,
        fib: Fib,
        family: Family,
        settings: FibSettings,
        ways: Mapping[bytes, NextHopState],
        origins: LocalSources,
    ) -> None:
        self._fib = fib
        self._family = family
        self._metric = settings.metric
        self._ways = ways
        self._blackholes = origins.blocks
        self._programmed = origins.programmed
        self._rules = KernelRules(KernelPolicy(), family)
        self._memo: Memo[tuple[Entry, _Outcome], Target | None] = Memo(_MEMO_MAX)
        self._target_keys: dict[_TargetKey, Target | None] = {}
        self._knows_recipes = True
        self._found: AbstractSet[Nlri] | None = None
        self._held: set[Nlri] = set()

    # -- after our restart --------------------------------------------------------

    def hold(self) -> None:
        """Leave routes alone that are stale in the kernel, until ``release``."""
        self._found = self._fib.stale(self._family)

    def release(self, loc_rib: LocRib) -> None:
        """Submit what was held."""
        self._found = None
        held, self._held = self._held, set()
        for entry, nlris in _by_entry(loc_rib, held).items():
            for target, members in self.divide(entry, nlris):
                self._fib.submit(self._family, members, target)

    def _unheld(self, new: Entry | None, nlris: Sequence[Nlri]) -> Sequence[Nlri]:
        """Return the prefixes that may be submitted already, and note the others.

        No path of a peer will be better than one of our own.
        """
        best, found = best_of(new), self._found
        if not found or (best is not None and best.source in self._programmed):
            return nlris
        self._held.update(nlri for nlri in nlris if nlri in found)
        return [nlri for nlri in nlris if nlri not in found]

    # -- what is wanted -----------------------------------------------------------------

    @property
    def policy(self) -> KernelPolicy:
        """The kernel policy in force."""
        return self._rules.spec

    # hot: per batch
    def changed(self, changes: Sequence[Change]) -> None:
        """Submit flushed changes."""
        submit, family = self._fib.submit, self._family
        for old, new, nlris in changes:
            was_ours = bool(self._forwarding(old))
            if self._found:
                nlris = self._unheld(new, nlris)  # noqa: PLW2901  # what is left
            for target, members in self.divide(new, nlris):
                if target is not None or was_ours:
                    submit(family, members, target)

    def predict(self, after: Mapping[Entry, Entry | None]) -> None:
        """Apply a prediction at once, instead of prefix by prefix.

        Where everything that leads to a target is about to lead to one other target, the
        kernel's next-hop object moves; the changes that follow find it there. A target of
        which one prefix is about to lose its only path does not move: the other gateway
        need not know that prefix, and may send its packets back.

        Args:
            after: What each entry of Loc-RIB will be; all earlier changes are
                submitted.
        """
        if self._found or not self._rules.accepts_all:
            return
        becomes: dict[Target | None, set[Target | None]] = {}
        for entry, successor in after.items():
            target = self._leads_to(entry)
            becomes.setdefault(target, set()).add(self._leads_to(successor))
        moves = {
            old: new
            for old, (new, *others) in becomes.items()
            if not others and old and new and old != new and old.can_become(new)
        }
        for old, new in moves.items():
            if new not in moves:  # one after the other they would be mixed up
                self._fib.retarget(self._family, old, new)

    def _leads_to(self, entry: Entry | None) -> Target | None:
        """Return the target of an entry if no kernel policy divides its prefixes."""
        paths = self._forwarding(entry)
        if entry is None or not paths:
            return None
        return self._target(entry, paths, (ACCEPTED,) * len(paths))

    def divide(
        self, entry: Entry | None, nlris: Sequence[Nlri]
    ) -> list[tuple[Target | None, Sequence[Nlri]]]:
        """Return where prefixes of one entry lead; ``None`` if we install no route."""
        if self._rules.accepts_all:
            return [(self._leads_to(entry), nlris)]
        paths = self._forwarding(entry)
        if entry is None or not paths:
            return [(None, nlris)]
        return [
            (self._target(entry, paths, outcome), members)
            for outcome, members in self._outcomes(paths, nlris)
        ]

    def dispositions(
        self, paths: Sequence[Path], nlri: Nlri
    ) -> Sequence[KernelDecision]:
        """Return what happens to each of some paths if it carries a prefix."""
        if self._rules.accepts_all:
            return (ACCEPTED,) * len(paths)
        return [self._rules.divide((nlri,), path)[0][1] for path in paths]

    def _outcomes(
        self, paths: Sequence[Path], nlris: Sequence[Nlri]
    ) -> list[tuple[_Outcome, Sequence[Nlri]]]:
        """Apply the kernel policy to each path that forwards."""
        groups: list[tuple[_Outcome, Sequence[Nlri]]] = [((), nlris)]
        for path in paths:
            groups = [
                ((*outcome, decision), part)
                for outcome, members in groups
                for part, decision in self._rules.divide(members, path)
            ]
        return groups

    def _forwarding(self, entry: Entry | None) -> Sequence[Path]:
        """Return the paths of an entry for the kernel, the best one first."""
        best = best_of(entry)
        if best is None:
            return ()
        if best.source.kind not in _FROM_PEERS:
            return (best,) if best.source in self._programmed else ()
        if not best.next_hop.address:
            return ()  # of a speaker on this machine: it ends here
        paths = multipath_of(entry)
        if len(paths) == 1 or is_discarded(best):
            return (best,)
        return [
            path
            for path in paths
            if path.source.kind in _FROM_PEERS
            and path.next_hop.address
            and not is_discarded(path)
        ]

    def _target(
        self, entry: Entry, paths: Sequence[Path], outcome: _Outcome
    ) -> Target | None:
        memo, key = self._memo, (entry, outcome)
        if key in memo:
            return memo[key]
        target = memo.recall(key, _UNKNOWN)
        if target is _UNKNOWN:
            target = memo.put(key, self._make_target(paths, outcome))
        return target

    def _make_target(self, paths: Sequence[Path], outcome: _Outcome) -> Target | None:
        if not outcome[0].is_accepted:
            return None
        metric = self._metric if outcome[0].metric is None else outcome[0].metric
        if paths[0].source is self._blackholes or is_discarded(paths[0]):
            return Target(TargetKind.BLACKHOLE, metric=metric)
        steps = tuple(
            (path.next_hop.key, decision.device)
            for path, decision in zip(paths, outcome, strict=True)
            if decision.is_accepted
        )
        target_key = metric, tuple(dict.fromkeys(steps))
        if target_key not in self._target_keys:
            if len(self._target_keys) >= _MEMO_MAX:
                self._target_keys.clear()
                self._knows_recipes = False
            self._target_keys[target_key] = self._build(target_key)
        return self._target_keys[target_key]

    def _build(self, target_key: _TargetKey) -> Target | None:
        metric, steps = target_key
        hops = dict.fromkeys(hop for step in steps for hop in self._hops(*step))
        if not hops:
            return None
        group = b"".join(
            address for address, device in steps if self._moves_alone(address, device)
        )
        return Target(TargetKind.UNICAST, tuple(hops), metric=metric, group=group)

    def _moves_alone(self, address: bytes, device: str) -> bool:
        """Return whether a next hop resolves through our routes, which change at any time."""
        way = None if device else self._ways.get(address)
        return way is not None and bool(way.through)

    def _hops(self, address: bytes, device: str) -> tuple[Hop, ...]:
        if device:
            return (Hop(parts_of(address).address, device, is_onlink=True),)
        way = self._ways.get(address)
        return (_itself(address),) if way is None else way.hops

    def set_policy(self, policy: KernelPolicy, loc_rib: LocRib) -> Iterator[None]:
        """Change the kernel policy; each step of the result submits a slice again."""
        if policy == self._rules.spec:
            return iter(())
        self._rules = KernelRules(policy, self._family)
        self._memo.clear()
        return self._submit_again(loc_rib)

    def _submit_again(
        self, loc_rib: LocRib, through: Collection[bytes] = ()
    ) -> Iterator[None]:
        nlris = list(loc_rib.table)
        for start in range(0, len(nlris), SUBMIT_SLICE):
            self._submit(loc_rib, nlris[start : start + SUBMIT_SLICE], through)
            yield

    def _submit(
        self, loc_rib: LocRib, nlris: Iterable[Nlri], through: Collection[bytes] = ()
    ) -> None:
        """Submit prefixes that have a target, or no longer have one.

        Args:
            loc_rib: The table.
            nlris: What to look at.
            through: Only what has a path through one of these next hops; none: all.
        """
        free = (nlri for nlri in nlris if nlri not in self._held)
        for entry, some in _by_entry(loc_rib, free).items():
            # The flush that it waits for submits the removal of a route.
            paths = self._forwarding(entry)
            if through:
                paths = [path for path in paths if path.next_hop.key in through]
            if paths:
                for target, members in self.divide(entry, some):
                    self._fib.submit(self._family, members, target)

    def devices_changed(
        self, loc_rib: LocRib, addresses: Iterable[bytes]
    ) -> Iterator[None]:
        """Follow next hops whose interface changed, if policy matches it.

        To be called once the paths know it: each step of the result does a slice.
        """
        changed = frozenset(addresses)
        if not changed or not self._rules.needs_interface:
            return iter(())
        return self._submit_again(loc_rib, changed)

    def ways_changed(
        self, loc_rib: LocRib, addresses: Iterable[bytes]
    ) -> Iterator[None]:
        """Follow next hops that now resolve differently.

        Where all that leads to a target leads to one other target now, the kernel's
        next-hop object moves, at once and whatever the number of prefixes. What is
        left is submitted again: each step of the result does a slice of the table.
        """
        self._memo.clear()
        changed = frozenset(addresses)
        if not changed:
            return iter(())
        moves = self._moves(changed)
        if moves is None:
            return self._submit_again(loc_rib, changed)
        for old, new in moves:
            self._fib.retarget(self._family, old, new)
        return iter(())

    def _moves(self, changed: frozenset[bytes]) -> list[tuple[Target, Target]] | None:
        """Return which targets become which; ``None`` if that depends on the prefix."""
        target_keys = self._target_keys
        self._target_keys = {}
        after: dict[Target | None, set[Target | None]] = {}
        for target_key, old in target_keys.items():
            if self._is_unwatched(target_key, old):
                continue
            is_concerned = any(
                not device and address in changed for address, device in target_key[1]
            )
            new = self._build(target_key) if is_concerned else old
            self._target_keys[target_key] = new
            after.setdefault(old, set()).add(new)
        if not self._knows_recipes:
            return None
        moves = []
        for old, becomes in after.items():
            if becomes == {old}:
                continue
            new = next(iter(becomes))
            if len(becomes) > 1 or old is None or new is None:
                return None
            moves.append((old, new))
        moving = {old for old, _ in moves}
        if any(new in moving for _, new in moves):
            return None  # one after the other they would be mixed up
        return moves

    def look_after(self) -> Iterator[None]:
        """Forget unused memos, and ways to next hops that are no longer tracked."""
        self._memo.age()
        self._rules.age()
        yield
        # A path keeps its next hop watched, so no path has one that is not.
        ways = self._ways
        for target_key in [
            r for r in self._target_keys if any(a not in ways for a, _ in r[1])
        ]:
            del self._target_keys[target_key]

    def _is_unwatched(self, target_key: _TargetKey, target: Target | None) -> bool:
        """Return whether a target names a next hop that is no longer tracked."""
        hops = () if target is None else target.hops
        return any(
            not device and address not in self._ways and _itself(address) not in hops
            for address, device in target_key[1]
        )


def is_discarded(path: Path) -> bool:
    """Return whether policy drops the packets of a path."""
    return path.next_hop.key in DISCARDS


def _itself(address: bytes) -> Hop:
    """Return an untracked next hop as its own gateway, out of its zone."""
    host, link_local, zone = parts_of(address)
    return Hop(host) if link_local else Hop(host, zone)


def _by_entry(loc_rib: LocRib, nlris: Iterable[Nlri]) -> dict[Entry | None, list[Nlri]]:
    """Return the prefixes of each entry; ``None`` for those without a route."""
    by_entry: dict[Entry | None, list[Nlri]] = {}
    get = loc_rib.table.get
    for nlri in nlris:
        by_entry.setdefault(get(nlri), []).append(nlri)
    return by_entry
