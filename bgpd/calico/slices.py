"""Long work as generators: each ``yield`` is a place where others may have their turn.

What such work leaves behind between two slices can be read at any time; it must not be changed.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

Slices = Generator[None, None, T]


def finish(work: Slices[T]) -> T:
    """Do all of some work at once; return what it returns."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


def pieces(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Cut a sequence into pieces of ``size``, the last one shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
