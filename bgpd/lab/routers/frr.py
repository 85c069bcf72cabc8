"""FRR: zebra and bgpd, asked through vtysh.

Without zebra bgpd does not know its own addresses and announces no IPv6 next hop over an
IPv4 session, so zebra runs in any case; without a kernel table bgpd gives it no routes.
Beside OSPF ospfd runs too, and staticd beside static routes. All run as user frr, which the
package made, so the machine's folder is given to that user.
"""

import json
import shutil
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from bgpd.lab.routers.base import READY_TIME, Router, wait_until
from bgpd.lab.speaker import NeighbourSpec, OspfSpec, RouteView, SessionView
from bgpd.lab.topology import FamilyName
from bgpd.texts.state_files import write_file

_FOLDER: Final = "/usr/lib/frr"
_SWEEP_TIME: Final = 30  # seconds for which zebra keeps what it finds in the kernel
_ROLES: Final = {"rs": "rs-server"}
_REDISTRIBUTE: Final = {
    "static": "  redistribute static",
    "ospf": "  redistribute ospf route-map FOREIGN",
}


class Frr(Router):
    """FRR's bgpd, with zebra."""

    kind: ClassVar = "frr"
    programs: ClassVar = (f"{_FOLDER}/zebra", f"{_FOLDER}/bgpd", "vtysh")

    def write_config(self) -> None:
        """Write ``bgpd.conf`` and ``zebra.conf``."""
        speaker = self.speaker
        lines = [
            f"router bgp {speaker.local_as}",
            f" bgp router-id {speaker.router_id}",
            " no bgp ebgp-requires-policy",
            " bgp log-neighbor-changes",
            " no bgp network import-check",
            " no bgp default ipv4-unicast",
            f" timers bgp {speaker.hold_time // 3} {speaker.hold_time}",
        ]
        if speaker.is_preserving:
            lines.append(" bgp graceful-restart")
            lines.append(" bgp graceful-restart preserve-fw-state")
            lines.append(f" bgp graceful-restart restart-time {speaker.restart_time}")
            if seconds := speaker.long_lived_stale_time:
                lines.append(f" bgp long-lived-graceful-restart stale-time {seconds}")
        elif not speaker.has_graceful_restart:
            lines.append(" bgp graceful-restart-disable")
        if speaker.cluster_id:
            lines.append(f" bgp cluster-id {speaker.cluster_id}")
        for neighbour in speaker.neighbours:
            lines += self._peer(neighbour)
        for family in ("ipv4", "ipv6"):
            lines.append(f" address-family {family} unicast")
            is_v6 = family == "ipv6"
            lines += [f"  network {p}" for p in self.originated if (":" in p) is is_v6]
            for n in speaker.neighbours:
                if family in n.families:
                    lines.append(f"  neighbor {n.addr} activate")
                    if n.max_prefixes:
                        lines.append(
                            f"  neighbor {n.addr} maximum-prefix {n.max_prefixes}"
                        )
                    if n.is_client:
                        lines.append(f"  neighbor {n.addr} route-reflector-client")
                    if n.has_add_path:
                        lines.append(f"  neighbor {n.addr} addpath-tx-all-paths")
                    if n.next_hop_self:
                        lines.append(f"  neighbor {n.addr} next-hop-self")
            if family == "ipv4":
                lines += [_REDISTRIBUTE[source] for source in speaker.announce]
            lines.append(" exit-address-family")
        self._write("bgpd", [*lines, *self._foreign()])
        zebra = ["log stdout"]
        if speaker.ospf:
            zebra += ["ip protocol ospf route-map FOREIGN", *self._foreign()]
            self._write("ospfd", _ospf_lines(speaker.router_id, speaker.ospf))
        self._write("zebra", zebra)
        statics = speaker.statics.items()
        self._write("staticd", [f"ip route {p} {hop}" for p, v in statics for hop in v])
        for path in (self.folder, *self.folder.iterdir()):
            shutil.chown(path, "frr", "frr")

    def _write(self, daemon: str, lines: Sequence[str]) -> None:
        text = "\n".join(lines) + "\n"
        write_file(self.folder / f"{daemon}.conf", text.encode())

    def _foreign(self) -> list[str]:
        """Return the route map of what OSPF knows from elsewhere."""
        if self.speaker.ospf is None:
            return []
        tag = self.speaker.ospf.tag
        return [
            "route-map FOREIGN deny 10",
            f" match tag {tag}",
            "route-map FOREIGN permit 20",
        ]

    def _peer(self, n: NeighbourSpec) -> list[str]:
        lines = [
            f" neighbor {n.addr} remote-as {n.remote_as}",
            f" neighbor {n.addr} advertisement-interval 0",
            f" neighbor {n.addr} timers connect {self.speaker.connect_retry}",
        ]
        if n.device:
            lines.append(f" neighbor {n.addr} interface {n.device}")
        else:
            lines.append(f" neighbor {n.addr} update-source {n.local_addr}")
        if n.has_ttl_security:
            lines.append(f" neighbor {n.addr} ttl-security hops 1")
        if n.role:
            lines.append(f" neighbor {n.addr} local-role {_ROLES.get(n.role, n.role)}")
        if n.is_passive:
            lines.append(f" neighbor {n.addr} passive")
        if n.password:
            lines.append(f" neighbor {n.addr} password {n.password}")
        if ":" in n.addr and "ipv4" in n.families:
            lines.append(f" neighbor {n.addr} capability extended-nexthop")
        return lines

    def commands(self) -> Sequence[Sequence[str]]:
        """Return the command lines of zebra and of those that talk to it."""
        folder = str(self.folder)

        def daemon(name: str) -> list[str]:
            argv = [self._path_of(name), "-f", f"{folder}/{name}.conf"]
            argv += ["-i", f"{folder}/{name}.pid", "-z", f"{folder}/zserv.api"]
            return [*argv, "--vty_socket", folder, "-P", "0", "--log", "stdout"]

        options = [] if self.speaker.has_fib else ["-n"]
        speaker = self.speaker
        others = ["ospfd"] * bool(speaker.ospf) + ["staticd"] * bool(speaker.statics)
        others_argv = [daemon(name) for name in others]
        kept = ["-K", str(_SWEEP_TIME)] if speaker.is_preserving else []
        zebra = [*daemon("zebra"), *kept]
        return [zebra, *others_argv, [*daemon("bgpd"), *options]]

    def _started(self, count: int) -> None:
        """Let zebra listen before others look for it: they try again only after seconds."""
        if count < len(self.commands()):
            wait_until((self.folder / "zserv.api").exists, READY_TIME, "zebra listens")

    def kill(self) -> None:
        """End the daemons; zebra's socket goes too, since its presence means "ready"."""
        super().kill()
        (self.folder / "zserv.api").unlink(missing_ok=True)

    def _vtysh(self, *commands: str) -> str:
        argv = [self._path_of("vtysh"), "--vty_socket", str(self.folder), "-d", "bgpd"]
        for command in commands:
            argv += ["-c", command]
        return self.namespace.run(argv)

    def _json(self, *commands: str) -> list[Any]:
        """Return what each command prints; FRR prints one document after the other."""
        text = self._vtysh(*(f"{command} json" for command in commands))
        decoder = json.JSONDecoder()
        found, at = [], 0
        while (start := text.find("{", at)) >= 0:
            value, at = decoder.raw_decode(text, start)
            found.append(value)
        return found

    def sessions(self) -> dict[str, SessionView]:
        """Read ``show bgp neighbors json``."""
        found = {}
        (answer,) = self._json("show bgp neighbors")
        for addr, peer in answer.items():
            if isinstance(peer, dict) and "bgpState" in peer:
                state = peer["bgpState"]
                found[addr] = SessionView(addr, state == "Established", state)
        return found

    def routes(self, family: FamilyName = "ipv4") -> dict[str, list[RouteView]]:
        """Read ``show bgp``, then each prefix, for the list has no details."""
        table = f"show bgp {family} unicast"
        prefixes = [p for answer in self._json(table) for p in answer.get("routes", {})]
        if not prefixes:
            return {}
        found = {}
        for entry in self._json(*(f"{table} {prefix}" for prefix in prefixes)):
            if not entry:
                continue  # withdrawn since the list was made
            prefix = entry["prefix"]
            views = [_route(prefix, p) for p in entry["paths"] if not _is_own(p)]
            if views:
                found[prefix] = sorted(views, key=lambda view: not view.is_best)
        return found

    def originate(self, prefix: str) -> None:
        """Add a ``network`` statement."""
        self.originated.append(prefix)
        self._configure(prefix, f"network {prefix}")

    def withdraw(self, prefix: str) -> None:
        """Remove the ``network`` statement."""
        self.originated.remove(prefix)
        self._configure(prefix, f"no network {prefix}")

    def _configure(self, prefix: str, line: str) -> None:
        family = "ipv6" if ":" in prefix else "ipv4"
        self.configure(f"address-family {family}", line)

    def configure(self, *lines: str) -> None:
        """Enter lines of `router bgp`, as an operator does while it runs."""
        router = f"router bgp {self.speaker.local_as}"
        self._vtysh("configure terminal", router, *lines)

    def refresh(self, addr: str) -> None:
        """Use ``clear bgp ... in``."""
        self._vtysh(f"clear bgp {addr} in")

    def reset(self, addr: str) -> None:
        """Use ``clear bgp``."""
        self._vtysh(f"clear bgp {addr}")


