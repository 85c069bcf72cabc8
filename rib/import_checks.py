"""Whether a peer's route may compete at all: loop checks, then import policy.

RFC 4271 9.1.2 (own AS in AS_PATH, next hop that is ourselves), RFC 4456 8 (ORIGINATOR_ID
and CLUSTER_LIST that are ours), RFC 9234 5 (OTC), then the peer's policy. What is refused
keeps its reason, so that ``show`` can tell it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rib.attributes import PathAttributes, prepend
from rib.attributes.codes import AS_PATH, ONLY_TO_CUSTOMER
from rib.family import Family
from rib.nlri import Nlri
from rib.path import Source, SourceKind
from rib.policy import (
    ACCEPT_ALL,
    NextHopRule,
    Policy,
    Verdict,
    discarding,
    least_preferred,
    obey_graceful_shutdown,
)


class FilterReason(Enum):
    """Why a route is not considered."""

    OWN_AS = "our AS is in AS_PATH"
    OWN_ORIGINATOR = "ORIGINATOR_ID is our router id"
    OWN_CLUSTER = "our cluster id is in CLUSTER_LIST"
    OWN_NEXT_HOP = "the next hop is our own address"
    ROUTE_LEAK = "OTC marks a route leak"
    NOT_UNICAST = "the prefix is not a unicast destination"
    POLICY = "import policy"
    LIMIT = "max_prefixes is reached"


class LastChoice(Enum):
    """Which of a peer's routes come last in the AS, whatever policy says (RFC 8326)."""

    NONE = "none"
    MARKED = "marked"  # those of an external peer that carry GRACEFUL_SHUTDOWN
    ALL = "all"  # the peer is being drained


@dataclass(frozen=True, slots=True)
class FilteredRoute:
    """A route that was received and filtered.

    Attributes:
        attributes: As received.
        refusal: Which check refused it.
        detail: The policy's term, or what was found.
    """

    attributes: PathAttributes
    refusal: FilterReason
    detail: str = ""


# RFC 9234 5, by our role on the session: a route that carries OTC is a leak ...
_OTC_IS_LEAK: Final = frozenset({"provider", "rs"})
# ... and one that lacks it is marked with the peer's AS.
_ADDS_OTC: Final = frozenset({"customer", "peer", "rs-client"})


