import os
from pathlib import Path

import pytest

from tests.bench.peers import NoPeersError, suite_folder, variables_of
from tests.bench.scenarios import PROGRAMS, program_of


def test_a_suite_names_the_program_of_every_maker() -> None:
    variables = variables_of(Path("/peers/sid"), "/usr/bin")
    named = {v for v, _ in PROGRAMS.values() if v} | {"BIRD3", "OPENBGPD"}
    assert {variables[name].split("/")[2] for name in named} == {"sid"}
    assert variables["PATH"].split(os.pathsep) == [
        "/peers/sid/bird",
        "/peers/sid/gobgp",
        "/usr/bin",
    ]


@pytest.mark.parametrize("name", ["", "../etc", "--help", "sid main"])
def test_what_names_no_suite_is_an_error(name: str) -> None:
    with pytest.raises(NoPeersError, match="does not name a suite"):
        suite_folder(name)


def test_the_environment_names_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOBGPD", "/peers/sid/gobgp/gobgpd")
    assert program_of("gobgp") == "/peers/sid/gobgp/gobgpd"
    monkeypatch.delenv("GOBGPD")
    assert program_of("gobgp") == "gobgpd"
