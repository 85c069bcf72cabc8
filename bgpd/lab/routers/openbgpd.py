"""OpenBGPD (Debian's portable openbgpd): bgpd, asked through bgpctl.

The portable release programs no routes on Linux. Its children chroot into /run/openbgpd, the home of user _openbgpd, which must exist.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from bgpd.lab.errors import LabError
from bgpd.lab.routers.base import Router
from bgpd.lab.speaker import NeighbourSpec, RouteView, SessionView
from bgpd.lab.topology import FamilyName
from bgpd.texts.state_files import write_file

_CHROOT: Final = Path("/run/openbgpd")


class OpenBgpd(Router):
    """OpenBGPD."""

    kind: ClassVar = "openbgpd"
    programs: ClassVar = ("/usr/sbin/bgpd", "/usr/sbin/bgpctl")

    def write_config(self) -> None:
        """Write ``bgpd.conf``; bgpd refuses a file that others can read."""
        speaker = self.speaker
        lines = [
            f"AS {speaker.local_as}",
            f"router-id {speaker.router_id}",
            f'socket "{self.folder}/bgpd.sock"',
            f"holdtime {speaker.hold_time}",
            f"fib-update {'yes' if speaker.has_fib else 'no'}",
            "nexthop qualify via bgp",
            *(" ".join(self._network(prefix)) for prefix in self.originated),
            *(self._peer(n) for n in speaker.neighbours),
            "allow from any",
            "allow to any",
        ]
        path = self.folder / "bgpd.conf"
        write_file(path, ("\n".join(lines) + "\n").encode(), 0o600)
        _CHROOT.mkdir(mode=0o755, exist_ok=True)

    def _peer(self, n: NeighbourSpec) -> str:
        lines = [f"remote-as {n.remote_as}"]
        if not n.device:
            lines.append(f"local-address {n.local_addr}")
        if n.has_ttl_security:
            lines.append("ttl-security yes")
        if n.role:
            lines.append(f"role {n.role}")
        if n.max_prefixes:
            lines.append(f"max-prefix {n.max_prefixes}")
        if n.has_add_path:
            lines += ["announce add-path recv yes", "announce add-path send all"]
        if ":" in n.addr and "ipv4" in n.families:
            lines.append("announce extended nexthop yes")
        if n.is_passive:
            lines.append("passive")
        if n.password:
            lines.append(f"tcp md5sig password {n.password}")
        if n.is_client:
            lines.append(f"route-reflector {self.speaker.cluster_id}".rstrip())
        if n.next_hop_self:
            lines.append("set nexthop self")
        for family, word in (("ipv4", "IPv4"), ("ipv6", "IPv6")):
            value = "unicast" if family in n.families else "none"
            lines.append(f"announce {word} {value}")
        body = "\n  ".join(lines)
        return f"neighbor {n.zoned_addr} {{\n  {body}\n}}"

    def _network(self, prefix: str) -> list[str]:
        """Return the ``network`` statement's words.

        Over a session of the other IP version bgpd advertises ::1 unless it is configured.
        """
        words = ["network", prefix]
        for n in self.speaker.neighbours:
            is_other = (":" in prefix) is not (":" in n.addr)
            if is_other and n.other_local_addr:
                return [*words, "set", "nexthop", n.other_local_addr]
        return words

    def commands(self) -> Sequence[Sequence[str]]:
        """Return bgpd's command line; it stays in the foreground."""
        return [[self._path_of("bgpd"), "-d", "-f", "bgpd.conf"]]

    def _bgpctl(self, *words: str) -> str:
        socket = str(self.folder / "bgpd.sock")
        return self.namespace.run([self._path_of("bgpctl"), "-s", socket, *words])

    def _json(self, *words: str) -> Any:  # noqa: ANN401 - another program's JSON
        text = self._bgpctl("-j", *words)
        try:
            return json.loads(text)
        except ValueError:
            raise LabError(f"bgpctl {' '.join(words)}: {text.strip()}") from None

    def sessions(self) -> dict[str, SessionView]:
        """Read ``bgpctl show neighbor``."""
        found = {}
        for peer in self._json("show", "neighbor").get("neighbors", ()):
            addr, state = peer["remote_addr"], peer["state"]
            found[addr] = SessionView(addr, state == "Established", state)
        return found

    def routes(self, family: FamilyName = "ipv4") -> dict[str, list[RouteView]]:
        """Read ``bgpctl show rib detail``."""
        found: dict[str, list[RouteView]] = {}
        for entry in self._json("show", "rib", family, "detail").get("rib", ()):
            if entry.get("announced"):
                continue
            prefix = entry["prefix"]
            found.setdefault(prefix, []).append(_route(prefix, entry))
        return found

    def originate(self, prefix: str) -> None:
        """Use ``network add``."""
        self.originated.append(prefix)
        words = self._network(prefix)
        self._bgpctl("network", "add", prefix, *words[3:])

    def withdraw(self, prefix: str) -> None:
        """Use ``network delete``."""
        self.originated.remove(prefix)
        self._bgpctl("network", "delete", prefix)

    def refresh(self, addr: str) -> None:
        """Use ``refresh``."""
        self._bgpctl("neighbor", addr, "refresh")

    def reset(self, addr: str) -> None:
        """Use ``clear``."""
        self._bgpctl("neighbor", addr, "clear")


def _route(prefix: str, entry: dict[str, Any]) -> RouteView:
    attrs = {attr["type"]: attr for attr in entry.get("attributes", ())}
    path = entry.get("aspath", "")
    return RouteView(
        prefix=prefix,
        next_hop=entry["exit_nexthop"],
        from_addr=entry["neighbor"]["remote_addr"],
        is_best=entry.get("best", False),
        as_path=tuple(int(word) for word in path.split() if word.isdigit()),
        local_pref=entry.get("localpref"),
        med=entry.get("metric"),
        communities=tuple(entry.get("communities", ())),
        originator_id=attrs.get("Originator Id", {}).get("originator"),
        cluster_list=tuple(attrs.get("Cluster Id List", {}).get("cluster_list", ())),
    )
