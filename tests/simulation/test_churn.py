"""Five speakers, links that fail and routes that come and go: at rest all is as if made from scratch."""

from itertools import combinations
from random import Random

import pytest

from bgpd.speaker.speaker import Speaker
from rib.attributes import PathAttributes, make_attributes
from rib.family import IPV4_UNICAST
from rib.nlri import format_prefix
from rib.path_set import best_of, members_of
from tests.support.simnet import advance, run_virtually, sim
from tests.support.speakers import Node, Rack

COUNT = 5
PREFIXES = tuple(f"10.{n}.0.0/16" for n in range(6))
REST = (
    400.0  # seconds: longer than hold time, restart time, back-off and pacing together
)

Origins = dict[tuple[int, str], int]
"""What each node announces: number and prefix, to a MED."""


def attributes(med: int) -> PathAttributes:
    return make_attributes(next_hop=b"", med=med)


class Network:
    """Five speakers.

    Args:
        rack: Has them.
        random: Decides what happens.
        has_reflectors: Two reflect the routes of the three others, all of one AS; else each
            has an AS of its own, and a session with each other.
    """

    def __init__(
        self, rack: Rack, random: Random, *, has_reflectors: bool = False
    ) -> None:
        self._rack = rack
        self._random = random
        self._has_reflectors = has_reflectors
        pairs = combinations(range(COUNT), 2)
        self.links = {
            (one, other) for one, other in pairs if one < 2 or not has_reflectors
        }
        self.nodes: list[Node] = []
        self.origins: Origins = {}
        self.cuts: set[tuple[int, int]] = set()

    async def start(self) -> None:
        for number in range(COUNT):
            asn = 64601 if self._has_reflectors else 64601 + number
            self.nodes.append(await self._rack.node(number + 1, asn=asn))
        for one, other in sorted(self.links):
            for here, there in ((one, other), (other, one)):
                self.nodes[here].peers_with(
                    self.nodes[there],
                    is_client=self._has_reflectors and here < 2 <= there,
                    hold_time=9,
                    graceful_restart_time=20,
                    import_policy="accept-all",
                    export_policy="accept-all",
                    connect_retry_time=1,
                    max_connect_retry_time=10,
                    max_idle_hold_time=10,
                )

    def put(self, number: int, prefix: str, med: int) -> None:
        self.origins[number, prefix] = med
        self.nodes[number].announce(prefix, attributes=attributes(med))

    def drop(self, number: int, prefix: str) -> None:
        if self.origins.pop((number, prefix), None) is not None:
            self.nodes[number].withdraw(prefix)

    def link(self, one: int, other: int) -> tuple[str, str]:
        return self.nodes[one].addr, self.nodes[other].addr

    def step(self) -> None:
        """Do something at random."""
        random = self._random
        number, prefix = random.randrange(COUNT), random.choice(PREFIXES)
        one, other = sorted(random.sample(range(COUNT), 2))
        match random.choice(("put", "put", "drop", "cut", "mend", "reset", "slow")):
            case "put":
                self.put(number, prefix, random.randrange(3))
            case "drop":
                self.drop(number, prefix)
            case "cut":
                self.cuts.add((one, other))
                sim().cut(*self.link(one, other))
            case "mend":
                self.cuts.discard((one, other))
                sim().mend(*self.link(one, other))
            case "reset":
                here, there = self.link(one, other)
                sim().host(here).reset_connections(sim().host(there))
            case "slow":
                seconds = random.choice((0.0005, 0.05, 2.0))
                sim().set_latency(seconds, *self.link(one, other))

    def mend_all(self, kept: set[tuple[int, int]]) -> None:
        """Mend all links but some."""
        for one, other in combinations(range(COUNT), 2):
            (sim().cut if (one, other) in kept else sim().mend)(*self.link(one, other))
            sim().set_latency(0.0005, *self.link(one, other))
        self.cuts = set(kept)

    def tables(self) -> list[dict[str, list[str]]]:
        """Return each node's table: for each prefix its best path, then all others."""
        return [table_of(node.speaker) for node in self.nodes]

    def sessions(self) -> set[tuple[int, int]]:
        """Return who is up with whom."""
        return {
            (one, other)
            for one, other in self.links
            if self.nodes[one].is_up(self.nodes[other])
            and self.nodes[other].is_up(self.nodes[one])
        }


def table_of(speaker: Speaker) -> dict[str, list[str]]:
    rib = speaker.tables[IPV4_UNICAST].loc_rib
    found: dict[str, list[str]] = {}
    for nlri, entry in rib.table.items():
        best = best_of(entry)
        paths = [
            f"{path.source.name} {path.attributes.octets.hex()}"
            for path in members_of(entry)
        ]
        assert best is not None
        first = f"{best.source.name} {best.attributes.octets.hex()}"
        found[format_prefix(nlri, IPV4_UNICAST.afi)] = [first, *sorted(paths)]
    return found


async def from_scratch(
    origins: Origins, cuts: set[tuple[int, int]], *, has_reflectors: bool
) -> list[dict[str, list[str]]]:
    """Return what a network comes to that never was another."""
    async with Rack() as rack:
        network = Network(rack, Random(0), has_reflectors=has_reflectors)
        await network.start()
        network.mend_all(cuts)
        await advance(60)
        for (number, prefix), med in origins.items():
            network.put(number, prefix, med)
        await advance(120)
        return network.tables()


def churn(seed: int, *, has_reflectors: bool = False) -> None:
    """Let a network live for some minutes, then compare it at rest."""
    random = Random(seed)
    left: list[object] = []

    async def scenario() -> None:
        sim().most_octets = random.choice((50, 65_483))
        async with Rack() as rack:
            network = Network(rack, random, has_reflectors=has_reflectors)
            await network.start()
            await advance(15)
            for _ in range(60):
                network.step()
                await advance(random.choice((0.0, 0.01, 0.3, 3.0, 12.0)))
            network.mend_all({(0, 1), (1, 3)} if seed % 2 else set())
            await advance(REST)
            assert network.sessions() == network.links - network.cuts
            left.extend((network.tables(), network.origins, network.cuts))

    run_virtually(scenario(), seed)
    tables, origins, cuts = left

    async def again() -> None:
        assert tables == await from_scratch(
            origins,  # type: ignore[arg-type]
            cuts,  # type: ignore[arg-type]
            has_reflectors=has_reflectors,
        )

    run_virtually(again(), seed)


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))]


@pytest.mark.parametrize("seed", SEEDS)
def test_at_rest_all_tables_are_those_of_a_network_made_from_scratch(seed: int) -> None:
    churn(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_at_rest_reflectors_and_clients_are_as_if_made_from_scratch(seed: int) -> None:
    churn(seed, has_reflectors=True)
