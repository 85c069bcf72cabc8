"""What several collections say, as keys and values of Calico's etcd layout. Pure.

An object may be seen by two collections, as an affinity is while it is given its labels: it
is there as long as one of them has it. What the first of them by name says counts, and no
other: two watches have no common order, and one that is behind must not bring back what was.
What cannot be converted is skipped, and what the object said before stays.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bgpd.calico.kubernetes_objects import ConversionError, item_of

MAX_WARNINGS: Final = 100  # told; the rest is counted


class _Object(NamedTuple):
    """One object as it was last understood.

    Attributes:
        key: Where it would stand in etcd.
        value: ``None`` where it does not count.
        collection: That says so.
    """

    key: str
    value: bytes | None
    collection: str


Id = tuple[str, str]
"""Kind and name."""


class Items:
    """Keys and values, and what changed of them since they were last drained.

    Args:
        uses_pod_cidrs: See ``bgpd.calico.kubernetes_objects.item_of``.

    Attributes:
        values: As etcd would have them.
    """

    def __init__(self, *, uses_pod_cidrs: bool = False) -> None:
        self.values: dict[str, bytes] = {}
        self._uses_pod_cidrs = uses_pod_cidrs
        self._objects: dict[Id, _Object] = {}
        self._names: dict[str, tuple[Id, ...]] = {}  # of a key's objects, in order
        # What several collections say of an object, where more than one has it.
        self._copies: dict[Id, dict[str, _Object]] = {}
        self._warnings: dict[Id, tuple[str, ...]] = {}
        self._puts: dict[str, bytes] = {}
        self._deletes: set[str] = set()

    def put(
        self, collection: str, kind: str, name: str, content: Mapping[str, Any]
    ) -> None:
        """Take an object as a collection has it; equal values change nothing."""
        known = self._objects.get((kind, name))
        try:
            item = item_of(kind, content, uses_pod_cidrs=self._uses_pod_cidrs)
        except ConversionError as error:
            held = "; what it said before holds" if known is not None else "; ignored"
            self._warnings[kind, name] = (f"{error}{held}",)
            if known is not None and collection not in self.seen_by(kind, name):
                self._copy((kind, name), known, known._replace(collection=collection))
            return
        if item.warnings:
            self._warnings[kind, name] = item.warnings
        else:
            self._warnings.pop((kind, name), None)
        said = _Object(item.key, item.value, collection)
        if known is not None:
            said = self._copy((kind, name), known, said)
        self._say((kind, name), known, said)

    def drop(self, collection: str, kind: str, name: str) -> None:
        """A collection has an object no more."""
        known = self._objects.get((kind, name))
        if known is None:
            self._warnings.pop((kind, name), None)
            return
        copies = self._copies.pop((kind, name), {known.collection: known})
        left = {each: said for each, said in copies.items() if each != collection}
        if len(left) > 1:
            self._copies[kind, name] = left
        if left:
            self._say((kind, name), known, left[min(left)])
            return
        del self._objects[kind, name]
        self._warnings.pop((kind, name), None)
        self._leave((kind, name), known.key)

    def seen_by(self, kind: str, name: str) -> frozenset[str]:
        """Return the collections that have an object."""
        known = self._objects.get((kind, name))
        if known is None:
            return frozenset()
        return frozenset(self._copies.get((kind, name), (known.collection,)))

    def _copy(self, name: Id, known: _Object, said: _Object) -> _Object:
        """Note what a collection says of a known object; return what counts."""
        if said.collection == known.collection and name not in self._copies:
            return said
        copies = self._copies.setdefault(name, {known.collection: known})
        copies[said.collection] = said
        return copies[min(copies)]

    def _say(self, name: Id, known: _Object | None, said: _Object) -> None:
        """Let an object say this from now on."""
        if known is not None and (known.key, known.value) == (said.key, said.value):
            if known.collection != said.collection:
                self._objects[name] = known._replace(collection=said.collection)
            return  # keeps the octets that it has
        if known is not None and known.key != said.key:
            self._leave(name, known.key)
        self._objects[name] = said
        self._enter(name, said.key)

    def _enter(self, name: Id, key: str) -> None:
        names = self._names.get(key, ())
        if name not in names:
            self._names[key] = tuple(sorted((*names, name)))
        self._settle(key)

    def _leave(self, name: Id, key: str) -> None:
        others = tuple(each for each in self._names[key] if each != name)
        if others:
            self._names[key] = others
        else:
            del self._names[key]
        self._settle(key)

    def _settle(self, key: str) -> None:
        """Set a key to the value of its objects: the first by name counts."""
        value = None
        for name in self._names.get(key, ()):
            value = self._objects[name].value
            if value is not None:
                break
        before = self.values.get(key)
        if value == before:
            return
        if value is None:
            del self.values[key]
            self._puts.pop(key, None)
            self._deletes.add(key)
        else:
            self.values[key] = value
            self._puts[key] = value
            self._deletes.discard(key)

    def drain(self) -> tuple[dict[str, bytes], frozenset[str]]:
        """Return the new and changed values, and the keys that are gone, since the last call."""
        puts, deletes = self._puts, frozenset(self._deletes)
        self._puts, self._deletes = {}, set()
        return puts, deletes

    def warnings(self) -> tuple[str, ...]:
        """Return what was skipped, a line each; the first by name."""
        lines = [
            f"{kind} {name}: {text}"
            for (kind, name), texts in sorted(self._warnings.items())[:MAX_WARNINGS]
            for text in texts
        ]
        more = len(self._warnings) - MAX_WARNINGS
        return (*lines, *((f"and {more} objects more",) if more > 0 else ()))
