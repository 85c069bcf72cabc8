"""Every example that is shipped loads."""

from pathlib import Path

import pytest

from bgpd.config.check import check
from bgpd.lab.topology import load_topology
from tests.support.cases import cases
from tests.support.generated import ROOT

CONFIGS = ROOT / "configs"


@cases("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.name)
def test_every_example_configuration_loads(file: Path) -> None:
    report = check(file, environment={})
    assert report.is_valid, "\n".join(report.lines)


@pytest.mark.parametrize(
    "file", sorted((CONFIGS / "labs").glob("*.yaml")), ids=lambda p: p.name
)
def test_every_example_lab_loads(file: Path) -> None:
    assert load_topology(file).machines


def test_there_are_examples() -> None:
    names = {file.stem for file in CONFIGS.glob("*.yaml")}
    assert names >= {"node", "reflector", "gateway-ebgp", "full-mesh", "policy"}
