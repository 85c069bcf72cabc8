"""The configurations of BIRD that are shipped beside ours load, and name the same peers."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bgpd.config.check import check
from bgpd.config.loader import load
from tests.support.generated import ROOT

FOLDER = ROOT / "configs" / "bird-equivalents"
BIRD = shutil.which("bird", path="/usr/sbin:/usr/bin:/usr/local/sbin")
PAIRS = sorted(FOLDER.glob("*.yaml"))
NEIGHBOR = re.compile(r"neighbor (range )?(\S+) as (\d+);")
PASSWORD = re.compile(r'password "(.*)";')

each_pair = pytest.mark.parametrize("ours", PAIRS, ids=lambda path: path.stem)


def birds(ours: Path) -> Path:
    return ours.with_suffix(".conf")


@each_pair
def test_ours_loads(ours: Path) -> None:
    report = check(ours, environment={})
    assert report.is_valid, "\n".join(report.lines)


@each_pair
@pytest.mark.skipif(BIRD is None, reason="needs bird (bird2)")
def test_birds_loads(ours: Path) -> None:
    outcome = subprocess.run(
        [str(BIRD), "-p", "-c", str(birds(ours))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr


@each_pair
def test_both_speak_to_the_same_neighbours(ours: Path) -> None:
    text = birds(ours).read_text(encoding="utf-8")
    told = {(address, int(asn)) for _, address, asn in NEIGHBOR.findall(text)}
    settings = load(ours, environment={}).settings
    peers = {(peer.remote_addr, peer.remote_as) for peer in settings.peers}
    peers |= {(each.prefix, each.template.remote_as) for each in settings.ranges}
    assert peers == told
    passwords = {peer.password for peer in settings.peers}
    passwords |= {each.template.password for each in settings.ranges}
    assert {each for each in passwords if each} == set(PASSWORD.findall(text))
    assert f"router id {settings.speaker.router_id};" in text


def test_no_file_is_without_its_other_half() -> None:
    stems = [path.stem for path in FOLDER.iterdir()]
    assert PAIRS
    assert sorted(stems) == sorted(2 * [path.stem for path in PAIRS])
