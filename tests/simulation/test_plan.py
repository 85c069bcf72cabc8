"""A plan says what applying it then does: pairs of configurations, and peers that see the result."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any, Final

import pytest

from bgpd.config.convert import to_settings
from bgpd.config.document import parse_document
from bgpd.config.settings import DaemonSettings
from bgpd.config.validation import validate
from bgpd.daemon.running import Running
from bgpd.kernel.access import KernelAccess
from bgpd.kernel.former_places import FormerPlaces
from bgpd.preview.advertised import RouteChange
from bgpd.preview.preview import ChangePreview
from bgpd.runtime.fault_border import FaultBorder
from bgpd.wire.errors import CeaseSubcode
from fib.memory import MemoryFib
from rib.attributes import make_attributes
from rib.family import IPV4_UNICAST
from rib.nlri import Nlri, format_prefix
from rib.path_set import best_of, members_of
from tests.support.simnet import advance, run_virtually
from tests.support.speakers import ASN, PORT, Node, Rack

REST: Final = 150.0  # seconds: pacing, sessions that come back, deferral
EVERYTHING: Final = 10_000
AS_OF: Final = {2: ASN, 3: ASN, 4: ASN, 5: 64701, 6: 64702}
"""The neighbours: two clients or not, one that is none, and two of other ASes."""

Config = dict[str, Any]
Seen = dict[Nlri, bytes]

PREFIXES: Final = (
    "10.0.0.0/8",
    {"prefix": "10.0.0.0/8", "ge": 16, "le": 24},
    {"prefix": "10.3.0.0/16", "le": 32},
    {"prefix": "10.5.0.0/16", "le": 32},
    {"prefix": "0.0.0.0/0", "le": 32},
)


def a_term(random: Random) -> Config:
    match: Config = {}
    if random.random() < 0.6:
        match["prefixes"] = random.sample(PREFIXES, random.randint(1, 2))
    if random.random() < 0.3:
        match["communities"] = {"any": [random.choice(["64512:1", "64512:2"])]}
    if random.random() < 0.2:
        match["as_path"] = random.choice(["_64701_", "_64702$"])
    changes: Config = random.choice(
        [
            {},
            {},
            {"local_pref": random.choice([50, 200])},
            {"med": random.choice([5, 6])},
            {"communities": {"add": ["64512:3"]}},
            {"prepend": [64512]},
        ]
    )
    term: Config = {"action": random.choice(["accept", "accept", "reject", "next"])}
    if match:
        term["match"] = match
    if changes and term["action"] != "reject":
        term["set"] = changes
    return term


def a_policy(random: Random) -> Config:
    return {
        "terms": [a_term(random) for _ in range(random.randint(0, 3))],
        "default": random.choice(["accept", "accept", "reject"]),
    }


def a_peer(random: Random, network: str, number: int) -> Config:
    asn = AS_OF[number]
    peer: Config = {
        "address": f"{network}.{number}",
        "as": asn,
        "name": f"n{number}",
        "port": PORT,
        "local_address": f"{network}.1",
        "import_policy": random.choice(["accept-all", "p1", "p2"]),
        "export_policy": random.choice(["accept-all", "p1", "p3"]),
        "connect_retry_time": 1,
        "max_connect_retry_time": 5,
        "max_idle_hold_time": 5,
    }
    if asn == ASN:
        peer["client"] = random.random() < 0.5
        peer["next_hop"] = random.choice(["auto", "auto", "self-all"])
    else:
        peer["next_hop"] = random.choice(["auto", "keep"])
        peer["remove_private_as"] = random.choice(["off", "off", "all"])
        peer["as_override"] = random.random() < 0.2
    if random.random() < 0.2:
        peer["hold_time"] = random.choice([60, 30])
    if random.random() < 0.15:
        peer["default_originate"] = True
    if random.random() < 0.15:
        peer["allow_own_as"] = 1
    return peer


def an_originated(random: Random) -> Iterator[Config]:
    for prefix in ("10.9.0.0/16", "10.9.1.0/24", "10.3.1.0/24"):
        if random.random() < 0.5:
            route: Config = {"prefix": prefix}
            if random.random() < 0.5:
                route["med"] = random.choice([1, 2])
            yield route
    if random.random() < 0.5:
        yield {
            "prefix": "10.5.0.0/16",
            "aggregate": True,
            "summary_only": random.random() < 0.5,
        }
    if random.random() < 0.3:
        yield {"prefix": "10.8.0.0/16", "when": [{"prefix": "10.3.0.0/16", "le": 24}]}


def a_configuration(random: Random, network: str) -> Config:
    return {
        "bgp": {
            "as": ASN,
            "router_id": "10.0.0.1",
            "cluster_id": random.choice(["10.0.0.1", "10.0.0.1", "10.0.0.99"]),
            "advertisement_interval": 0,
            "listen": {"addresses": [f"{network}.1"], "port": PORT},
            "decision": {
                "always_compare_med": random.random() < 0.3,
                "ignore_as_path_length": random.random() < 0.2,
            },
        },
        "fib": {"mode": "off"},
        "peers": [
            a_peer(random, network, number)
            for number in AS_OF
            if random.random() < 0.85
        ],
        "policies": {name: a_policy(random) for name in ("p1", "p2", "p3")},
        "routes": {"originate": list(an_originated(random))},
    }


def changed(random: Random, before: Config, network: str) -> Config:
    """Return another configuration: of a few parts of this one, or of most."""
    other = a_configuration(random, network)
    after: Config = json.loads(json.dumps(before))
    share = random.choice([0.15, 0.4, 0.9])
    for part in ("routes", "policies"):
        if random.random() < share:
            after[part] = other[part]
    for key in ("cluster_id", "decision"):
        if random.random() < share / 2:
            after["bgp"][key] = other["bgp"][key]
    peers = {each["address"]: each for each in after["peers"]}
    others = {each["address"]: each for each in other["peers"]}
    for address in sorted(peers.keys() | others.keys()):
        if random.random() < share:
            if address in others:
                peers[address] = others[address]
            else:
                del peers[address]
    after["peers"] = list(peers.values())
    return after


def settings_of(content: Config) -> DaemonSettings:
    found, problems = validate(parse_document(json.dumps(content), "f"))
    assert found is not None, problems
    return to_settings(found)


class World:
    """A daemon's inner parts, and five speakers that tell it routes and hear what it tells."""

    def __init__(self, rack: Rack, random: Random) -> None:
        self.random = random
        self._rack = rack
        self.network = rack.network
        self.neighbours: dict[int, Node] = {}
        self.fib = MemoryFib()
        self.node: Node
        self.running: Running

    async def start(self, content: Config) -> None:
        settings = settings_of(content)
        self.node = await self._rack.node(
            1, asn=ASN, decision=settings.speaker.decision
        )
        speaker = self.node.speaker
        self.running = Running(
            speaker,
            KernelAccess(FormerPlaces("", settings.fib), self.fib),
            settings,
            identity=settings.speaker,
            desired=None,
            border=FaultBorder(),
        )
        self.running.deferral.peers_are_known()
        for number, asn in AS_OF.items():
            node = await self._rack.node(number, asn=asn)
            self.neighbours[number] = node
            node.peers_with(
                self.node,
                import_policy="accept-all",
                export_policy="accept-all",
                families=settings.speaker.defaults.families,
                allow_own_as=9,
                connect_retry_time=1,
                max_connect_retry_time=5,
                max_idle_hold_time=5,
                # Without it, a reset shows all that comes again.
                has_graceful_restart=self.random.random() < 0.5,
            )
            self._announce(node)
        speaker.set_identity(
            settings.speaker.router_id, settings.speaker.cluster_id, ASN
        )
        await self.running.change(settings, None)
        await advance(REST)

    async def close(self) -> None:
        self.running.close_inputs()
        await self.running.close(is_restart=False, flushes=False, text="")

    def _announce(self, node: Node) -> None:
        for network in range(6):
            for part in range(4):
                if self.random.random() < 0.5:
                    attributes = make_attributes(
                        next_hop=b"",
                        med=self.random.choice([None, 1, 2]),
                        communities=self.random.choice(
                            [(), (64512 << 16 | 1,), (64512 << 16 | 2,)]
                        ),
                    )
                    node.announce(f"10.{network}.{part}.0/24", attributes=attributes)

    def seen(self, number: int) -> Seen:
        """Return what a neighbour has received."""
        peer = self.neighbours[number].peer(self.node)
        rib = peer.ribs_in.get(IPV4_UNICAST)
        if rib is None:
            return {}
        table = rib.loc_rib.table
        found: Seen = {
            nlri: path.received.octets
            for nlri, entry in table.items()
            for path in members_of(entry)
            if path.source is rib.source
        }
        found |= {
            nlri: why.attributes.octets for (nlri, _), why in rib.filtered.items()
        }
        return found

    def best(self) -> dict[Nlri, object]:
        found: dict[Nlri, object] = {}
        for nlri, entry in self.node.table(IPV4_UNICAST).items():
            best = best_of(entry)
            if best is not None:
                found[nlri] = best.source.name, best.attributes.octets, best.weight
        return found

    def kernel(self) -> dict[Nlri, object]:
        """Return where each of our kernel routes leads."""
        return {each.nlri: each.target for each in self.fib.routes(IPV4_UNICAST)}

    def flaps(self) -> dict[int, int]:
        return {
            number: node.flaps(self.node) for number, node in self.neighbours.items()
        }

    def up(self) -> set[int]:
        return {n for n, node in self.neighbours.items() if node.is_up(self.node)}


