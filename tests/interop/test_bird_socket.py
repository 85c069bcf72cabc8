"""BIRD's own clients look at us: what they print, and what Calico reads of it."""

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bgpd.api.bird import BirdServer
from bgpd.api.line_server import Limits
from bgpd.session.gr_restarting_speaker import Progress
from bgpd.session.settings import FamilySettings
from bgpd.show.actions import DaemonActions
from bgpd.show.bird import dialect
from bgpd.show.bird.commands import BirdCommands
from bgpd.show.state import DaemonView
from bgpd.speaker.selection_deferral import Report
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import parse_prefix
from tests.support.scripted_peer import ScriptedPeer, an_open, an_update
from tests.support.speakers import ASN, PORT, Node, Rack, until
from tests.support.world import AProcess

GOLDEN = Path(__file__).parents[1] / "golden" / "bird"
VERSION = "v0.3.3+birdv1.6.8"
REPORT = Report(Progress(1, 5.2, 60.0), (), (IPV4_UNICAST,), {"10.0.0.9": None}, True)
CLIENTS = [p for p in ("/usr/sbin/birdcl", "/usr/sbin/birdc") if shutil.which(p)]
PEERS, ROUTES = 100, 100  # routes of each peer

pytestmark = pytest.mark.skipif(not CLIENTS, reason="bird2 is not installed")


