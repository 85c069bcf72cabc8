"""Policies in the configuration file. Pure.

A policy is a list of terms, tried in order. The conditions of a term must all hold; one
that lists several values holds when any of them fits. The first term that holds and says
``accept`` or ``reject`` ends the policy; ``next`` applies its changes and goes on.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from bgpd.config.base import Section
from bgpd.config.fields import (
    AsNumber,
    Community,
    CommunityPattern,
    ExtCommunity,
    ExtCommunityPattern,
    LargeCommunity,
    LargeCommunityPattern,
    Metric,
    PolicyNextHop,
    Prefix,
    Switch,
    Weight,
)
from rib.policy.pattern_syntax import PatternError, parse_pattern

Length = Annotated[int, Field(ge=0, le=128)]


def _regular_expression(text: str) -> str:
    try:
        parse_pattern(text)
    except PatternError as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return text


RegularExpression = Annotated[str, AfterValidator(_regular_expression)]


class PrefixRange(Section):
    """A prefix and the lengths of those inside it that match; plain text matches that prefix only."""

    prefix: Annotated[Prefix, Field(description="the prefix")]
    ge: Annotated[Length | None, Field(description="minimum prefix length")] = None
    le: Annotated[Length | None, Field(description="maximum prefix length")] = None


def _prefix_range(value: object) -> object:
    return {"prefix": value} if isinstance(value, str) else value


PrefixItem = Annotated[PrefixRange, BeforeValidator(_prefix_range)]


class NumberRange(Section):
    """A closed interval; a plain number stands for itself."""

    min: Annotated[Metric, Field(description="lowest value that matches")] = 0
    max: Annotated[Metric, Field(description="highest value that matches")] = 0xFFFFFFFF


def _number_range(value: object) -> object:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return {"min": value, "max": value} if is_number else value


NumberItem = Annotated[NumberRange, BeforeValidator(_number_range)]
PathAs = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]


class CommunityMatch(Section):
    """Conditions on communities; a plain list means `any`."""

    any: Annotated[
        list[CommunityPattern],
        Field(
            description="at least one of these is present: 65000:1, 65000:1-99, 65000:*, "
            "no-export"
        ),
    ] = []
    all: Annotated[
        list[CommunityPattern],
        Field(
            description="all of these are present; a pattern needs one community that "
            "matches it"
        ),
    ] = []
    none: Annotated[
        list[CommunityPattern], Field(description="none of these is present")
    ] = []
    exact: Annotated[
        list[CommunityPattern] | None,
        Field(description="exactly these are present; `[]` means no communities"),
    ] = None


class LargeCommunityMatch(Section):
    """Conditions on large communities; a plain list means `any`."""

    any: Annotated[
        list[LargeCommunityPattern],
        Field(description="at least one of these is present: 65000:1:2, 65000:1-99:*"),
    ] = []
    all: Annotated[
        list[LargeCommunityPattern],
        Field(
            description="all of these are present; a pattern needs one community that "
            "matches it"
        ),
    ] = []
    none: Annotated[
        list[LargeCommunityPattern], Field(description="none of these is present")
    ] = []
    exact: Annotated[
        list[LargeCommunityPattern] | None,
        Field(description="exactly these are present; `[]` means no communities"),
    ] = None


class ExtCommunityMatch(Section):
    """Conditions on extended communities; a plain list means `any`."""

    any: Annotated[
        list[ExtCommunityPattern],
        Field(
            description="at least one of these is present: rt:65000:1, ro:10.0.0.1:*, "
            "0x0006000000000001, 0x4004*"
        ),
    ] = []
    all: Annotated[
        list[ExtCommunityPattern],
        Field(
            description="all of these are present; a pattern needs one community that "
            "matches it"
        ),
    ] = []
    none: Annotated[
        list[ExtCommunityPattern], Field(description="none of these is present")
    ] = []
    exact: Annotated[
        list[ExtCommunityPattern] | None,
        Field(description="exactly these are present; `[]` means no communities"),
    ] = None


def _any_of(value: object) -> object:
    return {"any": value} if isinstance(value, list) else value


CommunityMatchItem = Annotated[CommunityMatch, BeforeValidator(_any_of)]
LargeCommunityMatchItem = Annotated[LargeCommunityMatch, BeforeValidator(_any_of)]
ExtCommunityMatchItem = Annotated[ExtCommunityMatch, BeforeValidator(_any_of)]
OriginName = Literal["igp", "egp", "incomplete"]


class TermMatch(Section):
    """Conditions of a term; a term without conditions always matches."""

    family: Annotated[
        Literal["ipv4-unicast", "ipv6-unicast"] | None,
        Field(description="address family of the route"),
    ] = None
    prefixes: Annotated[
        list[PrefixItem],
        Field(description="prefixes; `ge` and `le` allow longer ones"),
    ] = []
    sources: Annotated[
        list[Literal["local", "kernel", "ebgp", "ibgp"]],
        Field(description="where the route comes from"),
    ] = []
    communities: Annotated[
        CommunityMatchItem,
        Field(
            description="a list, at least one of which must be present, or a mapping with "
            "`any`, `all`, `none` and `exact`"
        ),
    ] = CommunityMatch()
    large_communities: Annotated[
        LargeCommunityMatchItem, Field(description="like `communities`")
    ] = LargeCommunityMatch()
    ext_communities: Annotated[
        ExtCommunityMatchItem, Field(description="like `communities`")
    ] = ExtCommunityMatch()
    origins: Annotated[list[OriginName], Field(description="ORIGIN")] = []
    as_path: Annotated[
        RegularExpression | None,
        Field(
            description="regular expression to find in the AS path, which is written as "
            "numbers and spaces; `_` matches a boundary between numbers"
        ),
    ] = None
    as_path_prefix: Annotated[
        list[AsNumber], Field(description="AS numbers that the path starts with")
    ] = []
    neighbor_as: Annotated[
        list[PathAs], Field(description="first AS of the path; 0 matches an empty path")
    ] = []
    origin_as: Annotated[
        list[PathAs], Field(description="last AS of the path; 0 matches an empty path")
    ] = []
    next_hops: Annotated[
        list[Prefix], Field(description="prefixes, one of which contains the next hop")
    ] = []
    local_pref: Annotated[
        NumberItem | None, Field(description="LOCAL_PREF: a value, or `min` and `max`")
    ] = None
    med: Annotated[
        NumberItem | None, Field(description="MED: a value, or `min` and `max`")
    ] = None
    interface: Annotated[
        str | None, Field(description="pattern (`*`) of the outgoing interface")
    ] = None


class CommunityChange(Section):
    """Changes to communities, applied in this order."""

    set: Annotated[
        list[Community] | None,
        Field(description="replace all communities with these; `[]` clears them"),
    ] = None
    remove: Annotated[
        list[CommunityPattern],
        Field(
            description="remove these if present; patterns such as 65000:* and 65000:1-99 "
            "work"
        ),
    ] = []
    add: Annotated[list[Community], Field(description="add these")] = []


class LargeCommunityChange(Section):
    """Changes to large communities, applied in this order."""

    set: Annotated[
        list[LargeCommunity] | None,
        Field(description="replace all communities with these; `[]` clears them"),
    ] = None
    remove: Annotated[
        list[LargeCommunityPattern], Field(description="remove these if present")
    ] = []
    add: Annotated[list[LargeCommunity], Field(description="add these")] = []


class ExtCommunityChange(Section):
    """Changes to extended communities, applied in this order."""

    set: Annotated[
        list[ExtCommunity] | None,
        Field(description="replace all communities with these; `[]` clears them"),
    ] = None
    remove: Annotated[
        list[ExtCommunityPattern], Field(description="remove these if present")
    ] = []
    add: Annotated[list[ExtCommunity], Field(description="add these")] = []


class TermChanges(Section):
    """Changes that a term makes to a route."""

    origin: Annotated[OriginName | None, Field(description="ORIGIN")] = None
    local_pref: Annotated[Metric | None, Field(description="LOCAL_PREF")] = None
    med: Annotated[
        Metric | None,
        Field(description="MED; also sent to other ASes, unlike a received one"),
    ] = None
    remove_med: Annotated[Switch, Field(description="remove MED")] = False
    next_hop: Annotated[
        PolicyNextHop | None,
        Field(
            description="next hop: an address; in export policies also `self` (our own) or "
            "`unchanged`, which override the session's `next_hop`; in import "
            "policies also `peer`, the peer's own address, provided that the "
            "session runs over the route's family, or `discard`: drop the packets here "
            "(the kernel's route is a blackhole) and advertise the route to no one (RFC 7999)"
        ),
    ] = None
    weight: Annotated[
        Weight | None,
        Field(
            description="compared before LOCAL_PREF; local to this speaker; the higher "
            "weight wins"
        ),
    ] = None
    prepend: Annotated[
        list[AsNumber],
        Field(max_length=32, description="AS numbers to prepend to the path"),
    ] = []
    communities: CommunityChange = CommunityChange()
    large_communities: LargeCommunityChange = LargeCommunityChange()
    ext_communities: ExtCommunityChange = ExtCommunityChange()


class Term(Section):
    """One step of a policy."""

    name: Annotated[
        str | None,
        Field(
            description="name that `show route` prints; defaults to the term's number"
        ),
    ] = None
    match: TermMatch = TermMatch()
    set: TermChanges = TermChanges()
    action: Annotated[
        Literal["accept", "reject", "next"],
        Field(description="what to do with the route"),
    ]


class PolicyModel(Section):
    """A named policy."""

    terms: Annotated[list[Term], Field(description="terms, tried in order")] = []
    default: Annotated[
        Literal["accept", "reject"],
        Field(description="action for routes that no term decides"),
    ] = "reject"
