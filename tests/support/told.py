"""What members of update groups receive, and what a lone peer would hold."""

import asyncio
import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import cast

from bgpd.wire.route_refresh import (
    RefreshSubtype,
    RouteRefresh,
    decode_route_refresh,
    encode_route_refresh,
)
from bgpd.wire.update import split_fields
from reflector.export import Export, Outgoing
from rib.attributes import extract_mp
from rib.family import IPV4_UNICAST, Family
from rib.nlri import split, split_add_path
from rib.path import Path, Source
from rib.path_set import Entry, best_of, eligible_of

Key = tuple[int, bytes]  # path identifier, NLRI
View = dict[Key, Outgoing]


def messages_of(octets: bytes) -> list[tuple[int, bytes]]:
    """Return ``(type, body)`` of each message."""
    found = []
    while octets:
        assert octets[:16] == b"\xff" * 16
        size = int.from_bytes(octets[16:18], "big")
        assert 19 <= size <= len(octets)
        found.append((octets[18], octets[19:size]))
        octets = octets[size:]
    return found


class Told:
    """A peer's Adj-RIB-In, kept from the octets it is sent."""

    def __init__(
        self, family: Family = IPV4_UNICAST, *, add_path: bool = False
    ) -> None:
        self.family = family
        self.view: View = {}
        self.ends = 0  # End-of-RIB received
        self.refreshes = 0  # completed
        self.stale: set[Key] | None = None
        self.swept: Callable[[set[Key]], None] = lambda _: None
        self._add_path = add_path

    def take(self, octets: bytes) -> None:
        for kind, body in messages_of(octets):
            if kind == 5:
                message = decode_route_refresh(body, has_enhanced=True)
                assert message is not None
                self._refresh(message)
            else:
                assert kind == 2
                self._update(body)

    def _refresh(self, message: RouteRefresh) -> None:
        if message.subtype is RefreshSubtype.BEGIN:
            assert self.ends, "RFC 7313 4: not before End-of-RIB"
            assert self.stale is None
            self.stale = set(self.view)
        else:
            assert self.stale is not None
            for key in self.stale:
                del self.view[key]
            self.swept(self.stale)
            self.stale = None
            self.refreshes += 1

    def _update(self, body: bytes) -> None:
        withdrawn, block, nlri = split_fields(body)
        parts = extract_mp(block)
        assert parts is not None
        rest, reach, unreach = parts
        if reach is not None:
            assert block[:2] == b"\x90\x0e"  # RFC 7606 5.1: first
        if not (withdrawn or block or nlri) or (
            unreach is not None and not unreach[3:]
        ):
            self.ends += 1
        for key in self._keys(withdrawn) + self._keys((unreach or b"")[3:]):
            self.view.pop(key, None)
            if self.stale is not None:
                self.stale.discard(key)
        told = self._keys(nlri)
        next_hop = b""
        if reach is not None:
            next_hop = reach[4 : 4 + reach[3]]
            told = told + self._keys(reach[5 + reach[3] :])
        for key in told:
            self.view[key] = Outgoing(rest, next_hop)
            if self.stale is not None:
                self.stale.discard(key)

    def _keys(self, run: bytes) -> list[Key]:
        if self._add_path:
            grouped = split_add_path(run, self.family.afi)
            return [(number, nlri) for number, some in grouped.items() for nlri in some]
        return [(0, nlri) for nlri in split(run, self.family.afi)]


def begin_refresh(family: Family = IPV4_UNICAST) -> bytes:
    return encode_route_refresh(RouteRefresh(family, RefreshSubtype.BEGIN))


def end_refresh(family: Family = IPV4_UNICAST) -> bytes:
    return encode_route_refresh(RouteRefresh(family, RefreshSubtype.END))


def lone_view(
    export: Export, table: Mapping[bytes, Entry], source: Source
) -> dict[bytes, list[Outgoing]]:
    """Return what a peer with ``export`` alone holds: prefix -> what it received."""
    view: dict[bytes, list[Outgoing]] = {}
    most = export.context.add_path_max
    for nlri, entry in table.items():
        best = best_of(entry)
        paths = eligible_of(entry) if most is not None else [best] if best else []
        told: list[tuple[Path, Outgoing]] = []
        for path in paths:
            if most and len(told) >= most:
                break
            outgoing = export(path, nlri)
            if outgoing is not None:
                told.append((path, outgoing))
        mine = [outgoing for path, outgoing in told if path.source is not source]
        if mine:
            view[nlri] = sorted(mine)
    return view


def by_prefix(view: Mapping[Key, Outgoing]) -> dict[bytes, list[Outgoing]]:
    found: dict[bytes, list[Outgoing]] = {}
    for (_, nlri), outgoing in view.items():
        found.setdefault(nlri, []).append(outgoing)
    return {nlri: sorted(some) for nlri, some in found.items()}


def octets_of(share: Iterable[bytes]) -> bytes:
    return b"".join(bytes(piece) for piece in share)


class _Handle:
    def __init__(self, call: Callable[..., object], args: Sequence[object]) -> None:
        self.call = call
        self.args = args
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class StepLoop:
    """As much of an event loop as tables ask for, run by hand in virtual time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = count()
        self._waiting: list[tuple[float, int, _Handle]] = []

    def as_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return itself, for what wants a whole loop but uses no more than this."""
        return cast("asyncio.AbstractEventLoop", self)

    def time(self) -> float:
        self.now += 0.003  # so that a job takes one step in each turn
        return self.now

    def call_soon(self, call: Callable[..., object], *args: object) -> _Handle:
        return self.call_later(0, call, *args)

    def call_later(
        self, delay: float, call: Callable[..., object], *args: object
    ) -> _Handle:
        handle = _Handle(call, args)
        heapq.heappush(self._waiting, (self.now + delay, next(self._order), handle))
        return handle

    def step(self) -> bool:
        """Run what is next; tell whether there was something."""
        while self._waiting:
            when, _, handle = heapq.heappop(self._waiting)
            if not handle.is_cancelled:
                self.now = max(self.now, when)
                handle.call(*handle.args)
                return True
        return False

    def run(self, at_most: int = 100_000) -> None:
        for _ in range(at_most):
            if not self.step():
                return
        raise AssertionError("the loop never becomes idle")
