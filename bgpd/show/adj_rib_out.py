"""What a peer receives for a prefix and in which form, or why it does not.

There is no Adj-RIB-Out to look into: what a member of an update group holds is what the
group's ``Export`` makes of Loc-RIB. So it is computed for each request.
"""

from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from reflector.export import (
    REFLECTION_RULES,
    Export,
    PeerType,
    RouteOrigin,
    route_origin_of,
)
from reflector.group import UpdateGroup
from rib.attributes import PathAttributes
from rib.attributes.codes import NEXT_HOP
from rib.nlri import Nlri
from rib.path import Path, Source
from rib.path_set import Entry, best_of, paths_of
from rib.policy import export_allowed, is_long_lived_stale


class NotAdvertised(Enum):
    """Why a path is not advertised to a member."""

    OWN = "it came from this peer"
    DEFERRED = "selection deferral: routes of peers are advertised once our restart is over (RFC 4724 4.1)"
    REFLECTION = (
        "routes of iBGP peers are not advertised to other iBGP peers (RFC 4456 6)"
    )
    COMMUNITY = "a community forbids it (RFC 1997)"
    LONG_LIVED = (
        "it is long-lived stale, and the peer does not know that (RFC 9494 4.3)"
    )
    POLICY = "export policy"
    ROUTE_LEAK = "OTC would make it a route leak (RFC 9234 5)"
    NEXT_HOP = "its next hop cannot be advertised in this family"
    NOT_SELECTED = "it is not selected"


class Advertisement(NamedTuple):
    """One path and what happens to it towards a member.

    Attributes:
        path: The path.
        attributes: As the member sees them; ``None`` where it is not told.
        not_advertised: Why it is not told; ``None`` where it is.
        detail: The policy and its term.
    """

    path: Path
    attributes: PathAttributes | None
    not_advertised: NotAdvertised | None = None
    detail: str = ""


class AdjRibOut:
    """Computes what members of one group receive; remembers what prefixes share.

    Args:
        group: Whose members.
    """

    def __init__(self, group: UpdateGroup) -> None:
        context = group.export.context
        # Shown with AS numbers in four octets, however they are sent.
        self._export = Export(replace(context, four_octet_as=True), group.export.policy)
        self._defers_peer_routes = group.export.defers_peer_routes
        self._add_path_max = context.add_path_max
        self._memo: dict[Path, Advertisement] = {}

    def advertised(
        self, entry: Entry | None, nlri: Nlri, member: Source
    ) -> Iterator[Advertisement]:
        """Yield each path that competes for ``member``, advertised or not."""
        best = best_of(entry)
        count = 0
        for path in paths_of(entry):
            if self._add_path_max is None:
                is_candidate = path is best
            else:
                has_room = not self._add_path_max or count < self._add_path_max
                is_candidate = has_room and path.next_hop.is_reachable
            if not is_candidate:
                yield Advertisement(path, None, NotAdvertised.NOT_SELECTED)
                continue
            outcome = self.outcome(path, nlri)
            count += outcome.not_advertised is None
            if path.source is member:
                outcome = Advertisement(path, None, NotAdvertised.OWN)
            yield outcome

    def outcome(self, path: Path, nlri: Nlri) -> Advertisement:
        """Return what happens to a candidate path."""
        if self._export.policy.needs_prefix:
            return self._make(path, nlri)
        known = self._memo.get(path)
        if known is None:
            known = self._memo[path] = self._make(path, nlri)
        return known

    def _make(self, path: Path, nlri: Nlri) -> Advertisement:
        outgoing = self._export(path, nlri)
        if outgoing is None:
            not_advertised, detail = self._why_not(path, nlri)
            return Advertisement(path, None, not_advertised, detail)
        if self._defers_peer_routes and route_origin_of(path) is not RouteOrigin.OWN:
            return Advertisement(path, None, NotAdvertised.DEFERRED)
        shown = PathAttributes(outgoing.attributes, outgoing.next_hop)
        next_hop = outgoing.next_hop or shown.get(NEXT_HOP) or b""
        return Advertisement(path, PathAttributes(outgoing.attributes, next_hop))

    def _why_not(self, path: Path, nlri: Nlri) -> tuple[NotAdvertised, str]:
        """Return which of the export's checks stopped a path, in their order."""
        export, context = self._export, self._export.context
        attributes = path.attributes
        if (route_origin_of(path), context.peer_type) not in REFLECTION_RULES:
            return NotAdvertised.REFLECTION, ""
        if not export_allowed(attributes, is_ebgp=context.peer_type is PeerType.EBGP):
            return NotAdvertised.COMMUNITY, ""
        if not context.has_long_lived and is_long_lived_stale(attributes):
            return NotAdvertised.LONG_LIVED, ""
        verdict = export.policy.evaluate(
            attributes,
            path.source,
            context.family,
            nlri,
            interface=path.next_hop.interface,
        )
        if not verdict.is_accepted:
            return NotAdvertised.POLICY, f"{export.policy.name}: {verdict.reason}"
        without_role = Export(replace(context, role=""), export.policy)
        if context.role and without_role(path, nlri) is not None:
            return NotAdvertised.ROUTE_LEAK, f"our role is {context.role}"
        return NotAdvertised.NEXT_HOP, ""
