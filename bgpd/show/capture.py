"""``capture``: messages of some peers as they pass, without end or until a limit."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from bgpd.api.protocol import Arguments, ControlError, Row
from bgpd.capture.message_runs import NO_MESSAGE, messages_of
from bgpd.capture.message_text import TYPE_NAMES, read_update, text_of
from bgpd.net.sockets import canonical
from bgpd.session.negotiation import Negotiated
from bgpd.show.state import DaemonView, Wanted, find_peer, find_wanted
from bgpd.speaker.captures import (
    MOST_CAPTURES,
    Capture,
    Happening,
    Link,
    Piece,
    captures_of,
)
from bgpd.speaker.import_context import attribute_context
from bgpd.texts.moments import utc_with_microseconds
from bgpd.wire.framing import HEADER_LEN
from rib.attributes import AttributeContext
from rib.family import Family

_YIELD_AFTER: Final = 64  # messages that are not wanted between yield points, 0.1 ms
_OTHER: Final = "other"  # in place of a type
# Where no session has stood yet: all that may be in an UPDATE is read.
_ANY: Final = AttributeContext(
    is_ibgp=True, four_octet_as=True, peer_as=0, local_as=0, enforces_first_as=False
)

Waiting = asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class _Choice:
    """The arguments of a capture."""

    addresses: frozenset[str]
    directions: frozenset[bool]
    types: frozenset[str]
    prefixes: tuple[tuple[Family, ...], Wanted] | None
    seconds: int | None
    max_messages: int | None
    max_octets: int | None
    decodes: bool


def capture(view: DaemonView, arguments: Arguments) -> Iterator[Row | Waiting | None]:
    """Return messages as they pass; the end of the answer ends the capture.

    Raises:
        ControlError: ``no-such-peer`` or ``bad-argument``; ``too-many-captures`` with the first row.
    """
    prefix = arguments.get("prefix")
    families, wanted = find_wanted(arguments)
    choice = _Choice(
        frozenset(_address(view, name) for name in arguments["peer"]),
        _directions(arguments.get("direction", "both")),
        frozenset(arguments.get("type", ())),
        None if prefix is None else (families, wanted),
        arguments.get("seconds"),
        arguments.get("max_messages"),
        arguments.get("max_octets"),
        bool(arguments.get("decode")),
    )
    return _captured(view, choice)


def _address(view: DaemonView, name: str) -> str:
    """Return a peer's address; a neighbour that a range would accept need not be there.

    Raises:
        ControlError: ``no-such-peer``.
    """
    try:
        return find_peer(view.speaker, name).settings.remote_addr
    except ControlError:
        try:
            address = canonical(name)
        except ValueError:
            address = ""
        if not address or view.speaker.neighbours.ranges.of(address) is None:
            raise
        return address


def _directions(name: str) -> frozenset[bool]:
    """Return whether sent messages are wanted, and received ones: true and false."""
    if name == "both":
        return frozenset((True, False))
    return frozenset((name == "out",))


def _captured(view: DaemonView, choice: _Choice) -> Iterator[Row | Waiting | None]:
    loop, speaker = view.speaker.loop, view.speaker
    captures = captures_of(speaker.context.poller, speaker.peers)
    if not captures.has_room:
        raise ControlError(
            "too-many-captures",
            f"{MOST_CAPTURES} captures are under way, and there can be no more at once",
        )
    running = Capture(choice.addresses, choice.directions)
    until = None if choice.seconds is None else loop.time() + choice.seconds
    timer = None if until is None else loop.call_at(until, running.wake)
    captures.begin(running)
    try:
        answer = _Rows(view, choice, running)
        yield answer.row("began")
        while not answer.reason:
            if until is not None and loop.time() >= until:
                answer.reason = "seconds"
            elif (piece := running.take()) is not None:
                yield from answer.rows(piece)
            else:
                yield running.next_piece()
        yield answer.row("ended") | {"reason": answer.reason}
    finally:
        if timer is not None:
            timer.cancel()
        captures.end(running)


class _Rows:
    """Makes the rows of one capture.

    Attributes:
        reason: Which limit is reached; empty for none.
    """

    def __init__(self, view: DaemonView, choice: _Choice, running: Capture) -> None:
        self.reason = ""
        self._view = view
        self._choice = choice
        self._running = running
        self._last_id = 0
        self._messages = 0
        self._octets = 0
        self._sessions: dict[str, Negotiated] = {}  # the last of each peer
        self._matches = self._matcher()

    def row(self, event: str, link: Link | None = None, at: float = 0.0) -> Row:
        """Return what all rows have."""
        self._last_id += 1
        row: Row = {
            "id": self._last_id,
            "time": utc_with_microseconds(at or self._view.journal.now()),
            "event": event,
            "dropped": self._running.dropped,
        }
        if link is not None:
            peer = self._view.speaker.peers.get(link.address)
            row |= {
                "peer": link.address if peer is None else peer.settings.name,
                "address": link.address,
                "connection": link.number,
                "local_address": link.ends.local_address,
                "local_port": link.ends.local_port,
                "remote_port": link.ends.remote_port,
                "is_outgoing": link.ends.is_outgoing,
            }
        return row

    def rows(self, piece: Piece) -> Iterator[Row | None]:
        """Yield what a piece says, up to a limit; ``None`` is a yield point."""
        link = piece.link
        if piece.happening is not Happening.MESSAGES:
            direction = "out" if piece.is_local else "in"
            row = self.row(piece.happening.value, link, piece.at)
            yield row | {"direction": direction}
            return
        peer = self._view.speaker.peers.get(link.address)
        if peer is not None and peer.negotiated is not None:
            self._sessions[link.address] = peer.negotiated
        for count, (kind, octets) in enumerate(messages_of(piece.octets), 1):
            if self._matches(kind, octets, piece):
                yield self._message(kind, octets, piece)
                if self.reason:
                    return
            elif count % _YIELD_AFTER == 0:
                yield None

    def _message(self, kind: int, octets: bytes, piece: Piece) -> Row:
        choice = self._choice
        self._messages += 1
        self._octets += len(octets)
        if choice.max_messages is not None and self._messages >= choice.max_messages:
            self.reason = "messages"
        elif choice.max_octets is not None and self._octets >= choice.max_octets:
            self.reason = "octets"
        row = self.row(piece.happening.value, piece.link, piece.at)
        row |= {
            "direction": "out" if piece.is_local else "in",
            "type": TYPE_NAMES.get(kind, _OTHER),
            "length": len(octets),
            "octets": octets.hex(),
        }
        if choice.decodes:
            context, add_path = self._context(piece)
            is_message = kind != NO_MESSAGE
            row["text"] = text_of(octets, context, add_path) if is_message else ""
        return row

    def _context(self, piece: Piece) -> tuple[AttributeContext, frozenset[Family]]:
        """Return how UPDATEs of a peer are read, and where there are path identifiers."""
        negotiated = self._sessions.get(piece.link.address)
        peer = self._view.speaker.peers.get(piece.link.address)
        if negotiated is None or peer is None:
            return _ANY, frozenset()
        context = replace(
            attribute_context(peer.in_force, negotiated),
            discarded=frozenset(),
            withdrawn=frozenset(),
        )
        if piece.is_local:
            context = replace(context, enforces_first_as=False, allows_as_set=True)
            return context, negotiated.add_path_send
        return context, negotiated.add_path_receive

    def _matcher(self) -> Callable[[int, bytes, Piece], bool]:
        types, prefixes = self._choice.types, self._choice.prefixes

        def matches(kind: int, octets: bytes, piece: Piece) -> bool:
            name = TYPE_NAMES.get(kind, _OTHER)
            if types and name not in types:
                return False
            if prefixes is None:
                return True
            if name != "update":
                return False
            content = read_update(octets[HEADER_LEN:], *self._context(piece))
            families, wanted = prefixes
            return bool(content.problems) or any(
                family in families and wanted(nlri)
                for found in (content.announced, content.withdrawn)
                for family, _, nlri in found
            )

        return matches
