"""What a plan calls a key is what the file calls it: every key of the model is changed once."""

import json
from collections.abc import Iterator
from typing import Any, Final, get_args

from bgpd.config.convert import to_settings
from bgpd.config.diff import StepKind, diff, pending
from bgpd.config.document import parse_document
from bgpd.config.key_names import key_of, option_of
from bgpd.config.peers import FamilyOptions, Peer, PeerRange, SessionOptions
from bgpd.config.schema import annotation_of, keys_of, leaves
from bgpd.config.settings import DaemonSettings
from bgpd.config.validation import validate
from tests.support.cases import cases

# Tried in turn for a key, until one is valid and makes a difference.
CANDIDATES: Final[tuple[object, ...]] = (
    True,
    False,
    7,
    30,
    1 << 21,
    "other",
    "10.9.9.9",
    "127.0.0.1:9999",
    "/other",
    ["10.9.0.0/16"],
    ["10.9.9.9"],
    ["lo"],
    ["ipv6-unicast"],
    [99],
    [{"prefix": "10.9.0.0/16"}],
)
FOLLOWING: Final = {
    "bgp.as": {"bgp.defaults.local_as"},
    "datastore.type": {"bird.ipv4", "bird.ipv6"},
}
"""Keys whose default another one decides."""
AS_PLACED: Final = {"password_file"}  # a file that would have to be read

Config = dict[str, Any]


def settings_of(content: Config) -> DaemonSettings | None:
    found, problems = validate(parse_document(json.dumps(content), "f"))
    return None if found is None or problems else to_settings(found)


def with_value(path: tuple[str, ...], value: object, base: Config) -> Config:
    content: Config = json.loads(json.dumps(base))
    at: Any = content
    for part in path[:-1]:
        at = at[0] if isinstance(at, list) else at
        at = at.setdefault(part, {})
    at = at[0] if isinstance(at, list) else at
    at[path[-1]] = value
    return content


def changed(
    path: tuple[str, ...], annotation: object, base: Config
) -> tuple[DaemonSettings, DaemonSettings]:
    """Return settings before and after the change of one key."""
    before = settings_of(base)
    assert before is not None
    items = [
        item
        for inner in (annotation, *get_args(annotation))
        for item in get_args(inner)
    ]
    words = [each for each in items if isinstance(each, str)]
    for value in (*CANDIDATES, *words, *([word] for word in words)):
        after = settings_of(with_value(path, value, base))
        if after is not None and after != before:
            return before, after
    raise AssertionError(f"no other value for {path}")


def sections() -> Iterator[tuple[str, ...]]:
    for leaf in leaves():
        if leaf.path[-1] not in AS_PLACED:
            yield leaf.path


ANNOTATIONS: Final = {leaf.path: annotation_of(leaf.field) for leaf in leaves()}
BASE: Final[Config] = {"bgp": {"as": 64512, "router_id": "10.0.0.1"}}


@cases("path", list(sections()), ids=".".join)
def test_a_key_that_stands_once_is_called_by_its_name(path: tuple[str, ...]) -> None:
    before, after = changed(path, ANNOTATIONS[path], BASE)
    steps = [step for step in diff(before, after) if step.kind is StepKind.SECTION]
    found = {key for step in steps for key in step.shown_keys}
    name = ".".join(path)
    also = FOLLOWING.get(name, set())
    assert found == {name} | also
    assert set(pending(before, after)) <= found
    section, _, rest = name.partition(".")
    line = next(str(step) for step in steps if name in step.shown_keys)
    assert line.startswith(f"change section {section} (")
    assert rest in line


def options() -> Iterator[tuple[str, str]]:
    for place, model in (("peers", Peer), ("ranges", PeerRange)):
        own = {"peers": ("as", "name"), "ranges": ("as", "name", "limit")}[place]
        for key in (*keys_of(SessionOptions), *own):
            if key not in AS_PLACED:
                yield place, key
        assert {"address", "prefix"} & keys_of(model).keys()


@cases(("place", "key"), list(options()))
def test_an_option_of_a_neighbour_is_called_by_its_name(place: str, key: str) -> None:
    mine: Config = {"address": "10.1.1.1", "as": 1, "local_as": 64999}
    model: type[SessionOptions] = Peer
    if place == "ranges":
        mine = {"prefix": "10.1.1.0/24", "as": 1, "local_as": 64999}
        model = PeerRange
    base = BASE | {place: [mine]}
    annotation = annotation_of(keys_of(model)[key])
    before, after = changed((place, key), annotation, base)
    (step,) = diff(before, after)
    assert step.shown_keys == (key,)
    assert f"({key})" in str(step)


@cases("key", keys_of(FamilyOptions).keys())
def test_options_of_families_are_those_of_the_key(key: str) -> None:
    assert option_of(key) == key


def test_what_has_one_name_keeps_it() -> None:
    assert key_of("log.level") == "log.level"
    assert key_of("speaker.decision.max_ecmp") == "bgp.decision.max_ecmp"
    assert key_of("speaker.defaults.is_client") == "bgp.defaults.client"
