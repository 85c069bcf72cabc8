"""Deciding again what goes through next hops whose way has changed, in slices."""

from collections.abc import Collection, Iterator
from typing import Final

from bgpd.daemon.tables import FamilyTables
from rib.path import NextHop

DECIDE_SLICE: Final = 8192  # prefixes looked at in one go, a few milliseconds


def decide_again(
    tables: FamilyTables, next_hops: Collection[NextHop]
) -> Iterator[bool]:
    """Decide again, in slices, whatever goes through ``next_hops``."""
    loc_rib = tables.loc_rib
    nlris = list(loc_rib.table)
    for start in range(0, len(nlris), DECIDE_SLICE):
        piece = nlris[start : start + DECIDE_SLICE]
        concerned = loc_rib.nlris_through(next_hops, piece)
        tables.changed(loc_rib.decide_again(concerned))
        tables.doubt_devices(concerned)
        yield True
