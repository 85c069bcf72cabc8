"""``events`` and ``history``: the journal as rows, once or as it goes on.

A row has ``id``, ``time``, ``kind`` and ``event``, whatever it is about. A change of a best path is
made into one only when a user asks for it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bgpd.api.protocol import Arguments, ControlError, Row
from bgpd.journal.event_counts import KEPT_SECONDS
from bgpd.journal.event_journal import EVERY_KIND, Event, EventJournal, Item, Reading
from bgpd.journal.kinds import EventKind
from bgpd.journal.route_changes import RouteChange
from bgpd.show.state import DaemonView, find_limit, find_prefix
from bgpd.texts.moments import utc_with_microseconds
from rib.attributes.text import format_next_hop
from rib.family import FAMILIES_BY_NAME, Family
from rib.nlri import Nlri, covers, format_prefix, make_nlri, parse_prefix
from rib.path import Path
from rib.zones import parts_of

ROUTE_ADDED: Final = "route-added"
ROUTE_CHANGED: Final = "route-changed"
ROUTE_REMOVED: Final = "route-removed"
DROPPED: Final = "events-dropped"
BEGAN: Final = "journal-began"
_SHARED: Final = (
    "peer",
    "address",
    "family",
    "prefix",
    "reason",
)
_YIELD_AFTER: Final = 256  # events looked at between yield points, under 1 ms

Matches = Callable[[Item], bool]


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which events are wanted."""

    kinds: frozenset[EventKind]
    peers: frozenset[str]  # a name and an address; empty for all
    prefix: tuple[Family, Nlri] | None
    is_longer: bool

    def matches(self, item: Item) -> bool:
        """Whether an event is one of those."""
        if isinstance(item, Event):
            fields = item.fields
            return (
                not self.peers
                or fields.get("peer") in self.peers
                or fields.get("address") in self.peers
            ) and (self.prefix is None or self._names_prefix(fields))
        family, change = item
        if self.prefix is not None and not self._is_wanted(family, change.nlri):
            return False
        paths = (change.old, change.new)
        return not self.peers or any(
            path is not None and path.source.name in self.peers for path in paths
        )

    def _is_wanted(self, family: Family, nlri: Nlri) -> bool:
        if self.prefix is None:
            return True
        of, wanted = self.prefix
        if family != of:
            return False
        return covers(wanted, nlri) if self.is_longer else nlri == wanted

    def _names_prefix(self, fields: Mapping[str, object]) -> bool:
        several = fields.get("prefixes")
        texts = [*several] if isinstance(several, list) else [fields.get("prefix")]
        for text in texts:
            if not isinstance(text, str):
                continue
            try:
                afi, nlri = parse_prefix(text)
            except ValueError:
                continue
            if any(
                family.afi == afi and self._is_wanted(family, nlri)
                for family in FAMILIES_BY_NAME.values()
            ):
                return True
        return False


def events(view: DaemonView, arguments: Arguments) -> Iterator[Row | None]:
    """Return what is kept, the oldest first; with ``limit`` the newest so many.

    Raises:
        ControlError: ``bad-argument``, or ``journal-off`` where nothing is kept.
    """
    choice, limit = _choice(view, arguments), find_limit(arguments)
    journal = view.journal
    cursor = arguments.get("after")
    reading = _read(journal, cursor, choice)
    rows = _rows(reading, choice)
    head = [] if cursor is None else _missed_rows(journal, cursor, reading)
    return _newest(head, rows, limit)


def _newest(
    head: list[Row], rows: Iterator[Row | None], limit: int | None
) -> Iterator[Row | None]:
    yield from head
    if limit is None:
        yield from rows
        return
    last: deque[Row] = deque(maxlen=limit)
    for row in rows:
        if row is None:
            yield None
        else:
            last.append(row)
    yield from last


def follow(
    view: DaemonView, arguments: Arguments
) -> Iterator[Row | asyncio.Future[None] | None]:
    """Return rows as things happen, without end; where there is nothing to tell, what to wait for.

    It begins after ``after``, or now. A slow reader costs nothing: it learns what it missed.

    Raises:
        ControlError: As ``events``.
    """
    cursor = arguments.get("after", view.journal.last_id)
    return _followed(view.journal, cursor, _choice(view, arguments))


def _followed(
    journal: EventJournal, cursor: int, choice: _Choice
) -> Iterator[Row | asyncio.Future[None] | None]:
    while True:
        reading = _read(journal, cursor, choice)
        yield from _missed_rows(journal, cursor, reading)
        yield from _rows(reading, choice)
        cursor = reading.until
        if journal.last_id == cursor:
            yield journal.next_event()


def _choice(view: DaemonView, arguments: Arguments) -> _Choice:
    """Return the parsed arguments.

    Raises:
        ControlError: ``bad-argument``, or ``journal-off`` where nothing is kept.
    """
    kinds = frozenset(map(EventKind, arguments.get("kind", ()))) or EVERY_KIND
    journal = view.journal
    if not (journal.keeps_events or journal.keeps_changes):
        raise ControlError(
            "journal-off",
            "no events are kept: journal.max_events and journal.max_changes are 0",
        )
    prefix = arguments.get("prefix")
    if prefix is None and arguments.get("longer"):
        raise ControlError("bad-argument", "longer needs a prefix", ("prefix",))
    return _Choice(
        kinds,
        _names_of(view, arguments.get("peer")),
        None if prefix is None else find_prefix(prefix),
        bool(arguments.get("longer")),
    )


