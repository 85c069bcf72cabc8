"""The tables of a speaker, as MRT."""

from time import time

from bgpd.evidence.table_dump import TableDump
from bgpd.speaker.speaker import Speaker
from rib.family import Family
from rib.path import Source


def dump_of(speaker: Speaker, asn: int, family: Family | None = None) -> TableDump:
    """Return the tables as they are now.

    Args:
        speaker: Whose.
        asn: Our AS number; 0 for unknown.
        family: Only this one; ``None`` for all.

    Raises:
        TooManyPeersError: The format has no room for so many.
    """
    identified: set[Source] = set()
    for peer in speaker.peers.values():
        if peer.negotiated is not None:
            for each in peer.negotiated.add_path_receive:
                identified.add(peer.sources[each])
    return TableDump(
        [
            tables.loc_rib
            for name, tables in speaker.tables.items()
            if family in (None, name)
        ],
        speaker.context.router_id,
        asn,
        at=time(),
        since=speaker.loop.time(),
        add_path=identified.__contains__,
    )
