"""docs/configuration.md, written from the model and from what ``diff`` says of changes."""

import typing
from dataclasses import fields
from types import NoneType, UnionType

from pydantic.fields import FieldInfo

from bgpd.config.base import Section
from bgpd.config.bfd import Bfd, BfdAuth
from bgpd.config.diff import LIVE_KEYS, RESTARTS, SECTION_COSTS, field_cost
from bgpd.config.environment import CALICO_VARIABLES, OPTIONS, variable_name
from bgpd.config.evidence import Bmp, BmpCollector, Mrt, MrtDumps, MrtUpdates
from bgpd.config.fields import Unit
from bgpd.config.key_names import FIELD_OF_KEY, key_of
from bgpd.config.model import (
    Api,
    Bgp,
    Bird,
    Calico,
    Control,
    DaemonConfig,
    Datastore,
    Decision,
    Direct,
    Drain,
    Fib,
    GracefulRestart,
    Journal,
    Kubernetes,
    Learn,
    Listen,
    Log,
    Metrics,
    NextHops,
    Node,
    OriginatedRoute,
    Reload,
    Routes,
)
from bgpd.config.peers import (
    FamilyOptions,
    Peer,
    PeerRange,
    SessionOptions,
)
from bgpd.config.policies import (
    CommunityChange,
    CommunityMatch,
    ExtCommunityMatch,
    LargeCommunityMatch,
    PolicyModel,
    PrefixRange,
    Term,
    TermChanges,
    TermMatch,
)
from bgpd.config.schema import keys_of, leaves, section_in
from bgpd.config.settings import DaemonSettings
from bgpd.session.settings import ChangeCost, PeerSettings

_HEAD = """\
# Configuration

<!-- Written by `make docs` from bgpd/config; edit it there. -->

`pybgpd run --config FILE` reads a YAML file. Calico's environment variables override the
file, `PYBGPD_*` variables override those, and command-line options override everything.
`pybgpd check FILE` lists every error with its line and column. An unknown key is an error,
because ignoring it would silently ignore what you asked for. [configs](../configs) has
examples, all of which a test loads.

The daemon reads the file again on SIGHUP and whenever it changes. It logs the plan first
and then applies only the differences. The column "change" says what a changed key costs:

| change | means |
|---|---|
| live | takes effect at once; sessions exchange nothing |
| refresh | the affected sessions stay up and send or request their routes again |
| reset | the affected sessions restart (graceful restart keeps the routes) |
| start | takes effect at the next start of the daemon |

A neighbour keeps its session when it moves from a range to a configured peer, back, or to
another range; the move costs only what the differing settings cost. Dynamic neighbours keep
their sessions if `port` changes, or if `as` or `local_address` changes to a value that still
fits the session.

Scalars follow YAML 1.2: `65000:1` is text, not a number in base 60. Every switch accepts
`on`, `off`, `yes`, `no`, `true` and `false`.
"""

_COST_WORDS = {
    ChangeCost.LIVE: "live",
    ChangeCost.REFRESH: "refresh",
    ChangeCost.RESET: "reset",
}
_SETTINGS_OF = {
    key_of(each.name).partition(".")[0]: each.name for each in fields(DaemonSettings)
}
_TYPE_WORDS = {int: "number", str: "text", bool: "switch"}

_TERMS = (
    "A policy is a list of terms, tried in order. A term matches if all its conditions hold; a "
    "condition with several values holds if any of them matches. `accept` and `reject` end "
    "the policy; `next` applies the term's changes and continues with the next term. The "
    "policies `accept-all`, `reject-all` and `ebgp-default-deny` are built in; eBGP peers "
    "without a policy get the last (RFC 8212)."
)

_INHERITED = (
    "You can set these in `bgp.defaults`, in a group of `peer_groups`, in a peer and in a "
    "range. The most specific setting wins: first the peer's or range's own, then its "
    "group's, then `bgp.defaults`, and last the default given here. `bgp.defaults` also "
    "applies to the peers that come from the datastore."
)

