"""How much memory objects take, counted in slices and from samples. Reads, and changes nothing.

Python knows the size of one object, not what belongs to it. So the count walks from a table to
what it refers to, stops where another table begins, and looks at a part of a large container:
a million prefixes have keys of one size, and share their paths.
"""

import sys
from array import array
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator
from dataclasses import dataclass
from gc import get_referents
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

SAMPLE: Final = 8192
"""Of a container, and of all equal tables together: some 10 ms, in slices."""
_FEWEST: Final = 16
"""Of a container in a container: the outer one's limit is divided among those in it."""
_MOST_ROOTS: Final = 1024  # of equal tables
_SLICE: Final = 128  # objects between yield points, a quarter millisecond
_GRAIN: Final = 16  # octets by which CPython's allocator rounds up
_KEY_LEN: Final = 20  # octets of a prefix or an address with what is beside it
_OURS: Final = frozenset({"rib", "reflector", "fib", "bgpd"})
_CONTAINERS: Final = (dict, MappingProxyType, list, tuple, set, frozenset, deque)
_PLAIN: Final = (bytes, bytearray, str, int, float, array)

Gauge = Generator[None, None, None]


@dataclass(slots=True)
class Sizes:
    """What a walk has counted.

    Attributes:
        octets: In all.
        objects: How many.
        is_estimated: A container was too large to look at all of it.
    """

    octets: float = 0.0
    objects: float = 0.0
    is_estimated: bool = False

    def add(self, size: float, weight: float) -> None:
        """Count one object that stands for ``weight`` of them."""
        self.octets += size * weight
        self.objects += weight


class Walk:
    """One count over several parts; an object belongs to the part that meets it first.

    The octets of a prefix or an address are divided among those that hold them: a peer's
    prefixes are keys of several tables, and are there once.

    Args:
        borders: Classes whose objects are parts of their own, or belong to none.
    """

    def __init__(self, borders: Iterable[type]) -> None:
        self._borders = frozenset(borders)
        self._seen: set[int] = set()
        self._kept: list[
            object
        ] = []  # an id stays an object's while the object is there

    def keys(self, table: dict[Any, Any], into: Sizes) -> Gauge:
        """Count a dictionary and its keys, not its values."""
        self._see(table)
        into.add(size_of(table), 1)
        sample = [*islice(table, SAMPLE)]
        into.is_estimated |= len(table) > len(sample)
        weight = len(table) / max(1, len(sample))
        for start in range(0, len(sample), _SLICE):
            for key in sample[start : start + _SLICE]:
                # Not tables: the sample, the slice, this name and the argument.
                holders = max(1, sys.getrefcount(key) - 4)
                into.add(size_of(key) / holders, weight)
            yield

    def everything(
        self, roots: Collection[object], into: Sizes, borders: Iterable[type] = ()
    ) -> Gauge:
        """Count objects, of whatever class, and what belongs to them.

        Args:
            roots: Equal ones; of very many, some stand for all.
            into: Where it is added.
            borders: More classes at which this walk ends.
        """
        sample = [*islice(roots, _MOST_ROOTS)]
        into.is_estimated |= len(roots) > len(sample)
        weight = len(roots) / max(1, len(sample))
        limit = max(_FEWEST, SAMPLE // max(1, len(sample)))
        ends = self._borders.union(borders)
        for root in sample:
            if id(root) not in self._seen:
                self._see(root)
                into.add(size_of(root), weight)
                waiting = [*_children(root, weight, limit, into)]
                yield from self._count(waiting, into, ends)

    def _count(
        self,
        waiting: list[tuple[object, float, int]],
        into: Sizes,
        ends: frozenset[type],
    ) -> Gauge:
        count = 0
        while waiting:
            found, weight, limit = waiting.pop()
            count += 1
            if not count % _SLICE:
                yield
            if type(found) is bytes and len(found) <= _KEY_LEN:
                # Not holders: this name and the argument.
                holders = max(1, sys.getrefcount(found) - 2)
                into.add(size_of(found) / holders, weight)
            elif id(found) not in self._seen and _belongs(found, ends):
                self._see(found)
                into.add(size_of(found), weight)
                if not isinstance(found, _PLAIN):
                    waiting += _children(found, weight, limit, into)
        yield

    def _see(self, found: object) -> None:
        self._seen.add(id(found))
        self._kept.append(found)


def _children(
    found: object, weight: float, limit: int, into: Sizes
) -> Iterator[tuple[object, float, int]]:
    """Yield what an object refers to, for how many each stands, and its share of ``limit``."""
    if not isinstance(found, _CONTAINERS):
        for each in get_referents(found):
            yield each, weight, limit
        return
    size = len(found)
    share = max(_FEWEST, limit // max(1, size))
    if size <= limit:
        for each in get_referents(found):
            yield each, weight, share
        return
    into.is_estimated = True
    weight *= size / limit
    if isinstance(found, dict | MappingProxyType):
        for key, value in islice(found.items(), limit):
            yield key, weight, share
            yield value, weight, share
    else:
        for each in islice(found, limit):
            yield each, weight, share


def _belongs(found: object, ends: frozenset[type]) -> bool:
    """Whether an object is our data, and of no part that is counted elsewhere."""
    kind = type(found)
    if kind in ends or isinstance(found, type):
        return False
    if kind in _PLAIN or kind in _CONTAINERS:
        return True
    return kind.__module__.partition(".")[0] in _OURS


def size_of(found: object) -> int:
    """Return the octets of one object as they are allocated."""
    return -(-sys.getsizeof(found, 0) // _GRAIN) * _GRAIN
