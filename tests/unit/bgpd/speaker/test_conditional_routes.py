"""Routes of our own that rest on others: aggregates, and defaults with conditions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from bgpd.config.loader import load
from bgpd.config.settings import DaemonSettings
from bgpd.node.reconciler import Reconciler
from bgpd.pipeline.local_sources import plain_sources
from bgpd.speaker.conditional_routes import Conditional, ConditionalRoutes
from rib.attributes import make_attributes
from rib.family import IPV4_UNICAST
from rib.nlri import format_prefix, make_nlri, parse_prefix
from rib.policy import PrefixMatch, prefix_entry
from tests.support.simnet import on_virtual_time
from tests.support.speakers import Node, Rack, until

PLAIN = make_attributes(next_hop=b"")


def nlri(text: str) -> bytes:
    return parse_prefix(text)[1]


class World:
    """A speaker with routes of the file, and a peer that sends and receives routes."""

    def __init__(self, a: Node, b: Node, folder: Path) -> None:
        self.a, self.b = a, b
        self.reconciler = Reconciler(a.speaker, plain_sources())
        self._file = folder / "pybgpd.yaml"
        self._peers = (a.settings(b, import_policy="", export_policy=""),)

    def originate(self, routes: str) -> None:
        head = "bgp: {as: 64512, router_id: 10.0.0.1}\n"
        self._file.write_text(f"{head}routes: {{originate: [{routes}]}}")
        settings = load(self._file, environment={}).settings
        self.apply(settings)

    def apply(self, settings: DaemonSettings) -> None:
        self.reconciler.apply_settings(replace(settings, peers=self._peers))

    def told(self) -> set[str]:
        return self.b.prefixes()

    async def tells(self, *prefixes: str) -> None:
        await until(lambda: self.told() == set(prefixes), what=str(self.told()))


@asynccontextmanager
async def a_world(folder: Path) -> AsyncIterator[World]:
    async with Rack() as rack:
        a, b = [await rack.node(n, asn=64512) for n in (1, 2)]
        a.speaker.set_identity("10.0.0.1", "", 64512)
        b.peers_with(a)
        world = World(a, b, folder)
        yield world
        assert a.flaps(b) == 0


@pytest.mark.rfc("4271", "9.2.2.2", "SHOULD")
@on_virtual_time
async def test_an_aggregate_comes_and_goes_with_what_is_inside(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        a = world.a
        a.announce("10.1.0.0/24", "11.0.0.0/24")
        world.originate("{prefix: 10.0.0.0/8, aggregate: on}")
        await world.tells("10.0.0.0/8", "10.1.0.0/24", "11.0.0.0/24")
        path = world.b.best("10.0.0.0/8")
        assert path is not None
        assert path.attributes.atomic_aggregate
        assert path.attributes.aggregator == (64512, bytes((10, 0, 0, 1)))
        assert str(path.attributes.as_path) == ""
        a.announce("10.2.0.0/24")
        a.withdraw("10.1.0.0/24")
        await world.tells("10.0.0.0/8", "10.2.0.0/24", "11.0.0.0/24")
        a.withdraw("10.2.0.0/24")
        await world.tells("11.0.0.0/24")
        a.announce("10.3.0.0/24")
        await world.tells("10.0.0.0/8", "10.3.0.0/24", "11.0.0.0/24")
        world.originate("")
        await world.tells("10.3.0.0/24", "11.0.0.0/24")


@on_virtual_time
async def test_a_summary_hides_what_is_inside_while_it_is_there(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        a = world.a
        a.announce("10.1.0.0/24", "11.0.0.0/24")
        world.originate("{prefix: 10.0.0.0/8, aggregate: on, summary_only: on}")
        await world.tells("10.0.0.0/8", "11.0.0.0/24")
        a.announce("10.2.0.0/24")
        a.withdraw("10.1.0.0/24")
        a.announce("12.0.0.0/24")
        await world.tells("10.0.0.0/8", "11.0.0.0/24", "12.0.0.0/24")
        world.originate("{prefix: 10.0.0.0/8, aggregate: on}")
        await world.tells("10.0.0.0/8", "10.2.0.0/24", "11.0.0.0/24", "12.0.0.0/24")
        world.originate("{prefix: 10.0.0.0/8, aggregate: on, summary_only: on}")
        await world.tells("10.0.0.0/8", "11.0.0.0/24", "12.0.0.0/24")
        a.withdraw("10.2.0.0/24")
        await world.tells("11.0.0.0/24", "12.0.0.0/24")


@on_virtual_time
async def test_a_default_is_advertised_while_a_route_is_there(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        condition = "when: [{prefix: 198.51.100.0/22, le: 24}, 192.0.2.0/24]"
        world.originate(f"{{prefix: 0.0.0.0/0, {condition}}}")
        world.a.announce("10.0.0.0/8", "198.51.100.0/25")
        await world.tells("10.0.0.0/8", "198.51.100.0/25")
        world.a.announce("198.51.101.0/24")
        await world.tells(
            "0.0.0.0/0", "10.0.0.0/8", "198.51.100.0/25", "198.51.101.0/24"
        )
        world.originate(f"{{prefix: 0.0.0.0/0, {condition}, med: 5}}")
        await until(lambda: (p := world.b.best("0.0.0.0/0")) and p.attributes.med == 5)
        world.a.withdraw("198.51.101.0/24")
        await world.tells("10.0.0.0/8", "198.51.100.0/25")


@on_virtual_time
async def test_a_fallback_gives_way_to_any_other_route(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        world.originate("{prefix: 0.0.0.0/0, fallback: on, med: 7}")
        await world.tells("0.0.0.0/0")
        world.b.announce("0.0.0.0/0")
        peers = world.a.peer(world.b)

        def best() -> str:
            path = world.a.best("0.0.0.0/0")
            return "" if path is None else path.source.name

        await until(lambda: best() == peers.settings.name)
        world.b.withdraw("0.0.0.0/0")
        await until(lambda: best() == "networks")


@on_virtual_time
async def test_conditions_hold_by_what_the_table_has_at_the_end() -> None:
    """Whatever comes and goes in whatever order, and while the table is gone through."""
    random = Random(7)
    async with Rack() as rack:
        node = await rack.node(1, listens=False)
        speaker, origins = node.speaker, plain_sources()
        routes = ConditionalRoutes(speaker)
        wanted = {
            (IPV4_UNICAST, nlri(text)): Conditional(
                PLAIN,
                origins.networks,
                PrefixMatch(tuple(prefix_entry(p, le=24) for p in when)),
                hides_inside=number % 2 == 0,
            )
            for number, (text, when) in enumerate(
                (
                    ("10.0.0.0/8", ["10.0.0.0/9"]),
                    ("0.0.0.0/0", ["10.1.0.0/16", "0.0.0.0/1"]),
                    ("10.1.0.0/16", ["10.1.0.0/17"]),
                )
            )
        }
        there: set[str] = set()
        for _ in range(60):
            number = random.randint(0, 2**16 - 1)
            prefix = format_prefix(
                make_nlri(bytes((10, number >> 14, number >> 6 & 0xFF, 0)), 24)
            )
            if there and random.random() < 0.6:
                gone = there.pop()
                node.withdraw(gone)
            else:
                there.add(prefix)
                node.announce(prefix)
            if random.random() < 0.2:
                routes.follow(
                    {k: v for k, v in wanted.items() if random.random() < 0.7}
                )
            if random.random() < 0.5:
                await until(lambda: not speaker.tables[IPV4_UNICAST].pending_count)
        routes.follow(wanted)

        def announced() -> set[str]:
            return node.prefixes() - there

        inner = any(
            nlri(prefix)[1:3] == b"\x0a\x01" and nlri(prefix)[3] < 128
            for prefix in there
        )
        expected = {"10.0.0.0/8", "0.0.0.0/0"} if there else set()
        expected |= {"10.1.0.0/16"} if inner else set()
        await until(lambda: announced() == expected, what=f"{announced()} {expected}")


@on_virtual_time
async def test_one_peer_gets_a_default_whatever_its_policy_says(
    tmp_path: Path,
) -> None:
    async with Rack() as rack:
        a, b, c = [await rack.node(n, asn=64512) for n in (1, 2, 3)]
        reconciler = Reconciler(a.speaker, plain_sources())
        file = tmp_path / "pybgpd.yaml"

        def configure(
            *, originates_default: bool, policy: str = "reject-all", routes: str = "[]"
        ) -> None:
            text = "bgp: {as: 64512, router_id: 10.0.0.1}\n"
            file.write_text(f"{text}routes: {{originate: {routes}}}")
            settings = load(file, environment={}).settings
            mine = a.settings(
                b, export_policy=policy, originates_default=originates_default
            )
            peers = mine, a.settings(c, is_client=True)
            reconciler.apply_settings(replace(settings, peers=peers))

        configure(originates_default=True)
        b.peers_with(a)
        c.peers_with(a)
        a.announce("10.1.0.0/16")
        await until(lambda: c.prefixes() == {"10.1.0.0/16"})
        await until(lambda: b.prefixes() == {"0.0.0.0/0", "::/0"} or _only_ipv4(b))
        default = b.best("0.0.0.0/0")
        assert default is not None
        assert str(default.attributes.as_path) == ""

        # One from elsewhere goes before ours; it goes, and ours is back.
        c.announce("0.0.0.0/0", attributes=make_attributes(next_hop=b"", med=9))
        await until(lambda: (p := b.best("0.0.0.0/0")) and p.attributes.med == 9)
        c.withdraw("0.0.0.0/0")
        await until(lambda: (p := b.best("0.0.0.0/0")) and p.attributes.med is None)
        assert c.prefixes() == {"10.1.0.0/16"}

        # What an operator announces replaces it, on a condition too.
        routes = "[{prefix: 0.0.0.0/0, fallback: on, when: [10.2.0.0/16]}]"
        configure(originates_default=True, routes=routes)
        await until(lambda: b.best("0.0.0.0/0") is None)
        a.announce("10.2.0.0/16")
        await until(lambda: b.best("0.0.0.0/0"))
        configure(originates_default=False)
        await until(lambda: b.best("0.0.0.0/0") is None)
        configure(originates_default=True, policy="accept-all")
        await until(lambda: b.best("0.0.0.0/0") and b.best("10.1.0.0/16"))
        assert not a.flaps(b) + a.flaps(c)


@on_virtual_time
async def test_a_default_for_one_peer_has_a_condition_and_a_policy(
    tmp_path: Path,
) -> None:
    async with Rack() as rack:
        a, b, c = [await rack.node(n, asn=64512) for n in (1, 2, 3)]
        reconciler = Reconciler(a.speaker, plain_sources())
        file = tmp_path / "pybgpd.yaml"
        policy = """
