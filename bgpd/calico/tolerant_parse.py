"""Parses an object although some of its fields are invalid.

One bad field must not undo the rest: a BGPConfiguration whose communities are malformed
still says that there is no mesh. Such a field keeps its previous state last understood, and is left
out if it never was; what it would have said is then Calico's default. Fields that say who
or whom an object is about cannot be left out without making it another object, nor can
what guards a session or a pool: then the whole is refused.

Filters are refused as a whole too. One that was never understood is *closed*: what gets
as far as its first bad rule is rejected, since we do not know what the rule would have kept
out. Leaving it out would open what its author wanted guarded.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from bgpd.calico.fields import Resource
from bgpd.calico.filters import BgpFilter
from bgpd.calico.resources import MODELS
from bgpd.calico.warnings import ObjectWarning
from bgpd.texts.field_errors import field_error

_MAX_TRIES: Final = 32  # bad fields of one object; with more it is not usable

# Without these an object would be another one, or guard nothing.
_NEEDED: Final[Mapping[str, frozenset[str]]] = {
    "BGPPeer": frozenset(
        {
            "asNumber",
            "filters",
            "localASNumber",
            "localWorkloadSelector",
            "node",
            "nodeSelector",
            "password",
            "peerIP",
            "peerSelector",
            "ttlSecurity",
        }
    ),
    "IPPool": frozenset({"cidr", "disableBGPExport"}),
}
_NODE_BGP: Final = ("ipv4Address", "ipv6Address", "ipv4IPIPTunnelAddr")
_FILTER: Final = "BGPFilter"
_LISTS: Final = ("exportV4", "importV4", "exportV6", "importV6")
_REJECT: Final = {"action": "Reject"}

_Place = tuple[int | str, ...]


class Read(NamedTuple):
    """The result of reading one object.

    Attributes:
        resource: ``None`` where it is refused.
        findings: What is wrong with it.
        closed: What counts for a refused object that was never understood.
    """

    resource: Resource | None
    findings: tuple[ObjectWarning, ...] = ()
    closed: Resource | None = None


def read_resource(
    key: str, kind: str, content: object, known: Resource | None = None
) -> Read:
    """Read an object as far as it can be understood.

    Args:
        key: Of the object.
        kind: One of ``MODELS``.
        content: Its JSON value.
        known: The object as it was last understood.
    """
    given = content
    gone: dict[_Place, None] = {}
    findings: list[ObjectWarning] = []
    for _ in range(_MAX_TRIES):
        try:
            resource = MODELS[kind].model_validate(content)
        except ValidationError as error:
            errors = error.errors(include_url=False)
            places = [_mendable(kind, each["loc"]) for each in errors]
            is_refused = not all(places)
            done = "" if is_refused else "; ignored"
            if done and known is not None:
                done = "; the last valid value stays in force"
            findings += [
                ObjectWarning(
                    key, ".".join(map(str, each["loc"])), field_error(each) + done
                )
                for each in errors
            ]
            if is_refused:
                closed = closed_filter(given) if kind == _FILTER else None
                return Read(None, tuple(findings), closed)
            for place in places:
                gone[place] = None
                content = _without(content, place)
        else:
            if known is not None:
                for place in gone:
                    resource = _with(resource, known, place)
            return Read(resource, tuple(findings))
    return Read(None, tuple(findings))


def closed_filter(content: object) -> BgpFilter:
    """Return a filter that rejects what gets as far as a rule that is not understood."""
    spec = content.get("spec") if isinstance(content, dict) else None
    lists = spec if isinstance(spec, dict) else dict.fromkeys(_LISTS, "")
    closed = {name: list(_closed_rules(name, lists.get(name))) for name in _LISTS}
    return BgpFilter.model_validate({"spec": closed})


def _closed_rules(name: str, rules: object) -> Iterator[object]:
    if not isinstance(rules, list):
        if rules is not None:
            yield _REJECT
        return
    for rule in rules:
        try:
            BgpFilter.model_validate({"spec": {name: [rule]}})
        except ValidationError:
            yield _REJECT
            return
        yield rule


def _mendable(kind: str, location: _Place) -> _Place:
    """Return what must go for a fault to be gone; empty where nothing can."""
    if kind == _FILTER or len(location) < 2 or location[0] not in ("spec", "status"):
        return ()
    if location[:2] == ("spec", "bgp") and kind == "Node":
        return location[:3] if location[2:] and location[2] in _NODE_BGP else ()
    return () if location[1] in _NEEDED.get(kind, ()) else location[:2]


def _without(content: Any, place: _Place) -> Any:  # noqa: ANN401  # any JSON
    if not place or not isinstance(content, dict):
        return content
    first, *rest = place
    if not rest:
        return {name: value for name, value in content.items() if name != first}
    if first not in content:
        return content
    return {**content, first: _without(content[first], tuple(rest))}


def _with(model: Resource, known: Resource, place: _Place) -> Resource:
    """Return ``model`` with what ``known`` has at a place, if it has that place."""
    (name,) = (
        name
        for name, field in type(model).model_fields.items()
        if place[0] in (name, field.alias)
    )
    mine, value = getattr(model, name), getattr(known, name)
    if len(place) > 1:
        if mine is None or value is None:
            return model
        value = _with(mine, value, place[1:])
    return model.model_copy(update={name: value})
