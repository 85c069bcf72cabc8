"""What each changed key costs, as a peer's socket sees it; and neighbours that change owners.

Every key of a session is changed where it may stand: on the peer, on its group, in the
defaults, on a range. What the peer hears must be what docs/configuration.md says: nothing, a
session that stays up, or a Cease that graceful restart softens.
"""

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from random import Random
from types import MappingProxyType
from typing import Any, Final, get_args

import pytest
import uvloop

from bgpd.config.convert import to_settings
from bgpd.config.diff import Step, StepKind, diff, field_cost
from bgpd.config.document import parse_document
from bgpd.config.key_names import FIELD_OF_KEY
from bgpd.config.peers import (
    FamilyOptions,
    Peer,
    PeerRange,
    SessionOptions,
)
from bgpd.config.schema import annotation_of, keys_of
from bgpd.config.settings import DaemonSettings
from bgpd.config.validation import validate
from bgpd.node.reconciler import Reconciler
from bgpd.pipeline.local_sources import plain_sources
from bgpd.session.fsm import State
from bgpd.session.settings import ChangeCost, RangeSettings
from bgpd.speaker.peer_changes import predict
from bgpd.wire.capabilities import GracefulRestart
from bgpd.wire.errors import CeaseSubcode, ErrorCode
from bgpd.wire.framing import KEEPALIVE, MessageType
from bgpd.wire.notification import decode_notification
from bgpd.wire.route_refresh import RefreshSubtype, RouteRefresh, encode_route_refresh
from bgpd.wire.update import end_of_rib
from rib.family import IPV4_UNICAST
from tests.support.scripted_peer import ScriptedPeer, an_open, an_update
from tests.support.speakers import ASN, PORT, Node, Rack, run_on, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

OTHER_AS: Final = 64999
PLACES: Final = ("peer", "group", "defaults", "range")
TOLD: Final = "10.1.0.0/16"  # by us
HEARD: Final = b"\x18\x0a\x02\x00"  # 10.2.0.0/24, by the peer

Config = dict[str, Any]

# What derivation from a key's type cannot know. ``None`` is a key that no one end changes.
VALUES: Final[MappingProxyType[str, object]] = MappingProxyType(
    {
        "disable_capabilities": ["hostname"],
        "discard_attributes": [16],
        "withdraw_attributes": [16],
        "families": ["ipv4-unicast", "ipv6-unicast"],
        "default_originate_when": ["10.0.0.0/8"],
        "bfd": "on",
        "interface": "lo",
        "local_address": "{here}",
        "local_as": OTHER_AS,
        "passive": "off",
        "cluster_id": "10.9.9.9",
        "hold_time": 30,
        "import_policy": "other",
        "export_policy": "other",
        "password": None,  # tests/unit/bgpd/net/test_key_rollover.py
        "password_file": None,
    }
)
EXTERNAL: Final = frozenset(
    {
        "role",
        "role_strict",
        "enforce_first_as",
        "same_domain",
        "multihop_ttl",
        "ttl_security_hops",
        "local_as",
    }
)
"""Keys that only mean something on eBGP."""


def derived(key: str, model: type) -> object:
    """Return a value of the key's type that is not its default."""
    if key in VALUES:
        return VALUES[key]
    if key.startswith("families."):
        option = key.removeprefix("families.")
        return [{"name": "ipv4-unicast", option: derived(option, FamilyOptions)}]
    annotation = annotation_of(keys_of(model)[key])
    if annotation is bool:
        field = FIELD_OF_KEY.get(key, key)
        defaults = settings_of(config()).peers[0]
        return "off" if getattr(defaults, field) else "on"
    if annotation is int:
        return 7
    if annotation is str:
        return "other"
    return get_args(annotation)[-1]