policies:
  of-defaults:
    terms:
      - match: {prefixes: [10.0.0.0/8]}
        set: {local_pref: 7}
        action: accept
      - match: {prefixes: [{prefix: 0.0.0.0/0, le: 8}]}
        set: {local_pref: LOCAL_PREF}
        action: next
    default: VERDICT
"""

        def configure(
            local_pref: int = 200,
            verdict: str = "accept",
            when: str | None = "10.2.0.0/16",
        ) -> None:
            text = policy.replace("LOCAL_PREF", str(local_pref))
            text = text.replace("VERDICT", verdict)
            file.write_text(f"bgp: {{as: 64512, router_id: 10.0.0.1}}\n{text}")
            settings = load(file, environment={}).settings
            condition = None if when is None else PrefixMatch((prefix_entry(when),))
            mine = a.settings(
                b,
                export_policy="reject-all",
                originates_default=True,
                default_policy="of-defaults",
                default_when=condition,
            )
            others = a.settings(c, originates_default=True)
            reconciler.apply_settings(replace(settings, peers=(mine, others)))

        def heard() -> int | None:
            default = b.best("0.0.0.0/0")
            return None if default is None else default.attributes.local_pref

        configure()
        b.peers_with(a)
        c.peers_with(a)
        await until(lambda: c.best("0.0.0.0/0"))
        a.announce("10.1.0.0/16")
        await until(lambda: c.best("10.1.0.0/16"))
        assert heard() is None
        a.announce("10.2.0.0/16")
        await until(lambda: heard() == 200)
        assert b.best("10.2.0.0/16") is None
        a.withdraw("10.2.0.0/16")
        await until(lambda: heard() is None)
        configure(when="10.1.0.0/16")
        await until(lambda: heard() == 200)
        configure(300, when="10.1.0.0/16")
        await until(lambda: heard() == 300)
        configure(verdict="reject", when="10.1.0.0/16")
        await until(lambda: heard() is None)
        configure(when=None)
        await until(lambda: heard() == 200)
        configure()
        await until(lambda: heard() is None)
        assert c.best("0.0.0.0/0") is not None
        assert not a.flaps(b) + a.flaps(c)


def _only_ipv4(node: Node) -> bool:
    """Whether a default came where the loopback has an address for its next hop."""
    return node.prefixes() == {"0.0.0.0/0"}
