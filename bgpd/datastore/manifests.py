"""Manifests in Calico's resource form to keys and values, and the YAML around them.

Documents of one file are separated before YAML sees them, so that an error spoils its own
document only, whatever it is. Values are stored as canonical JSON: reformatting a manifest
changes nothing. ``List`` kinds (``NodeList``, as ``calicoctl get -o yaml`` prints) are unfolded.

A ``BlockAffinity`` manifest (``spec: {node, cidr, state}``) becomes the key that Calico's
IPAM uses, since that is what is read from etcd, and so does an ``IPAMBlock``, of which nothing
but its affinity is kept: its workloads come and go. Every other kind is stored as it is.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

from bgpd.calico.keys import (
    IPAM_HOST,
    PLURALS,
    affinity_key,
    assignment_key,
    resource_key,
)
from bgpd.calico.known_keys import unknown_keys
from bgpd.datastore.model import DatastoreError, Manifest
from bgpd.texts.limits import MANIFESTS, LimitError, Limits, TextError
from bgpd.texts.tree import ListNode, MapNode, Node, ScalarNode, doubled_keys, plain
from bgpd.texts.yaml_text import STRICT, compose

API_GROUPS: Final = ("projectcalico.org/", "crd.projectcalico.org/")
MAX_WARNINGS: Final = 20  # reported for one file; in junk each line may be a document
MAX_NAME: Final = 253  # characters, as Kubernetes' API has it
_LARGE: Final = 64 << 10  # characters of a document; junk is not worth parsing
_MAX_SHOWN: Final = 64  # characters of what was found
_SAYS_WHOSE: Final = ("affinity", "deleted", "hostAffinity")  # of an IPAM block
_SEPARATOR: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)


class ManifestError(DatastoreError):
    """A document is not an object that we know; the text says why."""


class UnknownKindError(ManifestError):
    """A well-formed object of a kind that has no key here."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a file.

    Attributes:
        key: Calico's etcd key.
        value: Canonical JSON.
        line: Where its document begins, from 1.
    """

    key: str
    value: bytes
    line: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file holds.

    Attributes:
        entries: The good objects, in order.
        warnings: ``line: text`` for each bad document, and for each key of a good one that
            is a duplicate; the first ``MAX_WARNINGS``, and the number of the others.
        is_whole: No document was unreadable, so an object that is missing is deleted.
        is_cut: A limit refused some of it.
        nodes: Values in it, with what aliases stand for.
    """

    entries: tuple[Entry, ...]
    warnings: tuple[tuple[int, str], ...]
    is_whole: bool
    is_cut: bool = False
    nodes: int = 0


def parse(text: str, limits: Limits = MANIFESTS) -> Parsed:
    """Read all objects of a manifest file (YAML, of which JSON is a part).

    Bad documents are reported in the result; nothing is raised.

    Args:
        text: The file's.
        limits: Of the file as a whole.
    """
    reading = _Reading()
    nodes = octets = 0
    for line, document in _documents(text):
        if reading.is_sated(document) and "apiVersion" not in document:
            reading.spoil(line, "kind and apiVersion are missing")
            continue
        left = limits._replace(
            nodes=limits.nodes - nodes, octets=limits.octets - octets
        )
        try:
            root = compose(document, left, STRICT)
        except LimitError as error:
            reading.is_cut = True
            reading.spoil(line + max(error.line - 1, 0), error.problem)
            continue
        except TextError as error:
            reading.spoil(line + max(error.line - 1, 0), error.problem)
            continue
        if root is not None:
            nodes, octets = nodes + root.nodes, octets + root.octets
            for node in _objects(root):
                reading.take(line - 1, node)
    return reading.result(nodes)


class _Reading:
    """What was found of a file so far."""

    def __init__(self) -> None:
        self.is_cut = False
        self._entries: list[Entry] = []
        self._warnings: list[tuple[int, str]] = []
        self._passed_over = 0
        self._is_whole = True

    def is_sated(self, document: str) -> bool:
        """Whether what is wrong with a document need not be known in detail."""
        return len(document) > _LARGE or len(self._warnings) >= MAX_WARNINGS

    def take(self, above: int, node: Node) -> None:
        """Take one object; ``above`` are the lines before its document."""
        line = above + node.line
        content = plain(node)
        try:
            key, value = item_of(content)
        except UnknownKindError as error:
            self.warn(line, f"{error}; ignored")
            return
        except ManifestError as error:
            self.spoil(line, str(error))
            return
        self._entries.append(Entry(key, value, line))
        if key.startswith(IPAM_HOST):  # what is stored has keys of its own
            for finding in unknown_keys(key, "BlockAffinity", content):
                self.warn(line, f"{finding.field}: {finding.text}")
        for path, again, first in doubled_keys(node):
            text = f"duplicate {_path(path)}, first on line {above + first.line}"
            self.warn(above + again.line, f"{text}; the last one counts")

    def spoil(self, line: int, text: str) -> None:
        """Note a document that cannot be taken."""
        self.warn(line, text)
        self._is_whole = False

    def warn(self, line: int, text: str) -> None:
        """Note what is wrong."""
        if len(self._warnings) < MAX_WARNINGS:
            self._warnings.append((line, text))
        else:
            self._passed_over += 1

    def result(self, nodes: int) -> Parsed:
        """Return what there is."""
        if self._passed_over:
            self._warnings.append((1, f"and {self._passed_over} more problems"))
        return Parsed(
            tuple(self._entries),
            tuple(self._warnings),
            self._is_whole,
            self.is_cut,
            nodes,
        )


