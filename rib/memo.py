"""Remembering results for as long as they are used, and no longer.

A memo that is emptied only when it is full keeps whatever its keys and results refer to:
paths of peers that are gone, and with them attribute sets and next hops that are watched in
the kernel for no purpose. So a memo has two ages. Results begin young; ``age`` makes the young
ones old and drops those that were old already; a result that is used becomes young again.
Its owner's upkeep calls ``age`` every few seconds, and a memo that is full does so itself.
"""

from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

OCTETS: Final = 512  # of a result that count as much as one more result


class Memo(dict[K, V]):
    """A dictionary of results; it holds the young ones itself.

    Use ``get`` first, then ``recall``: the first is the dictionary's own and costs no call
    of Python code.

    Args:
        limit: Results of each age, at most.
    """

    __slots__ = ("_limit", "_old", "_room")

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = self._room = limit
        self._old: dict[K, V] = {}

    def recall(self, key: K, unknown: D) -> V | D:
        """Return the result of ``key`` and make it young; ``unknown`` if it is forgotten."""
        known = self.get(key, unknown)
        if known is unknown and self._old:
            known = self._old.get(key, unknown)
            if known is not unknown:
                self[key] = known  # type: ignore[assignment]  # it is no ``unknown``
        return known

    def put(self, key: K, value: V, weight: int = 1) -> V:
        """Remember a result, and return it.

        Args:
            key: What it was made of.
            value: The result.
            weight: As how many results it counts: large ones as several.
        """
        self._room -= weight
        if self._room < 0:
            self.age()
            self._room -= weight
        self[key] = value
        return value

    def age(self) -> None:
        """Forget results not used since the last time; milliseconds when full."""
        self._old = dict(self)
        super().clear()
        self._room = self._limit

    def clear(self) -> None:
        """Forget everything: what it depends on has changed."""
        super().clear()
        self._old = {}
        self._room = self._limit

    @property
    def count(self) -> int:
        """Results of either age; one that is young again may count twice."""
        return len(self) + len(self._old)
