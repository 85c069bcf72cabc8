"""The sources of routes that are not peers, and how they are preferred among each other.

In a Calico cluster the order is BIRD's, by its preferences: connected prefixes 240, static
routes 200, BGP 100, other programs' routes 10; a weight here is what exceeds BGP's. So a
route that BGP brings is programmed beside one of Felix for the same prefix, as there.
Elsewhere a connected prefix goes before whatever a peer says of it, as in every router,
and another route that stands in the kernel before one from a peer that is as good.
"""

from typing import Final, NamedTuple

from rib.path import LOCAL_WEIGHT, Source, SourceKind

BGP_PREFERENCE: Final = 100
"""BIRD's preference of a route from a peer: that of weight 0."""

FALLBACK_WEIGHT: Final = -1
"""Of a route of our own that any other for the prefix goes before."""

_DIRECT, _STATIC, _KERNEL = (number - BGP_PREFERENCE for number in (240, 200, 10))


class LocalSources(NamedTuple):
    """Every source that is not a peer.

    Attributes:
        blocks: Own prefixes that are blackholes in the kernel.
        networks: Own prefixes that are only announced.
        gateways: Static routes through a gateway.
        direct: Connected prefixes.
        kernel: Other programs' routes.
        defaults: Default routes for the peers with ``default_originate``.
    """

    blocks: Source
    networks: Source
    gateways: Source
    direct: Source
    kernel: Source
    defaults: Source

    @property
    def programmed(self) -> frozenset[Source]:
        """Sources whose routes we write into the kernel."""
        return frozenset((self.blocks, self.gateways))


def plain_sources() -> LocalSources:
    """Return the sources of a daemon without a datastore."""
    return _origins(static=LOCAL_WEIGHT, direct=LOCAL_WEIGHT, kernel=0)


def calico_sources() -> LocalSources:
    """Return the sources of a node of a Calico cluster."""
    return _origins(static=_STATIC, direct=_DIRECT, kernel=_KERNEL)


def _origins(*, static: int, direct: int, kernel: int) -> LocalSources:
    return LocalSources(
        blocks=Source("blocks", SourceKind.LOCAL, weight=static),
        networks=Source("networks", SourceKind.LOCAL, weight=static),
        gateways=Source("gateways", SourceKind.LOCAL, weight=static),
        direct=Source("direct", SourceKind.KERNEL, weight=direct),
        kernel=Source("kernel", SourceKind.KERNEL, weight=kernel),
        defaults=Source(
            "default", SourceKind.LOCAL, weight=FALLBACK_WEIGHT, is_default=True
        ),
    )
