"""Deciding again, in slices, where what decisions rested on has changed."""

from collections.abc import Collection, Iterator
from typing import Final

from bgpd.pipeline.family_tables import FamilyTables
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.shared_import_checks import SharedImportChecks
from rib.decision import DecisionOptions
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
        tables.re_export_devices(concerned)
        yield True


def follow_options(
    context: SpeakerContext, shared: SharedImportChecks, options: DecisionOptions
) -> None:
    """Let a speaker decide by other options; what is advertised follows in slices."""
    if options == context.decision:
        return
    context.decision = options
    shared.may_have_changed()
    for tables in context.tables.values():
        tables.flush_now()
        tables.loc_rib.set_options(options)
        context.work_queue.begin(_decide_all(tables))


def _decide_all(tables: FamilyTables) -> Iterator[None]:
    nlris = list(tables.loc_rib.table)
    for start in range(0, len(nlris), DECIDE_SLICE):
        piece = nlris[start : start + DECIDE_SLICE]
        tables.changed(tables.loc_rib.decide_again(piece))
        yield
