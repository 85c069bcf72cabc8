"""The load generator runs against the routers of a named Debian suite, not the installed ones."""

import os
from pathlib import Path

import pytest

from tests.bench.peers import NoPeersError, suite_folder, variables_of
from tests.bench.scenarios import compare, median, missing

FEW = ("rr", "--clients", "3", "--blocks", "2", "--settle", "1", "--timeout", "20")

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.interop]


@pytest.fixture
def variables() -> dict[str, str]:
    if missing():
        pytest.skip(missing())
    try:
        return variables_of(suite_folder("trixie"), os.environ["PATH"])
    except NoPeersError as error:
        pytest.skip(str(error))


@pytest.mark.skipif(
    not Path("/usr/sbin/bgpd").is_file(), reason="OpenBGPD is not installed"
)
def test_a_suites_routers_converge(variables: dict[str, str]) -> None:
    found = compare(FEW, 1, ["bird", "gobgp", "openbgpd"], variables)
    for name, runs in found.items():
        assert median(runs, "converge_s"), (name, runs)
