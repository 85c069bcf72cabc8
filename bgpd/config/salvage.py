"""Removes invalid values from a configuration, so that the rest is checked too.

A reader wants all faults of a file at once. Contradictions can only be found among values
that are right, so wrong ones are taken out, and findings that may come of their absence are
dropped: rather one fault less than one that is none.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from bgpd.config.document import MAX_PROBLEMS
from bgpd.config.model import DaemonConfig
from bgpd.texts.tree import KeyPath

_MOST_ROUNDS: Final = 8  # what is taken out may leave its parent wrong, up to the root

# Without the value, the whole says something else: others refer to it by its name.
_PLACEHOLDERS: Final[Mapping[str, dict[str, object]]] = {
    "policies": {"terms": []},
    "peer_groups": {},
}
# Findings that rest on another section.
_RESTS_ON: Final[Mapping[KeyPath, KeyPath]] = {
    ("bgp", "as"): ("datastore",),
    ("bgp", "router_id"): ("datastore",),
    ("routes", "cluster"): ("datastore",),
}
_LENDERS: Final = frozenset({"bgp", "peer_groups"})
_SESSIONS: Final = frozenset({"peers", "ranges", *_LENDERS})
_WHOLES: Final = frozenset(
    {("bgp",), ("bgp", "defaults"), ("peer_groups",), ("policies",)}
)


class Salvaged(NamedTuple):
    """A configuration in which every value is right.

    Attributes:
        config: What is left.
        gone: Paths of what was taken out, as in the document.
        places: For each list that lost items, the places that the others had.
    """

    config: DaemonConfig
    gone: frozenset[KeyPath]
    places: Mapping[KeyPath, list[int]]

    def original(self, path: KeyPath) -> KeyPath:
        """Return where a value of ``config`` stands in the document."""
        found: KeyPath = ()
        for part in path:
            places = self.places.get(found)
            is_moved = places is not None and isinstance(part, int)
            found = (*found, places[part] if is_moved else part)  # type: ignore[index]
        return found

    def findings(
        self, found: Iterable[tuple[KeyPath, str]]
    ) -> Iterator[tuple[KeyPath, str]]:
        """Yield findings about ``config`` that hold for the document, by its paths."""
        for path, text in found:
            place = self.original(path)
            if not (self._is_gone(place) or self._rests_on_what_is_gone(place)):
                yield place, text

    def _is_gone(self, path: KeyPath) -> bool:
        return any(path[:length] in self.gone for length in range(len(path) + 1))

    def _rests_on_what_is_gone(self, place: KeyPath) -> bool:
        section = _RESTS_ON.get(place)
        if section is not None:
            return any(path[: len(section)] == section for path in self.gone)
        if place[0] not in _SESSIONS or len(place) < 2:
            return False
        return any(_may_matter(path, place) for path in self.gone)


def _may_matter(gone: KeyPath, place: KeyPath) -> bool:
    """Whether an option of a session at ``place`` may have come from a removed value.

    Options come from groups and defaults, too, and name groups and policies.
    """
    if gone in _WHOLES:
        return True
    if gone[0] in _LENDERS:
        is_group = gone[0] == "peer_groups" and len(gone) == 2
        return is_group or gone[-1] == place[-1]
    return gone[:2] == place[:2] and gone[-1] == "group"


def salvage(data: Mapping[str, object]) -> Salvaged | None:
    """Return ``data`` without its errors; ``None`` if nothing is left."""
    left: Any = dict(data)
    gone: set[KeyPath] = set()
    places: dict[KeyPath, list[int]] = {}
    for _ in range(_MOST_ROUNDS):
        try:
            config = DaemonConfig.model_validate(left)
        except ValidationError as error:
            if error.error_count() > MAX_PROBLEMS:
                return None  # enough to do for now; taking out each costs the whole
            wrong = {
                _existing(left, each["loc"])
                for each in error.errors(include_url=False, include_input=False)
            }
            salvaged = Salvaged(DaemonConfig.model_construct(), frozenset(), places)
            gone |= {salvaged.original(path) for path in wrong}
            # The last items first: those before them keep their places.
            for path in sorted(wrong, key=_from_behind, reverse=True):
                left = _without(left, path, (), places)
            if not isinstance(left, dict):
                return None
        else:
            return Salvaged(config, frozenset(gone), places)
    return None


def _existing(data: object, location: tuple[int | str, ...]) -> KeyPath:
    """Return the longest part of an error's place that there is.

    For a missing key that is its owner; a union's errors name the kinds that were tried.
    """
    for depth, part in enumerate(location):
        has_part = isinstance(data, dict) and part in data
        if isinstance(data, list):
            has_part = isinstance(part, int) and part < len(data)
        if not has_part:
            return location[:depth]
        data = data[part]  # type: ignore[index]  # it has that part
    return location


def _from_behind(path: KeyPath) -> tuple[tuple[int, str], ...]:
    return tuple((part, "") if isinstance(part, int) else (0, part) for part in path)


def _without(
    value: Any,  # noqa: ANN401  # any YAML
    path: KeyPath,
    at: KeyPath,
    places: dict[KeyPath, list[int]],
) -> Any:  # noqa: ANN401
    """Return a copy of ``value`` without what stands at ``path``."""
    if not path:
        return None
    first, *rest = path
    if isinstance(value, dict):
        if first not in value:
            return value  # gone already, with what it was a part of
        if rest:
            inner = _without(value[first], tuple(rest), (*at, first), places)
            return value | {first: inner}
        if at in {("policies",), ("peer_groups",)}:
            return value | {first: dict(_PLACEHOLDERS[str(at[0])])}
        return {key: each for key, each in value.items() if key != first}
    items = list(value)
    index = int(first)
    if rest:
        place = places.get(at, range(len(items)))[index]
        items[index] = _without(items[index], tuple(rest), (*at, place), places)
        return items
    del places.setdefault(at, list(range(len(items))))[index]
    del items[index]
    return items