# Title, path in the file, section, note.
_PARTS: tuple[tuple[str, str, type[Section], str], ...] = (
    ("node", "node", Node, ""),
    ("bgp", "bgp", Bgp, "Without a datastore, `as` and `router_id` are required."),
    ("bgp.listen", "bgp.listen", Listen, ""),
    ("bgp.decision", "bgp.decision", Decision, ""),
    (
        "Session options",
        "*",
        SessionOptions,
        _INHERITED,
    ),
    (
        "Families",
        "*",
        FamilyOptions,
        "Each item of `families` is a name or a mapping with these keys.",
    ),
    (
        "bfd",
        "bfd",
        Bfd,
        "A session option: `on`, `off`, or a mapping with these keys, inherited as a whole.",
    ),
    ("bfd.auth", "bfd", BfdAuth, ""),
    ("peers[]", "*", Peer, "A list. Each item also accepts the session options."),
    ("ranges[]", "*", PeerRange, "A list. Each item also accepts the session options."),
    ("policies.NAME", "policies", PolicyModel, _TERMS),
    ("policies.NAME.terms[]", "policies", Term, ""),
    ("policies.NAME.terms[].match", "policies", TermMatch, ""),
    (
        "policies.NAME.terms[].match.prefixes[]",
        "policies",
        PrefixRange,
        "Each item is a prefix, which matches only itself, or a mapping with these keys.",
    ),
    ("policies.NAME.terms[].match.communities", "policies", CommunityMatch, ""),
    (
        "policies.NAME.terms[].match.large_communities",
        "policies",
        LargeCommunityMatch,
        "",
    ),
    ("policies.NAME.terms[].match.ext_communities", "policies", ExtCommunityMatch, ""),
    ("policies.NAME.terms[].set", "policies", TermChanges, ""),
    (
        "policies.NAME.terms[].set.communities",
        "policies",
        CommunityChange,
        "`large_communities` and `ext_communities` have the same keys.",
    ),
    ("routes", "routes", Routes, ""),
    ("routes.originate[]", "routes", OriginatedRoute, "A list."),
    ("routes.learn", "routes", Learn, ""),
    ("routes.direct", "routes", Direct, ""),
    ("fib", "fib", Fib, ""),
    ("next_hops", "next_hops", NextHops, ""),
    ("datastore", "datastore", Datastore, ""),
    ("calico", "calico", Calico, ""),
    ("kubernetes", "kubernetes", Kubernetes, ""),
    ("bird", "bird", Bird, ""),
    ("control", "control", Control, ""),
    ("api", "api", Api, ""),
    ("log", "log", Log, ""),
    ("journal", "journal", Journal, ""),
    ("mrt", "mrt", Mrt, ""),
    ("mrt.table", "mrt", MrtDumps, ""),
    ("mrt.updates", "mrt", MrtUpdates, ""),
    ("bmp", "bmp", Bmp, ""),
    ("bmp.collectors[]", "bmp", BmpCollector, "A list."),
    ("graceful_restart", "graceful_restart", GracefulRestart, ""),
    ("drain", "drain", Drain, ""),
    ("reload", "reload", Reload, ""),
    ("metrics", "metrics", Metrics, ""),
)
_PEER_DEFAULTS = PeerSettings(name="", remote_addr="", remote_as=0, local_as=0)


def configuration_page() -> str:
    """Return the page."""
    parts = [_HEAD]
    for title, path, section, note in _PARTS:
        own = set(keys_of(SessionOptions)) if _has_session_keys(section) else set()
        rows = [
            _row(path, section, key, field)
            for key, field in keys_of(section).items()
            if key not in own and not _is_fixed_section(field)
        ]
        parts.append(f"\n## {title}\n")
        doc = (section.__doc__ or "").strip().splitlines()[0]
        parts.append(f"\n{doc} {note}".rstrip() + "\n")
        if rows:
            parts.append("\n| key | type | unit | default | change | |\n")
            parts.append("|---|---|---|---|---|---|\n")
            parts.extend(rows)
    parts.extend(_overlays())
    return "".join(parts)


def _has_session_keys(section: type[Section]) -> bool:
    return issubclass(section, SessionOptions) and section is not SessionOptions


