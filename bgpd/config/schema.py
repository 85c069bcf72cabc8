"""Reflection on the model: which keys there are, and where. Pure.

Messages about unknown keys, environment variables and the documentation need the same
walk over the model; it is here once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Final, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from bgpd.config.base import Section
from bgpd.config.model import DaemonConfig
from bgpd.texts.tree import KeyPath

_WHOLE: Final = frozenset({"bfd"})
"""Sections that are one value: inherited as a whole, so that none of their keys stands for itself."""


def keys_of(section: type[Section]) -> dict[str, FieldInfo]:
    """Return the keys of a section as written in a file, in the order declared."""
    fields = section.model_fields.items()
    return {field.alias or name: field for name, field in fields}


def annotation_of(field: FieldInfo) -> object:
    """Return a field's type without ``None``."""
    return _without_none(field.annotation)


def section_in(annotation: object) -> type[Section] | None:
    """Return the section that a type is, or is a list or mapping of."""
    annotation = _without_none(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    for inner in (
        get_args(annotation)[-1:] if get_origin(annotation) in (list, dict) else ()
    ):
        return section_in(inner)
    return None


def section_at(path: KeyPath) -> type[Section] | None:
    """Return the section whose keys are expected at ``path``, if it is one."""
    annotation: object = DaemonConfig
    for part in path:
        annotation = _without_none(annotation)
        if get_origin(annotation) in (list, dict):
            annotation = get_args(annotation)[-1]
            continue
        if not (isinstance(annotation, type) and issubclass(annotation, Section)):
            return None
        field = keys_of(annotation).get(str(part))
        if field is None:
            return None
        annotation = annotation_of(field)
    annotation = _without_none(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A key below fixed sections only, so that it has one dotted name.

    Attributes:
        path: Its path from the top.
        field: Its declaration.
        is_list: Whether it takes several values.
    """

    path: tuple[str, ...]
    field: FieldInfo
    is_list: bool


def leaves(
    section: type[Section] = DaemonConfig, above: tuple[str, ...] = ()
) -> Iterator[Leaf]:
    """Yield every key with a plain value, or a list of plain values, that stands once."""
    for key, field in keys_of(section).items():
        annotation = annotation_of(field)
        path = (*above, key)
        if key in _WHOLE:
            continue
        if isinstance(annotation, type) and issubclass(annotation, Section):
            yield from leaves(annotation, path)
        elif get_origin(annotation) is dict or (
            get_origin(annotation) is list
            and section_in(annotation) is not None
            and key != "families"
        ):
            continue
        else:
            yield Leaf(path, field, get_origin(annotation) is list)


def takes_text(annotation: object) -> bool:
    """Return whether a value of this type is text, which must not be read as a number."""
    inner = get_args(annotation)
    return annotation is str or any(map(takes_text, inner))


def _without_none(annotation: object) -> object:
    """Strip ``Annotated`` and ``None`` from around a type."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        inner = [arg for arg in get_args(annotation) if arg is not type(None)]
        if len(inner) == 1:
            return _without_none(inner[0])
    return annotation
