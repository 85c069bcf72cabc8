"""Next hops that routes of BGP itself lead to, in a real kernel (RFC 4271 9.1.2.1).

The namespace has v0 (10.9.0.1/24, fd09::1/64) and v1 (10.9.1.1/24, fd09:1::1/64).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from bgpd.config.settings import FibSettings
from fib.kernel_policy import KernelPolicy
from rib.family import IPV4_UNICAST
from rib.policy import Actions, Match, Operator, Outcome, PolicySpec, Term, prefix_match
from tests.support.forwarding_world import World, kernel, play, some_settings, ways

pytestmark = pytest.mark.root

Story = Callable[[World], Awaitable[None]]

GATEWAYS = {
    4: ("10.9.0.2", "10.9.1.2", "10.9.0.3"),
    6: ("fd09::2", "fd09:1::2", "fd09::3"),
}
LOOPBACKS = {
    4: tuple(f"10.255.0.{n}" for n in range(1, 9)),
    6: tuple(f"fd00:255::{n}" for n in range(1, 9)),
}
PREFIX = {4: "10.77.0.0/16", 6: "fd77::/32"}
DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}
DEVICE = {
    "10.9.0.2": "v0",
    "10.9.1.2": "v1",
    "10.9.0.3": "v0",
    "fd09::2": "v0",
    "fd09:1::2": "v1",
    "fd09::3": "v0",
}


def host(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"


def via(*gateways: str) -> set[str]:
    return {f"{gateway} {DEVICE[gateway]}" for gateway in gateways}


def run(
    story: Story, *setup: str, uses_objects: bool = True, uses_default: bool = True
) -> None:
    async def scene() -> None:
        fib = FibSettings(uses_nexthop_objects=uses_objects)
        world = World(some_settings(fib, uses_default=uses_default))
        await world.start()
        try:
            world.sweep()
            await story(world)
        finally:
            await world.close(flush=True)

    play(scene, *setup)


async def leads(world: World, prefix: str, expected: set[str]) -> None:
    await world.until(
        lambda: ways(kernel().get(prefix, "")) == expected,
        lambda: (prefix, expected, dict([*kernel().items()][:20])),
    )


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("uses_objects", [True, False])
@pytest.mark.parametrize("has_default", [True, False])
def test_loopbacks_that_the_fabric_brings(version, uses_objects, has_default) -> None:
    """Chains of three levels and ECMP; a level that moves, shrinks and goes."""
    one, two, three = GATEWAYS[version]
    loop, spine, leaf, *_ = LOOPBACKS[version]
    prefix = PREFIX[version]

    async def story(world: World) -> None:
        def there(*gateways: str) -> Awaitable[None]:
            return leads(world, prefix, via(*gateways))

        world.announce("i1", loop, prefix)
        world.announce("e1", one, host(loop))
        await there(one)
        world.announce("e2", two, host(loop))
        await there(one, two)
        world.withdraw("e1", host(loop))
        await there(two)
        world.announce("e1", spine, host(loop), local_pref=200)
        world.announce("i2", leaf, host(spine))
        # Nothing but the default route leads to the spine so far.
        await there(three if has_default else two)
        world.announce("e3", one, host(leaf))
        world.announce("e4", three, host(leaf))
        await there(one, three)
        world.announce("e3", two, host(leaf))
        await there(two, three)
        world.withdraw("i2", host(spine))
        await there(three if has_default else two)
        world.withdraw("e2", host(loop))
        world.withdraw("e1", host(loop))
        if has_default:
            await there(three)
        else:
            await world.until(lambda: prefix not in kernel(), kernel)

    setup = [f"-{version} route add default via {three}"] if has_default else []
    run(story, *setup, uses_objects=uses_objects)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("uses_default", [True, False])
@pytest.mark.parametrize("is_ours", [True, False])
def test_a_default_route_leads_to_next_hops_where_it_may(
    version, uses_default, is_ours
) -> None:
    one, two, _ = GATEWAYS[version]
    loop = LOOPBACKS[version][0]
    prefix = PREFIX[version]

    async def story(world: World) -> None:
        if is_ours:
            world.announce("e1", one, DEFAULT[version])
        world.announce("i1", loop, prefix)
        world.announce("e2", two, "198.51.100.0/24" if version == 4 else "fd88::/32")
        await world.until(lambda: len(kernel()) == 2 + uses_default, kernel)
        assert ways(kernel().get(prefix, "")) == (via(one) if uses_default else set())
        world.announce("e2", two, host(loop))
        await leads(world, prefix, via(two))

    setup = [] if is_ours else [f"-{version} route add default via {one}"]
    run(story, *setup, uses_default=uses_default)


@pytest.mark.parametrize("version", [4, 6])
def test_gateways_that_announce_themselves_and_each_other(version, caplog) -> None:
    one, two, _ = GATEWAYS[version]
    loop, other, *_ = LOOPBACKS[version]
    prefix = PREFIX[version]

    async def story(world: World) -> None:
        # Its own address on the link, and its own loopback, which is shorter by iBGP.
        world.announce("e1", one, host(one), host(loop))
        world.announce("i1", loop, host(loop), prefix, local_pref=300)
        await leads(world, prefix, via(one))
        await leads(world, host(loop), via(one))
        # Two that lead to each other and to nothing else.
        world.announce("i2", other, "192.0.2.0/24" if version == 4 else "fd88::/32")
        world.announce("i2", LOOPBACKS[version][2], host(other))
        world.announce("i3", other, host(LOOPBACKS[version][2]))
        await world.until(lambda: "resolves only through itself" in caplog.text)
        states = world.forwarding._kernel.ways.states.values()
        looped = [state for state in states if state.loop is not None]
        assert len(looped) == 2
        assert not any(state.is_reachable for state in looped)
        world.withdraw("e1", host(loop))
        await world.until(lambda: prefix not in kernel(), kernel)
        # A way for one of them is a way for both.
        world.announce("e2", two, host(other))
        await leads(world, "192.0.2.0/24" if version == 4 else "fd88::/32", via(two))
        assert not any(state.loop for state in states if state.is_reachable)

    caplog.set_level(logging.WARNING)
    run(story)
    lines = [
        r.getMessage() for r in caplog.records if "through itself" in r.getMessage()
    ]
    assert len(lines) == len(set(lines)), lines


def test_an_own_block_and_a_route_of_others_decide_as_well() -> None:
    async def story(world: World) -> None:
        world.originate("10.255.0.0/24")
        world.announce("e1", "10.9.0.2", "10.255.0.0/16", "10.255.1.0/24")
        world.announce("i1", "10.255.0.1", "10.77.0.0/16")
        world.announce("i1", "10.255.1.1", "10.78.0.0/16")
        world.announce("i1", "10.255.2.1", "10.79.0.0/16")
        await leads(world, "10.78.0.0/16", via("10.9.0.2"))
        await leads(world, "10.79.0.0/16", {"10.9.1.9 v1"})
        assert "10.77.0.0/16" not in kernel()

    run(story, "route add 10.255.2.0/24 via 10.9.1.9")


def test_the_tunnel_of_a_kernel_policy_is_a_way() -> None:
    """Next hops inside another node's block, whose route goes through the overlay."""
    policy = PolicySpec(
        "overlay",
        (
            Term(
                "pods",
                Outcome.ACCEPT,
                Match(prefixes=prefix_match(Operator.IN, "10.244.0.0/16")),
                Actions(device="over0"),
            ),
        ),
        accepts_unmatched=True,
    )

    async def story(world: World) -> None:
        world.forwarding.set_policies({IPV4_UNICAST: KernelPolicy(policy)})
        world.announce("i1", "10.9.0.2", "10.244.7.0/26")
        world.announce("i1", "10.244.7.5", "10.77.0.0/16")
        # The node's address is a loopback that the fabric brings.
        world.announce("i2", "10.255.0.2", "10.244.8.0/26")
        world.announce("e1", "10.9.1.2", "10.255.0.2/32")
        await leads(world, "10.244.7.0/26", {"10.9.0.2 over0"})
        await leads(world, "10.77.0.0/16", {"10.9.0.2 over0"})
        await leads(world, "10.244.8.0/26", {"10.255.0.2 over0"})
        world.forwarding.set_policies({})
        await leads(world, "10.244.7.0/26", via("10.9.0.2"))
        await leads(world, "10.77.0.0/16", via("10.9.0.2"))
        await leads(world, "10.244.8.0/26", via("10.9.1.2"))

    run(
        story,
        "link add over0 type veth peer name far0",
        "link set far0 up",
        "link set over0 up",
        "address add 10.244.1.1/32 dev over0",
    )


