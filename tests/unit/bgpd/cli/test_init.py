"""The first file of each role is valid as it is, and never replaces another."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from bgpd.cli import init_command
from bgpd.cli.daemon import main
from bgpd.cli.first_file import ROLES, Facts, first_file, network_around
from bgpd.config.check import check

ipv4 = st.ip_addresses(v=4, network="10.0.0.0/8").map(str)
addresses = ipv4 | st.ip_addresses(v=6, network="fd00::/8").map(str)
asns = st.integers(1, 0xFFFFFFFF)
TABLE = [
    "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT",
    "eth0 00000000 0101000A 0003 0 0 0 00000000 0 0 0",  # default by 10.0.1.1
    "eth0 0000000A 00000000 0001 0 0 0 000000FF 0 0 0",  # 10.0.0.0/8
    "eth0 0001000A 00000000 0001 0 0 0 00FFFFFF 0 0 0",  # 10.0.1.0/24
    "tun0 0002000A 0101000A 0003 0 0 0 00FFFFFF 0 0 0",  # 10.0.2.0/24, by a gateway
    "garbage",
]


def problems_of(text: str, folder: Path) -> Sequence[str]:
    file = folder / "pybgpd.yaml"
    file.write_text(text, encoding="utf-8")
    report = check(file, environment={})
    return () if report.is_valid and not _warnings(report.lines) else report.lines


def _warnings(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.startswith("warning:")]


@st.composite
def some_facts(draw: st.DrawFn) -> Facts:
    address, asn, remote_as = draw(ipv4), draw(asns), draw(asns)
    names = st.text(
        st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1
    )
    peers = draw(st.lists(addresses, unique=True, max_size=3))
    return Facts(
        address=address,
        network=network_around(address, ()),
        node=draw(names),
        asn=asn,
        remote_as=remote_as if remote_as != asn else remote_as % 0xFFFFFFFF + 1,
        peers=tuple(each for each in peers if each != address),
    )


@pytest.mark.parametrize("role", ROLES)
@given(facts=some_facts())
def test_each_role_is_valid_with_any_values(
    tmp_path_factory: pytest.TempPathFactory, role: str, facts: Facts
) -> None:
    folder = tmp_path_factory.mktemp("role")
    assert problems_of(first_file(role, facts), folder) == ()


@pytest.mark.parametrize("role", [role for role in ROLES if role != "node"])
def test_the_example_of_a_peer_is_valid_without_its_marks(
    role: str, tmp_path: Path
) -> None:
    text = first_file(role, Facts(address="10.0.0.1"))
    assert "peers: []\n# peers:\n" in text
    text = text.replace("peers: []\n", "")
    text = re.sub(
        r"^# (peers:|  - name: |    (?:address|as|group): )",
        r"\1",
        text,
        flags=re.MULTILINE,
    )
    assert problems_of(text, tmp_path) == ()
    assert "address" in text


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["init", *arguments])


def test_the_files_own_values_come_from_the_machine_and_from_options(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(init_command, "own_address", lambda: "10.0.1.7")
    monkeypatch.setattr(init_command, "routing_table", lambda: TABLE)
    file = tmp_path / "r.yaml"
    said = run("reflector", str(file), "--as", "1.10", "--peer", "10.0.1.8")
    assert (said.exit_code, said.output.splitlines()) == (
        0,
        [
            f"wrote {file}",
            f"next: pybgpd check {file}",
            f"      pybgpd doctor --config {file}",
        ],
    )
    text = file.read_text(encoding="utf-8")
    assert "as: 65546" in text
    assert "router_id: 10.0.1.7" in text
    assert "prefix: 10.0.1.0/24" in text
    assert 'address: "10.0.1.8"' in text


def test_a_machine_without_an_address_gets_an_example_and_is_warned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(init_command, "own_address", lambda: "")
    said = run("mesh", str(tmp_path / "m.yaml"))
    assert "192.0.2.1 is an example: this machine has no address" in said.output


def test_a_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    file = tmp_path / "pybgpd.yaml"
    file.write_text("mine", encoding="utf-8")
    said = run("mesh", str(file))
    assert said.exit_code == 1
    assert said.output == f"pybgpd: {file}: is there already; --force replaces it\n"
    assert file.read_text(encoding="utf-8") == "mine"
    assert run("mesh", str(file), "--force").exit_code == 0
    assert file.read_text(encoding="utf-8").startswith("# pybgpd as one machine")
    absent = tmp_path / "absent" / "pybgpd.yaml"
    said = run("mesh", str(absent))
    assert said.output == f"pybgpd: {absent}: No such file or directory\n"


def test_a_dash_is_standard_output() -> None:
    said = run("client", "-", "--address", "10.0.0.1")
    assert said.exit_code == 0
    assert said.output == first_file("client", Facts(address="10.0.0.1"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.1.7", "10.0.1.0/24"),
        ("10.0.2.7", "10.0.0.0/8"),
        ("192.0.2.9", "192.0.2.0/24"),
    ],
)
def test_the_network_is_the_connected_one(address: str, expected: str) -> None:
    assert network_around(address, TABLE) == expected


def test_a_gateway_whose_neighbours_have_our_as_is_refused() -> None:
    result = CliRunner().invoke(main, ["init", "gateway", "-", "--as", "65001"])
    assert result.exit_code == 2
    assert "65001 is both" in result.output
    same = ["init", "gateway", "-", "--as", "65001", "--remote-as", "65002"]
    assert CliRunner().invoke(main, same).exit_code == 0


def test_no_help_shows_a_mark_of_the_library() -> None:
    for arguments in (["init", "--help"], ["--help"], ["doctor", "--help"]):
        assert "\\b" not in CliRunner().invoke(main, arguments).output
