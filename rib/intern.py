"""Forgetting interned values that nothing else refers to.

Interning tables (received octets -> ``Path``, path sets by their members) must not keep
what the tables have let go, or a daemon under churn grows for ever. A weak reference for
each value would cost more memory than the value's own fields; instead a table is swept,
in slices, once it has doubled since its last sweep: what only the interning table still
refers to goes. That is amortised constant work for each value made.

The test is CPython's reference count, exact for the plain objects interned here.
"""

from collections.abc import Iterator
from itertools import islice
from sys import getrefcount, maxsize
from typing import Final, TypeVar

from rib.references import UNUSED

K = TypeVar("K")
V = TypeVar("V")

_FLOOR: Final = 1024  # entries below which a sweep is not worth its time
SLICE: Final = 4096  # entries looked at in one go, under a millisecond


class InternTable(dict[K, V]):
    """A dictionary of interned values that knows when to look for unused ones."""

    __slots__ = ("_next_sweep",)

    def __init__(self) -> None:
        super().__init__()
        self._next_sweep = _FLOOR

    @property
    def is_due(self) -> bool:
        """Whether the table has doubled since the last sweep."""
        return len(self) >= self._next_sweep

    def sweep(self) -> Iterator[int]:
        """Drop unused values, a slice for each step; yields how many went each time."""
        # At once, not at the first step: no other is due before this one has ended.
        self._next_sweep = maxsize
        return self._slices()

    def _slices(self) -> Iterator[int]:
        rest = iter(list(self))
        while piece := list(islice(rest, SLICE)):
            yield self._sweep_slice(piece)
        self._next_sweep = max(_FLOOR, 2 * len(self))

    def _sweep_slice(self, keys: list[K]) -> int:
        before = len(self)
        for key in keys:
            value = self.get(key)
            if value is not None and getrefcount(value) <= UNUSED:
                del self[key]
        return before - len(self)
