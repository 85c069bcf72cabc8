"""Our own routes, as they resolve next hops: what Loc-RIB puts into the kernel, by prefix.

A look-up each, and only for prefixes that contain a next hop; nothing is kept beside Loc-RIB.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final

from bgpd.kernel.route_programmer import ACCEPTED, RouteProgrammer
from bgpd.pipeline.local_sources import LocalSources
from bgpd.speaker.speaker import Speaker
from fib.interest import Interest
from fib.kernel_policy import KernelDecision
from fib.netlink.rtnetlink import DEFAULT_METRIC
from fib.resolution import OwnRoute, Step
from rib.family import SAFI_UNICAST, Family
from rib.next_hops import DISCARDS
from rib.nlri import Nlri, format_address
from rib.path import Path, SourceKind
from rib.path_set import Entry, best_of, eligible_of, members_of, multipath_of

MOST_BARRED: Final = 16  # unusable paths to check for loops
_FROM_PEERS: Final = frozenset({SourceKind.EBGP, SourceKind.IBGP})


class KernelRoutes:
    """Implements ``fib.resolution.OwnRoutes``.

    Args:
        speaker: Whose tables.
        feeds: What divides the routes of each family; empty where none goes to the kernel.
        origins: Whose routes are ours to write, beside those of peers.
        metric: The kernel's priority where no policy says another; 0 is its default.
        gateway_of: Returns our gateway towards a next hop, or the next hop itself.

    Attributes:
        interest: By address family, what knows which prefix lengths there are.
    """

    def __init__(
        self,
        speaker: Speaker,
        feeds: Mapping[Family, RouteProgrammer],
        origins: LocalSources,
        metric: int,
        gateway_of: Callable[[bytes], bytes],
    ) -> None:
        self._speaker = speaker
        self._feeds = feeds
        self._origins = origins
        self._metric = metric
        self._gateway_of = gateway_of
        self.interest: Mapping[int, Interest] = {}

    def lengths(self, afi: int) -> Iterable[int]:
        """Return every prefix length seen so far."""
        return self.interest[afi].lengths

    def is_neighbour(self, address: bytes) -> bool:
        """Return whether an eBGP neighbour one hop away has this address."""
        peer = self._speaker.peers.get(format_address(address))
        if peer is None:
            return False
        settings, negotiated = peer.settings, peer.negotiated
        if settings.multihop_ttl:
            return False
        if negotiated is not None:
            return not negotiated.is_ibgp
        return settings.is_internal is False

    def find(self, afi: int, nlri: Nlri) -> OwnRoute | None:
        """Return what Loc-RIB puts into the kernel for one prefix."""
        family = Family(afi, SAFI_UNICAST)
        entry = self._speaker.tables[family].loc_rib.table.get(nlri)
        best = best_of(entry)
        if best is None:
            return self._unusable(family, entry)
        if best.source.kind in _FROM_PEERS:
            return self._of_peers(family, nlri, entry)
        if best.source not in self._origins.programmed:
            return None  # it is in the kernel already, or must not be
        is_discard = best.source is self._origins.blocks
        steps = (Step(self._gateway(best)),)
        return OwnRoute(self._metric_of(family, None), is_discard, (steps,))

    def _unusable(self, family: Family, entry: Entry | None) -> OwnRoute | None:
        """Return a route without a usable path."""
        barred = [
            Step(self._gateway(path))
            for path in islice(filter(_leads_on, members_of(entry)), MOST_BARRED)
        ]
        if not barred:
            return None
        return OwnRoute(self._metric_of(family, None), False, (), barred)

    def _of_peers(
        self, family: Family, nlri: Nlri, entry: Entry | None
    ) -> OwnRoute | None:
        together = [*filter(_leads_on, multipath_of(entry))]
        outcomes = self._outcomes(family, nlri, together)
        if not together or not outcomes[0].is_accepted:
            return None
        used = [
            Step(self._gateway(path), outcome.device)
            for path, outcome in zip(together, outcomes, strict=True)
            if outcome.is_accepted
        ]
        metric = self._metric_of(family, outcomes[0].metric)
        return OwnRoute(
            metric,
            is_discard=False,
            groups=chain((used,), self._others(family, nlri, entry, together)),
        )

    def _others(
        self,
        family: Family,
        nlri: Nlri,
        entry: Entry | None,
        together: Sequence[Path],
    ) -> Iterator[Sequence[Step]]:
        """Yield what would replace the paths that forward, best first."""
        for path in eligible_of(entry):
            if _leads_on(path) and path not in together:
                outcome = self._outcomes(family, nlri, (path,))[0]
                if outcome.is_accepted:
                    yield (Step(self._gateway(path), outcome.device),)

    def _outcomes(
        self, family: Family, nlri: Nlri, paths: Sequence[Path]
    ) -> Sequence[KernelDecision]:
        feed = self._feeds.get(family)
        if feed is None:
            return (ACCEPTED,) * len(paths)
        return feed.dispositions(paths, nlri)

    def _metric_of(self, family: Family, metric: int | None) -> int:
        wanted = self._metric if metric is None else metric
        return wanted or DEFAULT_METRIC[family.afi]

    def _gateway(self, path: Path) -> bytes:
        return self._gateway_of(path.next_hop.key)


def _leads_on(path: Path) -> bool:
    hop = path.next_hop
    return (
        path.source.kind in _FROM_PEERS
        and bool(hop.address)
        and hop.key not in DISCARDS
    )
