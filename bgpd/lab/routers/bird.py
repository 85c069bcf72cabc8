"""BIRD 2 and BIRD 3 (Debian's bird2 and bird3).

They read one configuration, and BIRD 3 names some things otherwise: attributes are shown by
their names in filters, and ``reload`` says of what.
"""

import os
import re
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from bgpd.lab.errors import LabError
from bgpd.lab.routers.base import Router
from bgpd.lab.speaker import NeighbourSpec, RouteView, SessionView
from bgpd.lab.topology import FamilyName
from bgpd.texts.state_files import write_file

_TABLES: Final = {"ipv4": "master4", "ipv6": "master6"}
_OSPF: Final = "RTS_OSPF, RTS_OSPF_IA, RTS_OSPF_EXT1, RTS_OSPF_EXT2"
_PROGRAMMED: Final = f'source ~ [RTS_BGP, {_OSPF}] || proto = "gateways"'
_OSPF_METRIC: Final = 20  # of FRR, so that gateways of both makers share the load
_ROLES: Final = {"rs": "rs_server", "rs-client": "rs_client"}
_ON: Final = {True: "on", False: "off"}
_ROUTE: Final = re.compile(r"^(\S+)?\s+\S+ \[(\w+) .*?\](?: (\*))? \(")
_ATTRIBUTE: Final = re.compile(r"^\s+(?:BGP\.|bgp_)(\w+): ?(.*)$")


