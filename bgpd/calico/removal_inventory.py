"""Which objects are in force, and which of them their source no longer has.

``Rules`` says what is plausible; the owner of the inventory decides when a removal counts
 (``bgpd.calico.removals``).
"""

from collections.abc import Collection, Iterator, Mapping
from itertools import chain, islice
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

_SHOWN: Final = 3  # names that a line names

V = TypeVar("V")
V_contra = TypeVar("V_contra", contravariant=True)

# By kind, key to what the source has in its place; ``None`` is nothing.
Batch = dict[str, dict[str, V | None]]


class Rules(Protocol[V_contra]):
    """What a source's objects are, and which removals are plausible."""

    def kind_of(self, key: str) -> str:
        """Return what people call the kind of an object; empty for one of no account."""

    def is_hollow(self, kind: str, value: V_contra) -> bool:
        """Return whether a value says as much as a removal would."""

    def is_return(self, kind: str, value: V_contra, before: V_contra) -> bool:
        """Return whether a value undoes a held removal."""

    def is_announced(self, kind: str, key: str, value: V_contra) -> bool:
        """Return whether an object's last value said that it is about to be removed."""

    def is_implausible(
        self,
        kind: str,
        missing: Collection[str],
        in_force: Mapping[str, Mapping[str, V_contra]],
        leaving: Mapping[str, Collection[str]],
    ) -> bool:
        """Return whether the removal of these is implausible.

        Args:
            kind: Of the objects in question.
            missing: The keys of all objects of the kind that are kept apart; one or more.
            in_force: All objects in force by kind, what is kept apart among them.
            leaving: Keys that would go at the same time, by kind.
        """

    def is_urgent(self, kind: str) -> bool:
        """Return whether a plausible removal must not wait for long."""

    def depends_on(self, kind: str) -> str:
        """Return the kind whose removals are judged by objects of ``kind``."""


class Count(NamedTuple):
    """How much of one kind is missing.

    Attributes:
        kind: In words; in the singular if there can be but one.
        missing: Objects that are gone and kept apart.
        total: Objects of the kind in force, the missing ones among them.
        names: A few of the missing keys.
    """

    kind: str
    missing: int
    total: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        """Return it for people."""
        if not self.kind.endswith("s"):
            return self.kind
        return f"{self.missing} of {self.total} {self.kind}"


class Inventory(Generic[V]):
    """Objects by kind and key.

    Args:
        rules: What is plausible.

    Attributes:
        in_force: All of them, those that are missing too.
        missing: Those that the source no longer has, in order of removal.
    """

    def __init__(self, rules: Rules[V]) -> None:
        self.in_force: dict[str, dict[str, V]] = {}
        self.missing: dict[str, dict[str, None]] = {}
        self._rules = rules

    def is_missing(self, kind: str, key: str) -> bool:
        """Return whether an object is in force although its source has it no more."""
        return key in self.missing.get(kind, ())

    def kept(self) -> Iterator[tuple[str, V]]:
        """Yield every object that is in force although the source has it no more."""
        for kind, keys in self.missing.items():
            known = self.in_force[kind]
            for key in keys:
                yield key, known[key]

    def keys(self) -> set[str]:
        """Return the keys of all objects in force; a copy."""
        return {key for some in self.in_force.values() for key in some}

    def remove(self, batch: Batch[V]) -> list[tuple[str, V | None]]:
        """Let missing objects be in force no longer; return each with what is in its place."""
        for kind, items in batch.items():
            for key in items:
                del self.missing[kind][key]
                del self.in_force[kind][key]
        return list(chain.from_iterable(map(dict.items, batch.values())))

    def is_bad(self, kind: str, leaving: Batch[V]) -> bool:
        """Return whether the removal of what is missing of a kind is implausible.

        Args:
            kind: Which.
            leaving: What would go at the same time.
        """
        missing, in_force = self.missing[kind], self.in_force
        return self._rules.is_implausible(kind, missing, in_force, leaving)

    def has_bad(self, batch: Batch[V]) -> bool:
        """Return whether the removal of any kind of a batch is implausible."""
        return any(self.is_bad(kind, batch) for kind in batch)

    def count(self, batch: Mapping[str, Mapping[str, object]]) -> tuple[Count, ...]:
        """Return what a batch is about, by kind."""
        return tuple(
            Count(kind, len(keys), len(self.in_force[kind]), (*islice(keys, _SHOWN),))
            for kind, keys in batch.items()
            if keys
        )
