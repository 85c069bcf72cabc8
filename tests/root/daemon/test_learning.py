"""What stands in a real kernel becomes a candidate for announcement."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import pytest

from bgpd.config.settings import DirectSettings, LearnSettings
from bgpd.kernel.redistribution import Redistribution
from bgpd.kernel.redistribution_plan import RedistributionPlan
from bgpd.pipeline.local_sources import LocalSources, calico_sources, plain_sources
from bgpd.speaker.speaker import Speaker
from fib.kernel_follower import KernelFollower
from fib.kernel_policy import MAX_METRIC
from rib.attributes import ORIGIN_IGP, ORIGIN_INCOMPLETE, make_attributes
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.nlri import format_prefix, parse_address, parse_prefix
from rib.path import Path, Source, SourceKind
from rib.path_set import best_of
from tests.support.kernel_namespace import ip, namespace

pytestmark = pytest.mark.root

ROUTES = LearnSettings(is_enabled=True)
PLAIN = RedistributionPlan(ROUTES)
CALICO = RedistributionPlan(
    ROUTES,
    DirectSettings(("-cali*", "*")),
    is_calico=True,
    local_pref={IPV4_UNICAST: MAX_METRIC - 1024},
    workload_interfaces=("cali*",),
)
OLD_CALICO = RedistributionPlan(ROUTES, DirectSettings(("*",)), is_calico=True)

WORKLOAD = "10.244.1.5/32"
BEHIND = "198.51.100.0/24"
COMMANDS = (
    "link add cali1 type veth peer name w1",
    "link set cali1 up",
    "link set w1 up",
    f"route add {WORKLOAD} dev cali1 metric 1024",
    f"route add {BEHIND} via 10.9.0.7 metric 512",
)


class World:
    def __init__(self, speaker: Speaker, learning: Redistribution) -> None:
        self.speaker = speaker
        self.learning = learning

    def path(self, prefix: str) -> Path | None:
        family = IPV6_UNICAST if ":" in prefix else IPV4_UNICAST
        table = self.speaker.tables[family].loc_rib.table
        return best_of(table.get(parse_prefix(prefix)[1]))

    def prefixes(self) -> set[str]:
        return {
            format_prefix(nlri, family.afi)
            for family, tables in self.speaker.tables.items()
            for nlri in tables.loc_rib.table
        }

    def present(self, prefix: str) -> Path:
        path = self.path(prefix)
        assert path is not None
        return path

    async def until(self, predicate: Callable[[], bool]) -> None:
        for _ in range(500):
            if predicate():
                return
            await asyncio.sleep(0.02)
        raise AssertionError("not within 10 s")


def with_kernel(
    work: Callable[[World], Awaitable[None]],
    commands: Iterable[str] = COMMANDS,
    origins: Callable[[], LocalSources] = calico_sources,
) -> None:
    async def scenario() -> None:
        follower = await KernelFollower.start()
        view = follower.view
        speaker = Speaker(asyncio.get_running_loop(), "10.0.0.1", seed=1)
        learning = Redistribution(speaker, view, origins())
        try:
            await work(World(speaker, learning))
        finally:
            learning.close()
            await speaker.close()
            await follower.close()

    with namespace():
        for command in commands:
            ip(command)
        asyncio.run(scenario())


def test_a_cluster_s_routes_look_as_bird_makes_them() -> None:
    async def work(world: World) -> None:
        world.learning.follow(CALICO)
        workload, behind = world.present(WORKLOAD), world.present(BEHIND)
        assert workload.attributes.local_pref == MAX_METRIC - 1024
        assert workload.attributes.next_hop == b""
        assert workload.next_hop.interface == "cali1"
        assert behind.attributes.local_pref == MAX_METRIC - 512
        assert behind.attributes.next_hop == parse_address("10.9.0.7")
        assert behind.next_hop.interface == "v0"
        for path in (workload, behind):
            assert path.source.name == "kernel"
            assert path.weight == -90
            assert path.attributes.origin == ORIGIN_IGP
            assert path.attributes.med is None
        connected = world.present("10.9.0.0/24")
        assert connected.source.name == "direct"
        assert connected.attributes.local_pref == MAX_METRIC - 1024
        assert connected.next_hop.interface == "v0"

    with_kernel(work)


def test_a_workload_that_has_just_moved_here_goes_before_what_peers_tell() -> None:
    async def work(world: World) -> None:
        ip("route add 10.244.1.6/32 dev cali1 metric 512")
        ip("route add 10.244.1.7/32 dev v0 metric 512")
        world.learning.follow(CALICO)
        await world.until(lambda: world.path("10.244.1.7/32") is not None)
        weights = {
            prefix: world.present(prefix).weight
            for prefix in (WORKLOAD, BEHIND, "10.244.1.6/32", "10.244.1.7/32")
        }
        # A low metric of a route to anything but a workload is another matter.
        assert weights == {
            WORKLOAD: -90,
            BEHIND: -90,
            "10.244.1.6/32": 100,
            "10.244.1.7/32": -90,
        }
        ip("route add 10.244.1.6/32 dev cali1 metric 1024")
        ip("route del 10.244.1.6/32 dev cali1 metric 512")
        await world.until(lambda: world.present("10.244.1.6/32").weight == -90)
        world.learning.follow(OLD_CALICO)
        assert world.present("10.244.1.6/32").weight == -90

    with_kernel(work)


def test_without_priorities_there_is_no_local_pref() -> None:
    async def work(world: World) -> None:
        world.learning.follow(OLD_CALICO)
        for prefix in (WORKLOAD, BEHIND, "10.9.0.0/24"):
            assert world.present(prefix).attributes.local_pref is None

    with_kernel(work)


def test_another_plan_changes_what_is_there_already() -> None:
    async def work(world: World) -> None:
        world.learning.follow(CALICO)
        world.learning.follow(OLD_CALICO)
        assert world.present(BEHIND).attributes.local_pref is None
        assert world.present("10.9.0.0/24").attributes.local_pref is None
        world.learning.follow(RedistributionPlan())
        assert world.path(BEHIND) is None
        assert world.path("10.9.0.0/24") is None

    with_kernel(work)


def test_elsewhere_a_metric_is_a_med_and_connected_prefixes_are_left() -> None:
    async def work(world: World) -> None:
        world.learning.follow(PLAIN)
        behind = world.present(BEHIND)
        assert behind.attributes.med == 512
        assert behind.attributes.origin == ORIGIN_INCOMPLETE
        assert world.path("10.9.0.0/24") is None

    with_kernel(work)


def test_pods_that_come_and_go_are_followed() -> None:
    async def work(world: World) -> None:
        world.learning.follow(CALICO)
        ip("route add 10.244.1.6/32 dev cali1 metric 1024")
        await world.until(lambda: world.path("10.244.1.6/32") is not None)
        ip(f"route del {WORKLOAD} dev cali1 metric 1024")
        await world.until(lambda: world.path(WORKLOAD) is None)
        ip("link del cali1")
        await world.until(lambda: world.path("10.244.1.6/32") is None)

    with_kernel(work)


# -- connected prefixes by configuration ----------------------------------------------------

ANYCAST = ("10.10.10.10/32", "fd10::10/128")
# Addresses of every kind: on lo, on a device without neighbours, point to point.
ADDRESSED = (
    "link add only0 type veth peer name far0",
    "link set far0 up",
    "link set only0 up",
    "link add ppp0 type veth peer name far1",
    "link set far1 up",
    "link set ppp0 up",
    *(f"address add {each} dev lo" for each in ANYCAST),
    "address add 10.20.0.1/32 dev only0",
    "-6 address add fd20::1/128 dev only0 nodad",
    "address add 10.30.0.1 peer 10.30.0.2/32 dev ppp0",
    "address add 10.31.0.1 peer 10.31.0.2/30 dev ppp0",
    "address add 169.254.9.9/32 dev lo",
)
BY_DEVICE = {
    "lo": {*ANYCAST},
    "v0": {"10.9.0.0/24", "fd09::/64"},
    "v1": {"10.9.1.0/24", "fd09:1::/64"},
    "only0": {"10.20.0.1/32", "fd20::1/128"},
    "ppp0": {"10.30.0.2/32", "10.31.0.0/30"},
}
EVERY = set[str]().union(*BY_DEVICE.values())


@pytest.mark.parametrize(
    ("patterns", "devices"),
    [
        (("*",), BY_DEVICE.keys()),
        (("lo",), {"lo"}),
        (("-lo", "*"), BY_DEVICE.keys() - {"lo"}),
        (("*", "-lo"), BY_DEVICE.keys()),  # the first that fits decides
        (("v0", "-v*", "*"), BY_DEVICE.keys() - {"v1"}),
        (("v?", "only*"), {"v0", "v1", "only0"}),
        (("-*",), ()),
        (("nosuch",), ()),
        ((), ()),
    ],
)
def test_patterns_choose_the_devices_whose_prefixes_are_announced(
    patterns, devices
) -> None:
    async def work(world: World) -> None:
        world.learning.follow(RedistributionPlan(direct=DirectSettings(patterns)))
        wanted = set().union(*(BY_DEVICE[device] for device in devices))
        await world.until(lambda: world.prefixes() == wanted)
        for prefix in wanted:
            assert world.present(prefix).attributes.origin == ORIGIN_IGP

    with_kernel(work, ADDRESSED, plain_sources)


def test_families_and_prefixes_choose_among_them_and_change_live() -> None:
    async def work(world: World) -> None:
        def follow(**choice: object) -> None:
            direct = DirectSettings(("*",), **choice)  # type: ignore[arg-type]
            world.learning.follow(RedistributionPlan(direct=direct))

        follow(families=(IPV6_UNICAST,))
        assert world.prefixes() == {prefix for prefix in EVERY if ":" in prefix}
        inside = ("10.10.0.0/16", "10.30.0.2/32", "fd20::/16")
        prefixes = tuple(
            (IPV6_UNICAST if ":" in each else IPV4_UNICAST, parse_prefix(each)[1])
            for each in inside
        )
        follow(prefixes=prefixes)
        chosen = {ANYCAST[0], "10.30.0.2/32", "fd20::1/128"}
        assert world.prefixes() == chosen
        follow()
        assert world.prefixes() == EVERY
        world.learning.follow(RedistributionPlan())
        assert world.prefixes() == set()

    with_kernel(work, ADDRESSED, plain_sources)


KERNEL_OWN = RedistributionPlan(LearnSettings(is_enabled=True, protocols=(2,)))


@pytest.mark.parametrize("is_direct", [True, False])
def test_an_address_that_a_health_check_moves_is_followed(is_direct) -> None:
    """By ``routes.direct``, and by ``routes.learn`` of what the kernel has by itself."""

    async def work(world: World) -> None:
        world.learning.follow(
            RedistributionPlan(direct=DirectSettings(("*",)))
            if is_direct
            else KERNEL_OWN
        )
        assert world.prefixes() >= {*ANYCAST}
        for prefix in ANYCAST:
            ip(f"address del {prefix} dev lo")
        await world.until(lambda: not world.prefixes() & {*ANYCAST})
        for prefix in ANYCAST:
            ip(f"address add {prefix} dev lo")
        await world.until(lambda: world.prefixes() >= {*ANYCAST})
        # On a second device, too: one of the two may go.
        ip(f"address add {ANYCAST[0]} dev only0")
        ip(f"address del {ANYCAST[0]} dev lo")
        ip("link set only0 down")
        await world.until(lambda: ANYCAST[0] not in world.prefixes())
        ip("link set only0 up")
        await world.until(lambda: ANYCAST[0] in world.prefixes())
        assert "169.254.9.9/32" not in world.prefixes()

    with_kernel(work, ADDRESSED, plain_sources)


def test_a_connected_prefix_goes_before_what_peers_say_of_it() -> None:
    async def work(world: World) -> None:
        speaker = world.speaker
        world.learning.follow(RedistributionPlan(direct=DirectSettings(("*",))))
        attributes = make_attributes(next_hop=parse_address("10.9.1.2"), local_pref=500)
        source = Source("gw", SourceKind.EBGP, address=parse_address("10.9.1.2"))
        path = Path(source, attributes, speaker.next_hops.get(attributes.next_hop))
        nlri = parse_prefix("10.9.0.0/24")[1]
        tables = speaker.tables[IPV4_UNICAST]
        tables.changed(tables.loc_rib.announce([nlri], path))
        assert world.present("10.9.0.0/24").source.name == "direct"

    with_kernel(work, ADDRESSED, plain_sources)
