"""Tables of their own, on which other settings take effect while the real ones go on.

Theory
------
A preview must say what applying would do, so it does the same: paths are judged by the code of
``rib.outcome``, compete in a ``LocRib`` and are exported by an ``Export``. Only the tables differ. A
shadow begins as a copy of the real table, which costs one pass in C and shares every entry; from
then on the real one may change without effect on the plan. What is touched is noted with its
former entry, so that later steps look at nothing else.

The shadow's entries are interned apart from the real ones: equal sets of paths may be two objects
here. So no part compares entries by identity to learn what changed; best paths and outgoing
forms are compared by value.

Every method that grows with the table is a generator of short steps.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

from bgpd.session.settings import FamilySettings
from bgpd.speaker.prefix_limits import block
from rib.adj_rib_in import AdjRibIn
from rib.attributes import PathAttributes
from rib.change import Change
from rib.decision import DecisionOptions
from rib.import_checks import FilteredRoute, ImportChecks
from rib.loc_rib import LocRib
from rib.next_hops import NextHopTable
from rib.nlri import Nlri
from rib.outcome import is_marked
from rib.path import Source
from rib.path_set import Entry, members_of

SLICE: Final = 2048  # prefixes handled in one step, about a millisecond
_LOOKED_AT: Final = 8192  # prefixes looked at in one step, likewise

T = TypeVar("T")

Steps = Generator[None, None, None]
_Block = tuple[PathAttributes, int, int]  # as received, path identifier, epoch


@dataclass(frozen=True, slots=True)
class Judged:
    """A peer whose routes are judged by other rules, or no longer there.

    Attributes:
        rib: What it has sent, of one family; only read.
        source: As the tables would know it; ``None`` if its routes go.
        rules: What they are judged by.
        families: Its limits.
    """

    rib: AdjRibIn
    source: Source | None
    rules: ImportChecks
    families: tuple[FamilySettings, ...] = ()


class ShadowTable:
    """One family's routes as they would be.

    Args:
        live: The real table; copied at once.
        options: Of the decision, as they would be.

    Attributes:
        loc_rib: The shadow.
        counts: Paths per source, as they are.
        before: What was touched, and its entry so far.
    """

    def __init__(self, live: LocRib, options: DecisionOptions) -> None:
        self.family = live.family
        self.loc_rib = LocRib(live.family, options)
        self.loc_rib.table = dict(live.table)
        self.loc_rib.path_counts = dict(live.path_counts)
        self.counts = dict(live.path_counts)
        self.before: dict[Nlri, Entry | None] = {}

    def take(self, changes: Iterable[Change]) -> None:
        """Note what a method of the table returned."""
        note = self.before.setdefault
        for old, _, nlris in changes:
            for nlri in nlris:
                note(nlri, old)

    def decide_again(self) -> Steps:
        """Decide on everything, by other options."""
        nlris = list(self.loc_rib.table)
        for piece in pieces(nlris, SLICE):
            self.take(self.loc_rib.decide_again(piece))
            yield

    def judge(self, peers: Iterable[Judged], next_hops: NextHopTable) -> Steps:
        """Judge the routes of some peers by other rules, from what was received."""
        wanted = {each.rib.source: each for each in peers}
        work = yield from self._received(wanted)
        for source, each in wanted.items():
            yield from self._judge(each, work.get(source, {}), next_hops)

    def _received(
        self, wanted: Mapping[Source, Judged]
    ) -> Generator[None, None, dict[Source, dict[_Block, list[Nlri]]]]:
        """Return the accepted routes of some peers, grouped by block as received."""
        work: dict[Source, dict[_Block, list[Nlri]]] = {}
        by_entry = yield from grouped(self.loc_rib.table)
        for number, (entry, nlris) in enumerate(by_entry.items()):
            for path in members_of(entry):
                # What we marked long-lived stale stays until its peer is back.
                is_kept = wanted.get(path.source) is None or (
                    is_marked(path) and wanted[path.source].source is not None
                )
                if not is_kept:
                    key = path.received, path.path_id, path.epoch
                    work.setdefault(path.source, {}).setdefault(key, []).extend(nlris)
            if number % _LOOKED_AT == 0 or len(nlris) > SLICE:
                yield
        return work

    def _judge(
        self,
        peer: Judged,
        work: Mapping[_Block, list[Nlri]],
        next_hops: NextHopTable,
    ) -> Steps:
        loc_rib, source = self.loc_rib, peer.rib.source
        if peer.source is not source:
            for (_, path_id, _), nlris in work.items():
                for piece in pieces(nlris, SLICE):
                    self.take(loc_rib.withdraw(piece, source, path_id))
                    yield
        if peer.source is None:
            return
        rib = AdjRibIn(peer.source, loc_rib, peer.rules, next_hops)
        rib.stale_count = peer.rib.stale_count
        block(rib, peer.families)
        refused = yield from _refused(peer.rib, rib)
        for (attributes, path_id, epoch), nlris in _both(work, refused):
            outcome = rib.outcomes.importer.evaluate(attributes, path_id)
            if not isinstance(outcome, FilteredRoute):
                outcome.epoch = epoch
            is_counted = epoch == source.epoch
            for piece in pieces(nlris, SLICE):
                self.take(rib.announce(outcome, piece, path_id, is_counted=is_counted))
                yield
        for changes in rib.let_in_all_blocked():
            self.take(changes)
            yield

    def pairs(
        self, *, everything: bool
    ) -> Generator[None, None, dict[tuple[Entry | None, Entry | None], list[Nlri]]]:
        """Return prefixes by their entry so far and the one they would have.

        Args:
            everything: Also those that were not touched.
        """
        table, before = self.loc_rib.table, self.before
        found: dict[tuple[Entry | None, Entry | None], list[Nlri]] = {}
        for number, (nlri, old) in enumerate(before.items()):
            found.setdefault((old, table.get(nlri)), []).append(nlri)
            if number % _LOOKED_AT == _LOOKED_AT - 1:
                yield
        if everything:
            for number, (nlri, entry) in enumerate(table.items()):
                if nlri not in before:
                    found.setdefault((entry, entry), []).append(nlri)
                if number % _LOOKED_AT == _LOOKED_AT - 1:
                    yield
        return found


def _refused(
    live: AdjRibIn, rib: AdjRibIn
) -> Generator[None, None, dict[_Block, list[Nlri]]]:
    """Return the refused routes of a peer by block, and let its shadow know them."""
    found: dict[_Block, list[Nlri]] = {}
    epoch = live.source.epoch
    for piece in pieces(list(live.filtered.items()), SLICE):
        for (nlri, path_id), why in piece:
            found.setdefault((why.attributes, path_id, epoch), []).append(nlri)
            rib.filtered.put((nlri,), path_id, why)
        yield
    rib.admission.blocked.update(live.admission.blocked)
    return found


def _both(
    one: Mapping[_Block, list[Nlri]], other: Mapping[_Block, list[Nlri]]
) -> Iterator[tuple[_Block, list[Nlri]]]:
    """Yield the items of both, those of equal keys one after the other."""
    yield from one.items()
    yield from other.items()


def grouped(
    table: Mapping[Nlri, Entry],
) -> Generator[None, None, dict[Entry, list[Nlri]]]:
    """Return the prefixes of each entry of a table that does not change meanwhile."""
    found: dict[Entry, list[Nlri]] = {}
    items = iter(table.items())
    while piece := list(islice(items, _LOOKED_AT)):
        for nlri, entry in piece:
            found.setdefault(entry, []).append(nlri)
        yield
    return found


def pieces(items: list[T], size: int) -> Iterator[list[T]]:
    """Yield a list in pieces."""
    if len(items) <= size:
        if items:
            yield items
        return
    for start in range(0, len(items), size):
        yield items[start : start + size]
