"""Forgetting interned values that nothing else refers to.

Interning tables (received octets -> ``Path``, path sets by their members) must not keep
what the tables have let go, or a daemon under churn grows for ever. A weak reference for
each value would cost more memory than the value's own fields; instead a table is swept,
in slices, once it has doubled since its last sweep: what only the interning table still
refers to goes. That is amortised constant work for each value made.

The test is CPython's reference count, exact for the plain objects interned here.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from sys import getrefcount, maxsize
from typing import Any, Final, TypeVar

from rib.references import UNUSED

K = TypeVar("K")
V = TypeVar("V")

_FLOOR: Final = 1024  # entries below which a sweep is not worth its time
_SMALL: Final = 65536  # entries that upkeep looks at, some 10 ms in slices
_LOOKS: Final = 3
SLICE: Final = 4096  # entries looked at in one go, under a millisecond


class InternTable(dict[K, V]):
    """A dictionary of interned values that knows when to sweep unused ones.

    Args:
        room: Returns how many entries need no sweep, used or not; fewer than 1024 never do.
    """

    __slots__ = ("_left", "_looks", "_next_sweep", "_room", "_weight")

    def __init__(self, room: Callable[[], int] = int) -> None:
        super().__init__()
        self._room = room
        self._next_sweep = _FLOOR
        self._left = 0  # by the last sweep
        self._looks = 0  # since it was found changed
        self._weight = 0  # of large values since the last sweep

    @property
    def is_due(self) -> bool:
        """Whether the table has doubled since the last sweep, and needs more than its room."""
        size = len(self) + self._weight
        return size >= self._next_sweep and size >= self._room()

    def weigh(self, more: int) -> None:
        """Count a large value as several."""
        self._weight += more

    def sweep(self) -> Iterator[int]:
        """Drop unused values, a slice for each step; yields the number each time."""
        # At once, not at the first step: no other is due before this one has ended.
        self._next_sweep = maxsize
        self._weight = 0
        return self._slices()

    def look_after(self) -> Iterable[int]:
        """Sweep a small table, for periodic upkeep; mostly nothing is due.

        A few times after a change: what others still remember goes once they forget it.
        """
        size = len(self)
        if size != self._left:
            self._looks = 0
        if size > _SMALL or self._looks >= _LOOKS:
            return ()
        self._looks += 1
        return self.sweep()

    def _slices(self) -> Iterator[int]:
        rest = iter(list(self))
        while piece := list(islice(rest, SLICE)):
            yield self._sweep_slice(piece)
        self._left = len(self)
        self._next_sweep = max(_FLOOR, 2 * self._left)

    def _sweep_slice(self, keys: list[K]) -> int:
        before = len(self)
        for key in keys:
            value = self.get(key)
            if value is not None and getrefcount(value) <= UNUSED:
                del self[key]
        return before - len(self)


class Discarded:
    """Unused tables that are being freed.

    To drop a table of 100,000 values takes tens of milliseconds. So it is emptied in slices,
    by code that has the time: the code that puts one in must make ``free`` run.
    """

    __slots__ = ("_tables",)

    def __init__(self) -> None:
        self._tables: list[dict[Any, Any]] = []

    def __bool__(self) -> bool:
        """Whether anything is left to free."""
        return bool(self._tables)

    def add(self, table: dict[Any, Any]) -> None:
        """Take a table without other references; a small one is dropped at once."""
        if len(table) > SLICE:
            self._tables.append(table)

    def free(self) -> Iterator[None]:
        """Empty the tables, a slice for each step."""
        tables = self._tables
        while tables:
            table = tables[-1]
            for _ in range(min(SLICE, len(table))):
                table.popitem()
            if not table:
                tables.pop()
            yield
