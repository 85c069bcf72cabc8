"""The routing core's own quick tests run nearly all of its lines and branches."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.commands import FAST, run

LEAST: Final = 98.0  # percent of a package's branches, and of its lines and branches
PACKAGES: Final = ("rib", "reflector", "bgpd/wire", "bgpd/session")
SUITES: Final = (
    "tests/unit/rib",
    "tests/unit/reflector",
    "tests/unit/bgpd/wire",
    "tests/unit/bgpd/session",
    "tests/property/test_short_ways.py",
    "tests/property/test_loc_rib.py",
    "tests/property/test_session.py",
    "tests/property/test_ranges.py",
    "tests/conformance/test_scoped_attributes.py",
    "tests/conformance/rfc4456",
)


def measured(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what coverage says of each file of the packages, run by the suites."""
    settings = folder / "settings"
    settings.write_text(
        f"[run]\nbranch = true\nsource = {','.join(PACKAGES)}\n"
        f"data_file = {folder / 'data'}\n",
        encoding="utf-8",
    )

    def coverage(command: str, *arguments: str) -> None:
        whole = ("-m", "coverage", command, f"--rcfile={settings}", *arguments)
        run(sys.executable, *whole, HYPOTHESIS_PROFILE="quick")

    options = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", FAST)
    coverage("run", "-m", "pytest", *options, *SUITES)
    coverage("json", "-q", "-o", str(folder / "report"))
    report = json.loads((folder / "report").read_text(encoding="utf-8"))
    files: dict[str, dict[str, Any]] = report["files"]
    return files


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_lines_and_branches_are_run(tmp_path: Path) -> None:
    files = measured(tmp_path)
    short = []
    for package in PACKAGES:
        sums: Counter[str] = Counter()
        missed = []
        for name, facts in files.items():
            if name.startswith(f"{package}/"):
                sums.update(facts["summary"])
                gaps = [*facts["missing_lines"], *facts["missing_branches"]]
                missed += [f"{name}: {gaps}"] if gaps else []
        lines, branches = sums["num_statements"], sums["num_branches"]
        assert lines > 500, f"{package} was not measured"
        covered = sums["covered_branches"]
        of_both = 100 * (sums["covered_lines"] + covered) / (lines + branches)
        of_branches = 100 * covered / branches
        if min(of_both, of_branches) < LEAST:
            figures = f"{of_both:.1f}% in all, {of_branches:.1f}% of branches"
            short.append("\n".join((f"{package}: {figures}", *missed)))
    assert not short, "\n".join(short)