@pytest.mark.slow
@pytest.mark.parametrize("version", [4, 6])
def test_many_routes_behind_one_next_hop_move_with_a_message_or_two(version) -> None:
    one, two, _ = GATEWAYS[version]
    loop = LOOPBACKS[version][0]
    count = 10_000
    many = [
        f"{11 + n // 65536}.{n // 256 % 256}.{n % 256}.0/24"
        if version == 4
        else f"fd77:1:{n + 1:x}::/48"
        for n in range(count)
    ]

    async def story(world: World) -> None:
        fib = world.forwarding.fib
        assert fib is not None
        world.announce("e1", one, host(loop))
        world.announce("i1", loop, *many)
        await world.until(lambda: fib.counts.installed == count + 1)
        await fib.wait_until_synced()
        written = fib.counts.written
        world.announce("e1", two, host(loop))
        await leads(world, many[0], via(two))
        await fib.wait_until_synced()
        assert fib.counts.written - written <= 2
        assert all(ways(kernel()[each]) == via(two) for each in many[:: count // 16])

    run(story)


def test_next_hops_that_keep_changing_are_resolved_now_and_then(monkeypatch) -> None:
    async def story(world: World) -> None:
        looks = 0
        look_again = world.forwarding._kernel.ways.look_again

        def counted():
            nonlocal looks
            looks += 1
            return look_again()

        monkeypatch.setattr(world.forwarding._kernel.ways, "look_again", counted)
        world.announce("i1", "10.255.0.1", "10.77.0.0/16")
        rounds = 0
        async with asyncio.timeout(30):
            while rounds < 400:
                world.announce("e1", f"10.9.{rounds % 2}.2", "10.255.0.1/32")
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                rounds += 1
        world.announce("e1", "10.9.1.2", "10.255.0.1/32")
        await leads(world, "10.77.0.0/16", via("10.9.1.2"))
        assert looks < 200

    run(story)
