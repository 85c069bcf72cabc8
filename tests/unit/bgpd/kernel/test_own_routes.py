"""Which addresses stay on their link, whatever our own routes say."""

import pytest

from bgpd.kernel.own_routes import KernelRoutes
from bgpd.pipeline.local_sources import plain_sources
from bgpd.session.settings import AsClass
from rib.nlri import parse_address
from tests.support.simnet import on_virtual_time
from tests.support.speakers import ASN, Rack


@pytest.mark.parametrize(
    ("changes", "is_neighbour"),
    [
        ({"remote_as": ASN + 1}, True),
        ({"remote_as": ASN + 1, "multihop_ttl": 2}, False),
        ({"remote_as": ASN}, False),
        ({"remote_as": 0}, False),
        ({"remote_as": 0, "remote_as_class": AsClass.EXTERNAL}, True),
        ({"remote_as": ASN, "remote_as_class": AsClass.INTERNAL}, False),
        ({"remote_as": 0, "remote_as_ranges": ((1, 9),)}, True),
        ({"remote_as": 0, "remote_as_ranges": ((1, ASN),)}, False),
    ],
)
@on_virtual_time
async def test_an_ebgp_neighbour_one_hop_away_is_on_its_link(
    changes, is_neighbour
) -> None:
    async with Rack() as rack:
        node, who = await rack.node(1), f"{rack.network}.9"
        node.peers_with(who, is_passive=True, **changes)
        routes = KernelRoutes(node.speaker, {}, plain_sources(), 0, lambda key: key)
        assert routes.is_neighbour(parse_address(who)) is is_neighbour
        assert not routes.is_neighbour(parse_address(f"{rack.network}.8"))