class ImportChecks:
    """Everything that decides whether and how a peer's routes are accepted.

    Args:
        policy: The peer's compiled import policy.
        local_as: Our AS on the session.
        own_asns: Our AS numbers on other sessions: a route that left by one of those and
            comes back here is in a loop all the same (RFC 4271 9.1.2).
        put_before: AS number put before AS_PATH of an external peer's routes, for a peer
            that knows us by an AS of its own (``local_as`` while ASes are merged); 0 for
            none.
        router_id: Our BGP identifier, as an integer.
        cluster_ids: All cluster ids of this speaker; empty where it does not reflect.
        own_addresses: Addresses of this speaker, 4 or 16 octets each.
        allow_own_as: How often each of our AS numbers may occur in AS_PATH.
        role: Our RFC 9234 role on the session; empty for none.
        is_on_this_machine: So is the peer: then its routes with our address as next hop
            are not wrong, they end here.
        allows_reserved: 240.0.0.0/4 is used as unicast here.
        last_choice: Which of the peer's routes get LOCAL_PREF 0.

    Attributes:
        accepts_all: The policy accepts everything as it is.
        allows_reserved: As given.
        own_addresses: As given.
        is_on_this_machine: As given.
    """

    __slots__ = (
        "_allow_own_as",
        "_cluster_ids",
        "_inputs",
        "_last_choice",
        "_needles",
        "_own_asns",
        "_plain_needles",
        "_put_before",
        "_role",
        "_router_id",
        "accepts_all",
        "allows_reserved",
        "is_on_this_machine",
        "own_addresses",
        "policy",
    )

    def __init__(
        self,
        policy: Policy,
        *,
        local_as: int,
        router_id: int,
        own_asns: frozenset[int] = frozenset(),
        put_before: int = 0,
        cluster_ids: frozenset[int] = frozenset(),
        own_addresses: frozenset[bytes] = frozenset(),
        allow_own_as: int = 0,
        role: str = "",
        is_on_this_machine: bool = False,
        allows_reserved: bool = False,
        last_choice: LastChoice = LastChoice.MARKED,
    ) -> None:
        self._inputs = (
            policy,
            own_asns | {local_as},
            put_before,
            router_id,
            cluster_ids,
            own_addresses,
            allow_own_as,
            role,
            is_on_this_machine,
            allows_reserved,
            last_choice,
        )
        self.policy = policy
        self.allows_reserved = allows_reserved
        is_drained = last_choice is LastChoice.ALL
        self.accepts_all = policy.spec is ACCEPT_ALL and not is_drained
        self._last_choice = last_choice
        self.is_on_this_machine = is_on_this_machine
        self._own_asns = tuple(sorted(own_asns | {local_as}))
        self._put_before = put_before
        self._router_id = router_id
        self._cluster_ids = cluster_ids
        self.own_addresses = own_addresses
        self._allow_own_as = allow_own_as
        self._role = role
        # An attribute block without any of these octets cannot hold a loop: that is
        # nearly every block, at the price of a substring search for each number.
        numbers = {*self._own_asns, router_id, *cluster_ids}
        self._needles = tuple(number.to_bytes(4, "big") for number in numbers)
        self._plain_needles = tuple(asn.to_bytes(4, "big") for asn in self._own_asns)

    def equals(self, other: "ImportChecks") -> bool:
        """Return whether both treat every route the same."""
        return self._inputs == other._inputs

    # hot: per attribute set
    def check(self, attributes: PathAttributes, source: Source) -> FilteredRoute | None:
        """Return why the loop checks reject ``attributes``; ``None`` if they do not."""
        is_own = attributes.next_hop[:16] in self.own_addresses
        if is_own and not self.is_on_this_machine:
            return FilteredRoute(attributes, FilterReason.OWN_NEXT_HOP)
        # Plain ones have neither ORIGINATOR_ID nor CLUSTER_LIST. "needle in octets" makes
        # and drops an exception first: is it a number?
        octets = attributes.octets
        for needle in self._plain_needles if attributes.is_plain else self._needles:
            if octets.find(needle) >= 0:
                filtered = self._check_loops(attributes, source)
                if filtered is not None:
                    return filtered
                break
        return self._check_leak(attributes, source) if self._role else None

    def _check_loops(
        self, attributes: PathAttributes, source: Source
    ) -> FilteredRoute | None:
        as_path = attributes.as_path
        for asn in self._own_asns:
            if as_path.contains(asn) > self._allow_own_as:
                return FilteredRoute(attributes, FilterReason.OWN_AS, f"AS {asn}")
        if source.kind is not SourceKind.IBGP:
            return None
        if attributes.originator_id == self._router_id:
            return FilteredRoute(attributes, FilterReason.OWN_ORIGINATOR)
        if not self._cluster_ids.isdisjoint(attributes.cluster_list):
            return FilteredRoute(attributes, FilterReason.OWN_CLUSTER)
        return None

    def _check_leak(
        self, attributes: PathAttributes, source: Source
    ) -> FilteredRoute | None:
        otc = attributes.otc
        if otc is None or source.kind is not SourceKind.EBGP:
            return None
        if self._role in _OTC_IS_LEAK or (self._role == "peer" and otc != source.asn):
            return FilteredRoute(attributes, FilterReason.ROUTE_LEAK, f"OTC {otc}")
        return None

    def evaluate(
        self,
        attributes: PathAttributes,
        source: Source,
        family: Family,
        nlri: Nlri | None,
        interface: str = "",
    ) -> Verdict:
        """Apply the policy; ``nlri`` may be ``None`` if it does not match prefixes."""
        attributes = self.mark(attributes, source)
        if self.accepts_all:
            verdict = Verdict(True, attributes, ACCEPT_ALL.name)
        else:
            verdict = self.policy.evaluate(
                attributes, source, family, nlri, interface=interface
            )
        return _conclude(verdict, source, self._last_choice)

    def evaluate_batch(
        self,
        nlris: Sequence[Nlri],
        marked: PathAttributes,
        source: Source,
        family: Family,
        interface: str = "",
    ) -> list[tuple[Sequence[Nlri], Verdict]]:
        """Apply the policy to many prefixes at once, at a sixth of the cost.

        Args:
            nlris: Prefixes with the same attributes.
            marked: The attributes after ``mark``.
            source: The peer.
            family: Of the prefixes.
            interface: Where the next hop leads out, if the policy asks.
        """
        return [
            (members, _conclude(verdict, source, self._last_choice))
            for members, verdict in self.policy.apply_batch(
                nlris, marked, source, family, interface=interface
            )
        ]

    def mark(self, attributes: PathAttributes, source: Source) -> PathAttributes:
        """Return the attributes that policy sees: with OTC if our role requires it (RFC 9234 5).

        And with the AS number that is put before the path of this peer's routes.
        """
        is_changed = self._put_before or self._role in _ADDS_OTC
        if not is_changed or source.kind is not SourceKind.EBGP:
            return attributes
        changes: dict[int, bytes | None] = {}
        if self._role in _ADDS_OTC and attributes.otc is None:
            changes[ONLY_TO_CUSTOMER] = source.asn.to_bytes(4, "big")
        if self._put_before:
            path = attributes.get(AS_PATH) or b""
            changes[AS_PATH] = prepend(path, self._put_before)
        return attributes.with_changes(changes) if changes else attributes


def _conclude(verdict: Verdict, source: Source, last: LastChoice) -> Verdict:
    """Apply what only this place knows: the peer, and what precedes policy.

    RFC 8326 4.1: what is about to be shut down comes last, whatever policy says.
    """
    if verdict.next_hop is NextHopRule.PEER:
        verdict = _through(verdict, source)
    elif verdict.next_hop is NextHopRule.DISCARD:
        verdict = verdict._replace(attributes=discarding(verdict.attributes))
    if last is LastChoice.ALL and verdict.is_accepted:
        # Weight comes before LOCAL_PREF.
        attributes = least_preferred(verdict.attributes)
        return verdict._replace(attributes=attributes, weight=None)
    if source.kind is not SourceKind.EBGP or not verdict.is_accepted:
        return verdict
    if last is LastChoice.NONE:
        return verdict
    attributes = obey_graceful_shutdown(verdict.attributes)
    if attributes is verdict.attributes:
        return verdict
    return verdict._replace(attributes=attributes)


def _through(verdict: Verdict, source: Source) -> Verdict:
    """Make the peer itself the next hop, if its address is in the route's family."""
    attributes, address = verdict.attributes, source.address
    if len(attributes.next_hop[:16]) != len(address):
        return verdict._replace(next_hop=None)
    return verdict._replace(
        attributes=attributes.with_changes({}, next_hop=address), next_hop=address
    )
