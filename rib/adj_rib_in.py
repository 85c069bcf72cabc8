"""What one peer advertised in one family (RFC 4271 3.2), mostly as a view of Loc-RIB.

An accepted path stands in Loc-RIB; keeping it here a second time would double the memory
of a full table. So this table holds only what Loc-RIB cannot say: the outcome of import for
each attribute block as received, the routes that were refused, and, for a peer of few
routes, which prefixes they are (a peer of many is found by a pass over Loc-RIB).

Losing a session, a graceful restart and an enhanced route refresh are one mechanism: the
source's epoch grows, which makes all its paths stale; they are swept at once, or when the
peer's End-of-RIB, its end of refresh, or a timer says so.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import Final

from rib.admission import Admission, divide, stale_in
from rib.attributes import PathAttributes
from rib.change import Change
from rib.destinations import MixedRun
from rib.filtered_routes import FilteredRoutes
from rib.ignored import IgnoredPrefixes, announce_mixed
from rib.import_checks import FilteredRoute, FilterReason, ImportChecks
from rib.intern import Discarded
from rib.loc_rib import LocRib
from rib.next_hops import NextHopTable
from rib.nlri import Nlri
from rib.outcome import Importer, Outcome, PerPrefix
from rib.outcome_memo import OutcomeMemo
from rib.path import Path, Source
from rib.path_set import members_of

# Theory
# ------
# RFC 4271 has an Adj-RIB-In that holds every route as received. Kept literally, a full
# table would be stored twice for each peer. Here an accepted route is stored once, in
# Loc-RIB, and its `Path` refers to its attributes as received beside those after policy.
# What the RFC's table would hold is therefore the union of three places:
#
#       accepted      Loc-RIB entries with a path of this source    (found by a pass, or
#                                                                    by `_index` if few)
#       filtered      `filtered`: by policy, a loop, or a limit; with the attributes, so
#                     that they can come in later without asking the peer
#       no unicast    `ignored`: not routes at all (RFC 4271 6.3), kept to be shown
#
# Invariants:
#
# * A prefix and identifier is in at most one of the three. `blocked` of the admission is
#   a subset of `filtered`.
# * What import decides about an attribute block is decided once per session
#   (`outcomes`), because it depends on the block alone: a `Path`, a `FilteredRoute`, or a
#   `PerPrefix` where the policy asks for the prefix. Rules that change drop all outcomes.
# * A path is stale exactly if its epoch is below its source's. Raising the epoch is how a
#   lost session, a restart of the peer and the begin of an enhanced refresh (RFC 7313)
#   mark a whole table in no time; an announcement replaces a stale path by a fresh one,
#   and a sweep removes what is left. `stale_count` follows each change while it is not 0.
# * Limits count fresh routes: a peer that restarts with as many routes as it had must
#   not meet its limit because the stale ones are still there.
# * Long work is a generator of slices, between which the peer's own UPDATEs are processed.
#
# Deliberately not here: decoding (`rib.attributes`), the decision (`rib.loc_rib`), judging
# again by other rules (`rib.reimport`), LLGR_STALE (`rib.long_lived`), when stale routes
# go (`bgpd.pipeline.stale_routes` has the timers), what a limit leads to.
#
# Sources: RFC 4271 3.2 and 9.1.1, RFC 4724 4.2, RFC 7313 4, RFC 9494 4.2.

_INDEX_MAX: Final = 65536  # prefixes; above it a pass over Loc-RIB beats the memory
SWEEP_SLICE: Final = 8192  # prefixes changed in one go, a few milliseconds


class AdjRibIn:
    """One peer's routes of one family.

    Args:
        source: The peer.
        loc_rib: Where accepted paths compete.
        rules: Loop checks and import policy.
        next_hops: Interns next hops.

    Attributes:
        filtered: Routes that were refused: prefix and path identifier, and why.
        stale_count: Paths in Loc-RIB that were announced before the source's epoch.
        admission: Limits, and what they keep out; see ``limit``.
        ignored: Prefixes that were not unicast destinations.
        outcomes: What import decides about attribute blocks.
        discarded: Of no use any more; free it, in slices.
    """

    def __init__(
        self,
        source: Source,
        loc_rib: LocRib,
        rules: ImportChecks,
        next_hops: NextHopTable,
    ) -> None:
        self.source = source
        self.loc_rib = loc_rib
        self.filtered = FilteredRoutes()
        self.stale_count = 0
        self.admission = Admission()
        self.ignored = IgnoredPrefixes()
        self._is_limited = False  # bound here: read on the hot path
        self._importer = Importer(source, loc_rib.family, rules, next_hops)
        self.outcomes = OutcomeMemo(self._importer, loc_rib.path_counts)
        self.discarded = Discarded()
        # A dictionary of nothing: a set takes three times the room.
        self._index: dict[Nlri, None] | None = {}
        self._has_path_ids = False

    @property
    def rules(self) -> ImportChecks:
        """Loop checks and import policy; new ones apply to routes from now on."""
        return self._importer.rules

    @rules.setter
    def rules(self, rules: ImportChecks) -> None:
        self._importer.rules = rules

    @property
    def accepted_count(self) -> int:
        """Paths in Loc-RIB."""
        return self.loc_rib.path_counts.get(self.source, 0)

    @property
    def received_count(self) -> int:
        """Paths in Loc-RIB and filtered ones."""
        return self.accepted_count + len(self.filtered)

    @property
    def fresh_count(self) -> int:
        """Paths in Loc-RIB that are not stale: what a limit of accepted routes counts."""
        return self.accepted_count - self.stale_count

    def limit(self, most_accepted: int | None, most_received: int | None) -> None:
        """Set limits for routes from now on; ``None`` means no limit.

        What is there already stays. Where there is room now, ``let_in_blocked`` uses it.
        """
        admission = self.admission
        admission.most_accepted, admission.most_received = most_accepted, most_received
        self._is_limited = admission.is_limited

    # hot: per read
    def announce_all(self, paths: list[Path], runs: list[list[Nlri]]) -> list[Change]:
        """Add outcomes that are paths without identifier, in order; empties the lists.

        Args:
            paths: As ``outcomes.decide`` returned them.
            runs: The prefixes of each.
        """
        if not paths:
            return []
        if self._is_limited and not self._has_room(sum(map(len, runs))):
            runs_within = zip(paths, runs, strict=True)
            changes = [c for path, run in runs_within for c in self.announce(path, run)]
            paths.clear()
            runs.clear()
            return changes
        if self.filtered:
            self.no_longer_filtered(chain.from_iterable(runs), 0)
        held = self.loc_rib.path_counts
        before, is_same = held.get(self.source, 0), False
        try:
            changes = self.loc_rib.announce_all(paths, runs, self.source)
            is_same = held.get(self.source, 0) == before
        finally:
            index = self._index
            if index is not None and not is_same:  # else it has all of the prefixes
                index.update(dict.fromkeys(chain.from_iterable(runs)))
                if len(index) > _INDEX_MAX:
                    self._index = None
        paths.clear()
        runs.clear()
        return self._counted(changes) if self.stale_count else changes

    # hot: per batch
    def announce(
        self,
        outcome: Outcome,
        nlris: Sequence[Nlri],
        path_id: int = 0,
        *,
        is_counted: bool = True,
    ) -> list[Change]:
        """Take in ``nlris`` with an outcome of ``outcomes``, by limits; return what changed."""
        if type(nlris) is MixedRun:
            return announce_mixed(self, outcome, nlris, path_id, is_counted=is_counted)
        if self._is_limited and is_counted and not self._has_room(len(nlris)):
            return self._announce_within(outcome, nlris, path_id)
        if type(outcome) is Path:
            index = self._index
            if index is not None:
                index.update(dict.fromkeys(nlris))
                if len(index) > _INDEX_MAX:
                    self._index = None
                if path_id:
                    self._has_path_ids = True
            if self.filtered:
                self.no_longer_filtered(nlris, path_id)
            changes = self.loc_rib.announce(nlris, outcome)
            return self._counted(changes) if self.stale_count else changes
        if isinstance(outcome, FilteredRoute):
            return self.filter_out(outcome, nlris, path_id)
        return self._announce_each(outcome, nlris, path_id)  # type: ignore[arg-type]

    def no_longer_filtered(self, nlris: Iterable[Nlri], path_id: int) -> None:
        """Forget that prefixes were filtered or blocked."""
        found = self.filtered.forget(nlris, path_id)
        if blocked := self.admission.blocked:
            for nlri in found:
                blocked.pop((nlri, path_id), None)

    def filter_out(
        self, filtered: FilteredRoute, nlris: Sequence[Nlri], path_id: int
    ) -> list[Change]:
        """Filter prefixes, whatever was accepted of them before."""
        if self.admission.blocked:
            self.no_longer_filtered(nlris, path_id)
        self.filtered.put(nlris, path_id, filtered)
        return self._counted(self.loc_rib.withdraw(nlris, self.source, path_id))

    def _announce_each(
        self, outcome: PerPrefix, nlris: Sequence[Nlri], path_id: int
    ) -> list[Change]:
        """Apply the policy to all prefixes, then go on in batches of equal outcome."""
        received, paths = outcome.attributes, outcome.paths
        is_new = outcome.epoch == self.source.epoch  # else no limit counts it
        changes: list[Change] = []
        for members, verdict in self.rules.evaluate_batch(
            nlris,
            outcome.marked,
            self.source,
            self.loc_rib.family,
            self._importer.interface_of(outcome.marked),
        ):
            evaluated: Path | FilteredRoute
            if verdict.is_accepted:
                after = verdict.attributes
                key = (after.octets, after.next_hop, verdict.weight, verdict.sets_med)
                known = paths.get(key)
                if known is None:
                    known = paths[key] = self._importer.path(received, verdict, path_id)
                    known.epoch = outcome.epoch
                evaluated = known
            else:
                evaluated = FilteredRoute(received, FilterReason.POLICY, verdict.reason)
            changes += self.announce(evaluated, members, path_id, is_counted=is_new)
        return changes

    def withdraw(self, nlris: Sequence[Nlri], path_id: int = 0) -> list[Change]:
        """Withdraw a route."""
        if self.filtered:
            self.no_longer_filtered(nlris, path_id)
        index = self._index
        # With identifiers, a prefix may have more paths than the one that goes.
        if index is not None and not (path_id or self._has_path_ids):
            _forget(index, nlris)
        changes = self.loc_rib.withdraw(nlris, self.source, path_id)
        return self._counted(changes) if self.stale_count else changes

    # -- limits -------------------------------------------------------------------------

    def _has_room(self, count: int) -> bool:
        fresh = self.fresh_count
        return self.admission.has_room(fresh, fresh + len(self.filtered), count)

    def _announce_within(
        self, outcome: Outcome, nlris: Sequence[Nlri], path_id: int
    ) -> list[Change]:
        """Admit as many prefixes as the limits allow; see ``rib.admission``."""
        admission, changes = self.admission, list[Change]()
        epoch, filtered = self.source.epoch, self.filtered

        def is_fresh(nlri: Nlri) -> bool:
            return any(path.epoch == epoch for path in self.own(nlri, path_id))

        nlris = list(dict.fromkeys(nlris))
        most = admission.most_received
        if most is not None:
            room = most - self.fresh_count - len(self.filtered)
            nlris, forgotten = divide(
                nlris, room, lambda nlri: (nlri, path_id) in filtered or is_fresh(nlri)
            )
            if forgotten:  # they have replaced their stale routes all the same
                admission.forgotten_count += len(forgotten)
                changes += self.withdraw(forgotten, path_id)
        most = admission.most_accepted
        if type(outcome) is Path and most is not None:
            nlris, blocked = divide(nlris, most - self.fresh_count, is_fresh)
            why = FilteredRoute(
                outcome.received, FilterReason.LIMIT, f"{most} are allowed"
            )
            changes += self.filter_out(why, blocked, path_id)
            admission.blocked.update(((nlri, path_id), None) for nlri in blocked)
        return changes + self.announce(outcome, nlris, path_id, is_counted=False)

    @property
    def can_let_in(self) -> bool:
        """Whether a limit blocks routes although there is room now."""
        most = self.admission.most_accepted
        return bool(self.admission.blocked) and (
            most is None or self.fresh_count < most
        )

    def let_in_blocked(self) -> list[Change]:
        """Admit blocked routes as far as there is room now; a slice of them."""
        most, size = self.admission.most_accepted, SWEEP_SLICE
        if most is not None:
            size = max(0, min(size, most - self.fresh_count))
        batches: dict[tuple[PathAttributes, int], list[Nlri]] = {}
        for key in islice(self.admission.blocked, size):
            nlri, path_id = key
            batches.setdefault((self.filtered[key].attributes, path_id), []).append(
                nlri
            )
        changes: list[Change] = []
        for (attributes, path_id), nlris in batches.items():
            outcome = self._importer.evaluate(attributes, path_id)
            changes += self.announce(outcome, nlris, path_id)
        return changes

    def let_in_all_blocked(self) -> Iterator[list[Change]]:
        """Return what ``let_in_blocked`` changes, a slice for each step."""
        while self.can_let_in:
            yield self.let_in_blocked()

    def _counted(self, changes: list[Change]) -> list[Change]:
        """Keep count of stale paths while there are some."""
        if self.stale_count:
            source = self.source
            for old, new, nlris in changes:
                less = stale_in(old, source) - stale_in(new, source)
                self.stale_count -= less * len(nlris)
        return changes

    def make_stale(self) -> None:
        """Mark every route received until now as stale; remove nothing yet."""
        self.source.epoch += 1
        self.stale_count = self.accepted_count
        self.admission.blocked.clear()
        self.forget_outcomes()
        filtered, self.filtered = self.filtered, FilteredRoutes()
        for table in filtered.tables():
            self.discarded.add(table)

    def forget_outcomes(self) -> None:
        """Forget the outcomes of attribute blocks, so that each is evaluated again."""
        self.discarded.add(self.outcomes.forget())

    def sweep_stale(self, epoch: int | None = None) -> Iterator[list[Change]]:
        """Return the removal of what is stale now, a slice for each step.

        What becomes stale while it goes on stays: that waits for a sweep of its own.

        Args:
            epoch: Only what was announced before this one; ``None`` is today's.
        """
        # All prefixes, where it is not known which are the peer's: those that are not
        # cost a look-up each, in slices, and a pass to find them would hold up the loop.
        some = self.loc_rib.table if self._index is None else self._index
        return self._swept(list(some), self.source.epoch if epoch is None else epoch)

    def _swept(self, nlris: list[Nlri], epoch: int) -> Iterator[list[Change]]:
        for start in range(0, len(nlris), SWEEP_SLICE):
            before = self.accepted_count
            changes = self.loc_rib.sweep_stale(
                nlris[start : start + SWEEP_SLICE], self.source, epoch
            )
            # All that goes is of an earlier epoch than the source's.
            self.stale_count -= before - self.accepted_count
            if self._index is not None and not self._has_path_ids:
                for change in changes:
                    _forget(self._index, change.nlris)
            yield changes

    def own_nlris(self) -> list[Nlri]:
        """Return the prefixes with an accepted path of this peer; a pass for large peers."""
        table = self.loc_rib.table
        some = table if self._index is None else self._index
        return [
            nlri
            for nlri in some
            if any(path.source is self.source for path in members_of(table.get(nlri)))
        ]

    def own(self, nlri: Nlri, path_id: int) -> list[Path]:
        """Return the peer's path of that identifier: none, or one."""
        return [
            path
            for path in members_of(self.loc_rib.table.get(nlri))
            if path.source is self.source and path.path_id == path_id
        ]


def _forget(index: dict[Nlri, None], nlris: Iterable[Nlri]) -> None:
    for _ in map(index.pop, nlris, repeat(None)):
        pass
