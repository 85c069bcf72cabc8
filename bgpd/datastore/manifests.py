"""Manifests in Calico's resource form to keys and values, and the YAML around them.

Documents of one file are separated before YAML sees them, so that a syntax error spoils
its own document only. Values are stored as canonical JSON: a reformatted manifest is no
change. ``List`` kinds (``NodeList``, as ``calicoctl get -o yaml`` prints) are unfolded.

A ``BlockAffinity`` manifest (``spec: {node, cidr, state}``) becomes the key that Calico's
IPAM uses, since that is what is read from etcd; every other kind is stored as it is.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

import yaml

from bgpd.calico.keys import PLURALS, affinity_key, resource_key
from bgpd.datastore.model import DatastoreError, Manifest

API_GROUPS: Final = ("projectcalico.org/", "crd.projectcalico.org/")
_SEPARATOR: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)

# libyaml where PyYAML was built with it: 8x faster, and the same grammar.
_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ManifestError(DatastoreError):
    """A document is no object that we know; the text says why."""


class UnknownKindError(ManifestError):
    """A well-formed object of a kind that has no key here."""


class _Loader(_BaseLoader):  # type: ignore[misc]
    """YAML without its surprises: dates, 65000:10, yes and on are text."""

    yaml_implicit_resolvers: Final = {
        first: [
            (tag, pattern)
            for tag, pattern in resolvers
            if not tag.endswith((":timestamp", ":int", ":float", ":bool"))
        ]
        for first, resolvers in _BaseLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), list("tf")
)


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
        warnings: ``line: text`` for each bad document.
        is_whole: No document was unreadable, so an object that is missing is deleted.
    """

    entries: tuple[Entry, ...]
    warnings: tuple[tuple[int, str], ...]
    is_whole: bool


def parse(text: str) -> Parsed:
    """Read all objects of a manifest file (YAML, of which JSON is a part).

    Bad documents are reported in the result; nothing is raised.
    """
    entries: list[Entry] = []
    warnings: list[tuple[int, str]] = []
    is_whole = True
    for line, document in _documents(text):
        try:
            found = list(_load(document))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            at = line + (mark.line if mark else 0)
            warnings.append((at, f"not YAML: {error.problem or error.context}"))
            is_whole = False
            continue
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            warnings.append((line, f"not YAML: {error}"))
            is_whole = False
            continue
        for offset, content in found:
            try:
                key, value = item_of(content)
            except UnknownKindError as error:
                warnings.append((line + offset, f"{error}; ignored"))
            except ManifestError as error:
                warnings.append((line + offset, str(error)))
                is_whole = False
            else:
                entries.append(Entry(key, value, line + offset))
    return Parsed(tuple(entries), tuple(warnings), is_whole)


def item_of(manifest: object) -> tuple[str, bytes]:
    """Return key and value of one object.

    Raises:
        UnknownKindError: The object is of a kind that has no key here.
        ManifestError: It is no object, or its name or block is missing or malformed.
    """
    key = key_of(manifest)
    content = _mapping(manifest, "a document")
    if content["kind"] == "BlockAffinity":
        spec = _mapping(content.get("spec"), "spec")
        value: object = {
            "state": spec.get("state") or "",
            "deleted": str(spec.get("deleted", "false")).lower() == "true",
        }
    else:
        value = content
    try:
        return key, json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ManifestError(f"cannot be written as JSON: {error}") from error


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
        raise UnknownKindError(f"apiVersion {version} is not projectcalico.org/v3")
    if kind == "BlockAffinity":
        return _block_key(_mapping(content.get("spec"), "spec"))
    if kind not in PLURALS:
        raise UnknownKindError(f"kind {kind} is unknown")
    name = _mapping(content.get("metadata"), "metadata").get("name")
    if isinstance(name, bool) or not isinstance(name, str | int) or not str(name):
        raise ManifestError(f"{kind} has no metadata.name")
    if "/" in str(name):
        raise ManifestError(f"metadata.name {name!r} contains a slash")
    return resource_key(kind, str(name))


def _block_key(spec: Mapping[str, Any]) -> str:
    node, cidr = spec.get("node"), spec.get("cidr")
    if not isinstance(node, str) or not node or "/" in node:
        raise ManifestError(f"BlockAffinity: spec.node is {node!r}")
    try:
        network = ip_network(str(cidr))
    except ValueError as error:
        raise ManifestError(f"BlockAffinity: spec.cidr: {error}") from error
    return affinity_key(node, str(network))


def _documents(text: str) -> Iterator[tuple[int, str]]:
    start, line = 0, 1
    # A document marker stands at the beginning of a line; YAML allows nothing else there.
    for mark in [*(m.start() for m in _SEPARATOR.finditer(text)), len(text)]:
        piece = text[start:mark]
        if piece.strip().removeprefix("---").strip():
            yield line, piece
        line += piece.count("\n")
        start = mark


def _load(document: str) -> Iterator[tuple[int, object]]:
    """Yield line offset and content of each object of one document."""
    loader = _Loader(document)
    try:
        node = loader.get_single_node()
        if node is None:
            return
        content = loader.construct_document(node)
    finally:
        loader.dispose()
    if content is None:
        return  # comments only
    line = node.start_mark.line
    is_list = isinstance(content, dict) and str(content.get("kind", "")).endswith(
        "List"
    )
    if not is_list or not isinstance(content.get("items"), list):
        yield line, content
        return
    for key_node, value_node in node.value:
        if key_node.value == "items":
            for item, item_node in zip(content["items"], value_node.value, strict=True):
                yield item_node.start_mark.line, item


def _mapping(value: object, what: str) -> Manifest:
    if not isinstance(value, Mapping):
        raise ManifestError(f"{what} is no mapping")
    return value