def _ospf_lines(router_id: str, ospf: OspfSpec) -> list[str]:
    lines = [f"router ospf\n ospf router-id {router_id}"]
    lines += [" redistribute bgp route-map OWN"]
    lines += [f"ip prefix-list OWN permit {prefix} le 32" for prefix in ospf.announce]
    lines += ["route-map OWN permit 10", " match ip address prefix-list OWN"]
    lines += [f" set tag {ospf.tag}"]
    for device in ospf.devices:
        lines += [f"interface {device}", " ip ospf area 0", " ip ospf hello-interval 1"]
        lines += [" ip ospf dead-interval 4"]
    return lines


def _is_own(path: dict[str, Any]) -> bool:
    return "sourced" in path


def _route(prefix: str, path: dict[str, Any]) -> RouteView:
    hops = path["nexthops"]
    hops = [h for h in hops if h.get("scope") != "link-local"] or hops
    med = path.get("metric", path.get("med"))
    text = path.get("aspath", {}).get("string", "")
    return RouteView(
        prefix=prefix,
        next_hop=hops[0]["ip"],
        from_addr=path["peer"]["peerId"],
        is_best=path.get("bestpath", {}).get("overall", False),
        as_path=tuple(int(word) for word in text.split() if word.isdigit()),
        local_pref=path.get("locPrf", path.get("localpref")),
        med=med,
        communities=tuple(path.get("community", {}).get("list", ())),
        originator_id=path.get("originatorId"),
        cluster_list=tuple(path.get("clusterList", {}).get("list", ())),
    )
