"""The cluster's resources as last understood, and what is wrong with each.

If an object becomes unreadable, its last valid version stays in force until it is fixed or
deleted. So does one that can be read, but makes planning fail: the planner names
it, and it is put back to what it was when a plan last succeeded.
"""

from collections.abc import Iterator, KeysView
from typing import Final, NamedTuple

from bgpd.calico.fields import Resource
from bgpd.calico.keys import WATCHED_KINDS, resource_key, split_resource_key
from bgpd.calico.known_keys import unknown_keys
from bgpd.calico.resources import MODELS
from bgpd.calico.tolerant_parse import Read, closed_filter, read_resource
from bgpd.calico.warnings import ObjectWarning
from bgpd.texts.json_text import load
from bgpd.texts.limits import VALUE, TextError

_TWICE: Final = "duplicate key; the last one counts"
_INERT: Final = frozenset({"IPReservation"})  # read only to report errors


class ObjectName(NamedTuple):
    """Which object."""

    kind: str
    name: str

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.kind} {self.name}"

    @property
    def key(self) -> str:
        """Its key in the datastore."""
        return resource_key(self.kind, self.name)


class ObjectTable:
    """Resources by kind and name; changed in place.

    Attributes:
        by_kind: Kind to name to object.
        unplanned: Objects that differ from what they were when a plan last succeeded, with
            what they were then; ``None`` where there was none.
        version: Grows with each change that may lead to another plan.
    """

    def __init__(self) -> None:
        self.by_kind: dict[str, dict[str, Resource]] = {kind: {} for kind in MODELS}
        self.unplanned: dict[ObjectName, Resource | None] = {}
        self.version = 0
        self._values: dict[str, bytes] = {}
        self._closed: set[str] = set()  # keys of filters that were never understood
        self._warnings: dict[str, tuple[ObjectWarning, ...]] = {}

    def copied(self) -> "ObjectTable":
        """Return a table with the same objects, that changes by itself."""
        other = ObjectTable()
        other.by_kind = {kind: dict(some) for kind, some in self.by_kind.items()}
        other.version = self.version
        other._values = dict(self._values)
        other._closed = set(self._closed)
        other._warnings = dict(self._warnings)
        return other

    def keys(self) -> KeysView[str]:
        """Return all keys that the datastore has."""
        return self._values.keys()

    def warnings(self) -> Iterator[ObjectWarning]:
        """Yield the findings about all objects."""
        for some in self._warnings.values():
            yield from some

    def put(self, key: str, value: bytes) -> bool:
        """Take one value; tell whether a plan may come out otherwise for it."""
        if self._values.get(key) == value:
            return False
        self._values[key] = value
        named = split_resource_key(key)
        if named is None or named[0] not in MODELS:
            self._warnings.pop(key, None)
            if named is None or named[0] not in WATCHED_KINDS:
                text = "has an unknown kind; ignored"
                self._warnings[key] = (ObjectWarning(key, "", text),)
            return False
        name = ObjectName(*named)
        try:
            read = self._read(key, name, value)
        except Exception as error:  # noqa: BLE001  # one object must not end all others
            text = f"unreadable: {describe(error)}"
            read = Read(None, (ObjectWarning(key, "", text),))
        if read.resource is None:
            return self._refuse(key, name, read)
        self._closed.discard(key)
        self._note(key, read.findings)
        return self.set(name, read.resource)

    def delete(self, key: str) -> bool:
        """Take it that a key is gone; tell as ``put``."""
        if self._values.pop(key, None) is None:
            return False
        self._warnings.pop(key, None)
        self._closed.discard(key)
        named = split_resource_key(key)
        if named is None or named[0] not in MODELS:
            return False
        return self.set(ObjectName(*named), None)

    def set(self, name: ObjectName, resource: Resource | None) -> bool:
        """Let an object be another one, or none; tell whether it was not."""
        objects = self.by_kind[name.kind]
        before = objects.get(name.name)
        if before == resource:
            return False
        if resource is None:
            del objects[name.name]
        else:
            objects[name.name] = resource
        if name.kind in _INERT:
            return False
        self.unplanned.setdefault(name, before)
        self.version += 1
        return True

    def hold_back(self, name: ObjectName, resource: Resource | None, why: str) -> None:
        """Restore an object to its state of the last plan that succeeded, and note the reason."""
        self.set(name, resource)
        what = (
            "ignored" if resource is None else ("the last valid version stays in force")
        )
        finding = ObjectWarning(name.key, "", f"{why}; {what}")
        known = self._warnings.get(name.key, ())
        self._warnings[name.key] = (*known, finding)

    def _read(self, key: str, name: ObjectName, value: bytes) -> Read:
        kind = name.kind
        try:
            content, doubled = load(value, VALUE)
        except TextError as error:
            finding = ObjectWarning(key, "", str(error))
            closed = closed_filter(None) if kind == "BGPFilter" else None
            return Read(None, (finding,), closed)
        known = None if key in self._closed else self.by_kind[kind].get(name.name)
        read = read_resource(key, kind, content, known)
        twice = (ObjectWarning(key, each, _TWICE) for each in doubled)
        unknown = () if read.resource is None else unknown_keys(key, kind, content)
        return read._replace(findings=(*read.findings, *unknown, *twice))

    def _refuse(self, key: str, name: ObjectName, read: Read) -> bool:
        text, has_changed = "ignored", False
        if name.name in self.by_kind[name.kind] and key not in self._closed:
            text = "the last valid version stays in force"
        elif read.closed is not None:
            has_changed = self.set(name, read.closed)
            self._closed.add(key)
            text = "reject all routes that reach it"
        findings = [
            each._replace(text=f"{each.text}; {text}") for each in read.findings
        ]
        self._note(key, tuple(findings))
        return has_changed

    def _note(self, key: str, findings: tuple[ObjectWarning, ...]) -> None:
        if findings:
            self._warnings[key] = findings
        else:
            self._warnings.pop(key, None)


def describe(error: BaseException) -> str:
    """Return what an error says, for people who do not have its place in the code."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
