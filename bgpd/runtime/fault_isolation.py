"""Processes batches in which an element may fail without affecting the others.

A peer, a prefix or a family that brings a bug to light must not cost the others
their updates. Running out of memory is not the fault of any element:
it goes on its way, and ends the process (``bgpd.runtime.out_of_memory``).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from bgpd.session.settings import PeerSettings, peer_fields
from rib.change import Change

MOST_FAULTS: Final = 16
"""Of one batch, at most so many failing elements are searched: if more fail, the cause is
elsewhere, and the search would block the loop."""

_log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


def each(act: Callable[[T], object], items: Iterable[T], what: str) -> None:
    """Process each item; report those that raise, and go on with the others.

    Args:
        act: May raise.
        items: Copied before the first is acted on.
        what: An item is, for the log.
    """
    for item in [*items]:
        try:
            act(item)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # of one, not of all
            _report(what, error, item)


def piecewise(
    act: Callable[[Sequence[Change]], R], changes: Sequence[Change]
) -> list[R]:
    """Process changes, all at once if that works; return the result of each piece.

    Where it does not, pieces are halved until those at fault stand alone, down to single
    prefixes; these are reported and passed over.

    Args:
        act: May raise; it may be asked about changes again of which it took in a part.
        changes: In order, and acted on in order.
    """
    return [*_pieces(act, changes, [])]


def _pieces(
    act: Callable[[Sequence[Change]], R],
    changes: Sequence[Change],
    faults: list[Exception],
) -> Iterator[R]:
    try:
        result = act(changes)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  # of one, not of all
        halves = _halves(changes)
        if not halves or len(faults) >= MOST_FAULTS:
            faults.append(error)
            _report("changes of a table", error)
            return
    else:
        yield result
        return
    for half in halves:
        yield from _pieces(act, half, faults)


def _halves(changes: Sequence[Change]) -> list[list[Change]]:
    """Split changes in two, down to one prefix; return nothing for a single prefix."""
    if len(changes) > 1:
        middle = len(changes) // 2
        return [[*changes[:middle]], [*changes[middle:]]]
    nlris = changes[0].nlris
    middle = len(nlris) // 2
    if not middle:
        return []
    parts = [*nlris[:middle]], [*nlris[middle:]]
    return [[changes[0]._replace(nlris=part)] for part in parts]


def peer_of(item: object) -> dict[str, str]:
    """Return the fields of a log line that name a peer, if an item is one."""
    settings = getattr(item, "settings", None)
    return peer_fields(settings) if isinstance(settings, PeerSettings) else {}


def _report(what: str, error: Exception, item: object = None) -> None:
    _log.error(
        "%(part)s: skipped one that failed: %(reason)s",
        {"event": "item-skipped", "part": what, "reason": repr(error), **peer_of(item)},
        exc_info=error,
    )
