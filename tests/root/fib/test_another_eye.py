"""The kernel's table as pyroute2 reads it, beside what we asked for: another parser's eye."""

import asyncio
import warnings
from typing import Any

import pytest
from pyroute2 import IPRoute

from fib import Hop, Target, TargetKind
from fib.kernel import KernelFib
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.nlri import parse_address, parse_prefix
from tests.support.kernel_namespace import namespace

pytestmark = [pytest.mark.root, pytest.mark.slow]

GATEWAY = Target(hops=(Hop(parse_address("10.9.0.2")),))
ECMP = Target(
    hops=(Hop(parse_address("10.9.0.2")), Hop(parse_address("10.9.1.2"), weight=3))
)
GATEWAY6 = Target(hops=(Hop(parse_address("fd09:0::2")),), metric=77)
BLACKHOLE = Target(TargetKind.BLACKHOLE)


def routes_seen() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with IPRoute() as ipr:
            return {
                f"{route.get_attr('RTA_DST')}/{route['dst_len']}": route
                for family in (2, 10)
                for route in ipr.get_routes(family=family, table=254)
                if route["proto"] == 12
            }


def program() -> None:
    async def work() -> None:
        fib = await KernelFib.start(next_hop_objects="off")
        for text, target in (
            ("10.244.0.0/26", GATEWAY),
            ("10.244.0.64/26", ECMP),
            ("10.244.0.128/26", BLACKHOLE),
            ("fd00:244::/122", GATEWAY6),
        ):
            afi, nlri = parse_prefix(text)
            fib.submit(IPV4_UNICAST if afi == 1 else IPV6_UNICAST, [nlri], target)
        await fib.wait_until_synced()
        await fib.close()

    asyncio.run(work())


def test_another_parser_sees_what_we_asked_for() -> None:
    with namespace():
        program()
        seen = routes_seen()
    assert sorted(seen) == [
        "10.244.0.0/26",
        "10.244.0.128/26",
        "10.244.0.64/26",
        "fd00:244::/122",
    ]
    assert seen["10.244.0.0/26"].get_attr("RTA_GATEWAY") == "10.9.0.2"
    hops = seen["10.244.0.64/26"].get_attr("RTA_MULTIPATH")
    assert [(hop.get_attr("RTA_GATEWAY"), hop["hops"]) for hop in hops] == [
        ("10.9.0.2", 0),
        ("10.9.1.2", 2),
    ]
    assert seen["10.244.0.128/26"]["type"] == TargetKind.BLACKHOLE
    assert seen["fd00:244::/122"].get_attr("RTA_PRIORITY") == 77