def cases() -> Iterator[tuple[str, str]]:
    for place in PLACES:
        for key in keys_of(SessionOptions):
            if VALUES.get(key, "") is not None:
                yield place, key
        for key in keys_of(FamilyOptions):
            if key != "name":
                yield place, f"families.{key}"
    for key in ("name", "as"):
        yield "peer", key
    for key in ("name", "limit"):
        yield "range", key
    yield "group", "as"


def config(*, external: bool = False, place: str = "peer", where: str = "") -> Config:
    """Return a configuration with one neighbour, that waits to be connected to."""
    here, _, _ = (where or "192.0.2.1").rpartition(".")
    common: Config = {"group": "some", "as": OTHER_AS if external else ASN}
    mine = {"address": f"{here}.9"} | common
    if place == "range":
        mine = {"prefix": f"{here}.0/24"} | common
    policy = {"default": "accept"}
    return {
        "bgp": {"as": ASN, "router_id": "10.0.0.1", "defaults": {"passive": "on"}},
        "peer_groups": {
            "some": {"import_policy": "all", "export_policy": "all", "port": PORT}
        },
        "peers" if place != "range" else "ranges": [mine],
        "policies": {"all": policy, "other": policy},
        "routes": {"originate": [{"prefix": TOLD, "next_hop": f"{here}.1"}]},
    }


def changed(before: Config, place: str, key: str, value: object) -> Config:
    after: Config = json.loads(json.dumps(before))
    match place:
        case "peer":
            after["peers"][0][key] = value
        case "range":
            after["ranges"][0][key] = value
        case "group":
            after["peer_groups"]["some"][key] = value
            if key == "as":
                del after["peers"][0]["as"]
        case _:
            after["bgp"]["defaults"][key] = value
            after["peer_groups"]["some"].pop(key, None)
    return after


def settings_of(content: Config) -> DaemonSettings:
    found, problems = validate(parse_document(json.dumps(content), "f"))
    assert found is not None, problems
    return to_settings(found)


class Heard:
    """Our neighbour over a real socket, and what it sees of a change."""

    def __init__(self, node: Node, address: str, stack: AsyncExitStack) -> None:
        self.node = node
        self.address = address
        self.reconciler = Reconciler(node.speaker, plain_sources())
        self._stack = stack
        self._who: ScriptedPeer
        self.content: Config
        self.settings: DaemonSettings

    async def apply(self, content: Config) -> None:
        self.content, self.settings = content, settings_of(content)
        self.reconciler.apply_settings(self.settings)
        await self.reconciler.settled()
        await until(lambda: not len(self.node.speaker.work_queue))

    async def comes_up(self, asn: int = ASN) -> None:
        peer = ScriptedPeer(self.address, self.node.addr, PORT)
        self._who = await self._stack.enter_async_context(peer)
        graceful = GracefulRestart(
            has_notification=True, restart_time=120, families=((IPV4_UNICAST, True),)
        )
        self._who.send(
            an_open(
                asn,
                families=(IPV4_UNICAST,),
                graceful_restart=graceful,
                has_route_refresh=True,
                has_enhanced_refresh=True,
            )
        )
        await self._who.expect(MessageType.OPEN)
        await self._who.expect(MessageType.KEEPALIVE)
        path = "" if asn == ASN else str(asn)
        self._who.send(
            KEEPALIVE
            + an_update([HEARD], self.address, path)
            + end_of_rib(IPV4_UNICAST)
        )
        await until(lambda: self.has_route)

    @property
    def has_route(self) -> bool:
        return HEARD in self.node.table(IPV4_UNICAST)

    @property
    def is_up(self) -> bool:
        return self.node.peer(self.address).state is State.ESTABLISHED

    async def messages(self) -> list[tuple[int, bytes]]:
        """Return what came so far: up to the answer to a question of our own, or the end."""
        self._who.send(encode_route_refresh(RouteRefresh(IPV4_UNICAST)))
        begin = encode_route_refresh(RouteRefresh(IPV4_UNICAST, RefreshSubtype.BEGIN))
        end = encode_route_refresh(RouteRefresh(IPV4_UNICAST, RefreshSubtype.END))
        found: list[tuple[int, bytes]] = []
        while (message := await self._who.message(10)) is not None:
            if message[0] == MessageType.ROUTE_REFRESH and message[1] == begin[19:]:
                break
            if message[0] != MessageType.KEEPALIVE:
                found.append(message)
        else:
            return found
        while message is not None and message[1] != end[19:]:
            message = await self._who.message(10)
        return found