class World:
    """A speaker with sessions, BIRD's socket over it, and BIRD's clients."""

    def __init__(self, node: Node, folder: Path) -> None:
        self.node = node
        self.path = str(folder / "bird.ctl")
        self.ended: list[bool] = []
        loop = asyncio.get_running_loop()
        self.view = DaemonView(
            node.speaker,
            loop.time(),
            actions=DaemonActions(node.speaker, self._reload, self._end),
        )

    async def _reload(self, *, allows_resets: bool) -> list[str]:
        assert not allows_resets
        return []

    def _end(self, *, flushes: bool, text: str) -> None:
        assert not text
        self.ended.append(flushes)

    @contextlib.asynccontextmanager
    async def served(
        self, family: Family = IPV4_UNICAST, limits: Limits | None = None
    ) -> AsyncIterator[None]:
        answers = BirdCommands(self.view, dialect.first(family, VERSION))
        server = BirdServer(self.path, answers, limits)
        await server.start()
        try:
            yield
        finally:
            await server.close()

    async def ask(
        self, command: str, client: str = CLIENTS[0] if CLIENTS else ""
    ) -> str:
        process = await asyncio.create_subprocess_exec(
            client,
            "-s",
            self.path,
            *command.split(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        octets, _ = await asyncio.wait_for(process.communicate(), 30)
        return octets.decode()

    async def raw(self, command: str) -> list[str]:
        """Return the lines of an answer as they are sent, greeting first."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.write(command.encode() + b"\n")
        lines: list[str] = []
        while len(lines) < 2 or not re.match(r"\d{4} ", lines[-1]):
            line = await asyncio.wait_for(reader.readline(), 2)  # Calico's patience
            assert line.endswith(b"\n")
            lines.append(line.decode().rstrip("\n"))
        writer.close()
        await writer.wait_closed()
        return lines


def with_world(
    work: Callable[[World], Awaitable[None]], peers: int = 2, routes: int = 2
) -> None:
    async def scenario() -> None:
        folder = Path(tempfile.mkdtemp(prefix="pybgpd-bird-"))
        try:
            async with Rack() as rack, contextlib.AsyncExitStack() as stack:
                node = await rack.node(1)
                world = World(node, folder)
                for number in range(peers):
                    await _join(world, stack, rack.network, number, routes)
                table = node.table(IPV4_UNICAST)
                await until(lambda: len(table) == peers * routes)
                node.speaker.tables[IPV4_UNICAST].flush_now()
                await work(world)
        finally:
            shutil.rmtree(folder)

    asyncio.run(scenario())


async def _join(
    world: World,
    stack: contextlib.AsyncExitStack,
    network: str,
    number: int,
    routes: int,
) -> None:
    addr = f"{network}.{number + 2}"
    node = world.node
    node.peers_with(
        addr,
        name=f"Mesh_{addr.replace('.', '_')}",
        is_passive=True,
        families=(FamilySettings(IPV4_UNICAST),),
    )
    peer = await stack.enter_async_context(ScriptedPeer(addr, node.addr, PORT))
    await peer.establish(an_open(ASN, f"10.0.0.{number + 2}", families=(IPV4_UNICAST,)))
    nlris = [
        parse_prefix(
            f"10.{100 + number // 4}.{64 * (number % 4) + n // 4}.{64 * (n % 4)}/26"
        )[1]
        for n in range(routes)
    ]
    peer.send(an_update(nlris, next_hop=addr))


def normal(text: str, network: str) -> str:
    """Take out what differs from run to run: times, and the loopback network."""
    text = re.sub(r"\b\d\d:\d\d:\d\d\b", "HH:MM:SS", text)
    text = re.sub(r"\d{4}-\d\d-\d\d", "YYYY-MM-DD", text)
    text = re.sub(r"(timer:\s+)\d+/", r"\1N/", text)
    text = text.replace(network, "127.0.0")
    return text.replace(network.replace(".", "_"), "127_0_0")


def compare(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text


def test_a_node_of_a_hundred_peers_and_ten_thousand_routes() -> None:
    async def work(world: World) -> None:
        network = world.node.addr.rpartition(".")[0]
        async with world.served():
            protocols = normal(await world.ask("show protocols"), network)
            routes = normal(await world.ask("show route"), network)
            count = await world.ask("show route count")
        compare("protocols.txt", protocols)
        lines = routes.splitlines()
        assert len(lines) == 1 + PEERS * ROUTES
        digest = hashlib.sha256(routes.encode()).hexdigest()
        excerpt = [*lines[:40], "...", *lines[-20:], f"sha256 {digest}"]
        compare("routes.txt", "\n".join(excerpt) + "\n")
        assert count.endswith("10000 of 10000 routes for 10000 networks\n")

    with_world(work, PEERS, ROUTES)


@pytest.mark.parametrize("client", CLIENTS)
def test_both_of_bird_s_clients_print_what_we_say(client: str) -> None:
    async def work(world: World) -> None:
        async with world.served():
            status = await world.ask("show status", client)
            assert status.splitlines()[0].endswith("ready.")
            assert "Router ID is 10.0.0.1\n" in status
            assert status.endswith("Daemon is up and running\n")
            protocols = await world.ask("show protocols", client)
            assert protocols.count("Established") == 2
            nothing = await world.ask("show nothing", client)
            assert "ready." in nothing

    with_world(work)


def test_one_protocol_in_full() -> None:
    async def work(world: World) -> None:
        network = world.node.addr.rpartition(".")[0]
        async with world.served():
            name = f"Mesh_{network.replace('.', '_')}_2"
            text = await world.ask(f"show protocols all {name}")
        compare("protocol-all.txt", normal(text, network))

    with_world(work)


def test_routes_by_address_prefix_protocol_and_export() -> None:
    async def work(world: World) -> None:
        world.node.announce("10.1.0.0/16")
        world.node.speaker.tables[IPV4_UNICAST].flush_now()
        network = world.node.addr.rpartition(".")[0]
        name = f"Mesh_{network.replace('.', '_')}_2"

        async def prefixes(query: str) -> list[str]:
            text = await world.ask(f"show route {query}")
            return [line.split()[0] for line in text.splitlines()[1:] if line]

        async with world.served():
            assert await prefixes("for 10.100.0.70") == ["10.100.0.64/26"]
            assert await prefixes("10.100.0.0/26") == ["10.100.0.0/26"]
            mine = ["10.100.0.0/26", "10.100.0.64/26"]
            assert await prefixes(f"protocol {name}") == mine
            assert await prefixes("protocol static1") == ["10.1.0.0/16"]
            # What iBGP peers told goes to no other, and nothing goes back.
            assert await prefixes(f"export {name}") == ["10.1.0.0/16"]
            assert await prefixes(f"noexport {name} primary") != ["10.1.0.0/16"]
            verbose = await world.ask("show route 10.100.0.0/26 all")
            assert f"\tBGP.next_hop: {network}.2\n" in verbose
            assert "\tBGP.local_pref: 100\n" in verbose
            for query, error in (
                ("for 192.0.2.1", "Network not in table"),
                ("protocol unknown", "syntax error, unexpected 'unknown'"),
                ("where net = 1", "Incompatible types: prefix = int"),
                ("for", "syntax error, unexpected END"),
                ("table other", "there is no table 'other', only master"),
            ):
                assert error in await world.ask(f"show route {query}")

    with_world(work)


def test_sessions_are_disabled_enabled_restarted_and_reloaded() -> None:
    async def work(world: World) -> None:
        network = world.node.addr.rpartition(".")[0]
        name = f"Mesh_{network.replace('.', '_')}_2"
        peer = world.node.peer(f"{network}.2")
        async with world.served():
            assert f"{name}: reloading" in await world.ask(f"reload in {name}")
            assert f"{name}: disabled" in await world.ask(f"disable {name}")
            assert f"{name}: already disabled" in await world.ask(f"disable {name}")
            row = next(
                line
                for line in (await world.ask("show protocols")).splitlines()
                if line.startswith(name)
            )
            assert row.split()[3] == "down"
            assert row.split()[5] == "Down"
            assert f"{name}: enabled" in await world.ask(f"enable {name}")
            assert peer.driver.session.is_started
            assert "No protocols match" in await world.ask("restart unknown")
            assert "Reconfigured" in await world.ask("configure")
            assert "Configuration OK" in await world.ask("configure check")
            assert "Shutdown requested" in await world.ask("down")
            await until(lambda: world.ended == [False])

    with_world(work)


def test_a_restricted_client_changes_nothing() -> None:
    async def work(world: World) -> None:
        async with world.served():
            process = await asyncio.create_subprocess_exec(
                CLIENTS[0],
                "-r",
                "-s",
                world.path,
                "configure",
                stdout=asyncio.subprocess.PIPE,
            )
            octets, _ = await asyncio.wait_for(process.communicate(), 30)
        assert b"Access restricted" in octets
        assert b"Access denied" in octets

    with_world(work)


# -- what Calico's programs read ----------------------------------------------------------

ROUTE = re.compile(
    r"^(\S*)\s+(?:via \S+ on \S+|dev \S+|blackhole|unreachable)"
    r" \[(?:kernel|static|direct|(?:Mesh|Node|Global)_\S+)\S* \S+(?: from \S+)?\]"
)


def test_answers_are_what_calico_s_parsers_take() -> None:
    async def work(world: World) -> None:
        world.node.announce("10.1.0.0/16")
        network = world.node.addr.rpartition(".")[0]
        name = f"Mesh_{network.replace('.', '_')}_2"
        async with world.served():
            greeting, *lines = await world.raw("show protocols")
            assert greeting == f"0001 BIRD {VERSION} ready."
            assert all(line.startswith((" ", "2002", "1002", "0000")) for line in lines)
            heading = lines[0].removeprefix("2002-").split()
            assert heading == ["name", "proto", "table", "state", "since", "info"]
            rows = [re.sub(r"^(1002-| )", "", line).split() for line in lines[1:-1]]
            sessions = [row for row in rows if row[1] == "BGP"]
            assert len(sessions) == 2
            assert all(len(row) >= 6 and row[5] == "Established" for row in sessions)
            assert lines[-1] == "0000 "
            _, *lines = await world.raw(f"show protocols all {name}")
            values = {
                key: line.replace(key, "").strip()
                for line in lines
                for key in ("BGP state:", "Neighbor address:")
                if key in line
            }
            assert values == {
                "BGP state:": "Established",
                "Neighbor address:": f"{network}.2",
            }
            _, *lines = await world.raw("show status")
            assert lines[0] == f"1000-BIRD {VERSION}"
            assert lines[1] == "1011-Router ID is 10.0.0.1"
            assert lines[2].startswith(" Current server time is 20")
            assert lines[3].startswith(" Last reboot on 20")
            assert lines[4].startswith(" Last reconfiguration on 20")
            assert lines[5] == "0013 Daemon is up and running"
            _, *lines = await world.raw("show route")
            routes = [
                line.removeprefix("1007-").removeprefix(" ") for line in lines[:-1]
            ]
            assert routes
            assert all(ROUTE.match(route) for route in routes)

    with_world(work)


def test_the_other_family_has_a_socket_of_its_own() -> None:
    async def work(world: World) -> None:
        async with world.served(IPV6_UNICAST):
            _, *lines = await world.raw("show protocols")
        assert not any("BGP" in line for line in lines)
        assert lines[-1] == "0000 "

    with_world(work)


def test_a_recovery_under_way_is_shown() -> None:
    async def work(world: World) -> None:
        from dataclasses import replace  # noqa: PLC0415

        world.view = replace(world.view, process=AProcess(report=lambda: REPORT))
        async with world.served():
            _, *lines = await world.raw("show status")
        assert lines[5:] == [
            "0024-Graceful restart recovery in progress",
            "   Waiting for 1 protocol to recover",
            "   Wait timer is 55/60",
            "0013 Daemon is up and running",
        ]

    with_world(work)


def test_many_clients_at_once_and_one_that_says_nothing() -> None:
    async def work(world: World) -> None:
        async with world.served(limits=Limits(request_len=1024, idle_time=1.0)):
            reader, writer = await asyncio.open_unix_connection(world.path)
            answers = await asyncio.gather(
                *(world.raw("show protocols") for _ in range(100))
            )
            assert {lines[-1] for lines in answers} == {"0000 "}
            assert len({len(lines) for lines in answers}) == 1
            rest = await asyncio.wait_for(reader.read(), 10)
            assert rest == f"0001 BIRD {VERSION} ready.\n".encode()
            writer.close()
            await writer.wait_closed()

    with_world(work)


def test_a_line_without_end_is_rejected() -> None:
    async def work(world: World) -> None:
        async with world.served():
            reader, writer = await asyncio.open_unix_connection(world.path)
            writer.write(b"x" * 5000)
            rest = await asyncio.wait_for(reader.read(), 10)
            assert b"9001 a request can have at most 1024 octets" in rest
            writer.close()
            await writer.wait_closed()

    with_world(work)