def _objects(root: Node) -> Iterator[Node]:
    """Yield the objects of a document: itself, or what its list holds."""
    if isinstance(root, ScalarNode) and root.value is None:
        return  # comments only
    if isinstance(root, MapNode):
        kind, items = root.find("kind"), root.find("items")
        if (
            kind is not None
            and items is not None
            and isinstance(kind[1], ScalarNode)
            and kind[1].text.endswith("List")
            and isinstance(items[1], ListNode)
        ):
            yield from items[1].items
            return
    yield root


def _path(path: tuple[str | int, ...]) -> str:
    return shown(".".join(map(str, path)))


def shown(value: object) -> str:
    """Return a value for a message, which may be anything, in few characters."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def item_of(manifest: object) -> tuple[str, bytes]:
    """Return key and value of one object.

    Raises:
        UnknownKindError: The object is of a kind that has no key here.
        ManifestError: It is not an object, or its name or block is missing or malformed.
    """
    key = key_of(manifest)
    content = _mapping(manifest, "a document")
    if content["kind"] == "BlockAffinity":
        spec = _mapping(content.get("spec"), "spec")
        value: object = {
            "state": spec.get("state") or "",
            "deleted": str(spec.get("deleted", "false")).lower() == "true",
        }
    elif content["kind"] == "IPAMBlock":
        spec = _mapping(content.get("spec"), "spec")
        value = {name: spec[name] for name in _SAYS_WHOSE if name in spec}
    else:
        value = content
    try:
        return key, json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ManifestError(f"cannot convert to JSON: {error}") from error


def key_of(manifest: object) -> str:
    """Return the key of one object; only what names it need be there.

    Raises:
        UnknownKindError: As ``item_of``.
        ManifestError: As ``item_of``.
    """
    content = _mapping(manifest, "a document")
    kind, version = content.get("kind"), content.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        raise ManifestError("kind and apiVersion are missing")
    if not version.startswith(API_GROUPS):
        raise UnknownKindError(
            f"apiVersion {shown(version)} is not projectcalico.org/v3"
        )
    if kind == "BlockAffinity":
        return _affinity_key(_mapping(content.get("spec"), "spec"))
    if kind == "IPAMBlock":
        spec = _mapping(content.get("spec"), "spec")
        return assignment_key(_cidr(kind, spec))
    if kind not in PLURALS:
        raise UnknownKindError(f"unknown kind {shown(kind)}")
    name = _mapping(content.get("metadata"), "metadata").get("name")
    if isinstance(name, bool) or not isinstance(name, str | int) or not str(name):
        raise ManifestError(f"{kind} has no metadata.name")
    return resource_key(kind, _name(str(name), "metadata.name"))


def _name(name: str, field: str) -> str:
    """Return a name that can be part of a key.

    Raises:
        ManifestError: It cannot.
    """
    if "/" in name:
        raise ManifestError(f"{field} {shown(name)!r} contains a slash")
    if len(name) > MAX_NAME:
        found = f"{field} has {len(name)} characters"
        raise ManifestError(f"{found}; the limit is {MAX_NAME}")
    if not name.isprintable():
        raise ManifestError(f"{field} {shown(name)!r} cannot be printed")
    return name


def _affinity_key(spec: Mapping[str, Any]) -> str:
    node = spec.get("node")
    if not isinstance(node, str) or not node:
        raise ManifestError(f"BlockAffinity: spec.node is {shown(repr(node))}")
    cidr = _cidr("BlockAffinity", spec)
    return affinity_key(_name(node, "BlockAffinity: spec.node"), cidr)


def _cidr(kind: str, spec: Mapping[str, Any]) -> str:
    """Return the block's prefix in canonical text.

    Raises:
        ManifestError: It is none.
    """
    cidr = spec.get("cidr")
    try:
        return str(ip_network(cidr if isinstance(cidr, str) else ""))
    except ValueError as error:
        raise ManifestError(f"{kind}: spec.cidr: {shown(str(error))}") from error


def _documents(text: str) -> Iterator[tuple[int, str]]:
    start, line = 0, 1
    # A document marker stands at the beginning of a line; YAML allows nothing else there.
    for mark in [*(m.start() for m in _SEPARATOR.finditer(text)), len(text)]:
        piece = text[start:mark]
        if piece.strip().removeprefix("---").strip():
            yield line, piece
        line += piece.count("\n")
        start = mark


def _mapping(value: object, what: str) -> Manifest:
    if not isinstance(value, Mapping):
        raise ManifestError(f"{what} is not a mapping")
    return value
