"""``plan``: what a configuration would do, and ``apply``, ``confirm`` and ``rollback``.

A plan is worked out while its answer is sent, a step for each yield point, so that a client that
reads slowly or goes away costs nothing. Rows say what would change, ``part`` of which; the last
one is the summary.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from bgpd.api.protocol import Arguments, ControlError, Row
from bgpd.config.diff import Change, Step, StepKind
from bgpd.runtime.event_loop import keep_young
from bgpd.session.settings import ChangeCost
from bgpd.show.daemon_state import Planned
from bgpd.show.state import STATE_NAMES, Configuration, DaemonView
from rib.nlri import format_address, format_prefix
from rib.path import Path

if TYPE_CHECKING:  # loaded for a plan alone
    from bgpd.preview.forwarding import Moves
    from bgpd.preview.preview import ChangePreview, PeerRoutes
    from bgpd.preview.sessions import SessionChange
    from fib.routes import Target
    from rib.family import Family
    from rib.nlri import Nlri

NAMED: Final = 10  # prefixes of each kind of change, unless asked otherwise
MOST_NAMED: Final = 10_000
LONGEST_CONFIRM: Final = 86_400  # seconds
PROGRESS: Final = 1.0  # seconds between two rows of progress
_CHANGES: Final = {Change.ADD: "added", Change.REMOVE: "removed", Change.SET: "changed"}


async def plan(view: DaemonView, arguments: Arguments) -> Iterator[Row | None]:
    """Return the rows of a plan.

    Raises:
        ControlError: ``bad-configuration``, ``busy`` or ``bad-argument``.
    """
    configuration = view.find_configuration()
    most = _bounded(arguments, "limit", NAMED, MOST_NAMED)
    if configuration.is_planning:
        raise ControlError(
            "busy", "another plan is being made; try again when it is done"
        )
    text, name = _text(configuration, arguments), arguments.get("name", "")
    found: Planned
    if arguments.get("resource"):
        found = await configuration.plan_objects(text, name, most)
    else:
        allows_resets = bool(arguments.get("allow_reset"))
        found = await configuration.plan(text, name, most, allows_resets=allows_resets)
    return _rows(view, found, is_summary=bool(arguments.get("summary")))


def _rows(
    view: DaemonView, found: Planned, *, is_summary: bool
) -> Iterator[Row | None]:
    configuration = view.find_configuration()
    if configuration.is_planning:
        raise ControlError(
            "busy", "another plan is being made; try again when it is done"
        )
    configuration.is_planning = True
    try:
        yield from _worked_out(view, found)
        for row in _all_rows(found):
            if not is_summary or row["part"] in ("summary", "note"):
                yield row
            else:
                yield None
    finally:
        configuration.is_planning = False


def _worked_out(view: DaemonView, found: Planned) -> Iterator[Row | None]:
    """Work the plan out; say now and then how far it is."""
    preview = found.preview
    if preview is None:
        return
    told_at = view.now
    for _ in preview.run():
        keep_young()  # a collection would find nothing, and hold the loop for 50 ms
        if view.now - told_at >= PROGRESS:
            told_at = view.now
            yield {"part": "progress", "text": preview.stage}
        else:
            yield None


def _all_rows(found: Planned) -> Iterator[Row]:
    held = set(map(id, found.held))
    settings = [step for step in found.steps if step.kind is not StepKind.PEER]
    for step in settings:
        yield _setting(step, is_held=id(step) in held)
    for text in found.lines:
        yield {"part": "note", "text": text}
    preview = found.preview
    sessions = [] if preview is None else preview.sessions
    for change in sessions:
        yield _session(change)
    waiting = [step for step in found.held if step.kind is StepKind.PEER]
    for step in waiting:
        yield _setting(step, is_held=True)
    routes = list(_routes(preview)) if preview is not None else []
    yield from routes
    yield _summary(settings, waiting, sessions, routes)


def _routes(preview: "ChangePreview") -> Iterator[Row]:
    for each in preview.peers:
        yield _peer(each)
    for family, best in preview.best.items():
        if any(best.counts.counts.values()):
            yield _moves("best path", family, best)
    for family, moves in preview.kernel_routes.items():
        if any(moves.counts.counts.values()):
            yield _moves("kernel route", family, moves)
    for text in preview.notes:
        yield {"part": "note", "text": text}


def _setting(step: Step, *, is_held: bool) -> Row:
    return {
        "part": "setting",
        "kind": step.kind.value,
        "name": step.name,
        "change": _CHANGES[step.change],
        "keys": list(step.shown_keys),
        "cost": "start" if step.needs_restart else step.cost.value,
        "is_held": is_held,
        "text": str(step),
    }


def _session(change: "SessionChange") -> Row:
    peer, step = change.peer, change.step
    return {
        "part": "session",
        "name": change.name,
        "address": step.name,
        "change": _CHANGES[step.change],
        "keys": list(step.shown_keys),
        "cost": step.cost.value,
        "state": None if peer is None else STATE_NAMES[peer.state],
        "ends_session": change.ends_session,
        "range": step.range_name or None,
        "text": str(step),
    }


def _peer(each: "PeerRoutes") -> Row:
    afi, found = each.family.afi, each.advertised
    row: Row = {
        "part": "peer",
        "name": each.peer.settings.name,
        "address": each.peer.settings.remote_addr,
        "family": str(each.family),
        "accepted_before": each.accepted_now,
        "accepted_after": each.accepted_then,
    }
    for kind, nlris in found.first.items():
        row[kind.value] = found.counts[kind]
        row[f"{kind.value}_prefixes"] = _prefixes(nlris, afi)
    return row


def _prefixes(nlris: "Iterable[Nlri]", afi: int) -> list[str]:
    return [format_prefix(nlri, afi) for nlri in nlris]


def _moves(part: str, family: "Family", moves: "Moves") -> Row:
    first = [
        {
            "prefix": format_prefix(move.nlri, family.afi),
            "before": _place(move.old),
            "after": _place(move.new),
        }
        for move in moves.first
    ]
    counts = {kind.value: moves.counts.counts[kind] for kind in moves.counts.first}
    return {"part": part, "family": str(family), **counts, "moves": first}


def _place(where: "Path | Target | None") -> str | None:
    """Return where a prefix leads, for people."""
    if where is None:
        return None
    if isinstance(where, Path):
        name, hop = where.source.name, where.next_hop.address
        return f"{name} via {format_address(hop)}" if hop else name
    hops = [
        f"{format_address(hop.gateway) if hop.gateway else 'link'} {hop.interface}"
        for hop in where.hops
    ]
    return ", ".join(map(str.strip, hops)) or where.kind.name.lower()


def _summary(
    settings: list[Step],
    waiting: list[Step],
    sessions: "list[SessionChange]",
    routes: list[Row],
) -> Row:
    counts = Counter(
        "reset"
        if change.step.change is Change.SET and change.ends_session
        else _CHANGES[change.step.change]
        for change in sessions
    )
    refreshed = sum(
        change.is_up and change.step.cost is ChangeCost.REFRESH for change in sessions
    )
    peers = [row for row in routes if row["part"] == "peer"]
    moved = dict.fromkeys(("best path", "kernel route"), 0)
    for row in routes:
        if row["part"] in moved:
            moved[row["part"]] += row["gained"] + row["lost"] + row["changed"]
    return {
        "part": "summary",
        "settings": len(settings),
        "sessions_added": counts["added"],
        "sessions_changed": counts["changed"],
        "sessions_refreshed": refreshed,
        "sessions_reset": counts["reset"],
        "sessions_removed": counts["removed"],
        "sessions_ended": sum(change.ends_session for change in sessions),
        "held": len(waiting),
        "peers": len({row["address"] for row in peers}),
        "gained": sum(row["gained"] for row in peers),
        "lost": sum(row["lost"] for row in peers),
        "changed": sum(row["changed"] for row in peers),
        "best_paths": moved["best path"],
        "kernel_routes": moved["kernel route"],
        "is_empty": not (settings or sessions or routes or waiting),
    }


# -- doing it -----------------------------------------------------------------------------


async def apply(view: DaemonView, arguments: Arguments) -> Row:
    """Put a configuration in force."""
    confirm = arguments.get("confirm", 0)
    if not 0 <= confirm <= LONGEST_CONFIRM:
        raise ControlError(
            "bad-argument",
            "confirm is a number of seconds",
            (f"1 to {LONGEST_CONFIRM}",),
        )
    configuration = view.find_configuration()
    lines = await configuration.apply(
        _text(configuration, arguments),
        arguments.get("name", ""),
        confirm,
        allows_resets=bool(arguments.get("allow_reset")),
    )
    return {"lines": lines}


async def confirm(view: DaemonView, _: Arguments) -> Row:
    """Confirm what was applied."""
    return {"lines": await view.find_configuration().confirm()}


async def rollback(view: DaemonView, _: Arguments) -> Row:
    """Take back what was applied."""
    return {"lines": await view.find_configuration().rollback()}


def upload(view: DaemonView, arguments: Arguments) -> Row:
    """Take a piece of a long text, for ``plan`` or ``apply``."""
    uploads = view.find_configuration().uploads
    return {"characters": uploads.add(arguments["upload"], arguments["text"])}


def _text(configuration: Configuration, arguments: Arguments) -> str:
    """Return the text of a request, or the one that was sent in pieces before."""
    if "upload" in arguments:
        return configuration.uploads.take(arguments["upload"])
    if "text" not in arguments:
        raise ControlError("missing-argument", "text or upload is needed", ("text",))
    text: str = arguments["text"]
    return text


def _bounded(arguments: Arguments, name: str, default: int, most: int) -> int:
    value: int = arguments.get(name, default)
    if not 0 <= value <= most:
        raise ControlError("bad-argument", f"{name} is a number", (f"0 to {most}",))
    return value
