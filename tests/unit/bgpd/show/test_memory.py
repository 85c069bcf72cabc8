"""What takes how much memory: counted as Python counts it, in short steps."""

import tracemalloc
from collections.abc import Iterator
from types import SimpleNamespace

from bgpd.show.memory import memory_by_part
from bgpd.show.object_sizes import SAMPLE, Sizes, Walk
from rib.family import IPV4_UNICAST
from rib.path import NextHop
from tests.support.world import World

MANY = 3 * SAMPLE


def prefixes(count: int) -> list[bytes]:
    return [b"\x20" + number.to_bytes(4, "big") for number in range(count)]


def test_a_large_table_is_estimated_as_it_was_allocated() -> None:
    tracemalloc.start()
    table = dict.fromkeys(prefixes(MANY))
    allocated, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    sizes = Sizes()
    steps = sum(1 for _ in Walk(()).keys(table, sizes))
    assert steps > 50
    assert sizes.is_estimated
    assert 0.9 * allocated < sizes.octets < 1.2 * allocated


def test_what_two_tables_share_is_counted_once() -> None:
    one = dict.fromkeys(prefixes(1000))
    alone, shared = Sizes(), Sizes()
    list(Walk(()).keys(dict(one.items()), alone))
    other = dict(one)
    walk = Walk(())
    for table in (one, other):
        list(walk.keys(table, shared))
    assert abs(shared.objects - 2002) < 1
    assert shared.octets < 1.7 * alone.octets + 2 * 1000 * 48


def test_a_walk_ends_at_the_border_of_another_part() -> None:
    inner = NextHop(bytes(64))
    root = [inner, {"a": "x" * 100}]
    whole, part = Sizes(), Sizes()
    list(Walk(()).everything([root], whole))
    list(Walk((NextHop,)).everything([root], part))
    assert whole.octets > part.octets + 64
    assert not whole.is_estimated
    foreign = Sizes()
    list(Walk(()).everything([[SimpleNamespace(a="x" * 1000)]], foreign))
    assert foreign.octets < 1000


def test_memory_is_listed_by_part() -> None:
    world = World()
    try:
        peer = world.up("one", "192.0.2.1", is_client=True)
        world.announce(peer, *(f"10.{number}.0.0/16" for number in range(200)))
        rows = world.ask("show-memory")
        by_part = {(row["part"], row["family"]): row for row in rows}
        table = by_part["loc-rib", "ipv4-unicast"]
        assert table["objects"] == 201
        assert 200 * 30 < table["octets"] < 200 * 250
        assert not table["is_estimated"]
        assert by_part["attributes", "ipv4-unicast"]["octets"] > 200
        assert by_part["loc-rib", "ipv6-unicast"]["objects"] == 1
        process = by_part["process", None]
        assert process["octets"] == sum(row["octets"] for row in rows[:-1])
        assert process["objects"] is None
        assert len(world.speaker.tables[IPV4_UNICAST].loc_rib) == 200
    finally:
        world.close()


def test_parts_of_all_families_are_added_in_slices() -> None:
    world = World()
    try:
        found: dict[str, int] = {}
        steps = 0

        def work() -> Iterator[None]:
            found.update((yield from memory_by_part(world.view)))

        for _ in work():
            steps += 1
        assert steps >= 10
        assert {"loc-rib", "attributes", "peers", "process"} <= found.keys()
    finally:
        world.close()
