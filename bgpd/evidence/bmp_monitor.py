"""What BMP tells of a speaker: its sessions, what peers send, and Loc-RIB (RFC 7854, RFC 9069)."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from time import time
from typing import Final, NamedTuple
from weakref import WeakSet

from bgpd.config.evidence_settings import BmpCollectorSettings, BmpSettings
from bgpd.evidence import bmp_messages as bmp
from bgpd.evidence.bmp_collector import Collector
from bgpd.evidence.bmp_routes import announced, changed, end_of_rib
from bgpd.evidence.bmp_sessions import PRE_POLICY, SessionMonitor
from bgpd.speaker.peer import Peer
from bgpd.speaker.session_observers import SessionObserver
from bgpd.speaker.speaker import Speaker
from bgpd.wire.capabilities import Capabilities
from bgpd.wire.open import OpenMessage, encode_open
from rib.attributes import PathAttributes
from rib.change import Change
from rib.family import Family
from rib.nlri import Nlri
from rib.path import Source
from rib.path_set import Entry, best_of, members_of

LOC_RIB: Final = "loc-rib"
SLICE: Final = 512  # prefixes between yield points
_TABLE: Final = "global"

_Key = tuple[SessionMonitor | None, PathAttributes]


class _Table(NamedTuple):
    """A table as it is at one moment."""

    family: Family
    nlris: list[Nlri]
    entries: list[Entry]


class _Filtered(NamedTuple):
    """What a peer sent in vain, likewise: prefix, identifier, attributes."""

    monitor: SessionMonitor
    family: Family
    routes: list[tuple[Nlri, int, PathAttributes]]


class TableMonitor:
    """Follows the best paths of a family (``bgpd.pipeline.route_consumers.RouteConsumer``).

    Args:
        monitor: Tells collectors.
        family: Which.
    """

    def __init__(self, monitor: "BmpMonitor", family: Family) -> None:
        self._monitor = monitor
        self._family = family

    def changed(self, changes: Sequence[Change]) -> None:
        """See ``RouteConsumer``."""
        wrap = self._monitor.loc_rib_wrap()
        octets = b"".join(changed(each, self._family, wrap) for each in changes)
        if octets:
            self._monitor.tell(octets, LOC_RIB)


class BmpMonitor(SessionObserver):
    """Follows a speaker, and tells its collectors.

    Args:
        speaker: Which.
        name: Of this machine.
        description: Of this program.
        asn: Our AS number.
    """

    def __init__(self, speaker: Speaker, name: str, description: str, asn: int) -> None:
        self.collectors: list[Collector] = []
        self._speaker = speaker
        self._names = (name, description)
        self._asn = asn
        self._sessions: WeakSet[SessionMonitor] = WeakSet()  # their drivers have them
        self._tables: dict[Family, TableMonitor] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, settings: BmpSettings) -> None:
        """Tell collectors from now on."""
        speaker = self._speaker
        speaker.observers.attach(self)
        for peer in speaker.peers.values():
            self.peer_added(peer)
        if any(LOC_RIB in each.monitor for each in settings.collectors):
            for family, consumers in speaker.context.consumers.items():
                self._tables[family] = TableMonitor(self, family)
                consumers.attach(self._tables[family])
        for each in settings.collectors:
            collector = Collector(each, self.everything)
            self.collectors.append(collector)
            if each.statistics_interval:
                task = speaker.loop.create_task(self._tell_statistics(collector))
                self._tasks.append(task)

    def close(self) -> None:
        """Tell them no more."""
        speaker = self._speaker
        for task in self._tasks:
            task.cancel()
        for collector in self.collectors:
            collector.close()
        speaker.observers.detach(self)
        for peer in speaker.peers.values():
            for tap in peer.driver.taps.listeners:
                if isinstance(tap, SessionMonitor):
                    peer.driver.taps.detach(tap)
        for family, table in self._tables.items():
            speaker.context.consumers[family].detach(table)
        self._tables.clear()

    def faults(self) -> list[str]:
        """Return why collectors are not reached, a line each."""
        return [each.fault for each in self.collectors if each.fault]

    def peer_added(self, peer: Peer) -> None:
        """See ``SessionObserver``."""
        session = SessionMonitor(peer, self.tell)
        self._sessions.add(session)
        peer.driver.taps.attach(session)

    def tell(self, message: bytes, what: str = "") -> None:
        """Send a message to all who want it; all want to know of sessions."""
        for collector in self.collectors:
            if not what or what in collector.settings.monitor:
                collector.put(message)

    async def _tell_statistics(self, collector: Collector) -> None:
        while True:
            await asyncio.sleep(collector.settings.statistics_interval)
            for session in [*self._sessions]:
                if session.up is not None:
                    collector.put(session.statistics())
            if LOC_RIB in collector.settings.monitor:
                tables = self._speaker.tables.values()
                count = sum(len(each.loc_rib) for each in tables)
                values = ((bmp.LOC_RIB_ROUTES, count),)
                collector.put(bmp.statistics(self._loc_rib(), time(), values))

    # -- Loc-RIB ----------------------------------------------------------------------------

    def _loc_rib(self) -> bmp.BmpPeer:
        router_id = self._speaker.context.router_id
        return bmp.BmpPeer(bmp.LOC_RIB_PEER, bytes(4), self._asn, router_id)

    def loc_rib_wrap(self) -> "partial[bytes]":
        """Return what makes a message about Loc-RIB of an UPDATE."""
        return partial(bmp.route_monitoring, self._loc_rib(), 0, time())

    def _loc_rib_up(self) -> bytes:
        """Return the begin of Loc-RIB: OPENs stand for what its UPDATEs are (RFC 9069 5.2)."""
        about = self._loc_rib()
        able = Capabilities(
            families=tuple(self._speaker.tables), four_octet_as=self._asn
        )
        message = encode_open(OpenMessage(self._asn, 0, about.router_id, able))
        return bmp.peer_up(
            about,
            time(),
            local=bytes(4),
            ports=(0, 0),
            opens=(message, message),
            information=(bmp.tlv(bmp.TABLE_NAME, _TABLE.encode()),),
        )

    # -- all that holds ---------------------------------------------------------------------

    def everything(self, wanted: BmpCollectorSettings) -> Iterator[bytes | None]:
        """Return what a collector gets first; the tables are those of this moment."""
        head = [bmp.initiation(*self._names)]
        by_source: dict[Source, SessionMonitor] = {}
        filtered: list[_Filtered] = []
        sessions = [each for each in self._sessions if each.up is not None]
        for session in sessions:
            head.append(session.up or b"")
            if PRE_POLICY in wanted.monitor:
                by_source.update(dict.fromkeys(session.sources, session))
                filtered += _filtered_of(session)
        has_loc_rib = LOC_RIB in wanted.monitor
        if has_loc_rib:
            head.append(self._loc_rib_up())
        tables = [
            _Table(family, [*each.loc_rib.table], [*each.loc_rib.table.values()])
            for family, each in self._speaker.tables.items()
        ]
        ends = [
            bmp.route_monitoring(session.about, 0, time(), end_of_rib(family))
            for session in set(by_source.values())
            for family in session.imports.ended_families
        ]
        if has_loc_rib:
            wrap = self.loc_rib_wrap()
            ends += [wrap(end_of_rib(table.family)) for table in tables]
        return self._all(
            head, tables, by_source, filtered, ends, has_loc_rib=has_loc_rib
        )

    def _all(
        self,
        head: Iterable[bytes],
        tables: list[_Table],
        by_source: dict[Source, SessionMonitor],
        filtered: list[_Filtered],
        ends: Iterable[bytes],
        *,
        has_loc_rib: bool,
    ) -> Iterator[bytes | None]:
        yield b"".join(head)
        while tables:
            family, nlris, entries = tables.pop(0)
            for start in range(0, len(nlris), SLICE):
                some: dict[_Key, list[bytes]] = {}
                stop = start + SLICE
                for nlri, entry in zip(
                    nlris[start:stop], entries[start:stop], strict=True
                ):
                    best = best_of(entry)
                    if has_loc_rib and best is not None:
                        some.setdefault((None, best.attributes), []).append(nlri)
                    for path in members_of(entry) if by_source else ():
                        session = by_source.get(path.source)
                        if session is not None:
                            piece = _piece(session, family, nlri, path.path_id)
                            some.setdefault((session, path.received), []).append(piece)
                yield self._messages(family, some)
                yield None
        for session, family, routes in filtered:
            for start in range(0, len(routes), SLICE):
                some = {}
                for nlri, path_id, attributes in routes[start : start + SLICE]:
                    piece = _piece(session, family, nlri, path_id)
                    some.setdefault((session, attributes), []).append(piece)
                yield self._messages(family, some)
                yield None
        yield b"".join(ends)

    def _messages(self, family: Family, some: dict[_Key, list[bytes]]) -> bytes:
        now = time()
        loc_rib = self.loc_rib_wrap()
        return b"".join(
            announced(
                family,
                attributes,
                pieces,
                loc_rib
                if session is None
                else partial(bmp.route_monitoring, session.about, 0, now),
            )
            for (session, attributes), pieces in some.items()
        )


def _piece(session: SessionMonitor, family: Family, nlri: Nlri, path_id: int) -> bytes:
    if family in session.identified:
        return path_id.to_bytes(4, "big") + nlri
    return nlri


def _filtered_of(session: SessionMonitor) -> Iterator[_Filtered]:
    for family, rib in session.imports.ribs.items():
        routes = [(n, i, why.attributes) for (n, i), why in rib.filtered.items()]
        if routes:
            yield _Filtered(session, family, routes)
