"""Our own daemon, run as ``pybgpd run`` and asked over its control socket."""

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import yaml

import bgpd
from bgpd.api.client import UnreachableError, call
from bgpd.api.protocol import ControlError
from bgpd.lab.errors import LabError
from bgpd.lab.routers.base import Router
from bgpd.lab.speaker import DatastoreSpec, NeighbourSpec, RouteView, SessionView
from bgpd.lab.topology import FamilyName
from bgpd.texts.state_files import write_file

_ADD_PATH: Final = {False: "off", True: "both"}
_LEARNED: Final = frozenset({"ebgp", "ibgp"})


class PyBgpd(Router):
    """pybgpd with the Python that runs the lab."""

    kind: ClassVar = "pybgpd"
    programs: ClassVar = (sys.executable,)

    @property
    def control_path(self) -> Path:
        """The control socket, for ``pybgpctl --control``."""
        return self.folder / "control.sock"

    @property
    def saved_state_path(self) -> Path:
        """Where a node of a cluster keeps the datastore's last state."""
        return self.folder / "datastore.json"

    def write_config(self) -> None:
        """Write ``pybgpd.yaml``."""
        path = self.folder / "pybgpd.yaml"
        # The daemon watches the file: it never sees half a one.
        write_file(path, yaml.safe_dump(self.config(), sort_keys=False).encode())

    def config(self) -> dict[str, Any]:
        """Return the configuration file's content."""
        speaker = self.speaker
        bgp: dict[str, Any] = {}
        is_told = speaker.datastore is not None or "datastore" in speaker.config
        if not is_told:  # a datastore knows itself what the node is
            bgp |= {"as": speaker.local_as, "router_id": speaker.router_id}
        if speaker.cluster_id:
            bgp["cluster_id"] = speaker.cluster_id
        content: dict[str, Any] = {
            "node": {"name": speaker.name},
            "bgp": bgp,
            "peers": [self._peer(n) for n in speaker.neighbours],
            "routes": {"originate": [{"prefix": p} for p in self.originated]},
            "fib": {"mode": "on" if speaker.has_fib else "off"},
            "control": {"path": str(self.control_path)},
            "bird": {
                "ipv4": str(self.folder / "bird.ctl"),
                "ipv6": str(self.folder / "bird6.ctl"),
            },
        }
        if is_told:  # the default is one place for the whole machine
            paths = {
                "ipv4": self.folder / "bird.ctl",
                "ipv6": self.folder / "bird6.ctl",
            }
            content["bird"] = {version: str(path) for version, path in paths.items()}
        if speaker.datastore is not None:
            content |= self._datastore(speaker.datastore)
        return merge(content, speaker.config)

    def _datastore(self, spec: DatastoreSpec) -> dict[str, Any]:
        """Return where it reads, with a saved state as the manifests have it."""
        datastore: dict[str, Any] = {"type": spec.kind}
        sections: dict[str, Any] = {"datastore": datastore}
        if spec.kind == "etcd":
            datastore["endpoints"] = [spec.url]
        else:  # no Felix of this machine is meant
            api = {"kubeconfig": spec.kubeconfig, "endpoint_status": ""}
            sections["kubernetes"] = api
        datastore["saved_state"] = str(self.saved_state_path)
        return sections

    def _peer(self, n: NeighbourSpec) -> dict[str, Any]:
        peer: dict[str, Any] = {
            "address": n.addr,
            "as": n.remote_as,
            "families": [
                {
                    "name": f"{family}-unicast",
                    "add_path": _ADD_PATH[n.has_add_path],
                    "max_prefixes": n.max_prefixes,
                }
                for family in n.families
            ],
            "hold_time": self.speaker.hold_time,
            "connect_retry_time": self.speaker.connect_retry,
            "graceful_restart": self.speaker.has_graceful_restart,
            "graceful_restart_time": self.speaker.restart_time,
            "long_lived_stale_time": self.speaker.long_lived_stale_time,
            "extended_message": n.has_extended_message,
        }
        if n.remote_as != self.speaker.local_as:  # eBGP denies by itself (RFC 8212)
            peer |= {"import_policy": "accept-all", "export_policy": "accept-all"}
        if n.local_addr:
            peer["local_address"] = n.local_addr
        if n.is_client:
            peer["client"] = True
        if n.is_passive:
            peer["passive"] = True
        if n.device:
            peer["interface"] = n.device
        if n.role:
            peer["role"] = n.role
        if n.has_ttl_security:
            peer["ttl_security_hops"] = 1
        if n.password:
            peer["password"] = n.password
        if n.next_hop_self:
            peer["next_hop"] = "self"
        if ":" in n.addr and "ipv4" in n.families:
            peer["extended_next_hop"] = True
        return peer

    def environment(self) -> Mapping[str, str]:
        """Let Python find these very packages, installed or not."""
        return python_environment()

    def commands(self) -> Sequence[Sequence[str]]:
        """Return the daemon's command line."""
        argv = [sys.executable, "-m", "bgpd.cli.daemon", "run"]
        return [[*argv, "--config", str(self.folder / "pybgpd.yaml")]]

    def ask(self, command: str, **arguments: object) -> list[dict[str, Any]]:
        """Return the rows that the daemon's control socket answers with.

        Raises:
            LabError: The daemon does not answer, or says no.
        """
        rows: list[dict[str, Any]] = []
        try:
            for data in call(str(self.control_path), command, arguments):
                rows += data if isinstance(data, list) else [data]
        except (ControlError, UnreachableError) as error:
            raise LabError(f"{self.speaker.name}: {command}: {error}") from None
        return rows

    def sessions(self) -> dict[str, SessionView]:
        """Read ``show peers``."""
        found = {}
        for peer in self.ask("show-peers"):
            addr, state = peer["address"], peer["state"].lower()
            found[addr] = SessionView(addr, state == "established", state)
        return found

    def routes(self, family: FamilyName = "ipv4") -> dict[str, list[RouteView]]:
        """Read ``show routes``; what is our own or the kernel's is left out."""
        addrs = {peer["name"]: peer["address"] for peer in self.ask("show-peers")}
        found: dict[str, list[RouteView]] = {}
        for row in self.ask("show-routes", family=f"{family}-unicast"):
            if row["source"] in _LEARNED:
                view = _view(row, addrs.get(row["peer"]))
                found.setdefault(view.prefix, []).append(view)
        return found

    def originate(self, prefix: str) -> None:
        """Add a prefix to the file and reload."""
        self.originated.append(prefix)
        self._reload()

    def withdraw(self, prefix: str) -> None:
        """Take it out of the file and reload."""
        self.originated.remove(prefix)
        self._reload()

    def _reload(self) -> None:
        self.write_config()
        for child in self._children:
            child.send_signal(signal.SIGHUP)

    def refresh(self, addr: str) -> None:
        """Ask for a soft reset of what is received."""
        self.ask("reset", peer=addr, kind="soft-in")

    def reset(self, addr: str) -> None:
        """End the session with Cease/4."""
        self.ask("reset", peer=addr, kind="session")


def python_environment() -> dict[str, str]:
    """Return where Python finds these very packages, installed or not."""
    root = str(Path(bgpd.__file__).parent.parent)
    path = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": f"{root}:{path}" if path else root}


def _view(row: Mapping[str, Any], from_addr: str | None) -> RouteView:
    attributes = row["attributes"]
    path = re.findall(r"\d+", attributes.get("as_path", ""))
    return RouteView(
        prefix=row["prefix"],
        next_hop=attributes["next_hop"].split()[0],  # a link-local one may follow
        from_addr=from_addr,
        is_best=row["is_best"],
        as_path=tuple(map(int, path)),
        local_pref=attributes.get("local_pref"),
        med=attributes.get("med"),
        communities=tuple(attributes.get("communities", ())),
        originator_id=attributes.get("originator_id"),
        cluster_list=tuple(attributes.get("cluster_list", ())),
    )


def merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid over it, mapping by mapping."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        both = isinstance(old, dict) and isinstance(value, Mapping)
        result[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return result
