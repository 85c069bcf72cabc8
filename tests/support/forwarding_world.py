"""A speaker with a real kernel's table, and peers whose routes a test hands to it."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

from bgpd.config.settings import (
    DaemonSettings,
    FibSettings,
    RestartSettings,
    SpeakerSettings,
)
from bgpd.kernel.access import open_kernel
from bgpd.kernel.forwarding import Forwarding
from bgpd.kernel.next_hop_tracking import NextHopTracker
from bgpd.pipeline.local_sources import plain_sources
from bgpd.session.settings import PeerSettings
from bgpd.speaker.speaker import FAMILIES, Speaker
from fib.kernel_policy import KernelPolicy
from rib.attributes import make_attributes
from rib.decision import DecisionOptions
from rib.family import SAFI_UNICAST, Family
from rib.nlri import parse_address, parse_prefix
from rib.path import Path as RibPath
from rib.path import Source, SourceKind
from tests.support.kernel_namespace import ip, namespace

DECISION = DecisionOptions(max_ecmp=8)


def some_settings(
    fib: FibSettings = FibSettings(),  # noqa: B008  # frozen
    *,
    control_path: str = "",
    uses_default: bool = True,
) -> DaemonSettings:
    defaults = PeerSettings(name="", remote_addr="", remote_as=0, local_as=65000)
    speaker = SpeakerSettings(65000, "10.9.0.1", "", (), 179, DECISION, defaults)
    return DaemonSettings(
        node_name="n",
        speaker=speaker,
        fib=fib,
        control_path=control_path,
        resolves_by_default_route=uses_default,
        restart=RestartSettings(),
    )


class World:
    """One run of the forwarding part."""

    def __init__(self, settings: DaemonSettings) -> None:
        self._ways = NextHopTracker()
        self.speaker = Speaker(
            asyncio.get_running_loop(),
            "10.9.0.1",
            seed=1,
            decision=DECISION,
            resolver=self._ways,
        )
        self.speaker.housekeeping.close()  # it removes paths of those who have no session
        self.origins = plain_sources()
        self.forwarding: Forwarding  # there once it is started
        self._settings = settings
        self._sources: dict[str, Source] = {}

    async def start(
        self, policies: Mapping[Family, KernelPolicy] | None = None
    ) -> None:
        """Open the kernel and follow it, by some kernel policies."""
        kernel = await open_kernel(self._settings)
        kernel.ways = self._ways  # the speaker was there first
        self.forwarding = Forwarding(self.speaker, self._settings, self.origins, kernel)
        self.forwarding.set_policies(policies or {})
        self.forwarding.start()

    async def close(self, *, flush: bool) -> None:
        await self.forwarding.close(flush=flush)
        await self.speaker.close()

    def source(self, name: str) -> Source:
        if name not in self._sources:
            kind = SourceKind.EBGP if name.startswith("e") else SourceKind.IBGP
            number = len(self._sources) + 1
            self._sources[name] = Source(
                name,
                kind,
                address=bytes((10, 9, 0, number)),
                router_id=number,
                asn=number,
            )
        return self._sources[name]

    def announce(
        self, name: str, next_hop: str, *prefixes: str, local_pref: int | None = None
    ) -> None:
        """Take in what the peer of that name says: ``e...`` is eBGP, others iBGP."""
        attributes = make_attributes(
            next_hop=parse_address(next_hop), local_pref=local_pref
        )
        path = RibPath(
            self.source(name),
            attributes,
            self.speaker.next_hops.get(attributes.next_hop),
        )
        for family, nlris in by_family(prefixes).items():
            tables = self.speaker.tables[family]
            tables.changed(tables.loc_rib.announce(nlris, path))

    def withdraw(self, name: str, *prefixes: str) -> None:
        for family, nlris in by_family(prefixes).items():
            tables = self.speaker.tables[family]
            tables.changed(tables.loc_rib.withdraw(nlris, self.source(name)))

    def originate(self, *prefixes: str) -> None:
        for family, nlris in by_family(prefixes).items():
            attributes = make_attributes(next_hop=b"")
            self.speaker.local_routes.originate(
                family, nlris, attributes, self.origins.blocks
            )

    def sweep(self) -> None:
        for family in FAMILIES:
            self.forwarding.adoption.sweep(family)

    async def until(self, predicate: Callable[[], object], what: object = "") -> None:
        for _ in range(750):
            if predicate():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"not within 15 s: {what() if callable(what) else what}")


def by_family(prefixes: tuple[str, ...]) -> dict[Family, list[bytes]]:
    found: dict[Family, list[bytes]] = {}
    for prefix in prefixes:
        afi, nlri = parse_prefix(prefix)
        found.setdefault(Family(afi, SAFI_UNICAST), []).append(nlri)
    return found


def kernel(table: int | str = "main") -> dict[str, str]:
    """Return the routes of ``ip route`` that no link made: prefix to the rest."""
    found: dict[str, str] = {}
    for version in ("-4", "-6"):
        text = ip_or_none(f"{version} route show table {table}")
        prefix = ""
        for line in text.splitlines():
            if line.startswith("\t"):
                found[prefix] += f" {line.strip()}"
                continue
            kind, _, rest = line.partition(" ")
            if kind in ("blackhole", "unreachable"):
                prefix, _, rest = rest.partition(" ")
                rest = f"{kind} {rest}"
            else:
                prefix = kind
            if "proto kernel" not in line and not prefix.startswith(("fe80", "ff00")):
                prefix = whole(prefix, version)
                found[prefix] = f"{found.get(prefix, '')} {rest}".strip()
    return found


def whole(prefix: str, version: str) -> str:
    """Return a prefix with its length, which ``ip`` leaves out of some."""
    if prefix == "default":
        return "0.0.0.0/0" if version == "-4" else "::/0"
    return prefix if "/" in prefix else f"{prefix}/{32 if version == '-4' else 128}"


def ip_or_none(command: str) -> str:
    try:
        return ip(command)
    except Exception:  # noqa: BLE001  # no such table
        return ""


def ways(route: str) -> set[str]:
    """Return the gateways and devices of a route of ``kernel``."""
    return {
        f"{gateway} {device}"
        for gateway, device in re.findall(r"via (?:inet6 )?(\S+) dev (\S+)", route)
    }


def play(
    story: Callable[[], Coroutine[None, None, None]],
    *setup: str,
) -> None:
    """Run a story in a namespace of its own."""
    with namespace():
        for command in setup:
            ip(command)
        asyncio.run(story())


def a_control_path(folder: Path) -> str:
    return str(folder / "run" / "pybgpd.sock")