def names(nlris: Any) -> list[str]:
    return sorted(format_prefix(nlri, IPV4_UNICAST.afi) for nlri in nlris)


def differences(before: Seen, after: Seen) -> dict[RouteChange, list[str]]:
    return {
        RouteChange.GAINED: names(after.keys() - before.keys()),
        RouteChange.LOST: names(before.keys() - after.keys()),
        RouteChange.CHANGED: names(
            nlri for nlri in before.keys() & after.keys() if before[nlri] != after[nlri]
        ),
    }


def planned(preview: ChangePreview, address: str) -> dict[RouteChange, list[str]]:
    for each in preview.peers:
        if each.family == IPV4_UNICAST and each.peer.settings.remote_addr == address:
            found = each.advertised
            assert {kind: len(found.first[kind]) for kind in RouteChange} == {
                kind: found.counts[kind] for kind in RouteChange
            }
            return {kind: names(found.first[kind]) for kind in RouteChange}
    return {kind: [] for kind in RouteChange}


async def compared(world: World, content: Config) -> None:
    """Plan, apply and compare."""
    settings = settings_of(content)
    preview = await world.running.preview(settings, None, None, EVERYTHING)
    seen = {number: world.seen(number) for number in world.up()}
    best, flaps, kernel = world.best(), world.flaps(), world.kernel()
    for _ in preview.run():
        pass
    assert world.best() == best, "nothing was applied"
    assert {number: world.seen(number) for number in world.up()} == seen
    await world.running.change(settings, None)
    await advance(REST)
    ended = {number for number, count in world.flaps().items() if count > flaps[number]}
    address_of = {n: f"{world.network}.{n}" for n in AS_OF}
    foretold = {
        number
        for number, address in address_of.items()
        for change in preview.sessions
        if change.step.name == address and change.ends_session
    }
    assert foretold == ended, [str(each.step) for each in preview.sessions]
    if any(each.peer is None for each in preview.sessions):
        return  # what new neighbours tell is not known
    for number, held in seen.items():
        after = world.seen(number) if number in world.up() else {}
        assert planned(preview, address_of[number]) == differences(held, after), (
            f"neighbour {number}"
        )
    best_moves = preview.best[IPV4_UNICAST]
    assert names(move.nlri for move in best_moves.first) == moved(best, world.best())
    kernel_moves = preview.kernel_routes[IPV4_UNICAST]
    assert names(move.nlri for move in kernel_moves.first) == moved(
        kernel, world.kernel()
    )


