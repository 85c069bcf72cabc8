"""What happens to an attribute block of a peer: decided once for each block."""

from typing import Final

from rib.attributes import PathAttributes
from rib.family import Family
from rib.import_checks import FilteredRoute, FilterReason, ImportChecks
from rib.next_hops import NextHopTable
from rib.path import Path, Source, SourceKind
from rib.policy import Verdict, is_long_lived_stale, long_lived

_IBGP: Final = SourceKind.IBGP


class PerPrefix:
    """An attribute block whose outcome depends on the prefix: policy decides each time.

    Attributes:
        attributes: As received.
        marked: What policy sees.
        epoch: Of the source when it was announced.
        paths: What came of it so far, by all that policy can change.
    """

    __slots__ = ("attributes", "epoch", "marked", "paths")

    def __init__(
        self, attributes: PathAttributes, marked: PathAttributes, epoch: int
    ) -> None:
        self.attributes = attributes
        self.marked = marked
        self.epoch = epoch
        self.paths: dict[tuple[bytes, bytes, int | None, bool], Path] = {}


Outcome = Path | FilteredRoute | PerPrefix


class Importer:
    """Decides about what one peer advertises in one family.

    Args:
        source: The peer.
        family: AFI and SAFI.
        rules: Loop checks and import policy.
        next_hops: Interns next hops.
    """

    __slots__ = ("_family", "_next_hops", "_source", "rules")

    def __init__(
        self,
        source: Source,
        family: Family,
        rules: ImportChecks,
        next_hops: NextHopTable,
    ) -> None:
        self.rules = rules
        self._source = source
        self._family = family
        self._next_hops = next_hops

    def evaluate(self, attributes: PathAttributes, path_id: int) -> Outcome:
        """Return the outcome of a block.

        Args:
            attributes: The block, decoded.
            path_id: RFC 7911 identifier; 0 without add-path.
        """
        source, rules = self._source, self.rules
        filtered = rules.check(attributes, source)
        if filtered is not None:
            return filtered
        given = attributes
        if rules.is_on_this_machine:
            given = self._without_own_next_hop(attributes)
        if rules.policy.needs_prefix:
            return PerPrefix(attributes, rules.mark(given, source), source.epoch)
        if rules.accepts_all and source.kind is _IBGP:
            hop = self._next_hops.get(given.next_hop, source.zone)
            if hop.address == given.next_hop:
                given.share_next_hop(hop.address)
            return Path(source, given, hop, received=attributes, path_id=path_id)
        interface = self.interface_of(given)
        verdict = rules.evaluate(given, source, self._family, None, interface)
        if not verdict.is_accepted:
            return FilteredRoute(attributes, FilterReason.POLICY, verdict.reason)
        return self.path(attributes, verdict, path_id)

    def _without_own_next_hop(self, attributes: PathAttributes) -> PathAttributes:
        """Return the outcome for a speaker on this machine that names one of its addresses.

        Its route ends here, as those that we originate do, and has no next hop as these
        have none: the kernel needs no route for it, and peers get us as next hop.
        """
        rules, next_hop = self.rules, attributes.next_hop
        is_own = next_hop[:16] in rules.own_addresses
        if is_own or self._next_hops.get(next_hop, self._source.zone).is_local:
            return attributes.with_changes({}, next_hop=b"")
        return attributes

    def interface_of(self, attributes: PathAttributes) -> str:
        """Return the outgoing interface of a route, if the policy matches it."""
        if not self.rules.policy.needs_interface:
            return ""
        return self._next_hops.get(attributes.next_hop, self._source.zone).interface

    def path(self, attributes: PathAttributes, verdict: Verdict, path_id: int) -> Path:
        """Return the path for a policy's verdict.

        Args:
            attributes: As received.
            verdict: It accepts the route.
            path_id: As in ``evaluate``.
        """
        after = verdict.attributes
        return Path(
            self._source,
            after,
            self._next_hops.get(after.next_hop, self._source.zone),
            received=attributes,
            path_id=path_id,
            weight=verdict.weight,
            has_own_med=verdict.sets_med,
        )


def is_marked(path: Path) -> bool:
    """Return whether we marked a path with LLGR_STALE."""
    is_stale = is_long_lived_stale
    return is_stale(path.attributes) and not is_stale(path.received)


def long_lived_path(path: Path) -> Path | None:
    """Return the long-lived form of a stale path, with LLGR_STALE (RFC 9494 4.2).

    ``None`` where NO_LLGR says that it does not.
    """
    attributes = long_lived(path.attributes)
    if attributes is None:
        return None
    after = Path(
        path.source,
        attributes,
        path.next_hop,
        received=path.received,
        path_id=path.path_id,
        weight=path.weight,
        has_own_med=path.has_own_med,
    )
    after.epoch = path.epoch
    return after
