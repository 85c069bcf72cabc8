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
    """A prefix, and how long those inside it may be; bare text is that prefix alone."""

    prefix: Annotated[Prefix, Field(description="the prefix")]
    ge: Annotated[Length | None, Field(description="least length that fits")] = None
    le: Annotated[Length | None, Field(description="greatest length that fits")] = None


def _prefix_range(value: object) -> object:
    return {"prefix": value} if isinstance(value, str) else value


PrefixItem = Annotated[PrefixRange, BeforeValidator(_prefix_range)]


class NumberRange(Section):
    """A closed interval; a bare number is that number alone."""

    min: Annotated[Metric, Field(description="least that fits")] = 0
    max: Annotated[Metric, Field(description="greatest that fits")] = 0xFFFFFFFF


def _number_range(value: object) -> object:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return {"min": value, "max": value} if is_number else value


NumberItem = Annotated[NumberRange, BeforeValidator(_number_range)]
PathAs = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]


class CommunityMatch(Section):
    """Communities asked for; a bare list is `any`."""

    any: Annotated[
        list[CommunityPattern],
        Field(
            description="at least one of these: 65000:1, 65000:1-99, 65000:*, no-export"
        ),
    ] = []
    all: Annotated[
        list[CommunityPattern],
        Field(description="each of these; of a pattern, one that fits it"),
    ] = []
    none: Annotated[list[CommunityPattern], Field(description="not one of these")] = []
    exact: Annotated[
        list[CommunityPattern] | None,
        Field(description="each of these and no others; `[]` is none at all"),
    ] = None


class LargeCommunityMatch(Section):
    """Large communities asked for; a bare list is `any`."""

    any: Annotated[
        list[LargeCommunityPattern],
        Field(description="at least one of these: 65000:1:2, 65000:1-99:*"),
    ] = []
    all: Annotated[
        list[LargeCommunityPattern],
        Field(description="each of these; of a pattern, one that fits it"),
    ] = []
    none: Annotated[
        list[LargeCommunityPattern], Field(description="not one of these")
    ] = []
    exact: Annotated[
        list[LargeCommunityPattern] | None,
        Field(description="each of these and no others; `[]` is none at all"),
    ] = None


class ExtCommunityMatch(Section):
    """Extended communities asked for; a bare list is `any`."""

    any: Annotated[
        list[ExtCommunityPattern],
        Field(
            description="at least one of these: rt:65000:1, ro:10.0.0.1:*, "
            "0x0006000000000001, 0x4004*"
        ),
    ] = []
    all: Annotated[
        list[ExtCommunityPattern],
        Field(description="each of these; of a pattern, one that fits it"),
    ] = []
    none: Annotated[
        list[ExtCommunityPattern], Field(description="not one of these")
    ] = []
    exact: Annotated[
        list[ExtCommunityPattern] | None,
        Field(description="each of these and no others; `[]` is none at all"),
    ] = None


def _any_of(value: object) -> object:
    return {"any": value} if isinstance(value, list) else value


CommunityMatchItem = Annotated[CommunityMatch, BeforeValidator(_any_of)]
LargeCommunityMatchItem = Annotated[LargeCommunityMatch, BeforeValidator(_any_of)]
ExtCommunityMatchItem = Annotated[ExtCommunityMatch, BeforeValidator(_any_of)]
OriginName = Literal["igp", "egp", "incomplete"]