def moved(before: dict[Nlri, object], after: dict[Nlri, object]) -> list[str]:
    """Return the prefixes that one of two tables has otherwise, or alone."""
    kept = before.keys() & after.keys()
    return names(
        (before.keys() ^ after.keys())
        | {nlri for nlri in kept if before[nlri] != after[nlri]}
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_plan_is_what_applying_it_does(seed: int) -> None:
    random = Random(seed)

    async def scenario() -> None:
        async with Rack() as rack:
            world = World(rack, random)
            content = a_configuration(random, rack.network)
            await world.start(content)
            try:
                for _ in range(4):
                    content = changed(random, content, rack.network)
                    await compared(world, content)
            finally:
                await world.close()

    run_virtually(scenario(), seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 104))
def test_a_plan_goes_on_while_its_peers_come_and_go(seed: int) -> None:
    random = Random(seed)

    async def scenario() -> None:
        async with Rack() as rack:
            world = World(rack, random)
            content = a_configuration(random, rack.network)
            await world.start(content)
            try:
                for _ in range(6):
                    wanted = settings_of(changed(random, content, rack.network))
                    preview = await world.running.preview(wanted, None, None, 5)
                    for number, _step in enumerate(preview.run()):
                        if number % 7 == 0:
                            await stir(world, random)
                    assert all(
                        len(each.advertised.first[kind]) <= 5
                        for each in preview.peers
                        for kind in RouteChange
                    )
                    await world.running.change(settings_of(content), None)
                    await advance(REST)
            finally:
                await world.close()

    run_virtually(scenario(), seed)


async def stir(world: World, random: Random) -> None:
    """Lose a session or a peer, or change what a neighbour tells."""
    speaker = world.node.speaker
    what, address = random.randrange(3), random.choice(["", *speaker.peers])
    if what == 0 and address:
        speaker.peers[address].driver.stop(
            subcode=CeaseSubcode.ADMINISTRATIVE_RESET, text="", hard=True
        )
    elif what == 1 and address:
        speaker.neighbours.remove(address)
    else:
        node = world.neighbours[random.choice([*world.neighbours])]
        node.withdraw(f"10.{random.randrange(6)}.{random.randrange(4)}.0/24")
    await advance(random.choice([0, 0, 0.1, 3]))
