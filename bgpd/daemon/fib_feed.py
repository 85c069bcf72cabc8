"""Loc-RIB -> kernel: which target each entry of the table has.

A target is made once per distinct entry, and prefixes that share it are submitted in one
batch. Routes that we originate as own blocks are blackholes, so that addresses of a block
that no workload uses do not bounce between nodes; routes learned from the kernel are not
given back to it.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from bgpd.config.settings import FibSettings
from fib.next_hop_watch import NextHopState
from fib.routes import Fib, Hop, Target, TargetKind
from rib.family import Family
from rib.intern import InternTable
from rib.loc_rib import Change, LocRib
from rib.path import Path, Source, SourceKind
from rib.path_set import Entry, best_of, multipath_of

_MEMO_MAX: Final = 16384
_FROM_PEERS: Final = frozenset({SourceKind.EBGP, SourceKind.IBGP})


class FibFeed:
    """Submits one family's routes.

    Args:
        fib: The kernel's table.
        family: Of the routes.
        settings: Metric and table.
        ways: Next-hop address -> how it is reached; a missing one is its own gateway.
        blackholes: Sources whose prefixes are blackholes here.
    """

    def __init__(
        self,
        fib: Fib,
        family: Family,
        settings: FibSettings,
        ways: Mapping[bytes, NextHopState],
        blackholes: Iterable[Source],
    ) -> None:
        self._fib = fib
        self._family = family
        self._metric = settings.metric
        self._ways = ways
        self._blackholes = frozenset(blackholes)
        self._memo: dict[Entry, Target | None] = {}
        self._targets: InternTable[Target, Target] = InternTable()

    # hot: per batch
    def changed(self, changes: list[Change]) -> None:
        """Submit what a flush told."""
        submit, family = self._fib.submit, self._family
        for old, new, nlris in changes:
            target = self.target(new)
            if target is not None or self.target(old) is not None:
                submit(family, nlris, target)

    def target(self, entry: Entry | None) -> Target | None:
        """Return where an entry's prefixes lead; ``None`` for nowhere of ours."""
        if entry is None:
            return None
        memo = self._memo
        if entry in memo:
            return memo[entry]
        if len(memo) >= _MEMO_MAX:
            memo.clear()
        target = self._make_target(entry)
        if target is not None:
            target = self._targets.setdefault(target, target)
        memo[entry] = target
        return target

    def _make_target(self, entry: Entry) -> Target | None:
        best = best_of(entry)
        if best is None:
            return None
        if best.source in self._blackholes:
            return Target(TargetKind.BLACKHOLE, metric=self._metric)
        hops = tuple(
            dict.fromkeys(
                hop
                for path in multipath_of(entry)
                if path.source.kind in _FROM_PEERS
                for hop in self._hops(path)
            )
        )
        return Target(TargetKind.UNICAST, hops, metric=self._metric) if hops else None

    def _hops(self, path: Path) -> tuple[Hop, ...]:
        address = path.next_hop.address
        way = self._ways.get(address)
        return (Hop(address),) if way is None else way.hops

    def ways_changed(self, loc_rib: LocRib, addresses: Iterable[bytes]) -> None:
        """Submit anew what leads through next hops that are reached another way now.

        Cost: a pass over the table; next hops change rarely, and together.
        """
        self._memo.clear()
        changed = frozenset(addresses)
        if not changed:
            return
        by_target: dict[Target | None, list[bytes]] = {}
        for nlri, entry in loc_rib.table.items():
            if any(path.next_hop.address in changed for path in multipath_of(entry)):
                by_target.setdefault(self.target(entry), []).append(nlri)
        for target, nlris in by_target.items():
            self._fib.submit(self._family, nlris, target)