class TermMatch(Section):
    """Conditions of a term; without any it always holds."""

    family: Annotated[
        Literal["ipv4-unicast", "ipv6-unicast"] | None,
        Field(description="family of the route"),
    ] = None
    prefixes: Annotated[
        list[PrefixItem],
        Field(description="prefixes, with `ge` and `le` for longer ones"),
    ] = []
    sources: Annotated[
        list[Literal["local", "kernel", "ebgp", "ibgp"]],
        Field(description="where the route comes from"),
    ] = []
    communities: Annotated[
        CommunityMatchItem,
        Field(
            description="a list, of which one must be there, or `any`, `all`, `none` and "
            "`exact`"
        ),
    ] = CommunityMatch()
    large_communities: Annotated[
        LargeCommunityMatchItem, Field(description="as `communities`")
    ] = LargeCommunityMatch()
    ext_communities: Annotated[
        ExtCommunityMatchItem, Field(description="as `communities`")
    ] = ExtCommunityMatch()
    origins: Annotated[list[OriginName], Field(description="ORIGIN")] = []
    as_path: Annotated[
        RegularExpression | None,
        Field(
            description="a regular expression, found in the AS path written as numbers "
            "and spaces; `_` is a border between numbers"
        ),
    ] = None
    as_path_prefix: Annotated[
        list[AsNumber], Field(description="the AS path begins with these")
    ] = []
    neighbor_as: Annotated[
        list[PathAs], Field(description="first AS of the path; 0 is an empty path")
    ] = []
    origin_as: Annotated[
        list[PathAs], Field(description="last AS of the path; 0 is an empty path")
    ] = []
    next_hops: Annotated[
        list[Prefix], Field(description="prefixes that the next hop lies in")
    ] = []
    local_pref: Annotated[
        NumberItem | None, Field(description="LOCAL_PREF, or its `min` and `max`")
    ] = None
    med: Annotated[
        NumberItem | None, Field(description="MED, or its `min` and `max`")
    ] = None
    interface: Annotated[
        str | None, Field(description="pattern (`*`) of the outgoing interface")
    ] = None


class CommunityChange(Section):
    """What happens to communities, in this order."""

    set: Annotated[
        list[Community] | None, Field(description="these and no others; `[]` clears")
    ] = None
    remove: Annotated[
        list[CommunityPattern],
        Field(description="these go, if there; 65000:* and 65000:1-99 are patterns"),
    ] = []
    add: Annotated[list[Community], Field(description="these are added")] = []


class LargeCommunityChange(Section):
    """What happens to large communities, in this order."""

    set: Annotated[
        list[LargeCommunity] | None,
        Field(description="these and no others; `[]` clears"),
    ] = None
    remove: Annotated[
        list[LargeCommunityPattern], Field(description="these go, if there")
    ] = []
    add: Annotated[list[LargeCommunity], Field(description="these are added")] = []


class ExtCommunityChange(Section):
    """What happens to extended communities, in this order."""

    set: Annotated[
        list[ExtCommunity] | None,
        Field(description="these and no others; `[]` clears"),
    ] = None
    remove: Annotated[
        list[ExtCommunityPattern], Field(description="these go, if there")
    ] = []
    add: Annotated[list[ExtCommunity], Field(description="these are added")] = []


class TermChanges(Section):
    """What a term changes in a route."""

    origin: Annotated[OriginName | None, Field(description="ORIGIN")] = None
    local_pref: Annotated[Metric | None, Field(description="LOCAL_PREF")] = None
    med: Annotated[
        Metric | None,
        Field(description="MED; sent to other ASes, too, unlike a received one"),
    ] = None
    remove_med: Annotated[Switch, Field(description="take MED away")] = False
    next_hop: Annotated[
        PolicyNextHop | None,
        Field(
            description="next hop: an address; in export policies `self`, our own, or "
            "`unchanged`, whatever the session's `next_hop` says; in import policies "
            "`peer`, the peer's own address where the session is of the route's family"
        ),
    ] = None
    weight: Annotated[
        Weight | None, Field(description="preferred before LOCAL_PREF, local to us")
    ] = None
    prepend: Annotated[
        list[AsNumber],
        Field(max_length=32, description="AS numbers put before the path"),
    ] = []
    communities: CommunityChange = CommunityChange()
    large_communities: LargeCommunityChange = LargeCommunityChange()
    ext_communities: ExtCommunityChange = ExtCommunityChange()


class Term(Section):
    """One step of a policy."""

    name: Annotated[
        str | None, Field(description="shown by `show route`; default its number")
    ] = None
    match: TermMatch = TermMatch()
    set: TermChanges = TermChanges()
    action: Annotated[
        Literal["accept", "reject", "next"],
        Field(description="what becomes of the route"),
    ]


class PolicyModel(Section):
    """A named policy."""

    terms: Annotated[list[Term], Field(description="tried in order")] = []
    default: Annotated[
        Literal["accept", "reject"], Field(description="for routes no term decided")
    ] = "reject"
