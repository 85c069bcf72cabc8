"""Which kernel routes stay, go and move when a run ends and another one begins.

One run puts routes of every kind into a real kernel and ends; the next one has other
settings, or hears less from its peers. After it has taken over, and after it has swept, the
kernel must be as the table says.
"""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from bgpd.config.settings import FibSettings
from bgpd.kernel.former_places import moves_at_next_start
from fib.kernel_policy import KernelPolicy
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.policy import Actions, Outcome, PolicySpec, Term
from tests.support.forwarding_world import World, kernel, play, some_settings
from tests.support.kernel_namespace import ip, namespace

pytestmark = pytest.mark.root

KINDS = {
    "single": ("10.70.0.0/16", "fd70::/32"),
    "ecmp": ("10.71.0.0/16", "fd71::/32"),
    "recursive": ("10.72.0.0/16", "fd72::/32"),
    "block": ("10.73.0.0/26", "fd73::/64"),
}
LOOPBACKS = ("10.255.0.1/32", "fd00:255::1/128")
ALL = {*LOOPBACKS, *(prefix for some in KINDS.values() for prefix in some)}
MAIN = FibSettings()


@dataclass(frozen=True)
class Case:
    """What differs between two runs, and what comes of it.

    Attributes:
        before: How the first run writes.
        after: How the second one does.
        flushes: The first run removes its routes when it ends.
        told: Kinds that the second run hears of; the others are forgotten.
        at_start: Tables that have all routes once the second run has begun.
        at_end: Those that have what it heard of once it has swept, with the protocol.
    """

    before: FibSettings = MAIN
    after: FibSettings = MAIN
    flushes: bool = False
    told: frozenset[str] = frozenset(KINDS)
    at_start: tuple[int, ...] = (254,)
    at_end: tuple[int, ...] = (254,)


def other(**changes: int | bool) -> FibSettings:
    return replace(MAIN, **changes)  # type: ignore[arg-type]


CASES = {
    "the same again": Case(),
    "flushed": Case(flushes=True, at_start=()),
    "peers that say less": Case(told=frozenset({"ecmp", "recursive"})),
    "peers that say nothing": Case(told=frozenset()),
    "another metric": Case(after=other(metric=32)),
    "no metric any more": Case(before=other(metric=32)),
    "another number": Case(after=other(protocol=43)),
    "another number and less": Case(
        after=other(protocol=43), told=frozenset({"single", "block"})
    ),
    "another number and metric": Case(after=other(protocol=43, metric=7)),
    "another table": Case(after=other(table=100), at_end=(100,)),
    "another table and less": Case(
        after=other(table=1000), told=frozenset({"ecmp"}), at_end=(1000,)
    ),
    "from a table of its own": Case(
        before=other(table=1000), at_start=(1000,), at_end=(254,)
    ),
    "another table and number": Case(
        after=other(table=100, protocol=43), at_end=(100,)
    ),
    "nothing in the kernel": Case(
        after=other(is_enabled=False), at_start=(), at_end=()
    ),
    "next-hop objects no more": Case(after=other(uses_nexthop_objects=False)),
    "next-hop objects from now on": Case(before=other(uses_nexthop_objects=False)),
    "another number, without objects": Case(
        before=other(uses_nexthop_objects=False), after=other(protocol=43)
    ),
}


def hear(world: World, kinds: Iterable[str]) -> set[str]:
    """Let peers announce routes; return what must be in the kernel."""
    heard = set()
    for kind in kinds:
        prefixes = KINDS[kind]
        for prefix, loop in zip(prefixes, LOOPBACKS, strict=True):
            is_v4 = ":" not in prefix
            one, two = ("10.9.0.2", "10.9.1.2") if is_v4 else ("fd09::2", "fd09:1::2")
            heard.add(prefix)
            match kind:
                case "single":
                    world.announce("e1", one, prefix)
                case "ecmp":
                    world.announce("e1", one, prefix)
                    world.announce("e2", two, prefix)
                case "recursive":
                    heard.add(loop)
                    world.announce("e2", two, loop)
                    world.announce("i1", loop.partition("/")[0], prefix)
                case _:
                    world.originate(prefix)
    return heard


