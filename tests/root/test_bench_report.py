"""The report from end to end: a real BIRD, our daemon, a page; and again, which measures nothing."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.scenarios import missing
from tests.bench.start import missing as start_missing
from tests.support.generated import ROOT

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing() or start_missing()), reason="loads are missing"),
    pytest.mark.skipif(shutil.which("bird") is None, reason="BIRD is not installed"),
]


def report(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench.report", "--quick", "--no-plots"]
    command += ["--peers", "installed", "--into", str(folder / "page")]
    command += ["--results", str(folder / "results.jsonl"), *flags]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100
    )


def test_one_command_measures_and_writes_and_goes_on(tmp_path: Path) -> None:
    load = ("--match", "full-prefixes-5000", "--only", "tables")
    found = report(tmp_path, *load, "--routers", "bird2,pure")
    assert found.returncode == 0, found.stderr
    summary = json.loads((tmp_path / "page/report.json").read_text("utf-8"))
    (row,) = summary["rows"]
    assert set(row["figures"]["converge_s"]) == {"bird2", "pure"}
    assert row["figures"]["converge_s"]["pure"]["ratio"] > 0
    assert "pybgpd, pure" in (tmp_path / "page/report.md").read_text("utf-8")
    text = (tmp_path / "page/report.csv").read_text("utf-8")
    lines = [*csv.reader(text.splitlines())]
    # The kernel alone is not a speaker: it has no row in bgperf2's columns.
    speakers = [it for it in summary["columns"] if it["kind"] != "kernel"]
    assert len(lines) == 1 + len(speakers)

    before = (tmp_path / "results.jsonl").read_bytes()
    again = report(tmp_path, *load, "--routers", "bird2,pure")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "results.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--routers", "bird9"), "no router bird9; there are: kernel, bird2"),
        (("--peers", "../sid"), "does not name a suite"),
    ],
)
def test_an_error_names_what_is_missing_and_nothing_is_measured(
    tmp_path: Path, flags: tuple[str, ...], text: str
) -> None:
    found = report(tmp_path, *flags)
    assert (found.returncode, found.stdout) == (2, "")
    assert text in found.stderr
    assert "Traceback" not in found.stderr
