"""Path identifiers that we give out (RFC 7911 3), and take back.

A path keeps its identifier for as long as it is in the table, whatever its attributes, and
also over a change of a peer's update group: it belongs to where the path came from, not to
its content. What a peer sends may come under ever new identifiers of its own, so our
identifiers that no path has any more, and that no member knows, are taken back and given out
again.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from sys import maxsize
from typing import Final

from rib.path import Path
from rib.path_set import Entry, members_of

_Key = tuple[bytes | str, int]  # where a path came from, and its identifier there

_FLOOR: Final = 1024  # identifiers below which a look is not worth its time
_UNSIGNED: Final = "L"  # what arrays call at least four octets
SLICE: Final = 4096  # entries or identifiers looked at in one go, a few milliseconds


class PathIds:
    """The identifiers of one family, shared by its groups."""

    def __init__(self) -> None:
        self._ids: dict[_Key, int] = {}
        self._free = array(_UNSIGNED)  # given back
        self._last = 0  # the highest one so far
        self._next_sweep = _FLOOR
        self._asked: set[_Key] | None = None  # while a sweep is under way

    def __len__(self) -> int:
        return len(self._ids)

    def of(self, path: Path) -> int:
        """Return the identifier of a path; always the same."""
        source = path.source
        key = (source.address or source.name, path.path_id)
        known = self._ids.get(key)
        if known is None:
            known = self._ids[key] = self._take()
        if self._asked is not None:
            self._asked.add(key)
        return known

    def _take(self) -> int:
        if self._free:
            return self._free.pop()
        self._last += 1
        return self._last

    def claim_sweep(self) -> bool:
        """Return whether a sweep is due: there are twice as many as the last one left.

        Only once: the caller does it, or puts it off.
        """
        if len(self._ids) < self._next_sweep:
            return False
        self._next_sweep = maxsize
        return True

    def put_off(self) -> None:
        """Postpone a sweep that was claimed."""
        self._next_sweep = 2 * len(self._ids)

    def sweep(self, held: Sequence[Iterable[Entry | None]]) -> Iterator[None]:
        """Take back unused identifiers, a slice for each step.

        To be called after ``claim_sweep``, with its first step taken at once, and when
        nothing waits to go out. What goes out later requests the identifiers that it needs,
        so those stay.

        Args:
            held: Every entry that members hold something of: the table's, and what those
                that are slow know. It must not change.
        """
        self._asked = set()
        in_use: set[_Key] = set()
        for entries in held:
            rest = iter(entries)
            while piece := set(islice(rest, SLICE)):
                for entry in piece:
                    for path in members_of(entry):
                        source = path.source
                        in_use.add((source.address or source.name, path.path_id))
                yield
        rest_of_ids = iter(list(self._ids))
        while some := list(islice(rest_of_ids, SLICE)):
            self._take_back(some, in_use, self._asked)
            yield
        self._asked = None
        self._next_sweep = max(_FLOOR, 2 * len(self._ids))
        if not self._ids:
            self._last = 0
            self._free = array(_UNSIGNED)

    def _take_back(
        self, keys: Iterable[_Key], in_use: set[_Key], asked: set[_Key]
    ) -> None:
        for key in keys:
            if key not in in_use and key not in asked:
                self._free.append(self._ids.pop(key))