def _names_of(view: DaemonView, asked: str | None) -> frozenset[str]:
    """Return the name and address of a peer; one that was removed has the name of the request."""
    if asked is None:
        return frozenset()
    found = {asked}
    for address, peer in view.speaker.peers.items():
        if asked in (address, peer.settings.name):
            found |= {address, peer.settings.name}
    return frozenset(found)


def _read(journal: EventJournal, cursor: int | None, choice: _Choice) -> Reading:
    is_known = cursor is not None and journal.knows(cursor)
    after = cursor if is_known and cursor is not None else journal.first_id
    return journal.read(after, choice.kinds)


def _missed_rows(journal: EventJournal, cursor: int, reading: Reading) -> list[Row]:
    """Return a row if the reader can no longer get everything since its cursor."""
    reason = ""
    missed: int | None = reading.missed
    if not journal.knows(cursor):
        reason, missed = "the daemon has started since", None
    elif missed:
        reason = "they are not kept any more"
    if not reason:
        return []
    return [
        {
            "id": cursor,  # to go on from there changes nothing
            "time": utc_with_microseconds(journal.now()),
            "kind": None,
            "event": DROPPED,
            "dropped": missed,
            "reason": reason,
        }
    ]


def _rows(reading: Reading, choice: _Choice) -> Iterator[Row | None]:
    for count, item in enumerate(reading.items, 1):
        if choice.matches(item):
            yield _row(item)
        if count % _YIELD_AFTER == 0:
            yield None


def _row(item: Item) -> Row:
    if not isinstance(item, Event):
        return change_row(*item)
    fields = dict(item.fields)
    row: Row = {
        "id": item.event_id,
        "time": utc_with_microseconds(item.at),
        "kind": item.kind.value,
        "event": fields.pop("event"),
        "level": fields.pop("level", ""),
        "message": fields.pop("message", ""),
        "details": fields,
    }
    return row | {name: str(fields.pop(name)) for name in _SHARED if name in fields}


def change_row(family: Family, change: RouteChange) -> Row:
    """Return the row of a change of a best path."""
    old, new = change.old, change.new
    name = ROUTE_CHANGED
    if old is None or new is None:
        name = ROUTE_ADDED if old is None else ROUTE_REMOVED
    return {
        "id": change.event_id,
        "time": utc_with_microseconds(change.at),
        "kind": EventKind.ROUTE.value,
        "event": name,
        "prefix": format_prefix(change.nlri, family.afi),
        "family": str(family),
        "old": _path_row(old),
        "new": _path_row(new),
    }


def _path_row(path: Path | None) -> Row | None:
    if path is None:
        return None
    next_hop, zone = path.attributes.next_hop, parts_of(path.next_hop.key).zone
    return {
        "peer": path.source.name,
        "source": path.source.kind.name.lower(),
        "path_id": path.path_id,
        "next_hop": format_next_hop(next_hop, zone) or None,
        "as_path": str(path.attributes.as_path),
        "local_pref": path.attributes.local_pref,
        "med": path.attributes.med,
    }


# -- how much ---------------------------------------------------------------------------


def event_counts(view: DaemonView, arguments: Arguments) -> Iterator[Row]:
    """Return a row for each step of time, the oldest first; the last is not over.

    Raises:
        ControlError: ``bad-argument``, or ``journal-off`` where nothing is kept.
    """
    journal = view.journal
    _choice(view, {})  # journal-off
    seconds, steps = arguments.get("seconds", 10), arguments.get("limit", 60)
    if seconds * steps > KEPT_SECONDS:
        raise ControlError(
            "bad-argument",
            f"{steps} steps of {seconds} s are longer than the hour that is counted",
            ("at most 3600 s in all",),
        )
    last = int(journal.now()) // seconds * seconds
    return (
        {
            "time": utc_with_microseconds(at),
            "seconds": seconds,
            "counts": {
                kind.value: count
                for kind, count in journal.counts.between(at, at + seconds).items()
            },
        }
        for at in range(last - (steps - 1) * seconds, last + 1, seconds)
    )


# -- one prefix -------------------------------------------------------------------------


def history(view: DaemonView, arguments: Arguments) -> Iterator[Row | None]:
    """Return what happened to a prefix, the oldest first, after a row that says since when.

    With ``longer`` also to those inside it; of an address, to those that cover it.

    Raises:
        ControlError: ``bad-argument``, or ``journal-off`` where nothing is kept.
    """
    asked = arguments["prefix"]
    family, nlri = find_prefix(asked)
    journal, limit = view.journal, find_limit(arguments)
    kept = journal.changes_of(family)
    if not journal.keeps_changes or kept is None:
        raise ControlError(
            "journal-off", "no changes of routes are kept: journal.max_changes is 0"
        )
    head: Row = {
        "id": max(journal.first_id, kept.lost_id),
        "time": utc_with_microseconds(max(kept.began_at, kept.lost_at)),
        "kind": EventKind.ROUTE.value,
        "event": BEGAN,
        "family": str(family),
    }
    if arguments.get("longer"):
        choice = _Choice(
            frozenset({EventKind.ROUTE}), frozenset(), (family, nlri), True
        )  # as the class has it
        rows = _rows(journal.read(0, choice.kinds), choice)
        return _newest([head], rows, limit)
    found = [*kept.of_prefix(nlri)]
    if "/" not in asked:
        for length_bits in range(nlri[0]):
            found += kept.of_prefix(make_nlri(nlri[1:], length_bits))
        found.sort()
    rows = (change_row(family, change) for change in found)
    return _newest([head], rows, limit)