def on_the_wire(work: Callable[[Heard], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with Rack() as rack:
            node, address = await rack.node(1), f"{rack.network}.9"
            async with AsyncExitStack() as stack:
                await work(Heard(node, address, stack))

    run_on(uvloop.new_event_loop, scenario())


FITS: Final = frozenset({"port", "local_address", "limit"})
"""Keys of a range that make no difference to a session that is there."""


async def costs(heard: Heard, before: Config, after: Config, cost: ChangeCost) -> None:
    """Apply a change and judge what the neighbour hears of it."""
    peer = heard.node.peer(heard.address)
    await heard.messages()
    await heard.apply(after)
    told = await heard.messages()
    kinds = [MessageType(kind) for kind, _ in told]
    if cost is ChangeCost.RESET:
        assert kinds[-1:] == [MessageType.NOTIFICATION], kinds
        notification = decode_notification(told[-1][1])
        assert (notification.code, notification.subcode) == (
            ErrorCode.CEASE,
            CeaseSubcode.OTHER_CONFIGURATION_CHANGE,
        ), "a hard reset would make the peer forget our routes"
        assert heard.has_route, "graceful restart keeps what the peer told"
        return
    assert MessageType.NOTIFICATION not in kinds
    assert heard.is_up
    assert heard.has_route
    assert heard.node.peer(heard.address) is peer, "removed to be taken in again"
    if cost is ChangeCost.LIVE:
        assert kinds == []


@pytest.mark.parametrize(("place", "name"), list(cases()))
def test_a_changed_key_costs_what_is_documented(place: str, name: str) -> None:
    key, _, option = name.partition(".")
    external = key in EXTERNAL and key != "local_as"
    model = PeerRange if place == "range" else Peer

    async def work(heard: Heard) -> None:
        before = config(external=external, place=place, where=heard.address)
        if key == "role_strict":
            before["peer_groups"]["some"]["role"] = "peer"
            before["peer_groups"]["some"]["role_strict"] = "off"
        value = OTHER_AS if key == "as" else derived(name, model)
        if value == "{here}":
            value = heard.node.addr
        after = changed(before, place, key, value)
        if key == "role_strict":
            after["peer_groups"]["some"].pop("role_strict", None)
            after = changed(after, place, key, "on")
        await heard.apply(before)
        await heard.comes_up(OTHER_AS if external else ASN)
        cost = field_cost(option or FIELD_OF_KEY.get(key, key))
        if place == "range" and key in FITS:
            cost = ChangeCost.LIVE
        await costs(heard, before, after, cost)

    on_the_wire(work)


RANGES: Final = ("0.0/16", "{x}.0/24", "{x}.0/28", "{x}.8/30")
"""All have the neighbour; those that are tried are some of them, under any name."""


def a_layout(random: Random, network: str, **options: object) -> Config:
    """Return a configuration in which the neighbour appears once, in one form or another."""
    content = config(where=f"{network}.9")
    high, _, low = network.rpartition(".")
    options = {"group": "some", "hold_time": 90} | options
    if random.random() < 0.5:
        content["peers"] = [
            options
            | {"address": f"{network}.9", "name": random.choice("pq")}
            | {"as": ASN, "description": random.choice("xyz")}
        ]
    else:
        del content["peers"]
    prefixes = random.sample(RANGES, random.randint("peers" not in content, 4))
    names = random.sample("abcdef", len(prefixes))
    content["ranges"] = [
        options
        | {"prefix": f"{high}.{prefix.format(x=low)}", "name": name}
        | {"as": random.choice([0, ASN]), "limit": random.randint(1, 9)}
        for prefix, name in zip(prefixes, names, strict=True)
    ]
    return content


def concerns(step: Step, ranges: set[str]) -> bool:
    """Whether a step is about the neighbour: as a peer, or as that of some ranges."""
    if step.kind is StepKind.PEER:
        return True
    value = step.value
    return isinstance(value, RangeSettings) and value.name in ranges


@pytest.mark.parametrize("seed", range(4))
def test_a_neighbour_that_changes_owners_hears_nothing(seed: int) -> None:
    random = Random(seed)

    async def work(heard: Heard) -> None:
        speaker, network = heard.node.speaker, heard.address.rpartition(".")[0]
        await heard.apply(a_layout(random, network))
        await heard.comes_up()
        await heard.messages()
        before = heard.node.peer(heard.address)
        for _ in range(25):
            content = a_layout(random, network)
            steps = diff(heard.settings, settings_of(content))
            planned = list(predict(speaker, steps, settings_of(content)))
            dynamic = before.range_name
            await heard.apply(content)
            peer = heard.node.peer(heard.address)
            assert peer is before
            configured = bool(content.get("peers"))
            assert bool(peer.range_name) is not configured
            assert peer.driver.session.is_dynamic is not configured
            assert speaker.neighbours.range_sizes == (
                {} if configured else {peer.range_name: 1}
            )
            names = {each["name"] for each in content["ranges"]}
            assert set(speaker.neighbours.ranges) == names
            assert configured or peer.range_name in names
            ranges = {dynamic, peer.range_name}
            concerned = [step for step in planned if step and concerns(step, ranges)]
            assert all(step.cost is ChangeCost.LIVE for step in concerned), concerned
        assert await heard.messages() == []
        assert heard.is_up
        assert heard.has_route

    on_the_wire(work)


@pytest.mark.parametrize("seed", range(3))
def test_other_settings_of_another_owner_cost_what_they_cost_a_peer(seed: int) -> None:
    random = Random(seed)

    async def work(heard: Heard) -> None:
        network = heard.address.rpartition(".")[0]
        await heard.apply(a_layout(random, network))
        await heard.comes_up()
        after = a_layout(random, network, hold_time=33)
        await costs(heard, heard.content, after, ChangeCost.RESET)

    on_the_wire(work)


def test_a_peer_that_lost_its_owner_goes_for_good() -> None:
    async def work(heard: Heard) -> None:
        before = config(place="range", where=heard.address)
        await heard.apply(before)
        await heard.comes_up()
        await heard.messages()
        del before["ranges"]
        await heard.apply(before)
        told = await heard.messages()
        assert decode_notification(told[-1][1]).subcode == CeaseSubcode.HARD_RESET
        assert not heard.node.speaker.peers
        assert not heard.node.speaker.neighbours.range_sizes
        assert not heard.has_route

    on_the_wire(work)


@pytest.mark.parametrize("is_dynamic", [True, False])
def test_one_that_an_operator_disabled_stays_so_under_another_owner(
    is_dynamic: bool,  # noqa: FBT001
) -> None:
    places = ("range", "peer") if is_dynamic else ("peer", "range")

    async def work(heard: Heard) -> None:
        before, after = (config(place=each, where=heard.address) for each in places)
        await heard.apply(before)
        await heard.comes_up()
        peer = heard.node.peer(heard.address)
        peer.is_held = True
        peer.driver.stop(hard=True)
        after["peer_groups"]["some"]["hold_time"] = 33
        await heard.apply(after)
        assert heard.node.peer(heard.address) is peer
        assert bool(peer.range_name) is not is_dynamic
        assert not peer.driver.session.is_started

    on_the_wire(work)