def present(table: int, protocol: int) -> dict[str, str]:
    """Return our routes of a table, without what a next-hop object's number is."""
    word = "proto bird" if protocol == 12 else f"proto {protocol}"
    return {prefix: route for prefix, route in kernel(table).items() if word in route}


def forwarding_of(table: int) -> dict[str, set[str]]:
    """Return gateways of all routes except those of links: what packets see."""
    found = {}
    for prefix, route in kernel(table).items():
        words = route.split()
        hops = {
            words[n + 1] for n, word in enumerate(words) if word in ("via", "inet6")
        }
        found[prefix] = hops or {words[0]}
    return found


def has_only(table: int, prefixes: set[str]) -> bool:
    return {*kernel(table)} & ALL == prefixes


def our_objects() -> object:
    return json.loads(ip("-j nexthop show") or "[]")


@pytest.mark.parametrize("name", CASES)
def test_from_one_run_to_the_next(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    control = str(tmp_path / "run" / "pybgpd.sock")

    async def first() -> None:
        world = World(some_settings(case.before, control_path=control))
        await world.start()
        world.sweep()
        wanted = hear(world, KINDS)
        place = (case.before.table, case.before.protocol)
        await world.until(lambda: present(*place).keys() == wanted, kernel)
        await world.close(flush=case.flushes)

    async def second() -> None:
        world = World(some_settings(case.after, control_path=control))
        before = {table: forwarding_of(table) for table in (254, *case.at_start)}
        await world.start()
        for table in (254, 100, 1000):
            found = {*kernel(table)} & ALL
            assert found == (ALL if table in case.at_start else set()), table
        for table in case.at_start:
            assert forwarding_of(table) == before[table], "the way has not changed"
        wanted = hear(world, case.told)
        world.sweep()
        fib = world.forwarding.fib
        if fib is not None:
            await fib.wait_until_synced()
        for table in (254, 100, 1000):
            expected = wanted if table in case.at_end else set()
            await world.until(
                partial(has_only, table, expected), partial(kernel, table)
            )
        for table in case.at_end:
            assert present(table, case.after.protocol).keys() == wanted
        metrics = {
            route.partition("metric ")[2].split()[0] if "metric" in route else "0"
            for table in case.at_end
            for prefix, route in kernel(table).items()
            if prefix in ALL and ":" not in prefix
        }
        assert metrics <= {str(case.after.metric)}
        assert world.forwarding.places.warnings() == []
        await world.close(flush=True)
        assert not {*kernel(254), *kernel(100), *kernel(1000)} & ALL
        assert our_objects() == []

    with namespace():
        asyncio.run(first())
        moves = moves_at_next_start(some_settings(case.after, control_path=control))
        place = (case.before.table, case.before.protocol)
        changes = place != (case.after.table, case.after.protocol)
        assert bool(moves) is (
            not case.flushes and (changes or not case.after.is_enabled)
        ), moves
        asyncio.run(second())
    assert not (tmp_path / "run" / "pybgpd.fib").exists()


def test_other_programs_routes_are_left_in_every_place(tmp_path: Path) -> None:
    """Nothing is touched but the numbers of before, in the tables of before."""
    control = str(tmp_path / "run" / "pybgpd.sock")
    theirs = (
        "route add 192.0.2.0/24 via 10.9.0.9 proto 77",
        "route add 192.0.2.0/24 via 10.9.0.9 table 100 proto 12",
        "route add 192.0.2.0/25 via 10.9.0.9 table 100 proto 43",
        "route add 198.51.100.0/24 via 10.9.0.9 metric 5 proto static",
    )

    async def run(settings: FibSettings) -> None:
        world = World(some_settings(settings, control_path=control))
        await world.start()
        wanted = hear(world, KINDS) if settings.is_enabled else set()
        world.sweep()
        place = (settings.table, settings.protocol)
        await world.until(lambda: present(*place).keys() >= wanted)
        await world.close(flush=False)

    async def story() -> None:
        await run(MAIN)
        await run(other(protocol=43))
        await run(other(is_enabled=False))
        assert not {*kernel()} & ALL
        assert {*kernel()} == {"192.0.2.0/24", "198.51.100.0/24"}
        assert {*kernel(100)} == {"192.0.2.0/24", "192.0.2.0/25"}

    play(story, *theirs)


def test_a_file_of_another_boot_or_of_no_daemon_says_nothing(tmp_path: Path) -> None:
    control = tmp_path / "pybgpd.sock"
    settings = some_settings(other(table=7), control_path=str(control))
    file = tmp_path / "pybgpd.fib"
    for text in ("", "elsewhere 1\n254 12\n", "\0\n", "x\n" * 10_000):
        file.write_text(text)
        assert moves_at_next_start(settings) == []
    assert moves_at_next_start(some_settings(other(table=7))) == []


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        (MAIN, MAIN, ()),
        (MAIN, other(table=100), ("table 254, protocol 12",)),
        (MAIN, other(protocol=43), ("table 254, protocol 12",)),
        (other(table=100), MAIN, ("table 100, protocol 12",)),
        (other(table=1000, protocol=43), MAIN, ("table 1000, protocol 43",)),
    ],
)
def test_where_the_file_is_lost_what_may_be_ours_is_named(
    before, after, named, caplog
) -> None:
    async def run(settings: FibSettings) -> World:
        world = World(some_settings(settings))
        await world.start()
        return world

    async def story() -> None:
        first = await run(before)
        assert first.forwarding.places.warnings() == []
        wanted = hear(first, KINDS)
        first.sweep()
        place = (before.table, before.protocol)
        await first.until(lambda: present(*place).keys() == wanted)
        await first.close(flush=False)
        second = await run(after)
        lines = second.forwarding.places.warnings()
        assert len(lines) == len(named)
        for line, each in zip(lines, named, strict=True):
            assert line.startswith(f"{len(ALL)} kernel routes in {each} look like ours")
            assert line in caplog.text
        await second.close(flush=True)

    play(story)


