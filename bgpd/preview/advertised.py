"""What peers would be advertised: the present export of each group beside the one to come.

Members of a group get the same, but for their own routes. So the two forms of each route are
compared once for a group, and what differs for the peers that the route is from, or would be
from, is set right for these alone.
"""

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from enum import Enum
from typing import Final

from bgpd.preview.shadow import SLICE, pieces
from reflector.export import Export, Outgoing
from rib.nlri import Nlri
from rib.path import Path, Source
from rib.path_set import Entry, best_of, eligible_of

Steps = Generator[None, None, None]
Pairs = Mapping[tuple[Entry | None, Entry | None], list[Nlri]]


class RouteChange(Enum):
    """What happens to a prefix."""

    GAINED = "gained"
    LOST = "lost"
    CHANGED = "changed"


_KINDS: Final = tuple(RouteChange)
_Form = tuple[Source, int, Outgoing]


class RouteCounts:
    """How many prefixes change in which way, and the first of each.

    Args:
        most: So many of each are named.

    Attributes:
        counts: All of them.
        first: Those that are named.
    """

    def __init__(self, most: int) -> None:
        self.counts: Counter[RouteChange] = Counter()
        self.first: dict[RouteChange, list[Nlri]] = {kind: [] for kind in _KINDS}
        self._most = most

    def add(self, kind: RouteChange, nlris: Sequence[Nlri]) -> None:
        """Count and name prefixes."""
        self.counts[kind] += len(nlris)
        self.name(kind, nlris)

    def name(self, kind: RouteChange, nlris: Sequence[Nlri]) -> None:
        """Name prefixes that are counted elsewhere, as far as there is room."""
        names = self.first[kind]
        if (room := self._most - len(names)) > 0:
            names += nlris[:room]

    def is_full(self, kind: RouteChange) -> bool:
        """Whether no more are named."""
        return len(self.first[kind]) >= self._most

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not any(self.counts.values())


class GroupComparison:
    """Peers of one group that would stay together, and what changes for each.

    Args:
        now: The present export; ``None`` where nothing was advertised.
        then: The one to come; likewise.
        most: So many prefixes are named for each peer and kind of change.
    """

    def __init__(self, now: Export | None, then: Export | None, most: int) -> None:
        self.now = now
        self.then = then
        self._most = most
        self._shared: Counter[RouteChange] = Counter()
        self._members: dict[Source, RouteCounts] = {}
        self._known: dict[Source, Source] = {}  # as it would be -> as it is
        self._open = {kind: dict[Source, None]() for kind in _KINDS}

    @property
    def is_other_export(self) -> bool:
        """Whether routes that stay what they are may look different."""
        return self.now is not self.then

    def add(self, source: Source, then: Source) -> None:
        """Add a member.

        Args:
            source: As the tables know it.
            then: As they would.
        """
        self._members[source] = RouteCounts(self._most)
        self._known[source] = self._known[then] = source
        for kind in _KINDS:
            self._open[kind][source] = None

    def results(self) -> Iterator[tuple[Source, RouteCounts]]:
        """Yield what changes for each member."""
        for source, found in self._members.items():
            found.counts.update(self._shared)
            yield source, found
        self._shared.clear()

    def compare(self, pairs: Pairs) -> Steps:
        """Compare what is advertised of some prefixes with what would be."""
        for (old, new), nlris in pairs.items():
            if not self.is_other_export and _candidates(self.now, old) == _candidates(
                self.then, new
            ):
                continue
            for piece in pieces(nlris, SLICE):
                for before, some in _forms(self.now, old, piece):
                    for after, part in _forms(self.then, new, some):
                        if before != after:
                            self._note(before, after, part)
                yield

    def _note(
        self, before: tuple[_Form, ...], after: tuple[_Form, ...], nlris: Sequence[Nlri]
    ) -> None:
        shared = self._kind(before, after)
        concerned = {
            known
            for source, _, _ in (*before, *after)
            if (known := self._known.get(source)) is not None
        }
        if shared is not None:
            self._shared[shared] += len(nlris)
            for source in tuple(self._open[shared]):
                if source in concerned:
                    continue
                found = self._members[source]
                found.name(shared, nlris)
                if found.is_full(shared):
                    del self._open[shared][source]
        for source in concerned:
            found = self._members[source]
            own = self._kind(
                self._without(before, source), self._without(after, source)
            )
            if shared is not None:
                found.counts[shared] -= len(nlris)
            if own is not None:
                found.add(own, nlris)

    def _without(self, forms: tuple[_Form, ...], source: Source) -> tuple[_Form, ...]:
        """Return what the peer itself gets: not its own routes."""
        return tuple(form for form in forms if self._known.get(form[0]) is not source)

    def _kind(
        self, before: tuple[_Form, ...], after: tuple[_Form, ...]
    ) -> RouteChange | None:
        if not before:
            return RouteChange.GAINED if after else None
        if not after:
            return RouteChange.LOST
        return RouteChange.CHANGED if self._seen(before) != self._seen(after) else None

    def _seen(self, forms: tuple[_Form, ...]) -> object:
        """Return what the peer sees: with add-path, from whom each path is as well."""
        if len(forms) == 1:
            return forms[0][2]
        return {(self._known.get(source, source), *rest) for source, *rest in forms}


def _candidates(export: Export | None, entry: Entry | None) -> tuple[Path, ...]:
    """Return the paths of an entry that members may receive."""
    if export is None:
        return ()
    most = export.context.add_path_max
    if most is None:
        best = best_of(entry)
        return () if best is None else (best,)
    eligible = eligible_of(entry)
    return eligible[:most] if most else eligible


def _forms(
    export: Export | None, entry: Entry | None, nlris: Sequence[Nlri]
) -> list[tuple[tuple[_Form, ...], Sequence[Nlri]]]:
    """Group prefixes of one entry by everything that is advertised of them."""
    groups: list[tuple[tuple[_Form, ...], Sequence[Nlri]]] = [((), nlris)]
    if export is None:
        return groups
    for path in _candidates(export, entry):
        groups = [
            (
                forms
                if outgoing is None
                else (*forms, (path.source, path.path_id, outgoing)),
                part,
            )
            for forms, members in groups
            for outgoing, part in export.divide(path, members)
        ]
    return groups
