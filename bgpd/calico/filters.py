"""BGPFilter: its rules as read, and as terms of a policy.

The first rule that accepts or rejects a route ends everything in its direction. A rule
whose conditions are not understood would let pass what its author kept out, or the other
way round; so one bad rule makes the whole filter unreadable.
"""

from collections.abc import Iterator
from typing import Annotated, Final, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from bgpd.calico.fields import (
    Asn,
    Cidr,
    Community,
    Length,
    Metadata,
    Priority,
    Resource,
    parse_any_community,
)
from bgpd.calico.priorities import local_pref_of_metric
from rib.family import IPV4_UNICAST, Family
from rib.path import SourceKind
from rib.policy import (
    NO_ACTIONS,
    Actions,
    Bounds,
    Match,
    Operator,
    Outcome,
    Term,
    prefix_match,
)

FROM_PEERS: Final = frozenset({SourceKind.EBGP, SourceKind.IBGP})
_OUTCOMES: Final = {"Accept": Outcome.ACCEPT, "Reject": Outcome.REJECT}


class PrefixLength(Resource):
    """Bounds of the length, in bits."""

    min: Length | None = None
    max: Length | None = None


class Communities(Resource):
    """Communities, one of which a route must carry."""

    values: tuple[Community, ...] = Field(min_length=1)


class AddCommunity(Resource):
    """Operation ``addCommunity``."""

    value: Community


class PrependAsPath(Resource):
    """Operation ``prependASPath``."""

    prefix: tuple[Asn, ...] = Field(min_length=1)


class SetPriority(Resource):
    """Operation ``setPriority``."""

    value: Priority


class Operation(Resource):
    """One change of an accepted route; exactly one field is set."""

    add_community: AddCommunity | None = Field(default=None, alias="addCommunity")
    prepend: PrependAsPath | None = Field(default=None, alias="prependASPath")
    set_priority: SetPriority | None = Field(default=None, alias="setPriority")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = (self.add_community, self.prepend, self.set_priority)
        if sum(each is not None for each in given) != 1:
            raise ValueError(
                "must be one of addCommunity, prependASPath and setPriority"
            )
        return self


class Rule(Resource):
    """One rule; conditions that are not set hold for every route."""

    action: Literal["Accept", "Reject"]
    cidr: Cidr = ""
    operator: Literal["", "Equal", "NotEqual", "In", "NotIn"] = Field(
        default="", alias="matchOperator"
    )
    prefix_length: PrefixLength | None = Field(default=None, alias="prefixLength")
    source: Literal["", "RemotePeers"] = ""
    interface: Annotated[str, Field(pattern=r"^([a-zA-Z0-9_.*-]{1,15})?$")] = ""
    peer_type: Literal["", "eBGP", "iBGP"] = Field(default="", alias="peerType")
    communities: Communities | None = None
    as_path_prefix: tuple[Asn, ...] = Field(default=(), alias="asPathPrefix")
    priority: Priority | None = None
    operations: tuple[Operation, ...] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.cidr) != bool(self.operator):
            raise ValueError("set both cidr and matchOperator, or neither")
        if self.prefix_length is not None and not self.cidr:
            raise ValueError("prefixLength needs cidr")
        if self.operations and self.action != "Accept":
            raise ValueError("operations work with the action Accept only")
        return self


class BgpFilterSpec(Resource):
    """``BGPFilter.spec``: rules by direction and family."""

    export_v4: tuple[Rule, ...] = Field(default=(), alias="exportV4")
    import_v4: tuple[Rule, ...] = Field(default=(), alias="importV4")
    export_v6: tuple[Rule, ...] = Field(default=(), alias="exportV6")
    import_v6: tuple[Rule, ...] = Field(default=(), alias="importV6")

    @model_validator(mode="after")
    def _has_fitting_prefixes(self) -> Self:
        for name in ("export_v4", "import_v4", "export_v6", "import_v6"):
            wants_v6 = name.endswith("6")
            for rule in getattr(self, name):
                if rule.cidr and (":" in rule.cidr) is not wants_v6:
                    version = "IPv6" if wants_v6 else "IPv4"
                    raise ValueError(f"{rule.cidr} in rules for {version}")
        return self

    def rules(self, family: Family, *, is_export: bool) -> tuple[Rule, ...]:
        """Return the rules of one direction and family."""
        if family == IPV4_UNICAST:
            return self.export_v4 if is_export else self.import_v4
        return self.export_v6 if is_export else self.import_v6


class BgpFilter(Resource):
    """Rules that sessions may name."""

    metadata: Metadata = Metadata()
    spec: BgpFilterSpec = BgpFilterSpec()


class Session(NamedTuple):
    """What of a session its policies depend on.

    Attributes:
        family: Of the routes.
        is_internal: Both ends are of one AS.
        local_as: Our AS on it.
    """

    family: Family
    is_internal: bool
    local_as: int


def filter_terms(
    name: str, spec: BgpFilterSpec, session: Session, *, is_export: bool
) -> Iterator[Term]:
    """Yield the terms of one filter on one kind of session."""
    for number, rule in enumerate(spec.rules(session.family, is_export=is_export), 1):
        if rule.peer_type and (rule.peer_type == "iBGP") is not session.is_internal:
            continue
        path = rule.as_path_prefix
        if path and is_export and not session.is_internal:
            # BIRD has put our own AS before the path when its export filter runs.
            if path[0] != session.local_as:
                continue
            path = path[1:]
        yield Term(
            f"BGPFilter {name}, rule {number}",
            _OUTCOMES[rule.action],
            _match(rule, path),
            _actions(rule),
        )


def needs_local_as(spec: BgpFilterSpec, family: Family) -> bool:
    """Return whether an export rule's meaning depends on our AS."""
    return any(rule.as_path_prefix for rule in spec.rules(family, is_export=True))


def _match(rule: Rule, path: tuple[int, ...]) -> Match:
    standard, large = _communities(
        () if rule.communities is None else rule.communities.values
    )
    priority = rule.priority
    pref = None if priority is None else local_pref_of_metric(priority)
    bounds = rule.prefix_length or PrefixLength()
    return Match(
        prefixes=(
            prefix_match(
                Operator(rule.operator),
                rule.cidr,
                min_length_bits=bounds.min,
                max_length_bits=bounds.max,
            )
            if rule.cidr
            else None
        ),
        source_kinds=FROM_PEERS if rule.source else frozenset(),
        interface=rule.interface,
        communities=frozenset(standard),
        large_communities=frozenset(large),
        as_path_prefix=path,
        local_pref=None if pref is None else Bounds(pref, pref),
    )


def _communities(
    texts: tuple[str, ...],
) -> tuple[list[int], list[tuple[int, int, int]]]:
    standard: list[int] = []
    large: list[tuple[int, int, int]] = []
    for community in map(parse_any_community, texts):
        if isinstance(community, int):
            standard.append(community)
        else:
            large.append(community)
    return standard, large


def _actions(rule: Rule) -> Actions:
    """Return the operations of a rule, done one after the other."""
    added: list[str] = []
    prepended: tuple[int, ...] = ()
    local_pref = None
    for operation in rule.operations:
        if operation.add_community is not None:
            added.append(operation.add_community.value)
        if operation.prepend is not None:
            prepended = (*operation.prepend.prefix, *prepended)
        if operation.set_priority is not None:
            local_pref = local_pref_of_metric(operation.set_priority.value)
    if not rule.operations:
        return NO_ACTIONS
    standard, large = _communities(tuple(added))
    return Actions(
        local_pref=local_pref,
        prepend=prepended,
        add_communities=tuple(standard),
        add_large_communities=tuple(large),
    )