OVERLAY = PolicySpec(
    "overlay", (Term("all", Outcome.ACCEPT, actions=Actions(device="over0")),)
)
NOTHING = PolicySpec("nothing")


@pytest.mark.parametrize("is_restart", [True, False])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (OVERLAY, None),
        (None, OVERLAY),
        (OVERLAY, NOTHING),
        (NOTHING, OVERLAY),
        (None, NOTHING),
    ],
)
def test_overlay_underlay_and_nothing_follow_each_other(
    is_restart, before, after
) -> None:
    """While it runs, and over a restart: the routes of before stay until it has swept."""
    prefixes = {*KINDS["single"]}

    def policies(spec: PolicySpec | None) -> dict[Family, KernelPolicy]:
        families = () if spec is None else (IPV4_UNICAST, IPV6_UNICAST)
        return {family: KernelPolicy(spec or OVERLAY) for family in families}

    def devices() -> set[str]:
        return {
            route.partition(" dev ")[2].split()[0]
            for prefix, route in kernel().items()
            if prefix in prefixes
        }

    device = {id(OVERLAY): {"over0"}, id(None): {"v0"}, id(NOTHING): set[str]()}

    async def run(spec: PolicySpec | None) -> World:
        world = World(some_settings())
        await world.start(policies(spec))
        return world

    async def story() -> None:
        world = await run(before)
        hear(world, ("single",))
        world.sweep()
        await world.until(lambda: devices() == device[id(before)], kernel)
        if is_restart:
            await world.close(flush=False)
            assert devices() == device[id(before)]
            world = await run(after)
            hear(world, ("single",))
            world.speaker.tables[IPV4_UNICAST].flush_now()
            if before is not NOTHING:
                assert devices() == device[id(before)]
            world.sweep()
        else:
            world.forwarding.set_policies(policies(after))
        await world.until(lambda: devices() == device[id(after)], kernel)
        await world.close(flush=True)
        assert not devices()

    play(
        story,
        "link add over0 type veth peer name far0",
        "link set far0 up",
        "link set over0 up",
        "address add 10.244.1.1/32 dev over0",
        "-6 address add fd44::1/128 dev over0 nodad",
    )
