"""GoBGP: gobgpd, asked through the gobgp command."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from bgpd.lab.errors import LabError
from bgpd.lab.routers.base import Router
from bgpd.lab.speaker import NeighbourSpec, RouteView, SessionView
from bgpd.lab.topology import FamilyName
from bgpd.texts.state_files import write_file

ADD_PATH_MAX: Final = 8  # paths sent per prefix
MAX_TTL: Final = 255
_ESTABLISHED: Final = 6  # the FSM's number in the API


class GoBgp(Router):
    """gobgpd; it has no kernel table of its own."""

    kind: ClassVar = "gobgp"
    programs: ClassVar = ("gobgpd", "gobgp")

    def write_config(self) -> None:
        """Write ``gobgpd.json``."""
        speaker = self.speaker
        config = {
            "global": {
                "config": {
                    "as": speaker.local_as,
                    "router-id": speaker.router_id,
                    "port": 179,
                }
            },
            "neighbors": [self._peer(n) for n in speaker.neighbours],
        }
        path = self.folder / "gobgpd.json"
        write_file(path, json.dumps(config).encode())

    def _peer(self, n: NeighbourSpec) -> dict[str, Any]:
        speaker = self.speaker
        peer: dict[str, Any] = {
            "config": {
                "neighbor-address": n.zoned_addr,
                "peer-as": n.remote_as,
                "auth-password": n.password,
            },
            "timers": {
                "config": {
                    "connect-retry": speaker.connect_retry,
                    "idle-hold-time-after-reset": 1,
                    "hold-time": speaker.hold_time,
                    "keepalive-interval": speaker.hold_time // 3,
                }
            },
            "transport": {
                "config": {
                    "local-address": n.zoned_local_addr,
                    "passive-mode": n.is_passive,
                }
            },
            "ttl-security": {
                "config": {"enabled": n.has_ttl_security, "ttl-min": MAX_TTL}
            },
            "graceful-restart": {
                "config": {
                    "enabled": speaker.is_preserving,
                    "restart-time": speaker.restart_time,
                    "long-lived-enabled": bool(speaker.long_lived_stale_time),
                }
            },
            "afi-safis": [self._family(n, family) for family in n.families],
        }
        if n.is_client:
            peer["route-reflector"] = {
                "config": {
                    "route-reflector-client": True,
                    "route-reflector-cluster-id": speaker.cluster_id,
                }
            }
        return peer

    def _family(self, n: NeighbourSpec, family: FamilyName) -> dict[str, Any]:
        seconds = self.speaker.long_lived_stale_time
        return {
            "config": {"afi-safi-name": f"{family}-unicast"},
            "add-paths": {
                "config": {
                    "receive": n.has_add_path,
                    "send-max": ADD_PATH_MAX if n.has_add_path else 0,
                }
            },
            "prefix-limit": {"config": {"max-prefixes": n.max_prefixes}},
            "mp-graceful-restart": {"config": {"enabled": self.speaker.is_preserving}},
            "long-lived-graceful-restart": {
                "config": {"enabled": bool(seconds), "restart-time": seconds}
            },
        }

    def commands(self) -> Sequence[Sequence[str]]:
        """Return gobgpd's command line."""
        argv = [
            self._path_of("gobgpd"),
            "-t",
            "json",
            "-f",
            "gobgpd.json",
            "-p",
            "-l",
            "info",
        ]
        if self.speaker.is_preserving and self.log_path.stat().st_size:
            argv.append("-r")  # it ran before: peers have kept its routes
        return [[*argv, "--api-hosts", "127.0.0.1:50051", "--pprof-disable"]]

    def wait_ready(self, timeout: float = 15.0) -> None:
        """Wait for the API, then announce what is originated."""
        super().wait_ready(timeout)
        for prefix in self.originated:
            self._rib("add", prefix)

    def _gobgp(self, *words: str) -> str:
        return self.namespace.run([self._path_of("gobgp"), *words])

    def _json(self, *words: str) -> Any:  # noqa: ANN401 - another program's JSON
        text = self._gobgp("-j", *words)
        try:
            return json.loads(text)
        except ValueError:
            raise LabError(f"gobgp {' '.join(words)}: {text.strip()}") from None

    def sessions(self) -> dict[str, SessionView]:
        """Read ``gobgp neighbor``."""
        found = {}
        for peer in self._json("neighbor") or ():
            state = peer["state"]
            addr = state.get("neighbor_address") or peer["conf"]["neighbor_address"]
            number = state.get("session_state", 0)
            found[addr] = SessionView(addr, number == _ESTABLISHED, str(number))
        return found

    def routes(self, family: FamilyName = "ipv4") -> dict[str, list[RouteView]]:
        """Read ``gobgp global rib``."""
        found = {}
        answer = self._json("global", "rib", "-a", family) or {}
        for prefix, paths in answer.items():
            views = [
                _route(prefix, path, is_best=index == 0)
                for index, path in enumerate(paths)
                if _is_redistributed(path)
            ]
            if views:
                found[prefix] = views
        return found

    def originate(self, prefix: str) -> None:
        """Add a path to the global table."""
        self.originated.append(prefix)
        self._rib("add", prefix)

    def withdraw(self, prefix: str) -> None:
        """Delete it from the global table."""
        self.originated.remove(prefix)
        self._rib("del", prefix)

    def _rib(self, verb: str, prefix: str) -> None:
        is_v6 = ":" in prefix
        words = ["global", "rib", verb, prefix]
        if verb == "add":
            locals_ = [
                addr
                for n in self.speaker.neighbours
                for addr in (n.local_addr, n.other_local_addr)
                if (":" in addr) is is_v6 and addr
            ]
            words += ["nexthop", locals_[0]] if locals_ else []
        self._gobgp(*words, "-a", "ipv6" if is_v6 else "ipv4")

    def refresh(self, addr: str) -> None:
        """Use ``softresetin``."""
        self._gobgp("neighbor", addr, "softresetin")

    def reset(self, addr: str) -> None:
        """Use ``reset``."""
        self._gobgp("neighbor", addr, "reset")


def _is_redistributed(path: dict[str, Any]) -> bool:
    """Whether a path came from a neighbour, in the words of GoBGP 3 or 4."""
    source = path.get("source-id") or path.get("peer-id")
    return source not in {None, "<nil>"}


def _route(prefix: str, path: dict[str, Any], *, is_best: bool) -> RouteView:
    attrs = {attr["type"]: attr for attr in path["attrs"]}
    hop = path.get("nexthop") or attrs.get(3, attrs.get(14, {})).get("nexthop", "")
    segments = attrs.get(2, {}).get("as_paths") or ()
    numbers = attrs.get(8, {}).get("communities", ())
    return RouteView(
        prefix=prefix,
        next_hop=hop,
        from_addr=path.get("neighbor-ip") or path.get("peer-address"),
        is_best=is_best,
        as_path=tuple(asn for segment in segments for asn in segment["asns"]),
        local_pref=attrs.get(5, {}).get("value"),
        med=attrs.get(4, {}).get("metric"),
        communities=tuple(f"{n >> 16}:{n & 0xFFFF}" for n in numbers),
        originator_id=attrs.get(9, {}).get("value"),
        cluster_list=tuple(attrs.get(10, {}).get("value", ())),
    )
