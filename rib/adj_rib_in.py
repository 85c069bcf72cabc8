"""What one peer announced in one family (RFC 4271 3.2), mostly as a view of Loc-RIB.

An accepted path stands in Loc-RIB; keeping it here a second time would double the memory
of a full table. So this table holds only what Loc-RIB cannot say: the outcome of import for
each attribute block as received, the routes that were refused, and, for a peer of few
routes, which prefixes they are (a peer of many is found by a pass over Loc-RIB).

Losing a session, a graceful restart and an enhanced route refresh are one mechanism: the
source's epoch grows, which makes all its paths stale; they are swept at once, or when the
peer's End-of-RIB, its end of refresh, or a timer says so.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from rib.attributes import PathAttributes
from rib.import_rules import ImportRules, Refusal, Refused
from rib.intern import InternTable
from rib.loc_rib import Change, LocRib
from rib.next_hops import NextHopTable
from rib.nlri import Nlri
from rib.path import Path, Source, SourceKind
from rib.path_set import paths_of

_IBGP: Final = SourceKind.IBGP
_INDEX_MAX: Final = 65536  # prefixes; above it a pass over Loc-RIB beats the memory
SWEEP_SLICE: Final = 8192  # prefixes changed in one go, a few milliseconds


class PerPrefix:
    """An attribute block whose fate depends on the prefix: policy is asked each time."""

    __slots__ = ("attributes", "paths")

    def __init__(self, attributes: PathAttributes) -> None:
        self.attributes = attributes
        self.paths: dict[bytes, Path] = {}


Outcome = Path | Refused | PerPrefix


class AdjRibIn:
    """One peer's routes of one family.

    Args:
        source: The peer.
        loc_rib: Where accepted paths compete.
        rules: Loop checks and import policy.
        next_hops: Interns next hops.
    """

    def __init__(
        self,
        source: Source,
        loc_rib: LocRib,
        rules: ImportRules,
        next_hops: NextHopTable,
    ) -> None:
        self.source = source
        self.loc_rib = loc_rib
        self.rules = rules
        self.refused: dict[tuple[Nlri, int], Refused] = {}
        self._next_hops = next_hops
        self._outcomes: InternTable[Hashable, Outcome] = InternTable()
        self._index: set[Nlri] | None = set()
        self.known: Callable[[Hashable], Outcome | None] = self._outcomes.get

    @property
    def accepted_count(self) -> int:
        """Paths in Loc-RIB."""
        return self.loc_rib.path_counts.get(self.source, 0)

    @property
    def received_count(self) -> int:
        """Paths in Loc-RIB and refused ones."""
        return self.accepted_count + len(self.refused)

    def learn(
        self, key: Hashable, attributes: PathAttributes, path_id: int = 0
    ) -> Outcome:
        """Decide once what becomes of an attribute block; ``known(key)`` tells it later.

        Args:
            key: What identifies the block on this session: its octets as received, with
                the next hop and path identifier where they stand elsewhere.
            attributes: The block, decoded.
            path_id: RFC 7911 identifier; 0 without add-path.
        """
        outcome = self._outcomes[key] = self._import(attributes, path_id)
        return outcome

    def _import(self, attributes: PathAttributes, path_id: int) -> Outcome:
        refused = self.rules.check(attributes, self.source)
        if refused is not None:
            return refused
        if self.rules.policy.needs_prefix:
            return PerPrefix(attributes)
        return self._judge(attributes, path_id, None)

    def _judge(
        self, attributes: PathAttributes, path_id: int, nlri: Nlri | None
    ) -> Path | Refused:
        source = self.source
        if self.rules.accepts_all and source.kind is _IBGP:
            hop = self._next_hops.get(attributes.next_hop)
            return Path(source, attributes, hop, path_id=path_id)
        verdict = self.rules.evaluate(attributes, source, self.loc_rib.family, nlri)
        if not verdict.is_accepted:
            return Refused(attributes, Refusal.POLICY, verdict.reason)
        after = verdict.attributes
        return Path(
            self.source,
            after,
            self._next_hops.get(after.next_hop),
            received=attributes,
            path_id=path_id,
            weight=verdict.weight,
        )

    # hot: per batch
    def announce(
        self, outcome: Outcome, nlris: Sequence[Nlri], path_id: int = 0
    ) -> list[Change]:
        """Take in ``nlris`` with an outcome of ``learn``; return what changed."""
        if type(outcome) is Path:
            index = self._index
            if index is not None:
                index.update(nlris)
                if len(index) > _INDEX_MAX:
                    self._index = None
            if self.refused:
                self._no_longer_refused(nlris, path_id)
            return self.loc_rib.announce(nlris, outcome)
        if isinstance(outcome, Refused):
            return self._refuse(outcome, nlris, path_id)
        return self._announce_each(outcome, nlris, path_id)  # type: ignore[arg-type]

    def _no_longer_refused(self, nlris: Iterable[Nlri], path_id: int) -> None:
        forget = self.refused.pop
        for nlri in nlris:
            forget((nlri, path_id), None)

    def _refuse(
        self, refused: Refused, nlris: Sequence[Nlri], path_id: int
    ) -> list[Change]:
        for nlri in nlris:
            self.refused[nlri, path_id] = refused
        return self.loc_rib.withdraw(nlris, self.source, path_id)

    def _announce_each(
        self, outcome: PerPrefix, nlris: Sequence[Nlri], path_id: int
    ) -> list[Change]:
        """Ask the policy for each prefix, then go on in batches of equal outcome."""
        batches: dict[Path | bytes, tuple[Path | Refused, list[Nlri]]] = {}
        for nlri in nlris:
            judged = self._judge(outcome.attributes, path_id, nlri)
            if isinstance(judged, Path):
                octets = judged.attributes.octets + judged.attributes.next_hop
                judged = outcome.paths.setdefault(octets, judged)
                batches.setdefault(judged, (judged, []))[1].append(nlri)
            else:
                name = judged.detail.encode()
                batches.setdefault(name, (judged, []))[1].append(nlri)
        return [
            change
            for judged, members in batches.values()
            for change in self.announce(judged, members, path_id)
        ]

    def withdraw(self, nlris: Sequence[Nlri], path_id: int = 0) -> list[Change]:
        """The peer has no such route any more."""
        if self.refused:
            self._no_longer_refused(nlris, path_id)
        index = self._index
        if index is not None and not path_id:
            index.difference_update(nlris)
        return self.loc_rib.withdraw(nlris, self.source, path_id)

    def make_stale(self) -> None:
        """All that was announced so far is stale from now on; nothing is removed yet."""
        self.source.epoch += 1
        self.forget_outcomes()
        self.refused.clear()

    def forget_outcomes(self) -> None:
        """Let every attribute block be judged anew when it comes again."""
        self._outcomes.clear()

    def sweep_stale(self) -> Iterator[list[Change]]:
        """Remove stale paths, a slice for each step."""
        return _swept(self.loc_rib, self.source, self._candidates())

    def _candidates(self) -> list[Nlri]:
        if self._index is not None:
            return list(self._index)
        return self.loc_rib.stale_nlris((self.source,))

    def own_nlris(self) -> list[Nlri]:
        """Return the prefixes with an accepted path of this peer; a pass for large peers."""
        table = self.loc_rib.table
        some = table if self._index is None else self._index
        return [
            nlri
            for nlri in some
            if any(path.source is self.source for path in paths_of(table.get(nlri)))
        ]

    def import_again(self, rules: ImportRules) -> Iterator[list[Change]]:
        """Judge every route anew after the rules changed, from what was received.

        Nothing is asked of the peer: accepted paths hold their attributes as received,
        and refused routes are kept.
        """
        self.rules = rules
        self.forget_outcomes()
        refused, self.refused = self.refused, {}
        work = self._received_again(refused)
        while piece := dict(islice(work.items(), 64)):
            for key in piece:
                del work[key]
            yield [
                change
                for (attributes, path_id), nlris in piece.items()
                for change in self.announce(
                    self._import(attributes, path_id), nlris, path_id
                )
            ]

    def _received_again(
        self, refused: dict[tuple[Nlri, int], Refused]
    ) -> dict[tuple[PathAttributes, int], list[Nlri]]:
        work: dict[tuple[PathAttributes, int], list[Nlri]] = {}
        for nlri in self.own_nlris():
            for path in paths_of(self.loc_rib.table.get(nlri)):
                if path.source is self.source:
                    work.setdefault((path.received, path.path_id), []).append(nlri)
        for (nlri, path_id), why in refused.items():
            work.setdefault((why.attributes, path_id), []).append(nlri)
        return work

    @property
    def is_sweep_due(self) -> bool:
        """Whether ``sweep_unused`` has something to do."""
        return self._outcomes.is_due

    def sweep_unused(self) -> Iterable[int]:
        """Forget outcomes that no prefix has any more, in slices; empty when not due."""
        return self._outcomes.sweep() if self._outcomes.is_due else ()


def _swept(
    loc_rib: LocRib, source: Source, nlris: list[Nlri]
) -> Iterator[list[Change]]:
    for start in range(0, len(nlris), SWEEP_SLICE):
        yield loc_rib.sweep_stale(nlris[start : start + SWEEP_SLICE], source)
