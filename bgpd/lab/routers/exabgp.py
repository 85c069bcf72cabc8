"""ExaBGP 4.2 (Debian's exabgp): a speaker without a table, told what to say.

Its API process is ``bridge``, which writes what happens to a file and passes on commands;
the table of received routes is put together here from those events.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from bgpd.lab.errors import LabError
from bgpd.lab.routers import bridge
from bgpd.lab.routers.base import Router
from bgpd.lab.speaker import NeighbourSpec, RouteView, SessionView
from bgpd.lab.topology import FamilyName
from bgpd.session.zones import is_link_local
from bgpd.texts.state_files import write_file


class ExaBgp(Router):
    """ExaBGP; it has no kernel table and reflects nothing."""

    kind: ClassVar = "exabgp"
    programs: ClassVar = ("exabgp",)

    def write_config(self) -> None:
        """Write ``exabgp.conf`` and make the command pipe."""
        pipe, events = self.folder / "commands", self.folder / "events"
        if not pipe.exists():
            os.mkfifo(pipe)
        write_file(events, b"")
        run = f"{sys.executable} {bridge.__file__} {pipe} {events}"
        blocks = [
            f"process bridge {{ run {run}; encoder json; }}",
            *(self._peer(n) for n in self.speaker.neighbours),
        ]
        path = self.folder / "exabgp.conf"
        write_file(path, ("\n".join(blocks) + "\n").encode())

    def _peer(self, n: NeighbourSpec) -> str:
        speaker = self.speaker
        lines = [
            f"router-id {speaker.router_id};",
            f"local-address {n.local_addr};",
            f"local-as {speaker.local_as};",
            f"peer-as {n.remote_as};",
            f"hold-time {speaker.hold_time};",
            f"family {{ {' '.join(f'{f} unicast;' for f in n.families)} }}",
            "capability { route-refresh enable; graceful-restart disable; }",
            "api { processes [ bridge ]; neighbor-changes; receive { parsed; update; } }",
        ]
        if n.is_passive:
            lines.append("passive true;")
        if n.password:
            lines += [f'md5-password "{n.password}";', "md5-base64 false;"]
        routes = "".join(f" route {self._route(p)};" for p in self._told(n))
        lines.append(f"static {{{routes} }}")
        body = "\n  ".join(lines)
        return f"neighbor {n.addr} {{\n  {body}\n}}"

    def _told(self, n: NeighbourSpec) -> Iterator[str]:
        for prefix in self.originated:
            if ("ipv6" if ":" in prefix else "ipv4") in n.families:
                yield prefix

    def _route(self, prefix: str) -> str:
        is_v6 = ":" in prefix
        for n in self.speaker.neighbours:
            for addr in (n.local_addr, n.other_local_addr):
                if addr and (":" in addr) is is_v6:
                    return f"{prefix} next-hop {addr}"
        raise LabError(f"{self.speaker.name} has no next hop for {prefix}")

    def environment(self) -> Mapping[str, str]:
        """Return settings that exabgp takes from nowhere else."""
        return {
            "exabgp_daemon_user": "root",
            "exabgp_api_cli": "false",
            "exabgp_api_ack": "false",
            "exabgp_tcp_bind": " ".join(
                sorted({n.local_addr for n in self.speaker.neighbours})
            ),
            "exabgp_log_destination": "stderr",
        }

    def commands(self) -> Sequence[Sequence[str]]:
        """Return exabgp's command line."""
        return [[self._path_of("exabgp"), "exabgp.conf"]]

    def _events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (type, neighbour) of all events so far."""
        text = (self.folder / "events").read_text(encoding="utf-8")
        if not text:
            raise LabError("exabgp's bridge does not run yet")
        for line in text.splitlines():
            if line.startswith("{") and line.endswith("}"):
                # Not strict: it quotes what a NOTIFICATION says as it came.
                event = json.loads(line, strict=False)
                if "neighbor" in event:
                    yield event["type"], event["neighbor"]

    def sessions(self) -> dict[str, SessionView]:
        """Put together from the events "up", "connected" and "down"."""
        states = {n.addr: "down" for n in self.speaker.neighbours}
        for kind, neighbour in self._events():
            if kind == "state":
                states[neighbour["address"]["peer"]] = neighbour["state"]
        return {a: SessionView(a, s == "up", s) for a, s in states.items()}

    def routes(self, family: FamilyName = "ipv4") -> dict[str, list[RouteView]]:
        """Put together from all updates since the sessions came up."""
        held: dict[tuple[str, str], RouteView] = {}
        for kind, neighbour in self._events():
            addr = neighbour["address"]["peer"]
            if kind == "state" and neighbour["state"] == "down":
                held = {key: view for key, view in held.items() if key[1] != addr}
            elif kind == "update":
                update = neighbour["message"].get("update", {})
                for entry in update.get("withdraw", {}).get(f"{family} unicast", ()):
                    held.pop((entry["nlri"], addr), None)
                announced = update.get("announce", {}).get(f"{family} unicast", {})
                # A link-local address beside a global one is shown as a next hop of its own.
                for next_hop in sorted(announced, key=is_link_local, reverse=True):
                    for entry in announced[next_hop]:
                        view = _view(entry["nlri"], next_hop, addr, update["attribute"])
                        held[entry["nlri"], addr] = view
        found: dict[str, list[RouteView]] = {}
        for (prefix, _), view in held.items():
            found.setdefault(prefix, []).append(view)
        return found

    def _tell(self, command: str) -> None:
        try:
            pipe = os.open(self.folder / "commands", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            raise LabError("exabgp's bridge does not run") from None
        with os.fdopen(pipe, "w") as stream:
            stream.write(command + "\n")

    def originate(self, prefix: str) -> None:
        """Use ``announce route``."""
        self.originated.append(prefix)
        self._tell(f"announce route {self._route(prefix)}")

    def withdraw(self, prefix: str) -> None:
        """Use ``withdraw route``."""
        self.originated.remove(prefix)
        self._tell(f"withdraw route {self._route(prefix)}")

    def refresh(self, addr: str) -> None:
        """Use ``announce route-refresh`` for each family of the neighbour."""
        for n in self.speaker.neighbours:
            for family in n.families if n.addr == addr else ():
                self._tell(f"neighbor {addr} announce route-refresh {family} unicast")

    def reset(self, addr: str) -> None:
        """Use ``teardown``: Cease, administrative reset."""
        self._tell(f"neighbor {addr} teardown 4")


def _view(
    prefix: str, next_hop: str, addr: str, attributes: dict[str, Any]
) -> RouteView:
    path = attributes.get("as-path", ())
    pairs = attributes.get("community", ())
    return RouteView(
        prefix=prefix,
        next_hop=next_hop,
        from_addr=addr,
        as_path=tuple(asn for asn in path if isinstance(asn, int)),
        local_pref=attributes.get("local-preference"),
        med=attributes.get("med"),
        communities=tuple(f"{a}:{b}" for a, b in pairs),
        originator_id=attributes.get("originator-id"),
        cluster_list=tuple(attributes.get("cluster-list", ())),
    )
