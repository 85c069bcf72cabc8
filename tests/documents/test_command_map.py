"""What the page of commands side by side says of BIRD, FRR and GoBGP, these programs understand."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.documents.test_snippets_together import do, network, snippet, until
from tests.support.generated import ROOT
from tests.support.routers import needs

pytestmark = [pytest.mark.root, pytest.mark.interop]

PAGE = ROOT / "docs/command-map.md"
VALUES = {
    "X": "10.0.0.2",
    "P": "10.244.44.192/26",
    "A": "10.244.44.193",
    "N": "30",
    "T": "master4",
}
WRONG = re.compile(
    r"syntax error|unknown command|command incomplete|ambiguous command|usage:|unknown flag"
    r"|invalid format|CF_SYM_UNDEFINED",
    re.IGNORECASE,
)
ENDS = {"down"}


def cells(column: int) -> Iterator[str]:
    """Yield the commands of a column of the tables of tasks, in order."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        parts = re.split(r"(?<!\\)\|", line)
        if len(parts) == 8:
            yield from re.findall(r"`([^`]+)`", parts[column])


def filled(command: str, peer: str) -> str:
    values = VALUES | {"X": peer}
    return " ".join(values.get(word, word) for word in command.split())


def refused(
    commands: list[tuple[str, str]], run: Callable[[str], tuple[int, str]]
) -> list[str]:
    assert len(commands) > 12
    return [
        f"{shown}: {said}"
        for shown, command in commands
        if WRONG.search(said := run(command)[1])
    ]


@needs("bird")
def test_bird_knows_its_commands(tmp_path: Path) -> None:
    (tmp_path / "bird.conf").write_text(snippet("docs/reflectors.md", "bird"))
    ours = [(each, filled(each, "rr1")) for each in cells(2) if not each[:1].isupper()]
    ours = [each for each in ours if each[0] not in ENDS and "bird -p" not in each[0]]
    with network(tmp_path) as shell:
        do(shell, "bird -c bird.conf -s bird.ctl -P bird.pid")
        found = refused(
            ours, lambda text: shell.run(f"birdc -s bird.ctl {shlex.quote(text)}")
        )
    assert found == []


@needs("frr")
def test_frr_knows_its_commands(tmp_path: Path) -> None:
    (tmp_path / "frr.conf").write_text(snippet("docs/reflectors.md", "frr"))
    ours = [(each, filled(each, "10.0.0.2")) for each in cells(3)]
    ours = [each for each in ours if re.match("show|clear|(no )?neighbor ", each[0])]

    def command(text: str) -> str:
        words = ["vtysh", "-N", "node"]
        if not text.startswith(("show", "clear")):
            words += ["-c", "configure terminal", "-c", "router bgp 64512"]
        return shlex.join([*words, "-c", text])

    with network(tmp_path) as shell:
        do(shell, "join node 10.0.16.6/16; frr node frr.conf")
        until(shell, "vtysh -N node -c 'show bgp summary'", "10.0.0.2")
        found = refused(ours, lambda text: shell.run(command(text)))
    assert found == []


@needs("gobgp")
def test_gobgp_knows_its_commands(tmp_path: Path) -> None:
    (tmp_path / "gobgp.conf").write_text(snippet("docs/reflectors.md", "gobgp"))
    ours = [(each, filled(each, "10.0.0.2")) for each in cells(4)]
    ours = [each for each in ours if re.match("global|neighbor", each[0])]
    with network(tmp_path) as shell:
        do(shell, "gobgpd --config-file gobgp.conf >log 2>&1 &")
        until(shell, "gobgp neighbor", "10.0.0.2")
        found = refused(ours, lambda text: shell.run(f"gobgp {text}"))
    assert found == []
