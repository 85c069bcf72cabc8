"""Reading an object though some of its fields cannot be understood.

One bad field must not undo the rest: a BGPConfiguration whose communities are malformed
still says that there is no mesh. Such a field is left out and told; what it would have said
is then Calico's default. Fields that say who or whom an object is about cannot be left out
without making it another object, nor can what guards a session, nor rules of a filter: then
the whole is refused.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from bgpd.calico.fields import Resource
from bgpd.calico.resources import MODELS
from bgpd.calico.warnings import ObjectWarning

_MAX_TRIES: Final = 32  # bad fields of one object; it is no object of ours with more

# Without these an object would be another one.
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
    "IPPool": frozenset({"cidr"}),
    "Node": frozenset({"bgp"}),
}
_WHOLE: Final = frozenset({"BGPFilter"})

_Place = tuple[int | str, ...]


class Read(NamedTuple):
    """What came of reading one object.

    Attributes:
        resource: ``None`` where it is refused.
        findings: What is wrong with it.
    """

    resource: Resource | None
    findings: tuple[ObjectWarning, ...]


def read_resource(key: str, kind: str, content: object) -> Read:
    """Read an object; what of it cannot be understood is left out where that is safe."""
    findings: list[ObjectWarning] = []
    for _ in range(_MAX_TRIES):
        try:
            resource = MODELS[kind].model_validate(content)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
            places = [each["loc"][:2] for each in errors]
            can_mend = all(_can_go(kind, place) for place in places)
            text = "; left out" if can_mend else ""
            findings += [
                ObjectWarning(key, _path(each["loc"]), f"{each['msg']}{text}")
                for each in errors
            ]
            if not can_mend:
                return Read(None, tuple(findings))
            for place in dict.fromkeys(places):
                content = _without(content, place)
        else:
            return Read(resource, tuple(findings))
    return Read(None, tuple(findings))


def _path(location: _Place) -> str:
    return ".".join(map(str, location))


def _can_go(kind: str, place: _Place) -> bool:
    if kind in _WHOLE or len(place) < 2 or place[0] != "spec":
        return False
    return place[1] not in _NEEDED.get(kind, frozenset())


def _without(content: Any, place: _Place) -> Any:  # noqa: ANN401  # any JSON
    if not place or not isinstance(content, dict):
        return content
    first, *rest = place
    if not rest:
        return {name: value for name, value in content.items() if name != first}
    if first not in content:
        return content
    return {**content, first: _without(content[first], tuple(rest))}
