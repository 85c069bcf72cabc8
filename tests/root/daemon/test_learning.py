"""What stands in a real kernel becomes a candidate for announcement."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bgpd.config.settings import DirectSettings, LearnSettings
from bgpd.daemon.learning import Learning, LearnPlan
from bgpd.daemon.origins import calico_origins
from bgpd.daemon.speaker import Speaker
from fib.kernel_policy import MAX_METRIC
from fib.kernel_view import KernelView
from rib.attributes import ORIGIN_IGP, ORIGIN_INCOMPLETE
from rib.family import IPV4_UNICAST
from rib.nlri import parse_address, parse_prefix
from rib.path import Path
from rib.path_set import best_of
from tests.support.kernel_namespace import ip, namespace

pytestmark = pytest.mark.root

ROUTES = LearnSettings(is_enabled=True)
PLAIN = LearnPlan(ROUTES)
CALICO = LearnPlan(
    ROUTES,
    DirectSettings(("-cali*", "*")),
    is_calico=True,
    local_pref={IPV4_UNICAST: MAX_METRIC - 1024},
    workload_interfaces=("cali*",),
)
OLD_CALICO = LearnPlan(ROUTES, DirectSettings(("*",)), is_calico=True)

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
    def __init__(self, speaker: Speaker, learning: Learning) -> None:
        self.speaker = speaker
        self.learning = learning

    def path(self, prefix: str) -> Path | None:
        table = self.speaker.tables[IPV4_UNICAST].loc_rib.table
        return best_of(table.get(parse_prefix(prefix)[1]))

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


def with_kernel(work: Callable[[World], Awaitable[None]]) -> None:
    async def scenario() -> None:
        view = KernelView()
        await view.start()
        speaker = Speaker(asyncio.get_running_loop(), "10.0.0.1", seed=1)
        learning = Learning(speaker, view, calico_origins())
        try:
            await work(World(speaker, learning))
        finally:
            learning.close()
            await speaker.close()
            await view.close()

    with namespace():
        for command in COMMANDS:
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
        # A low metric of what is no workload is another matter.
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
        world.learning.follow(LearnPlan())
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