def _is_fixed_section(field: FieldInfo) -> bool:
    annotation = field.annotation
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _row(path: str, section: type[Section], key: str, field: FieldInfo) -> str:
    cells = (
        f"`{key}`",
        _type(field.annotation, field),
        _unit(field),
        _default(section, key, field),
        _change(path, section, key),
        (field.description or "").replace("|", "\\|"),
    )
    return f"| {' | '.join(cells)} |\n"


def _type(annotation: object, field: FieldInfo | None = None) -> str:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(inner[0])
    if origin in (typing.Union, UnionType):
        return ", ".join(_type(each) for each in inner if each is not NoneType)
    if origin is list:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"mapping of {_type(inner[1])}"
    if origin is typing.Literal:
        return ", ".join(f"`{each}`" for each in inner)
    if isinstance(annotation, type) and section_in(annotation) is not None:
        return "mapping"
    return _TYPE_WORDS[typing.cast("type", annotation)]


def _metadata(annotation: object) -> typing.Iterator[object]:
    if typing.get_origin(annotation) is typing.Annotated:
        yield from typing.cast("typing.Any", annotation).__metadata__
    for inner in typing.get_args(annotation):
        yield from _metadata(inner)


def _unit(field: FieldInfo) -> str:
    every = [*field.metadata, *_metadata(field.annotation)]
    return next((each.name for each in every if isinstance(each, Unit)), "")


def _default(section: type[Section], key: str, field: FieldInfo) -> str:
    if field.is_required() or (key == "as" and issubclass(section, Peer | PeerRange)):
        return "required"
    value = field.default
    if value is None and issubclass(section, SessionOptions):
        value = getattr(_PEER_DEFAULTS, FIELD_OF_KEY.get(key, key), None)
        value = getattr(value, "value", value)
    if value in (None, "", (), [], {}, frozenset()) or key == "local_as":
        return ""
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    if isinstance(value, tuple):  # the families, a tuple of FamilySettings
        return ", ".join(f"`{each.family}`" for each in value)
    if isinstance(value, list):
        return ", ".join(f"`{each}`" for each in value)
    return f"`{value}`"


def _change(path: str, section: type[Section], key: str) -> str:
    if path == "policies":
        return "refresh"
    if section is FamilyOptions:
        return _COST_WORDS[field_cost(key)] if key != "name" else "reset"
    if issubclass(section, SessionOptions):
        if key in {"address", "prefix"}:
            return "another peer" if key == "address" else "another range"
        if key in {"limit", "group", "families", "password_file"}:
            return {"limit": "live", "password_file": "live"}.get(key, "as its options")
        return _COST_WORDS[field_cost(FIELD_OF_KEY.get(key, key))]
    top = path.split(".", maxsplit=1)[0]
    settings = _SETTINGS_OF.get(top, top)
    name = f"{settings}.{'asn' if key == 'as' else key}"
    if settings in RESTARTS and name not in LIVE_KEYS:
        return "start"
    return _COST_WORDS[SECTION_COSTS.get(name, ChangeCost.LIVE)]


def _overlays() -> typing.Iterator[str]:
    yield "\n## Environment variables\n\nCalico's, as its manifests set them:\n\n"
    yield "| variable | key |\n|---|---|\n"
    for variable in CALICO_VARIABLES:
        names = ", ".join(f"`{name}`" for name in variable.names)
        yield f"| {names} | `{'.'.join(variable.path)}` |\n"
    yield (
        "\nOur own, one for each key outside lists. Separate the items of a list with commas. "
        "An unknown `PYBGPD_*` variable is an error.\n\n| variable | key |\n|---|---|\n"
    )
    for leaf in leaves(DaemonConfig):
        yield f"| `{variable_name(leaf)}` | `{'.'.join(leaf.path)}` |\n"
    yield "\n## Options of the command line\n\n| option | key |\n|---|---|\n"
    for name, path in OPTIONS.items():
        yield f"| `--{name}` | `{'.'.join(path)}` |\n"
    yield "| `--clients` | an item of `ranges`, of reflector clients in our own AS |\n"
