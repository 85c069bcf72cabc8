"""A policy as plain values: terms of conditions and actions, tried in order.

This is the core's own form, free of any file format or datastore; configuration and
Calico's resources are both turned into it. ``compile_policy`` makes it executable.

Terms are tried from the first to the last. A term whose conditions all hold applies its
actions; then ``Outcome.ACCEPT`` and ``Outcome.REJECT`` end the policy, and ``Outcome.NEXT``
goes on with the changed route, so that later conditions see what earlier terms set.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

from rib.attributes.community_patterns import CommunityPattern
from rib.family import ADDRESS_OCTETS, Family
from rib.nlri import Nlri, parse_prefix
from rib.path import SourceKind

LargeCommunity = tuple[int, int, int]


class Outcome(Enum):
    """What happens after a term's actions."""

    ACCEPT = "accept"
    REJECT = "reject"
    NEXT = "next"


class NextHopRule(Enum):
    """A next hop that a policy sets without naming an address."""

    SELF = "self"  # of export: ourselves, as on the session
    PEER = "peer"  # of import: the peer that sent the route
    DISCARD = "discard"  # of import: packets end here, and no peer gets the route
    UNCHANGED = "unchanged"  # of export: as it was, whatever the session does to it


class Operator(Enum):
    """How a prefix is compared with a CIDR; the names are those of Calico's BGPFilter."""

    EQUAL = "Equal"
    NOT_EQUAL = "NotEqual"
    IN = "In"  # the CIDR itself or more specific
    NOT_IN = "NotIn"


@dataclass(frozen=True, slots=True)
class Bounds:
    """A closed interval of numbers."""

    min: int
    max: int


class PrefixEntry(NamedTuple):
    """All prefixes inside ``nlri`` whose length is within bounds; there may be many.

    Attributes:
        afi: Address family of ``nlri``.
        nlri: The covering prefix.
        min_length_bits: Shortest length that matches, at least that of ``nlri``.
        max_length_bits: Longest length that matches.
    """

    afi: int
    nlri: Nlri
    min_length_bits: int
    max_length_bits: int


@dataclass(frozen=True, slots=True)
class PrefixMatch:
    """Membership in a set of prefixes: in any entry, or, negated, in none."""

    entries: tuple[PrefixEntry, ...]
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """Conditions of a term; all must hold. Empty ones and ``None`` always hold.

    Attributes:
        prefixes: The route's prefix.
        family: The route's family.
        source_kinds: Where the route came from.
        interface: Glob (``*`` and ``?``) over the outgoing interface; a route without
            one has the name "", which ``*`` matches.
        communities: Carries at least one of these (RFC 1997 values, or patterns).
        communities_all: Carries each of these; of a pattern, one that it means.
        communities_none: Carries none of these.
        communities_exact: Carries these and no others: each of these, and nothing that none
            of them means; an empty set is none at all.
        large_communities: As ``communities`` (RFC 8092).
        large_communities_all: As ``communities_all``.
        large_communities_none: As ``communities_none``.
        large_communities_exact: As ``communities_exact``.
        ext_communities: As ``communities`` (RFC 4360, 64 bits each).
        ext_communities_all: As ``communities_all``.
        ext_communities_none: As ``communities_none``.
        ext_communities_exact: As ``communities_exact``.
        origins: ORIGIN is one of these: 0 IGP, 1 EGP, 2 INCOMPLETE.
        as_path_regex: Searched in the text of AS_PATH ("65001 65002 {65003}"); ``_`` is a
            border between numbers or an end, as router makers write it
            (``rib.policy.pattern_syntax``).
        as_path_prefix: AS_PATH begins with these.
        neighbour_as: The leftmost AS is one of these; 0 stands for an empty AS_PATH.
        origin_as: The rightmost AS is one of these; 0 stands for an empty AS_PATH.
        next_hops: The next hop's address, as a host route.
        local_pref: LOCAL_PREF; the default of 100 for routes without it.
        med: MED; 0 for routes without it (RFC 4271 9.1.2.2 c).
    """

    prefixes: PrefixMatch | None = None
    family: Family | None = None
    source_kinds: frozenset[SourceKind] = frozenset()
    interface: str = ""
    communities: frozenset[int | CommunityPattern] = frozenset()
    communities_all: frozenset[int | CommunityPattern] = frozenset()
    communities_none: frozenset[int | CommunityPattern] = frozenset()
    communities_exact: frozenset[int | CommunityPattern] | None = None
    large_communities: frozenset[LargeCommunity | CommunityPattern] = frozenset()
    large_communities_all: frozenset[LargeCommunity | CommunityPattern] = frozenset()
    large_communities_none: frozenset[LargeCommunity | CommunityPattern] = frozenset()
    large_communities_exact: frozenset[LargeCommunity | CommunityPattern] | None = None
    ext_communities: frozenset[int | CommunityPattern] = frozenset()
    ext_communities_all: frozenset[int | CommunityPattern] = frozenset()
    ext_communities_none: frozenset[int | CommunityPattern] = frozenset()
    ext_communities_exact: frozenset[int | CommunityPattern] | None = None
    origins: frozenset[int] = frozenset()
    as_path_regex: str = ""
    as_path_prefix: tuple[int, ...] = ()
    neighbour_as: frozenset[int] = frozenset()
    origin_as: frozenset[int] = frozenset()
    next_hops: PrefixMatch | None = None
    local_pref: Bounds | None = None
    med: Bounds | None = None


