"""The selected routes of one family, with everything that competes for them (RFC 4271 3.2).

``table`` maps NLRI octets to an ``Entry``: a lone usable ``Path``, or an interned
``PathSet`` ranked by the whole decision process. Announcing and withdrawing work on
batches: prefixes are grouped by the entry they have now, and each distinct entry makes one
transition, memoised where it has more than two paths. Prefixes that are new, or that all
have the same lone path, the common batches, need no grouping.

Every method that changes the table returns the changes as values; it has no callbacks.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from rib.best_path import choose, choose_beside, choose_of_two
from rib.change import Change, make_change
from rib.decision import DecisionOptions, hops_of
from rib.family import Family
from rib.intern import InternTable
from rib.memo import Memo
from rib.nlri import Nlri
from rib.path import NextHop, Path, Source, SourceKind
from rib.path_set import DecisionContext, Entry, PathSet, best_of, members_of

# Theory
# ------
# A full table has a million prefixes and a few thousand distinct sets of competing paths.
# So nothing here is kept per prefix but one slot of a dictionary, and nothing is decided
# per prefix at all. What an UPDATE does to a prefix depends only on the entry that the
# prefix has now; prefixes that share an entry share the transition:
#
#       absent --announce--> Path --announce, another source--> PathSet of 2 --> ... of n
#          ^                  |  ^                                |
#          +-----withdraw-----+  +------------withdraw------------+
#
# Invariants, which the properties in tests/property/test_loc_rib.py hold:
#
# * A prefix with one path whose next hop is reachable has the `Path` itself as its entry.
#   Everything else is a `PathSet`, also a lone path that cannot be used: then the set's
#   best path is None, and the prefix is not advertised.
# * Entries are interned. Two prefixes with the same paths have the same object, so "did
#   it change" is `is`, grouping by entry is a dictionary of identities, and the
#   consumer of (old, new, prefixes) may do its own work once per pair.
# * A source has at most one path of an identifier per prefix (RFC 7911 3); a second
#   announcement replaces the first (RFC 4271 3.1, implicit withdrawal).
# * The order in which routes arrived decides nothing, unless the operator asks for RFC
#   5004: then the best external path so far is a part of a set's identity.
# * An entry says what was decided when it was made. `DecisionContext` keeps what was known of
#   the next hops then, so that `show route` gives the reasons that held, not today's.
#   When a next hop changes, `forget_decisions` comes first and `decide_again` follows in
#   slices; between the two, old and new decisions stand side by side, each consistent.
# * `path_counts` equals what a whole pass would count.
#
# Members of a set are sorted by identity. That order means nothing: it makes one key of
# one set, where sorting by preference would cost a decision before every look-up.
#
# Transitions of sets with three paths or more are memoised: when one of two gateways is
# lost, 500,000 prefixes make as many transitions as there are distinct entries. With two
# paths the transition costs less than the memo's key.
#
# Deliberately not here: import policy and limits (`rib.adj_rib_in`), advertisement
# (`reflector`, `bgpd.pipeline`), how next hops are reached (`rib.next_hops` gets that), and
# time. Every method that changes the table returns the changes; there are no callbacks.
#
# Sources: RFC 4271 3.2 and 9.1.2, RFC 4456 9, RFC 5004, RFC 7911; the split of a route
# into shared attributes and a per-prefix slot is BIRD's (nest/rt-table.c, lib/attrs).

_FORESEEN_PREFIXES: Final = 1 << 18  # looked through in 3 ms, 8 at worst
_FORESEEN_ENTRIES: Final = 1024  # decided on in some 10 ms
_MAX_TRANSITIONS: Final = 16384  # remembered, of each age; a decision each to refill
_WIDE: Final = 32  # paths of a set that count as much as one more set

RibChange = tuple[Entry | None, int]
"""The new entry, and how many paths it has more than the old one."""

Transition = Callable[..., RibChange]


class LocRib:
    """The table of one family.

    Attributes:
        family: AFI and SAFI of the keys.
        table: NLRI -> entry. Read it freely; only the methods change it.
        path_counts: Paths held per source.
    """

    def __init__(self, family: Family, options: DecisionOptions | None = None) -> None:
        self.family = family
        self.table: dict[Nlri, Entry] = {}
        self.path_counts: dict[Source, int] = {}
        self._options = options or DecisionOptions()
        self._is_orderless = not self._options.prefers_oldest_external
        # By their members, in the order of their addresses; with an oldest external path, it is first.
        self._sets: InternTable[tuple[Path, ...], PathSet] = InternTable()
        self._situations: Memo[tuple[object, ...], DecisionContext] = Memo(
            _MAX_TRANSITIONS
        )
        # Entry, and what is done to it -> what comes of it. All paths that come or go are
        # of the source that does it.
        self._transitions: Memo[tuple[object, ...], RibChange] = Memo(_MAX_TRANSITIONS)

    def __len__(self) -> int:
        return len(self.table)

    def announce(self, nlris: Sequence[Nlri], path: Path) -> list[Change]:
        """Let ``path`` compete for ``nlris``; it replaces the former one of its source.

        Cost: about 0.2 us per new prefix; a dictionary look-up and store per known one.
        """
        return self.announce_all((path,), (nlris,), path.source) if nlris else []

    # hot: per read
    def announce_all(
        self, paths: Sequence[Path], runs: Sequence[Sequence[Nlri]], source: Source
    ) -> list[Change]:
        """Let paths of one source compete, each for its prefixes, in order.

        What an UPDATE mostly brings is done here, in one go: prefixes that are new, that
        have the same lone path, or the same two, one of which is replaced.

        Args:
            paths: One for each run.
            runs: Prefixes, at least one in each run.
            source: Of all paths.
        """
        table, get = self.table, self.table.get
        changes: list[Change] = []
        add = changes.append
        new: Entry
        count = 0
        for path, run in zip(paths, runs, strict=True):
            nlris, new = run, path
            old, is_lone = get(nlris[0]), len(nlris) == 1
            if not (
                path.next_hop.is_reachable and (is_lone or _is_alike(table, old, nlris))
            ):
                changes += self._announce_unlike(nlris, path)
                continue
            if (
                is_lone
                and type(old) is Path
                and old.source is source
                and old.path_id == path.path_id
            ):
                if old is not path:  # half of the UPDATEs of a table that changes
                    table[nlris[0]] = path
                    add(make_change((old, path, nlris)))
                continue
            if old is None:
                before = len(table)
                for nlri in nlris:
                    table[nlri] = path
                more = len(table) - before
                count += more
                if more < len(nlris):
                    nlris = list(dict.fromkeys(nlris))
                add(make_change((None, path, nlris)))
                continue
            if not is_lone and len({*nlris}) < len(nlris):
                nlris = list(dict.fromkeys(nlris))
            if type(old) is not Path:
                if len(members_of(old)) != 2:  # their transitions are remembered
                    changes += self._announce_any(nlris, path)
                    continue
                new, more = self._with(old, path)
                if new is old:
                    continue
                count += more * len(nlris)
            elif old.source is not source or old.path_id != path.path_id:
                if not (self._is_orderless and old.next_hop.is_reachable):
                    changes += self._announce_any(nlris, path)
                    continue
                new = self._beside(old, path)
                count += len(nlris)
            elif old is path:
                continue
            for nlri in nlris:
                table[nlri] = new
            add(make_change((old, new, nlris)))
        if count:
            self._count(source, count)
        return changes

    def _announce_unlike(self, nlris: Sequence[Nlri], path: Path) -> list[Change]:
        """Let a path compete for prefixes whose entries may differ.

        Tables that two gateways packed in two ways come like this: hardly any prefix shares
        its paths with another one of the UPDATE.
        """
        table, get = self.table, self.table.get
        if not path.next_hop.is_reachable or not _is_mixed(
            len({*map(get, nlris)}), len(nlris)
        ):
            return self._announce_any(nlris, path)
        changes: list[Change] = []
        others: list[Nlri] = []
        members: list[Nlri] = []
        old: Entry | None = None
        new: Entry | None = None
        count = more = 0
        for nlri in nlris:
            entry = get(nlri)
            if entry is not old or new is None:
                if entry is None:
                    new, more = path, 1
                elif type(entry) is Path or len(members_of(entry)) == 2:
                    new, more = self._with(entry, path)
                else:  # their transitions are remembered
                    others.append(nlri)
                    continue
                old = entry
                if new is not old:
                    members = []
                    changes.append(make_change((old, new, members)))
            if new is not old:
                table[nlri] = new
                members.append(nlri)
                count += more
        if count:
            self._count(path.source, count)
        if others:
            changes += self._announce_any(others, path)
        return changes

    def _announce_any(self, nlris: Iterable[Nlri], path: Path) -> list[Change]:
        return self._move(dict.fromkeys(nlris), path.source, (path,), self._with)

    def _beside(self, lone: Path, path: Path) -> PathSet:
        """Return the set of a single path and another one, both reachable."""
        members = (lone, path) if id(lone) < id(path) else (path, lone)
        known = self._sets.get(members)
        if known is None:
            one, other = members
            # As ``_context_of`` has it.
            situation = self._situations.get((None, one.next_hop, other.next_hop))
            known = self._sets[members] = PathSet(
                members,
                choose_of_two(one, other, self._options),
                situation or self._context_of(members, None),
            )
        return known

    def withdraw(
        self, nlris: Iterable[Nlri], source: Source, path_id: int = 0
    ) -> list[Change]:
        """Remove ``source``'s path with that identifier from ``nlris``."""
        return self._move(
            dict.fromkeys(nlris), source, (source, path_id), self._without
        )

    def sweep_stale(
        self, nlris: Collection[Nlri], source: Source, epoch: int | None = None
    ) -> list[Change]:
        """Remove ``source``'s paths older than ``epoch`` from ``nlris``, each there once.

        ``None`` is the source's own epoch; a sweep in slices stays with the one it began
        in, since what became stale meanwhile waits for another.
        """
        epoch = source.epoch if epoch is None else epoch
        # The epoch first: no withdrawal, whose identifier is last, is remembered alike.
        return self._move(nlris, source, (epoch, source), self._fresh)

    def predict_sweep(self, source: Source) -> dict[Entry, Entry | None] | None:
        """Return what every entry will be after ``sweep_stale`` of all prefixes.

        Milliseconds, however many prefixes there are; ``None`` where it would be more:
        the table is large, or has many distinct entries.
        """
        return self._predict(
            lambda path: path.source is source,
            lambda entry: self._fresh(entry, source.epoch, source)[0],
        )

    def predict_decisions(
        self, next_hops: Collection[NextHop]
    ) -> dict[Entry, Entry | None] | None:
        """Return what every entry will be after ``decide_again`` of what goes through hops.

        As ``predict_sweep``.
        """
        return self._predict(
            lambda path: path.next_hop in next_hops,
            lambda entry: self._again(entry)[0],
        )

    def _predict(
        self,
        is_concerned: Callable[[Path], bool],
        becomes: Callable[[Entry], Entry | None],
    ) -> dict[Entry, Entry | None] | None:
        if len(self.table) > _FORESEEN_PREFIXES:
            return None
        entries = set(self.table.values())
        if len(entries) > _FORESEEN_ENTRIES:
            return None
        return {
            entry: becomes(entry)
            if any(map(is_concerned, members_of(entry)))
            else entry
            for entry in entries
        }

    def nlris_through(
        self, next_hops: Collection[NextHop], among: Iterable[Nlri] | None = None
    ) -> list[Nlri]:
        """Return the prefixes that have a path through one of ``next_hops``.

        Args:
            next_hops: Which.
            among: Prefixes to look at, in the table or not; ``None`` for all.
        """
        get = self.table.get
        return [
            nlri
            for nlri in (self.table if among is None else among)
            if any(path.next_hop in next_hops for path in members_of(get(nlri)))
        ]

    def set_options(self, options: DecisionOptions) -> None:
        """Change the decision options; see ``forget_decisions``."""
        self._options = options
        self._is_orderless = not options.prefers_oldest_external
        self.forget_decisions()

    def forget_decisions(self) -> None:
        """Drop every memoised decision: what they depend on has changed.

        Entries keep what was decided until ``decide_again`` comes by.
        """
        self._transitions.clear()
        self._situations.clear()
        self._sets.clear()

    def decide_again(self, nlris: Iterable[Nlri]) -> list[Change]:
        """Run the decision process again for ``nlris``, after ``forget_decisions``."""
        return self._move(dict.fromkeys(nlris), None, (), self._again)

    def _move(
        self,
        nlris: Collection[Nlri],
        source: Source | None,
        key: tuple[object, ...],
        transition: Transition,
    ) -> list[Change]:
        """Apply one transition to prefixes, each there once, grouped by entry."""
        table, transitions = self.table, self._transitions
        changes = []
        count = 0
        for old, members in _by_entry(table, nlris):
            if old is None or type(old) is Path or len(old.members) == 2:  # type: ignore[union-attr]
                # Worked out sooner than remembered.
                new, more = transition(old, *key)
            else:
                memo_key = (old, *key)
                known = transitions.get(memo_key)
                if known is None:
                    known = transitions.recall(memo_key, None)
                    if known is None:
                        known = transition(old, *key)
                        weight = 1 + len(old.members) // _WIDE  # type: ignore[union-attr]
                        transitions.put(memo_key, known, weight)
                new, more = known
            if new is old:
                continue
            if new is None:
                for nlri in members:
                    del table[nlri]
            else:
                for nlri in members:
                    table[nlri] = new
            count += more * len(members)
            changes.append(make_change((old, new, members)))
        if count and source is not None:
            self._count(source, count)
        return changes

    def _count(self, source: Source, more: int) -> None:
        counts = self.path_counts
        left = counts.get(source, 0) + more
        if left:
            counts[source] = left
        else:
            counts.pop(source, None)

    def recount(self, source: Source) -> None:
        """Count a source's paths again, after something was interrupted; a whole pass."""
        self.path_counts.pop(source, None)
        self._count(
            source,
            sum(
                path.source is source
                for entry in self.table.values()
                for path in members_of(entry)
            ),
        )

    def _with(self, entry: Entry | None, path: Path) -> tuple[Entry, int]:
        source, path_id = path.source, path.path_id
        if type(entry) is Path and path.next_hop.is_reachable:
            if entry.source is source and entry.path_id == path_id:
                return path, 0
            if entry.next_hop.is_reachable and self._is_orderless:
                return self._beside(entry, path), 1
        elif self._is_orderless and path.next_hop.is_reachable:
            kept = _kept_beside(path, members_of(entry))
            if kept is not None:
                return self._beside(kept, path), 0
        paths = [
            other
            for other in members_of(entry)
            if other.source is not source or other.path_id != path_id
        ]
        paths.append(path)
        more = len(paths) - len(members_of(entry))
        new = self._entry(paths, entry, path if more else None)
        return new, more  # type: ignore[return-value]  # of one path at least

    def _without(self, entry: Entry | None, source: Source, path_id: int) -> RibChange:
        if type(entry) is Path:
            is_its = entry.source is source and entry.path_id == path_id
            return (None, -1) if is_its else (entry, 0)
        paths = members_of(entry)
        left = [p for p in paths if p.source is not source or p.path_id != path_id]
        return self._left(left, entry)

    def _fresh(self, entry: Entry | None, epoch: int, source: Source) -> RibChange:
        paths = members_of(entry)
        if len(paths) == 2:
            # Two gateways, one lost.
            one, other = paths
            is_one = one.source is source and one.epoch < epoch
            if is_one != (other.source is source and other.epoch < epoch):
                lone = other if is_one else one
                if lone.next_hop.is_reachable:
                    return lone, -1
        left = [p for p in paths if p.source is not source or p.epoch >= epoch]
        return self._left(left, entry)

    def _left(self, left: list[Path], before: Entry | None) -> RibChange:
        more = len(left) - len(members_of(before))
        return (self._entry(left, before) if more else before), more

    def _again(self, entry: Entry | None) -> RibChange:
        return self._entry(list(members_of(entry)), entry), 0

    def _entry(
        self, paths: list[Path], before: Entry | None, added: Path | None = None
    ) -> Entry | None:
        """Return the entry for ``paths`` that replaces ``before``.

        Args:
            paths: All of them.
            before: The former entry.
            added: The one path that came to those of before; ``None`` for other changes.
        """
        if not paths:
            return None
        if len(paths) == 1 and paths[0].next_hop.is_reachable:
            return paths[0]
        members = key = tuple(sorted(paths, key=id))
        oldest = None
        if self._options.prefers_oldest_external:
            oldest = _oldest_external(paths, before)
            if oldest is not None:
                key = (oldest, *members)
        known = self._sets.get(key)
        if known is None:
            known = self._sets[key] = PathSet(
                members,
                self._choose(paths, oldest, before, added),
                self._context_of(members, oldest),
            )
            self._sets.weigh(len(members) // _WIDE)
        return known

    def _choose(
        self,
        paths: list[Path],
        oldest: Path | None,
        before: Entry | None,
        added: Path | None,
    ) -> Path | None:
        former = best_of(before)
        if added is not None and former is not None:
            best = choose_beside(former, added, self._options)
            if best is not None:
                return best
        return choose(paths, self._options, oldest=oldest)

    def _context_of(
        self, paths: Sequence[Path], oldest: Path | None
    ) -> DecisionContext:
        # What is known of these next hops holds until decisions are forgotten.
        key = (oldest, *[path.next_hop for path in paths])
        known = self._situations.get(key)
        if known is None:
            known = self._situations.recall(key, None)
        if known is None:
            known = DecisionContext(self._options, hops_of(paths), oldest)
            self._situations.put(key, known, 1 + len(paths) // _WIDE)
        return known

    @property
    def is_sweep_due(self) -> bool:
        """Whether ``sweep_unused`` has work."""
        return self._sets.is_due

    def sweep_unused(self) -> Iterable[int]:
        """Forget path sets that no prefix has any more, in slices; empty when not due."""
        if not self._sets.is_due:
            return ()
        self._transitions.clear()
        return self._sets.sweep()

    def age(self) -> Iterable[int]:
        """Forget decisions not used since the last time, in slices.

        Path sets that no prefix has any more go, too, where they are few.
        """
        self._transitions.age()
        self._situations.age()
        return self._sets.look_after()


def _is_alike(
    table: dict[Nlri, Entry], first: Entry | None, nlris: Sequence[Nlri]
) -> bool:
    """Return whether prefixes have the same entry, that of the first one."""
    if first is None:
        return table.keys().isdisjoint(nlris)
    return [*map(table.get, nlris)].count(first) == len(nlris)


def _by_entry(
    table: dict[Nlri, Entry], nlris: Collection[Nlri]
) -> Iterable[tuple[Entry | None, list[Nlri]]]:
    """Group prefixes by their entry; neighbours mostly share it.

    Where hardly any two share one, only neighbours are put together: to gather the
    others would take longer than it saves.
    """
    entries = [*map(table.get, nlris)]
    distinct = len({*entries})
    if distinct == 1:
        return ((entries[0], [*nlris]),)
    if _is_mixed(distinct, len(entries)):
        return _neighbours(nlris, entries)
    by_entry: dict[Entry | None, list[Nlri]] = {}
    last: Entry | None = None
    add: Callable[[Nlri], None] | None = None
    for nlri, entry in zip(nlris, entries, strict=True):
        if entry is not last or add is None:
            add = by_entry.setdefault(entry, []).append
            last = entry
        add(nlri)
    return by_entry.items()


def _is_mixed(distinct: int, count: int) -> bool:
    """Return whether so few of ``count`` prefixes share entries that grouping gains nothing."""
    return 2 * distinct > count


def _neighbours(
    nlris: Iterable[Nlri], entries: Iterable[Entry | None]
) -> list[tuple[Entry | None, list[Nlri]]]:
    """Group prefixes by their entry where neighbours have the same."""
    groups: list[tuple[Entry | None, list[Nlri]]] = []
    last: Entry | None = None
    members: list[Nlri] = []
    for nlri, entry in zip(nlris, entries, strict=True):
        if entry is not last or not members:
            members = []
            groups.append((entry, members))
            last = entry
        members.append(nlri)
    return groups


def _kept_beside(path: Path, members: Sequence[Path]) -> Path | None:
    """Return the one of two that stays when ``path`` replaces its source's former path.

    ``None`` where that is not all: of other numbers, or where none is replaced, or what
    stays is unreachable.
    """
    if len(members) != 2:
        return None
    kept, former = members
    source, path_id = path.source, path.path_id
    if former.source is not source or former.path_id != path_id:
        kept, former = former, kept
        if former.source is not source or former.path_id != path_id:
            return None
    return kept if kept.next_hop.is_reachable else None


def _oldest_external(paths: Iterable[Path], before: Entry | None) -> Path | None:
    """Return the previous best external path in its present form (RFC 5004 3).

    Advertising it again does not cost it its place; without it there is no oldest one.
    """
    best = best_of(before)
    if best is None or best.source.kind is not SourceKind.EBGP:
        return None
    for path in paths:
        if path.source is best.source and path.path_id == best.path_id:
            return path
    return None
