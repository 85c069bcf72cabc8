"""The JSON log of a daemon beside BIRD: what happens to the session is in fields."""

import json
from pathlib import Path
from typing import Any

import pytest

from bgpd.lab.routers.base import Router
from tests.support.daemons import Daemon, write_yaml
from tests.support.pairs import a_bird
from tests.support.routers import a_lab, eventually, has_routes, maker
from tests.support.speakers import own_network

LAB = """
nodes:
  ours:
    addresses: [10.0.0.1/24]
    router:
      kind: pybgpd
      as: 65001
      neighbours: [{{node: theirs}}]
      config:
        log: {{format: json}}
        peers:
          - address: 10.0.0.2
            name: tor
            as: 65001
            connect_retry_time: 1
            families: [{{name: ipv4-unicast, max_prefixes: 2}}]
  theirs:
    addresses: [10.0.0.2/24]
    router:
      {{kind: {kind}, as: 65001, fib: false, connect_retry: 1, graceful_restart: false,
        originate: [10.2.0.0/24, 10.2.1.0/24], neighbours: [{{node: ours}}]}}
"""
PEER = {"peer": "tor", "address": "10.0.0.2"}
BYE = "we are \u00fcpgrading; back at 12:00"


PORT = 17917


def lines_of(router: Router, event: str) -> list[dict[str, Any]]:
    """Return the lines of a router about an event."""
    return lines_in(router.log_path, event)


def lines_in(file: Path, event: str) -> list[dict[str, Any]]:
    """Return the lines about an event; every line must be an object."""
    text = file.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return [line for line in lines if line["event"] == event]


@pytest.mark.parametrize("kind", [maker("bird")])
def test_a_session_s_life_is_in_fields(kind: str) -> None:
    with a_lab(LAB.format(kind=kind)) as lab:
        ours: Any = lab.routers["ours"]
        theirs: Any = lab.routers["theirs"]
        assert eventually(lambda: has_routes(ours, "10.2.0.0/24", "10.2.1.0/24"), 60)
        [up] = lines_of(ours, "session-up")
        said = {"remote_as": 65001, "families": ["ipv4-unicast"], "level": "info"}
        assert up.items() >= {**PEER, **said}.items()
        [near] = lines_of(ours, "prefix-limit")
        said = {"family": "ipv4-unicast", "count": 2, "limit": 2, "is_blocking": False}
        assert near.items() >= {**PEER, **said, "limit_name": "max_prefixes"}.items()

        theirs.birdc(f'disable {theirs.protocol("10.0.0.1")} "{BYE}"')
        assert eventually(lambda: lines_of(ours, "session-down"), 30)
        [down] = lines_of(ours, "session-down")
        said = {"cause": "notification-received", "code": 6, "subcode": 2}
        assert down.items() >= {**PEER, **said, "level": "warning"}.items()
        assert BYE in down["reason"]
        assert down["message"] == f"tor (10.0.0.2): session down: {down['reason']}"
        assert eventually(lambda: lines_of(ours, "attempt-failed"), 30)
        assert lines_of(ours, "attempt-failed")[0].items() >= PEER.items()

        theirs.birdc(f"enable {theirs.protocol('10.0.0.1')}")
        assert eventually(lambda: len(lines_of(ours, "session-up")) == 2, 60)
        theirs.originate("10.2.2.0/24")
        assert eventually(lambda: len(lines_of(ours, "session-down")) == 2, 60)
        said = {"cause": "notification-sent", "code": 6, "subcode": 1}
        assert lines_of(ours, "session-down")[1].items() >= {**PEER, **said}.items()


@pytest.mark.parametrize("_kind", [maker("bird")])
def test_a_malformed_update_is_in_fields(tmp_path: Path, _kind: str) -> None:
    network = own_network()
    ours, theirs = f"{network}.1", f"{network}.2"
    bird = f"""
        router id 10.0.0.2; log stderr all;
        protocol device {{ }}
        protocol static {{ ipv4; route 10.2.0.0/24 blackhole; }}
        protocol bgp ours {{
          local {theirs} port {PORT} as 65002; neighbor {ours} port {PORT} as 65001;
          multihop; rs client;  # so that its AS is not in the path
          connect delay time 1; connect retry time 1;
          ipv4 {{ import all; export all; next hop self; }};
        }}
    """
    content = {
        "bgp": {
            "as": 65001,
            "router_id": "10.0.0.1",
            "listen": {"addresses": [ours], "port": PORT},
            "defaults": {"local_address": ours, "port": PORT, "connect_retry_time": 1},
        },
        "peers": [{"name": "ix", "address": theirs, "as": 65002, "multihop_ttl": 9}],
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "log": {"format": "json"},
        "control": {"path": str(tmp_path / "control.sock")},
    }
    file = write_yaml(tmp_path / "pybgpd.yaml", content)
    with a_bird(tmp_path, bird), Daemon(tmp_path, "run", "--config", str(file)) as it:
        it.until(lambda: lines_in(it.log_file, "malformed-update"), 60)
        bad = lines_in(it.log_file, "malformed-update")[0]
    assert (bad["peer"], bad["address"]) == ("ix", theirs)
    assert (bad["remedy"], bad["level"]) == ("treat-as-withdraw", "warning")
    assert bad["reason"].startswith("AS_PATH: ")
    assert bad["reason"] in bad["message"]
    assert bytes([24, 10, 2, 0]).hex() in bad["body"]
