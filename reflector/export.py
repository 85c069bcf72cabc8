"""What is advertised to whom: RFC 4456 reflection, RFC 4271 propagation, and outbound rewrite.

The whole of reflection is one table, ``REFLECTION_RULES``: the kind of peer a route came from by the
kind of peer it may go to. What the route looks like there is ``Export``: a pure function
from a path to outgoing octets, the same for every member of an update group, so its
parameters (``ExportContext``) are the group's identity.

Reflected routes keep every attribute (RFC 4456 10); only ORIGINATOR_ID and CLUSTER_LIST
are added. For the usual block, which ends before type code 9, that is one concatenation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Final, NamedTuple

from reflector.as_path import PLAIN_PATH, PathRules, outgoing_path
from reflector.rewrite import Reflection, reflect
from rib.attributes import (
    PathAttributes,
    edit,
    to_two_octet,
)
from rib.attributes.codes import (
    AIGP,
    AS_PATH,
    CLUSTER_LIST,
    EXTENDED_COMMUNITIES,
    LOCAL_PREF,
    MULTI_EXIT_DISC,
    NEXT_HOP,
    ONLY_TO_CUSTOMER,
    ORIGINATOR_ID,
)
from rib.attributes.scoped import SCOPED
from rib.decision import DEFAULT_LOCAL_PREF
from rib.family import IPV4_UNICAST, Family
from rib.memo import OCTETS, Memo
from rib.nlri import Nlri
from rib.path import Path, Source, SourceKind
from rib.policy import (
    ACCEPT_ALL,
    BARRIER,
    NextHopRule,
    Policy,
    Verdict,
    drained,
    export_allowed,
    is_long_lived_stale,
)
from rib.zones import is_link_local, parts_of

MEMO_MAX: Final = 8192  # outgoing forms kept; a rewrite costs about 2 us


class PeerType(Enum):
    """The kinds of peer a route can be sent to."""

    CLIENT = "route-reflector client"
    NON_CLIENT = "iBGP peer"
    EBGP = "eBGP peer"


class RouteOrigin(Enum):
    """The kinds of source a route can come from, as far as propagation cares."""

    __hash__ = object.__hash__  # by identity: Enum's own is Python code

    OWN = "this speaker"  # originated, or learned from the kernel
    DEFAULT = "this speaker, as a default route"
    CLIENT = "route-reflector client"
    NON_CLIENT = "iBGP peer"
    EBGP = "eBGP peer"


# RFC 4271 9.2 (iBGP routes do not go to iBGP peers) as relaxed by RFC 4456 6.
REFLECTION_RULES: Final = frozenset(
    {
        (RouteOrigin.OWN, PeerType.CLIENT),
        (RouteOrigin.OWN, PeerType.NON_CLIENT),
        (RouteOrigin.OWN, PeerType.EBGP),
        (RouteOrigin.EBGP, PeerType.CLIENT),
        (RouteOrigin.EBGP, PeerType.NON_CLIENT),
        (RouteOrigin.EBGP, PeerType.EBGP),
        (RouteOrigin.CLIENT, PeerType.CLIENT),
        (RouteOrigin.CLIENT, PeerType.NON_CLIENT),
        (RouteOrigin.CLIENT, PeerType.EBGP),
        (RouteOrigin.NON_CLIENT, PeerType.CLIENT),
        (RouteOrigin.NON_CLIENT, PeerType.EBGP),
    }
)

# RFC 9234 5: our roles towards whom a route marked with OTC must not go, and those who
# get OTC = our AS if it is missing.
_OTC_STAYS: Final = frozenset({"customer", "peer", "rs-client"})
_OTC_ADDED: Final = frozenset({"provider", "peer", "rs"})

# Bound once: looking a member up on its class costs four times as much.
_IBGP: Final = SourceKind.IBGP
_EBGP: Final = SourceKind.EBGP
_OWN: Final = RouteOrigin.OWN
_DEFAULT: Final = RouteOrigin.DEFAULT
_CLIENT: Final = RouteOrigin.CLIENT
_NON_CLIENT: Final = RouteOrigin.NON_CLIENT
_EXTERNAL: Final = RouteOrigin.EBGP

_STAYS_WITHIN_AS: Final = 0x40  # of an extended community's type, RFC 4360 2
_NO_COMMUNITIES: Final[frozenset[int]] = frozenset()
_WITHIN_DOMAIN: Final[dict[int, bytes | None]] = dict.fromkeys(SCOPED)
_LEARNED: Final = frozenset({SourceKind.IBGP, SourceKind.EBGP})


def route_origin_of(path: Path) -> RouteOrigin:
    """Return which row of ``REFLECTION_RULES`` a path falls under."""
    return _route_origin_of(path.source)


def _route_origin_of(source: Source) -> RouteOrigin:
    kind = source.kind
    if kind is _IBGP:
        return _CLIENT if source.is_client else _NON_CLIENT
    if kind is _EBGP:
        return _EXTERNAL
    return _DEFAULT if source.is_default else _OWN


class Outgoing(NamedTuple):
    """A route as advertised to a group's members, without its prefix.

    Attributes:
        attributes: The block; holds NEXT_HOP where ``next_hop`` is empty.
        next_hop: For MP_REACH_NLRI; empty for classic IPv4.
    """

    attributes: bytes
    next_hop: bytes


# The class as a function runs Python code of its own.
_make_outgoing: Final[Callable[[tuple[bytes, bytes]], Outgoing]] = partial(
    tuple.__new__, Outgoing
)
_UNKNOWN: Final = Outgoing(b"unknown", b"")  # compared by identity
_UNDECIDED: Final = Reflection(0, b"")  # the same


@dataclass(frozen=True, slots=True)
class ExportContext:
    """Everything that the outgoing form of a route depends on: an update group's identity.

    Attributes:
        family: AFI and SAFI.
        peer_type: Kind of peer.
        local_as: Our AS on these sessions.
        local_address: What "self" is as a next hop: 4, 16 or 32 octets (RFC 2545 3).
        router_id: Our BGP identifier.
        cluster_id: Towards these peers; 0 if they are not clients and we reflect none.
        policy: Name of the export policy.
        self_from: Kinds of source whose routes are advertised with ourselves as next hop;
            ``None`` is RFC 4271 5.1.3's way, all of them to eBGP peers and none to
            others. What has no next hop yet is always told with ourselves.
        as_path: eBGP: what is done to AS_PATH beside putting ``local_as`` before it.
        zone: eBGP: the device of the link that the peers are on, where a link-local next
            hop on the same link may be left alone, too; else empty.
        four_octet_as: The peers speak RFC 6793.
        extended_next_hop: IPv4 with an IPv6 next hop is understood (RFC 8950).
        add_path_max: Paths sent per prefix; ``None`` means no add-path, 0 all.
        max_message_len: Octets.
        role: Our RFC 9234 role; empty for none.
        default_local_pref: Given to routes without LOCAL_PREF, on iBGP.
        has_long_lived: The peers understand long-lived stale routes (RFC 9494).
        keeps_ours: The peers keep our routes while we restart (RFC 4724).
        max_advertised: Routes that the only member is advertised at most; 0 means no limit.
        alone: Address of the only member, if its advertised routes are counted; else
            empty.
        originates_default: The peers get our own default route if there is no other.
        is_same_domain: eBGP: the peers are in our administrative domain, and get
            attributes that stay within it.
        is_drained: Our routes are the last choice of the peers (RFC 8326).
    """

    family: Family
    peer_type: PeerType
    local_as: int
    local_address: bytes
    router_id: int
    cluster_id: int = 0
    policy: str = ""
    self_from: frozenset[SourceKind] | None = None
    as_path: PathRules = PLAIN_PATH
    zone: str = ""
    four_octet_as: bool = True
    extended_next_hop: bool = False
    add_path_max: int | None = None
    max_message_len: int = 4096
    role: str = ""
    has_long_lived: bool = False
    keeps_ours: bool = False
    default_local_pref: int = DEFAULT_LOCAL_PREF
    originates_default: bool = False
    max_advertised: int = 0
    alone: str = ""
    is_same_domain: bool = False
    is_drained: bool = False


class Export:
    """The outgoing form of paths for one context; ``None`` for a path that is not advertised.

    Args:
        context: What it depends on.
        policy: The export policy.
        defers_peer_routes: Routes of peers are not told for now: there may be better ones.
    """

    def __init__(
        self,
        context: ExportContext,
        policy: Policy,
        *,
        defers_peer_routes: bool = False,
    ) -> None:
        self.context = context
        self.policy = policy
        self.defers_peer_routes = defers_peer_routes
        self._accepts_all = policy.spec is ACCEPT_ALL
        self._default_local_pref = context.default_local_pref.to_bytes(4, "big")
        self._is_ebgp = context.peer_type is PeerType.EBGP
        origins = {RouteOrigin.OWN} if defers_peer_routes else RouteOrigin
        self._is_advertised = {
            origin: origin in origins
            and (origin, context.peer_type) in REFLECTION_RULES
            for origin in RouteOrigin
        } | {RouteOrigin.DEFAULT: context.originates_default}
        by_target = frozenset(SourceKind if self._is_ebgp else ())
        self._self_from = by_target if context.self_from is None else context.self_from
        # Reflection without policy, the bulk of a reflector's work, has a short way.
        self.reflects_only = (
            self._accepts_all
            and not self._is_ebgp
            and context.family == IPV4_UNICAST
            and context.four_octet_as
            and _IBGP not in self._self_from
            and not (context.alone or context.is_drained)
        )
        self._memo: Memo[Path, Outgoing | None] = Memo(MEMO_MAX)
        self._reflections: Memo[
            tuple[SourceKind, int, int, bool], Reflection | None
        ] = Memo(MEMO_MAX)
        self._shapes: Memo[tuple[Path, Verdict], Outgoing | None] = Memo(MEMO_MAX)

    # hot: per attribute set
    def __call__(self, path: Path, nlri: Nlri | None = None) -> Outgoing | None:
        """Return what members receive for ``path``.

        Args:
            path: A selected path.
            nlri: Needed where ``policy.needs_prefix``.
        """
        attributes, source = path.attributes, path.source
        if self.reflects_only and attributes.is_plain and source.kind is _IBGP:
            # All that follows, in one go: without it reflecting takes twice the time.
            reflection = self.reflection_of(source)
            if reflection is None:
                return None
            return _make_outgoing((attributes.octets + reflection.tail, b""))
        if not self._may_be_told(path, attributes):
            return None
        if self._accepts_all:
            return self._shape(path, attributes)
        return self._evaluated(
            path,
            self.policy.evaluate(
                attributes,
                path.source,
                self.context.family,
                nlri,
                interface=path.next_hop.interface,
            ),
        )

    def reflection_of(self, source: Source) -> Reflection | None:
        """Return what reflection adds to routes of an internal peer; remembered.

        ``None`` for members that receive none of its routes, and for other sources.
        """
        # By value, not by source: who a peer is may change from session to session.
        key = source.kind, source.router_id, source.cluster_id, source.is_client
        known = self._reflections.get(key, _UNDECIDED)
        if known is _UNDECIDED:
            known = self._reflections.recall(key, _UNDECIDED)
            if known is _UNDECIDED:
                known = self._reflections.put(key, self._reflection(source))
        return known

    # hot: per batch
    def outgoing(self, path: Path) -> Outgoing | None:
        """Return what members receive for ``path`` whatever the prefix; remembered."""
        memo = self._memo
        known = memo.get(path, _UNKNOWN)
        if known is _UNKNOWN:
            known = memo.recall(path, _UNKNOWN)
            if known is _UNKNOWN:
                known = self(path)
                memo.put(path, known, _weight(known))
        return known

    # hot: per batch
    def divide(
        self, path: Path, nlris: Sequence[Nlri]
    ) -> Sequence[tuple[Outgoing | None, Sequence[Nlri]]]:
        """Group prefixes of one path by what members receive for them; remembered."""
        if not self.policy.needs_prefix:
            return ((self.outgoing(path), nlris),)
        if not self._may_be_told(path, path.attributes):
            return ((None, nlris),)
        groups = self.policy.apply_batch(
            nlris,
            path.attributes,
            path.source,
            self.context.family,
            interface=path.next_hop.interface,
        )
        return [
            (self._remembered(path, verdict), members) for members, verdict in groups
        ]

    def forget(self) -> None:
        """Drop remembered results: what they depend on has changed."""
        for memo in self._memos():
            memo.clear()

    def age(self) -> None:
        """Drop results not used since the last time; milliseconds."""
        for memo in self._memos():
            memo.age()

    def _memos(self) -> tuple[Memo[Any, Any], ...]:
        return self._memo, self._reflections, self._shapes

    def _remembered(self, path: Path, verdict: Verdict) -> Outgoing | None:
        shapes, key = self._shapes, (path, verdict)
        known = shapes.recall(key, _UNKNOWN)
        if known is _UNKNOWN:
            known = self._evaluated(path, verdict)
            shapes.put(key, known, _weight(known))
        return known

    def _may_be_told(self, path: Path, attributes: PathAttributes) -> bool:
        """Apply rules that no policy can override: RFC 4456 6, RFC 1997, RFC 9494 4.3."""
        if not self._is_advertised[_route_origin_of(path.source)]:
            return False
        if attributes.octets.find(BARRIER) < 0:
            return True
        return export_allowed(attributes, is_ebgp=self._is_ebgp) and (
            self.context.has_long_lived or not is_long_lived_stale(attributes)
        )

    def _evaluated(self, path: Path, verdict: Verdict) -> Outgoing | None:
        if not verdict.is_accepted:
            return None
        return self._shape(path, verdict.attributes, verdict)

    def _shape(
        self, path: Path, attributes: PathAttributes, verdict: Verdict | None = None
    ) -> Outgoing | None:
        """Return the outgoing form of an accepted route."""
        if self._is_ebgp:
            octets = self._to_ebgp(path, attributes, verdict)
            if octets is None:
                return None
        else:
            octets = self._to_ibgp(path, attributes)
        before = next_hop = attributes.next_hop
        wanted = None if verdict is None else verdict.next_hop
        if wanted is None:
            is_self = path.source.kind in self._self_from
            next_hop = self._next_hop(path, before, is_self=is_self)
        elif isinstance(wanted, NextHopRule):
            is_self = wanted is not NextHopRule.UNCHANGED
            next_hop = self._next_hop(path, path.attributes.next_hop, is_self=is_self)
        if next_hop[:16] != path.received.next_hop[:16] and not attributes.is_plain:
            # RFC 7311 3.4.3: the metric was that of another next hop, and grows by the
            # distance to it or is not passed on.
            octets = edit(octets, {AIGP: None})
        if self.context.is_drained:
            octets = edit(octets, drained(attributes, is_ebgp=self._is_ebgp))
        return self._finish(octets, next_hop, before)

    def _next_hop(self, path: Path, next_hop: bytes, *, is_self: bool) -> bytes:
        """Return the next hop for a rule of export policy that is not an address."""
        context = self.context
        if is_self or not next_hop:
            return context.local_address
        if is_link_local(next_hop):
            # RFC 2545 3: of no use to those who are not on that link.
            zone = parts_of(path.next_hop.key).zone
            is_shared = zone != "" and zone == context.zone
            return next_hop if is_shared else context.local_address
        return next_hop[:16]  # a link-local address beside it is of no use there

    def _to_ibgp(self, path: Path, attributes: PathAttributes) -> bytes:
        reflection = self.reflection_of(path.source)
        if reflection is not None:
            return reflect(attributes, reflection)
        if attributes.local_pref is None:
            return edit(attributes.octets, {LOCAL_PREF: self._default_local_pref})
        return attributes.octets

    def _reflection(self, source: Source) -> Reflection | None:
        if source.kind is not _IBGP:
            return None
        if not self._is_advertised[_route_origin_of(source)]:
            return None
        context = self.context
        added = source.cluster_id.to_bytes(4, "big") if source.is_client else b""
        if context.peer_type is PeerType.CLIENT:
            cluster = context.cluster_id.to_bytes(4, "big")
            if cluster != added:
                added = cluster + added
        return Reflection(source.router_id, added)

    def _to_ebgp(
        self, path: Path, attributes: PathAttributes, verdict: Verdict | None
    ) -> bytes | None:
        context = self.context
        own_as = context.local_as.to_bytes(4, "big")
        changes: dict[int, bytes | None] = {
            AS_PATH: outgoing_path(
                attributes.get(AS_PATH) or b"",
                context.local_as,
                context.as_path,
                verdict.prepended if verdict else 0,
            ),
            LOCAL_PREF: None,
            ORIGINATOR_ID: None,
            CLUSTER_LIST: None,
            AIGP: None,  # RFC 7311 3.3: for sessions that enabled it; none does
        }
        extended = attributes.get(EXTENDED_COMMUNITIES)
        if extended is not None and path.source.kind in _LEARNED:
            own = verdict.own_ext_communities if verdict else _NO_COMMUNITIES
            changes[EXTENDED_COMMUNITIES] = _transitive(extended, own) or None
        # RFC 4271 5.1.4: MED is not passed on to other neighbouring ASes; one that our
        # own policy set is, whatever the received one was.
        is_own_med = path.has_own_med or (verdict is not None and verdict.sets_med)
        if path.source.kind in _LEARNED and not is_own_med:
            changes[MULTI_EXIT_DISC] = None
        if not (context.is_same_domain or attributes.is_plain):
            changes |= _WITHIN_DOMAIN
        if context.role:
            otc = attributes.otc
            if otc is not None and context.role in _OTC_STAYS:
                return None
            if otc is None and context.role in _OTC_ADDED:
                changes[ONLY_TO_CUSTOMER] = own_as
        return edit(attributes.octets, changes)

    def _finish(
        self, octets: bytes, next_hop: bytes, next_hop_before: bytes
    ) -> Outgoing | None:
        """Encode the next hop for the family, and AS numbers in their width.

        A block whose next hop has 4 octets holds it as NEXT_HOP already.
        """
        context = self.context
        if context.family == IPV4_UNICAST and len(next_hop) == 4:
            if next_hop != next_hop_before:
                octets = edit(octets, {NEXT_HOP: next_hop})
            next_hop = b""
        elif context.family == IPV4_UNICAST:
            if not context.extended_next_hop:
                return None
            octets = edit(octets, {NEXT_HOP: None})
        elif len(next_hop) == 4:
            return None  # IPv6 routes cannot have an IPv4 next hop (RFC 2545)
        if not context.four_octet_as:
            octets = to_two_octet(octets)
        return Outgoing(octets, next_hop)


def _weight(outgoing: Outgoing | None) -> int:
    return 1 if outgoing is None else 1 + len(outgoing.attributes) // OCTETS


def _transitive(extended: bytes, own: frozenset[int]) -> bytes:
    """Return extended communities without the non-transitive ones (RFC 4360 6).

    What export policy set or added is meant for the other AS, and goes there.
    """
    items = (extended[at : at + 8] for at in range(0, len(extended), 8))
    return b"".join(
        item
        for item in items
        if not item[0] & _STAYS_WITHIN_AS or int.from_bytes(item, "big") in own
    )