@dataclass(frozen=True, slots=True)
class Actions:
    """What a term changes; ``None`` and empty change nothing.

    Communities are first set, then removed, then added.

    Attributes:
        origin: New ORIGIN: 0 IGP, 1 EGP, 2 INCOMPLETE.
        local_pref: New LOCAL_PREF.
        med: New MED.
        removes_med: Take MED away; ``med`` wins over it.
        next_hop: 4 or 16 octets, or a rule; not replaced by a "next hop self" afterwards.
            A rule is followed at the end: later terms see the next hop that was there.
        weight: Preference local to this speaker, above LOCAL_PREF.
        device: Of a kernel policy: forward through this device, where the next hop is
            taken to be on-link (a tunnel).
        prepend: AS numbers put before AS_PATH, in this order.
        set_communities: Replaces all of them; an empty tuple removes all.
        remove_communities: Taken away where present; values and patterns.
        add_communities: Added where absent.
        set_large_communities: As ``set_communities``.
        remove_large_communities: As ``remove_communities``.
        add_large_communities: As ``add_communities``.
        set_ext_communities: As ``set_communities``.
        remove_ext_communities: As ``remove_communities``.
        add_ext_communities: As ``add_communities``.
    """

    origin: int | None = None
    local_pref: int | None = None
    med: int | None = None
    removes_med: bool = False
    next_hop: bytes | NextHopRule | None = None
    weight: int | None = None
    device: str = ""
    prepend: tuple[int, ...] = ()
    set_communities: tuple[int, ...] | None = None
    remove_communities: frozenset[int | CommunityPattern] = frozenset()
    add_communities: tuple[int, ...] = ()
    set_large_communities: tuple[LargeCommunity, ...] | None = None
    remove_large_communities: frozenset[LargeCommunity | CommunityPattern] = frozenset()
    add_large_communities: tuple[LargeCommunity, ...] = ()
    set_ext_communities: tuple[int, ...] | None = None
    remove_ext_communities: frozenset[int | CommunityPattern] = frozenset()
    add_ext_communities: tuple[int, ...] = ()


NO_ACTIONS: Final = Actions()


@dataclass(frozen=True, slots=True)
class Term:
    """One rule.

    Attributes:
        name: Shown as the reason of a verdict.
        outcome: What happens once the actions are applied.
        match: Default: every route.
        actions: Default: none.
    """

    name: str
    outcome: Outcome
    match: Match = field(default_factory=Match)
    actions: Actions = NO_ACTIONS


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """A named policy.

    Attributes:
        name: Unique among policies.
        terms: Tried in order.
        accepts_unmatched: What happens to a route that no term decides.
    """

    name: str
    terms: tuple[Term, ...] = ()
    accepts_unmatched: bool = False


def prefix_entry(
    text: str, *, ge: int | None = None, le: int | None = None
) -> PrefixEntry:
    """Return the entry of ``10.0.0.0/8`` with optional length bounds, in bits.

    Without bounds only the prefix itself matches; ``ge`` alone reaches to host routes, and
    ``le`` alone begins at the prefix's own length, as router makers have it.

    Raises:
        ValueError: ``text`` is not a prefix, or the bounds leave nothing that can match.
    """
    afi, nlri = parse_prefix(text)
    own, longest = nlri[0], ADDRESS_OCTETS[afi] * 8
    low = own if ge is None else ge
    high = le if le is not None else own if ge is None else longest
    if not own <= low <= high <= longest:
        raise ValueError(
            f"length bounds {low} to {high} of {text} are not within {own} to {longest}"
        )
    return PrefixEntry(afi, nlri, low, high)


def prefix_match(
    operator: Operator,
    cidr: str,
    *,
    min_length_bits: int | None = None,
    max_length_bits: int | None = None,
) -> PrefixMatch:
    """Return what Calico's ``cidr``, ``matchOperator`` and ``prefixLength`` mean.

    Bounds turn the CIDR into the set of its prefixes with such a length, whichever the
    operator; they are cut to what the CIDR allows. Bounds that cross match nothing.

    Raises:
        ValueError: ``cidr`` is not a prefix.
    """
    afi, nlri = parse_prefix(cidr)
    own, longest = nlri[0], ADDRESS_OCTETS[afi] * 8
    is_exact = operator in (Operator.EQUAL, Operator.NOT_EQUAL)
    if is_exact and min_length_bits is None and max_length_bits is None:
        low = high = own
    else:
        low = max(own, min_length_bits or 0)
        high = longest if max_length_bits is None else min(longest, max_length_bits)
    return PrefixMatch(
        (PrefixEntry(afi, nlri, low, high),),
        is_negated=operator in (Operator.NOT_EQUAL, Operator.NOT_IN),
    )


ACCEPT_ALL: Final = PolicySpec("accept-all", accepts_unmatched=True)
REJECT_ALL: Final = PolicySpec("reject-all")
EBGP_DEFAULT_DENY: Final = PolicySpec(
    "ebgp-default-deny",
    (Term("no policy is configured for this eBGP session (RFC 8212)", Outcome.REJECT),),
)
BUILT_IN_POLICIES: Final[Mapping[str, PolicySpec]] = MappingProxyType(
    {spec.name: spec for spec in (ACCEPT_ALL, REJECT_ALL, EBGP_DEFAULT_DENY)}
)
