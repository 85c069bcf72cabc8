import subprocess
import sys

import pytest

from bgpd.cli.one_file import PROGRAMS, chosen


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["./pybgpd.pyz"], ("pybgpd", [])),
        (["pybgpd-0.1.0-cpython-311.pyz", "run"], ("pybgpd", ["run"])),
        (["/usr/bin/pybgpctl", "show", "peers"], ("pybgpctl", ["show", "peers"])),
        (["pybgpctl.pyz", "-h"], ("pybgpctl", ["-h"])),
        (["birdcl6", "show", "status"], ("birdcl6", ["show", "status"])),
        (["x.pyz", "--", "pybgpctl", "reload"], ("pybgpctl", ["reload"])),
        (["pybgpctl", "--", "pybgpd", "check"], ("pybgpd", ["check"])),
        (["x.pyz", "run", "--", "pybgpctl"], ("pybgpd", ["run", "--", "pybgpctl"])),
    ],
)
def test_the_name_or_the_word_after_dashes_chooses_the_program(
    words: list[str], expected: tuple[str, list[str]]
) -> None:
    assert chosen(words) == expected


@pytest.mark.parametrize("words", [["--"], ["--", "bird"], ["--", "show"]])
def test_another_name_is_an_error_that_lists_the_programs(words: list[str]) -> None:
    command = [sys.executable, "-m", "bgpd.cli.one_file", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    known = ", ".join(PROGRAMS)
    assert done.stderr.startswith(f"pybgpd: expected one of {known} after --, found")
