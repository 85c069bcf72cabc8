"""``drain``, ``undrain`` and ``show drain``: which peers are out of service, and how far."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bgpd.api.protocol import Arguments, ControlError, Row
from bgpd.show.state import DaemonView, check_text, find_peers
from bgpd.speaker.drain_orders import DrainOrigin
from bgpd.speaker.peer import Peer
from bgpd.texts.moments import utc

if TYPE_CHECKING:  # most daemons never drain anything
    from bgpd.speaker.draining import Draining, DrainState

_ENDED_BY: Final[Mapping[DrainOrigin, str]] = MappingProxyType(
    {
        DrainOrigin.COMMAND: "a command: undrain them with --all",
        DrainOrigin.NODE: "a label of the node, for as long as it is there",
        DrainOrigin.SHUTDOWN: "the end of the daemon",
    }
)


def drain(view: DaemonView, arguments: Arguments) -> Row:
    """Drain the peers of the arguments.

    Raises:
        ControlError: ``bad-argument``, ``no-such-peer``, ``read-only``.
    """
    draining, text = _draining(view), check_text(arguments)
    wait, shuts = int(arguments.get("wait", 0)), bool(arguments.get("shutdown"))
    peers = _wanted(view, arguments)
    if peers is None:
        draining.drain_all(DrainOrigin.COMMAND, text, wait=wait, shuts=shuts)
        return {"lines": [f"draining all peers: {len(view.speaker.peers)}"]}
    try:
        draining.drain(peers, text, wait=wait, shuts=shuts)
    except ValueError as error:
        raise ControlError("bad-argument", str(error)) from error
    return {"lines": [f"{peer.settings.name}: draining" for peer in peers]}


def undrain(view: DaemonView, arguments: Arguments) -> Row:
    """Put the peers of the arguments in service again.

    Raises:
        ControlError: As ``drain``, and ``not-drained``.
    """
    draining, drains = _draining(view), view.speaker.context.drains
    peers = _wanted(view, arguments)
    if peers is None:
        if DrainOrigin.COMMAND not in drains.whole and not drains.peers:
            _check_whole(view)
            raise ControlError("not-drained", "no peer is drained")
        draining.undrain_all(DrainOrigin.COMMAND)
        _check_whole(view)
        return {"lines": ["all peers are in service again"]}
    _check_whole(view)
    for peer in peers:
        if peer.settings.remote_addr not in drains.peers:
            raise ControlError("not-drained", f"{peer.settings.name} is not drained")
    draining.undrain(peers)
    return {"lines": [f"{peer.settings.name}: in service again" for peer in peers]}


def show_drain(view: DaemonView, _: Arguments) -> Iterator[Row]:
    """Return a row for each drained peer.

    Raises:
        ControlError: ``read-only``.
    """
    if not view.speaker.context.drains:  # what drains need not be loaded to say so
        return iter(())
    return map(_row, _draining(view).states())


def _row(state: "DrainState") -> Row:
    order, use, left = state.order, state.use, state.time_left
    return {
        "peer": state.peer.settings.name,
        "address": state.peer.settings.remote_addr,
        "state": state.name,
        "since": utc(order.since),
        "by": order.by.value,
        "text": order.text,
        "best": None if use is None else use.best,
        "movable": None if use is None else use.movable,
        "is_sent": None if use is None else use.is_sent,
        "time_left": None if left is None else round(left, 1),
        "shuts_down": state.shuts,
    }


def drain_of(view: DaemonView, peer: Peer) -> Row:
    """Return what each row of a peer says of its drain."""
    order = view.speaker.context.drains.of(peer.settings.remote_addr)
    if order is None:
        return {"drained_by": None, "drained_since": None}
    return {"drained_by": order.by.value, "drained_since": utc(order.since)}


def drain_row(view: DaemonView) -> Row | None:
    """Return what is drained in all; ``None`` for nothing."""
    drains, peers = view.speaker.context.drains, view.speaker.peers
    if not drains:
        return None
    orders = (*drains.whole.values(), *drains.peers.values())
    return {
        "all": bool(drains.whole),
        "by": sorted({order.by.value for order in orders}),
        "since": utc(min(order.since for order in orders)),
        "peers": sum(drains.of(address) is not None for address in peers),
        "shut_down": sum(map(drains.is_shut, peers)),
    }


def _draining(view: DaemonView) -> "Draining":
    if view.draining is None:
        raise ControlError("read-only", "this daemon accepts only read-only commands")
    return view.draining()


def _check_whole(view: DaemonView) -> None:
    """Say no where all peers are drained, and single ones cannot be put in service.

    Raises:
        ControlError: ``not-drained``.
    """
    for origin in view.speaker.context.drains.whole:
        text = f"all peers are drained by {_ENDED_BY[origin]}"
        raise ControlError("not-undrained", text)


def _wanted(view: DaemonView, arguments: Arguments) -> Sequence[Peer] | None:
    """Return which peers the arguments mean; ``None`` is all, those to come included.

    Raises:
        ControlError: ``bad-argument``, ``no-such-peer``.
    """
    names, groups = arguments.get("peer", ()), arguments.get("group", ())
    ranges, speaker = arguments.get("range", ()), view.speaker
    if arguments.get("all"):
        if names or groups or ranges:
            raise ControlError("bad-argument", "all goes without peer, group and range")
        return None
    if not (names or groups or ranges):
        expected = ("peer", "group", "range", "all")
        raise ControlError("bad-argument", "no peers are named", expected)
    chosen = dict.fromkeys(find_peers(speaker, names))
    for key, wanted in (("group", groups), ("range", ranges)):
        found = _by(speaker.peers.values(), key)
        for name in wanted:
            if name not in found:
                raise ControlError(
                    "bad-argument", f"{key} {name!r} has no peers", sorted(found)
                )
            chosen |= dict.fromkeys(found[name])
    return (*chosen,)


def _by(peers: Iterable[Peer], key: str) -> dict[str, list[Peer]]:
    found: dict[str, list[Peer]] = {}
    for peer in peers:
        name = peer.settings.group if key == "group" else peer.range_name
        if name:
            found.setdefault(name, []).append(peer)
    return found
