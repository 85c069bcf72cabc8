"""The benchmark of the Kubernetes datastore, small: that it runs, and counts what happened."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemons import ROOT
from tests.support.kube_apiserver import missing

pytestmark = [
    pytest.mark.etcd,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing() or "there"),
    pytest.mark.timeout(400),
]

NODES, DAEMONS = 30, 4


def tables(text: str) -> dict[str, list[dict[str, str]]]:
    """Return the rows of Markdown tables, by the first name of each table's head."""
    found: dict[str, list[dict[str, str]]] = {}
    head: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            head = []
        elif not head:
            head = cells
            found[head[0]] = []
        elif not line.startswith("|-"):
            found[head[0]].append(dict(zip(head, cells, strict=True)))
    return found


def test_daemons_cost_what_the_table_says(tmp_path: Path) -> None:
    output = tmp_path / "tables.md"
    command = [sys.executable, "-m", "tests.bench.kubernetes"]
    options = [
        *("--only", "readers", "--only", "large-herd", "--output", str(output)),
        *("--nodes", str(NODES), "--daemons", str(DAEMONS)),
        *("--seconds", "2", "--rate", "10"),
    ]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = tables(output.read_text())
    start = {row["at the start"]: row for row in found["at the start"]}
    steady = {row["while nodes report"]: row for row in found["while nodes report"]}
    again = {row["listed again"]: row for row in found["listed again"]}
    assert start.keys() == steady.keys() == again.keys() == {"usual", "needed", "whole"}
    # The API's groups, four IPAM blocks: what is read beside what is followed.
    assert [
        start["usual"][name] for name in ("lists", "watches", "other requests")
    ] == [
        "9",
        "9",
        "5",
    ]
    assert start["whole"]["lists"] == start["whole"]["watches"] == "8"
    # Of 20 nodes that report, the daemon and its three reflectors need no other.
    events = {way: row["events/s"] for way, row in steady.items()}
    assert events == {"usual": "10.00", "needed": "2.00", "whole": "10.00"}
    assert steady["usual"]["requests"] == steady["whole"]["requests"] == "0"
    octets = {way: float(row["KB/s"]) for way, row in steady.items()}
    assert 0 < 3 * octets["usual"] < octets["whole"]
    assert (again["usual"]["lists"], again["whole"]["lists"]) == ("9", "8")
    (herd,) = found["daemons"]
    assert herd["have their blocks"] == herd["daemons"] == str(DAEMONS)
    assert herd["lists each"] == "9.00"