class Bird(Router):
    """BIRD, asked through ``birdc``."""

    kind: ClassVar = "bird"
    programs: ClassVar[tuple[str, ...]] = ("/usr/sbin/bird", "/usr/sbin/birdc")

    def write_config(self) -> None:
        """Write ``bird.conf``."""
        speaker = self.speaker
        blocks = [
            f"router id {speaker.router_id};",
            "log stderr all;",
            "protocol device { scan time 1; }",
            "protocol direct { ipv4; ipv6; }",
        ]
        kept = "persist; graceful restart;" if speaker.is_preserving else ""
        for family in _TABLES:
            if speaker.has_fib:
                blocks.append(
                    f"protocol kernel {{ {kept} {family} {{ import none;"
                    f" export where {_PROGRAMMED}; }}; }}"
                )
            is_v6 = family == "ipv6"
            statics = [p for p in self.originated if (":" in p) is is_v6]
            lines = " ".join(f"route {p} blackhole;" for p in statics)
            blocks.append(f"protocol static s_{family} {{ {family}; {lines} }}")
        blocks += self._gateway()
        blocks += [self._peer(i, n) for i, n in enumerate(speaker.neighbours)]
        path = self.folder / "bird.conf"
        write_file(path, ("\n".join(blocks) + "\n").encode())

    def _gateway(self) -> list[str]:
        """Return static routes through others, and OSPF."""
        speaker = self.speaker
        blocks = []
        if speaker.statics:
            routes = " ".join(
                f"route {prefix} {' '.join(f'via {hop}' for hop in hops)};"
                for prefix, hops in speaker.statics.items()
            )
            blocks.append(f"protocol static gateways {{ ipv4; {routes} }}")
        if speaker.ospf is not None:
            tag = speaker.ospf.tag
            own = ", ".join(f"{prefix}+" for prefix in speaker.ospf.announce)
            areas = " ".join(
                f'interface "{device}" {{ hello 1; dead 4; }};'
                for device in speaker.ospf.devices
            )
            blocks.append(
                "protocol ospf v2 {\n"
                f"  ipv4 {{ import where ospf_tag != {tag}; export filter {{\n"
                f"    if source != RTS_BGP || net !~ [ {own} ] then reject;\n"
                f"    ospf_tag = {tag}; ospf_metric2 = {_OSPF_METRIC}; accept; }}; }};\n"
                f"  area 0 {{ {areas} }};\n}}"
            )
        return blocks

    def _peer(self, index: int, neighbour: NeighbourSpec) -> str:
        speaker = self.speaker
        local = f"local {neighbour.local_addr} as {speaker.local_as};"
        lines = [
            local,
            f"neighbor {neighbour.zoned_addr} as {neighbour.remote_as};",
            f"hold time {speaker.hold_time};",
            f"connect delay time 1; connect retry time {speaker.connect_retry};",
            "error wait time 1, 2;",
        ]
        restart = "aware" if speaker.has_graceful_restart else "off"
        if speaker.is_preserving:
            restart = "on"
        lines.append(f"graceful restart {restart};")
        lines.append(f"graceful restart time {speaker.restart_time};")
        if speaker.long_lived_stale_time:
            seconds = speaker.long_lived_stale_time
            lines.append(f"long lived graceful restart {restart};")
            lines.append(f"long lived stale time {seconds};")
        lines.append(f"enable extended messages {_ON[neighbour.has_extended_message]};")
        lines.append(f"enable as4 {_ON[neighbour.has_four_octet_as]};")
        if neighbour.is_passive:
            lines.append("passive on;")
        if neighbour.has_ttl_security:
            lines.append("ttl security on;")
        if neighbour.role:
            lines.append(f"local role {_ROLES.get(neighbour.role, neighbour.role)};")
        if neighbour.password:
            lines.append(f'password "{neighbour.password}";')
        if neighbour.is_client:
            lines.append("rr client;")
        if speaker.cluster_id and neighbour.remote_as == speaker.local_as:
            lines.append(f"rr cluster id {speaker.cluster_id};")
        for family in neighbour.families:
            sources = "RTS_BGP, RTS_STATIC"
            if "ospf" in speaker.announce:
                sources += f", {_OSPF}"
            choice = f"source ~ [{sources}]"
            if "static" not in speaker.announce:
                choice += ' && proto != "gateways"'
            options = f"import all; export where {choice};"
            if neighbour.next_hop_self:
                options += " next hop self ebgp;"
            if neighbour.max_prefixes:
                options += f" receive limit {neighbour.max_prefixes} action restart;"
            if neighbour.has_add_path:
                options += " add paths on;"
            if family == "ipv4" and ":" in neighbour.addr:
                options += " extended next hop on;"
            is_over_v4 = ":" not in neighbour.addr
            if family == "ipv6" and is_over_v4 and neighbour.other_local_addr:
                options += f" next hop address {neighbour.other_local_addr};"
            lines.append(f"{family} {{ {options} }};")
        body = "\n  ".join(lines)
        return f"protocol bgp n{index} {{\n  {body}\n}}"

    def commands(self) -> Sequence[Sequence[str]]:
        """Return bird's command line; it stays in the foreground."""
        argv = [self._path_of("bird"), "-f", "-c", "bird.conf", "-s", "bird.ctl"]
        if self.speaker.is_preserving and self.log_path.stat().st_size:
            argv.append("-R")  # it ran before: what is in the kernel is still in use
        return [argv]

    def birdc(self, command: str) -> str:
        """Return what BIRD answers to a command."""
        socket = str(self.folder / "bird.ctl")
        return self.namespace.run(
            [self._path_of("birdc"), "-s", socket, *command.split()]
        )

    def sessions(self) -> dict[str, SessionView]:
        """Read ``show protocols``."""
        found = {}
        for line in self.birdc("show protocols").splitlines():
            words = line.split()
            if len(words) > 4 and words[1] == "BGP":
                addr = self._addr(words[0])
                state = " ".join(words[5:]) or words[3]
                found[addr] = SessionView(addr, state == "Established", state)
        return found

    def routes(self, family: FamilyName = "ipv4") -> dict[str, list[RouteView]]:
        """Read ``show route all``."""
        return self.read_routes(family, self._addr)

    def _addr(self, protocol: str) -> str:
        return self.speaker.neighbours[int(protocol[1:])].addr

    def read_routes(
        self, family: FamilyName, addr_of: Callable[[str], str]
    ) -> dict[str, list[RouteView]]:
        """Read ``show route all``.

        Args:
            family: Which table.
            addr_of: Gives the neighbour's address for a protocol's name.
        """
        table = _TABLES[family]
        text = self.birdc(f"show route all where source=RTS_BGP table {table}")
        found: dict[str, list[RouteView]] = {}
        prefix = ""
        head: re.Match[str] | None = None
        attributes: dict[str, str] = {}
        for line in [*text.splitlines(), ""]:
            start = _ROUTE.match(line)
            if start or not line:
                if head:
                    found.setdefault(prefix, []).append(
                        _route(prefix, addr_of(head[2]), head, attributes)
                    )
                head, attributes = start, {}
                prefix = start[1] or prefix if start else ""
            elif match := _ATTRIBUTE.match(line):
                attributes[match[1]] = match[2]
        for routes in found.values():
            routes.sort(key=lambda route: not route.is_best)
        return found

    def originate(self, prefix: str) -> None:
        """Add a static route and reconfigure."""
        self.originated.append(prefix)
        self._reconfigure()

    def withdraw(self, prefix: str) -> None:
        """Take the static route out and reconfigure."""
        self.originated.remove(prefix)
        self._reconfigure()

    def _reconfigure(self) -> None:
        self.write_config()
        self.birdc(f'configure "{self.folder}/bird.conf"')

    def refresh(self, addr: str) -> None:
        """Use ``reload in``, which BIRD 3 calls ``reload bgp in``."""
        name = self.protocol(addr)
        try:
            self.birdc(f"reload in {name}")
        except LabError:
            self.birdc(f"reload bgp in {name}")

    def reset(self, addr: str) -> None:
        """Use ``restart``."""
        self.birdc(f"restart {self.protocol(addr)}")

    def protocol(self, addr: str) -> str:
        """Return the name of the protocol of a neighbour."""
        addrs = [n.addr for n in self.speaker.neighbours]
        return f"n{addrs.index(addr)}"


class Bird3(Bird):
    """BIRD 3 beside BIRD 2: from the folder that ``BIRD3_FOLDER`` names."""

    kind: ClassVar = "bird3"
    programs: ClassVar = tuple(
        f"{os.environ.get('BIRD3_FOLDER', '/opt/bird3/sbin')}/{name}"
        for name in ("bird", "birdc")
    )


def _route(
    prefix: str, addr: str, head: re.Match[str], attributes: dict[str, str]
) -> RouteView:
    def number(name: str) -> int | None:
        return int(attributes[name]) if name in attributes else None

    path = attributes.get("as_path", attributes.get("path", ""))
    pairs = re.findall(r"\((\d+),(\d+)\)", attributes.get("community", ""))
    return RouteView(
        prefix=prefix,
        next_hop=attributes["next_hop"].split()[0],
        from_addr=addr,
        is_best=bool(head[3]),
        as_path=tuple(map(int, re.findall(r"\d+", path))),
        local_pref=number("local_pref"),
        med=number("med"),
        communities=tuple(f"{a}:{b}" for a, b in pairs),
        originator_id=attributes.get("originator_id"),
        cluster_list=tuple(attributes.get("cluster_list", "").split()),
    )
