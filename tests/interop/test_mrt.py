"""MRT files of what BIRD, FRR and GoBGP announce, read by bgpdump and mrtparse."""

import bz2
import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.support.mrt_readers import lines_of, needs_bgpdump, parsed
from tests.support.routers import (
    a_lab,
    eventually,
    has_none_of,
    has_routes,
    needs,
    our_daemon,
)

PREFIXES = {
    "10.0.0.3": ("10.3.0.0/24", "fd03::/64"),
    "10.0.0.4": ("10.4.0.0/24", "fd04::/64"),
    "10.0.0.5": ("10.5.0.0/24",),
}
ASES = {"10.0.0.3": "65003", "10.0.0.4": "65001", "10.0.0.5": "65005"}

pytestmark = [needs("bird"), needs("frr"), needs("gobgp"), needs_bgpdump]


def lab_text(folder: Path) -> str:
    def node(number: int, kind: str, asn: int, **options: Any) -> dict[str, Any]:
        router = {"kind": kind, "as": asn, "fib": False, **options}
        addresses = [f"10.0.0.{number}/24", f"fd00::{number}/64"]
        return {"addresses": addresses, "router": router}

    both = {"families": ["ipv4", "ipv6"]}
    bird = {**both, "add_path": True}
    ours = [{"node": "bird", **bird}, {"node": "frr", **both}, {"node": "gobgp"}]
    mrt = {
        "table": {"folder": str(folder), "interval": 10, "compression": "bzip2"},
        "updates": {
            "folder": str(folder),
            "sent": True,
            "peers": ["10.0.0.3", "10.0.0.4"],
        },
    }
    nodes = {
        "one": node(2, "pybgpd", 65001, neighbours=ours, config={"mrt": mrt}),
        "bird": node(
            3,
            "bird",
            65003,
            originate=list(PREFIXES["10.0.0.3"]),
            neighbours=[{"node": "one", **bird}],
        ),
        "frr": node(
            4,
            "frr",
            65001,
            originate=list(PREFIXES["10.0.0.4"]),
            neighbours=[{"node": "one", **both}],
        ),
        "gobgp": node(
            5,
            "gobgp",
            65005,
            originate=list(PREFIXES["10.0.0.5"]),
            neighbours=[{"node": "one"}],
        ),
    }
    return yaml.safe_dump({"nodes": nodes})


def expected() -> set[tuple[str, str, str]]:
    return {
        (peer, ASES[peer], prefix)
        for peer, prefixes in PREFIXES.items()
        for prefix in prefixes
    }


def of_table(octets: bytes) -> set[tuple[str, str, str]]:
    peers, *records = parsed(octets)
    places = [(each["peer_ip"], each["peer_as"]) for each in peers["peer_entries"]]
    return {
        (*places[entry["peer_index"]], f"{record['prefix']}/{record['length']}")
        for record in records
        for entry in record["rib_entries"]
    }


def check_dump_on_command(lab: Any, tmp_path: Path) -> None:
    file = tmp_path / "now.mrt.gz"
    command = [sys.executable, "-m", "bgpd.cli.control", "--control"]
    command += [str(lab.routers["one"].control_path), "dump", "--write", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "records" in done.stdout
    octets = gzip.decompress(file.read_bytes())
    assert of_table(octets) == expected()
    # Debian's bgpdump passes over records with path identifiers (RFC 8050), which are BIRD's.
    rows = [row for row in lines_of(file) if row[0] == "TABLE_DUMP2"]
    assert {(row[3], row[4], row[5]) for row in rows} == {
        each for each in expected() if each[0] != "10.0.0.3"
    }
    paths = {row[5]: row[6] for row in rows}
    assert paths["10.5.0.0/24"] == "65005"
    assert not paths["10.4.0.0/24"]
    read = parsed(octets)
    identified = [r for r in read if 8 in r["subtype"] or 10 in r["subtype"]]
    assert {r["prefix"] for r in identified} == {"10.3.0.0", "fd03::"}
    assert {f.name for f in tmp_path.iterdir()} == {file.name, "mrt"}


def check_dumps_by_themselves(folder: Path) -> None:
    def newest() -> bytes:
        files = sorted(folder.glob("rib.*.bz2"))
        return bz2.decompress(files[-1].read_bytes()) if files else b""

    assert eventually(
        lambda: of_table(newest()) == expected() if newest() else False, 25
    )


def check_updates(folder: Path) -> None:
    (file,) = folder.glob("updates.*.gz")
    rows = [*lines_of(file)]
    announced = {(row[3], row[5]) for row in rows if row[2] == "A"}
    assert announced >= {
        (peer, prefix)
        for peer, prefixes in PREFIXES.items()
        for prefix in prefixes
        if peer != "10.0.0.5"
    }
    assert ("10.0.0.3", "10.3.0.0/24") in {
        (row[3], row[5]) for row in rows if row[2] == "W"
    }
    states = [row[3:7] for row in rows if row[2] == "STATE"]
    assert {row[0] for row in states} == {"10.0.0.3", "10.0.0.4"}
    assert any(row[-1] == "6" for row in states), states
    read = parsed(gzip.decompress(file.read_bytes()))
    subtypes = {next(iter(r["subtype"].values())) for r in read}
    assert subtypes >= {
        "BGP4MP_MESSAGE_AS4",
        "BGP4MP_MESSAGE_AS4_LOCAL",
        "BGP4MP_STATE_CHANGE_AS4",
        "BGP4MP_MESSAGE_AS4_ADDPATH",
    }
    sent = {
        nlri["prefix"]
        for r in read
        if "LOCAL" in next(iter(r["subtype"].values()))
        for nlri in r["bgp_message"].get("nlri", ())
    }
    assert "10.5.0.0" in sent


def test_files_have_what_the_peers_announced_and_what_happened(tmp_path: Path) -> None:
    folder = tmp_path / "mrt"
    folder.mkdir()
    with a_lab(lab_text(folder)) as lab:
        every = [prefix for some in PREFIXES.values() for prefix in some]
        assert eventually(lambda: has_routes(lab.routers["one"], *every))
        check_dump_on_command(lab, tmp_path)
        check_dumps_by_themselves(folder)
        (status,) = our_daemon(lab, "one").ask("show-status")
        assert not [w for w in status["warnings"] if "MRT" in w]
        lab.routers["bird"].withdraw("10.3.0.0/24")
        assert eventually(lambda: has_none_of(lab.routers["one"], "10.3.0.0/24"))
        lab.routers["one"].stop()
        check_updates(folder)
