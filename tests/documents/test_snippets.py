"""Configurations on the pages: the daemons that they are for read them without a complaint."""

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.documents.test_commands import PAGES
from tests.support.console import fences
from tests.support.generated import ROOT

PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"


class Reader(NamedTuple):
    """A daemon that reads its configuration and ends.

    Attributes:
        program: Its file.
        arguments: In front of the file's name.
        complaint: What it prints if something is wrong, though it ends with 0.
    """

    program: str
    arguments: tuple[str, ...]
    complaint: str = ""


READERS = {
    "bird": Reader("bird", ("-p", "-c")),
    "frr": Reader(
        "/usr/lib/frr/bgpd", ("--dryrun", "--config_file"), "No such command"
    ),
    "gobgp": Reader("gobgpd", ("--dry-run", "--config-file")),
    "openbgpd": Reader("/usr/sbin/bgpd", ("-n", "-f")),
}
UNREAD = {
    "junos": "needs Junos",
    "eos": "needs EOS",
    "promql": "needs Prometheus",
    "toml": "is birdwatcher's, which Debian does not have",
    "ini": "is Alice-LG's, which Debian does not have",
    "mermaid": "is a drawing",
}


class Snippet(NamedTuple):
    place: str
    language: str
    text: str


@cache
def snippets() -> tuple[Snippet, ...]:
    return tuple(
        Snippet(f"{page.relative_to(ROOT)}:{line}", language, text)
        for page in PAGES
        for line, language, text in fences(page.read_text(encoding="utf-8"))
    )


def installed() -> Iterator[object]:
    for language, reader in READERS.items():
        program = shutil.which(reader.program, path=PATH)
        missing = pytest.mark.skipif(
            program is None, reason=f"{reader.program} is missing"
        )
        yield pytest.param(language, marks=missing)


@pytest.mark.interop
@pytest.mark.parametrize("language", list(installed()))
def test_other_daemons_read_their_snippets(language: str, tmp_path: Path) -> None:
    reader = READERS[language]
    found = [snippet for snippet in snippets() if snippet.language == language]
    assert found
    for snippet in found:
        file = tmp_path / "snippet.conf"
        file.write_text(snippet.text, encoding="utf-8")
        file.chmod(0o600)  # OpenBGPD insists
        program = shutil.which(reader.program, path=PATH)
        assert program is not None
        outcome = subprocess.run(
            [program, *reader.arguments, str(file)],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        said = outcome.stdout + outcome.stderr
        assert outcome.returncode == 0, f"{snippet.place}: {said}"
        assert not reader.complaint or reader.complaint not in said, (
            f"{snippet.place}: {said}"
        )


def test_every_block_has_a_language_that_something_checks() -> None:
    known = {
        *READERS,
        *UNREAD,
        "console",
        "yaml",
        "json",
        "python",
        "text",
        "mermaid",
        "",
    }
    assert {each for each in snippets() if each.language not in known} == set()
