"""The tree speaks of the project alone, and the wheel has what it needs and no more."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from bgpd.cli.manual_pages import COMPLETIONS, PROGRAMS, SECTION
from tests.support.generated import ROOT

# In pieces, so that this file does not find itself.
FOREIGN = re.compile(
    "|".join(
        (
            r"(?<![\w.])/wo" + r"rk/",
            r"(?<![\w.])/ro" + r"ot/",
            r"/tm" + r"p/venv",
            r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b",
            "NotImple" + "mentedError",
            r"\bchat" + r"gpt\b|\bclau" + r"de\b|\bcopi" + r"lot\b",
            r"\bthis ses" + r"sion (?:did|wrote|added|changed)",
        )
    ),
    re.IGNORECASE,
)
ROOT_ENTRIES = {
    ".ci",
    ".editorconfig",
    ".git-blame-ignore-revs",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "bgpd",
    "changelog.d",
    "configs",
    "docs",
    "fib",
    "pyproject.toml",
    "setup.py",
    "reflector",
    "rib",
    "tests",
}
KINDS = ("added", "changed", "fixed", "removed", "security")
TEXT_ENDINGS = {".py", ".md", ".yaml", ".toml", ".proto", ".service", ""}


def tracked() -> list[str]:
    """Return the files of the repository; in a copy without git, the whole tree."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a clone")
    output = subprocess.check_output(
        ["git", "-C", str(ROOT), "ls-files", "-z"], text=True
    )
    return [name for name in output.split("\0") if name]


def test_nothing_speaks_of_machines_tools_or_work_undone() -> None:
    found = []
    foreign = re.compile(FOREIGN.pattern.lower())
    for name in tracked():
        path = ROOT / name
        if path.suffix not in TEXT_ENDINGS or name == "LICENSE" or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        # To search without regard to case takes twice as long.
        if not foreign.search(text.lower()):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if FOREIGN.search(line):
                found.append(f"{name}:{number}: {line.strip()}")
    assert found == []


def test_the_root_folder_stays_short() -> None:
    assert {name.split("/")[0] for name in tracked()} <= ROOT_ENTRIES


def test_changelog_fragments_are_well_formed() -> None:
    for path in (ROOT / "changelog.d").iterdir():
        if path.name == "README.md":
            continue
        name = path.name.split(".")
        assert len(name) == 3, path.name
        assert name[1] in KINDS, path.name
        assert name[2] == "md", path.name
        text = path.read_text(encoding="utf-8").strip()
        assert text, path.name
        assert not text.startswith(("-", "*", "#")), path.name


def test_hooks_for_commits_call_what_make_check_installs() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    programs = Path(sys.executable).parent
    hooks = [hook for repo in yaml.safe_load(text)["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in yaml.safe_load(text)["repos"]} == {"local"}
    assert len({hook["id"] for hook in hooks}) == len(hooks) > 3
    for hook in hooks:
        program, *arguments = hook["entry"].split()
        assert hook["language"] == "system"
        assert program.startswith(".venv/bin/")
        assert (programs / program.removeprefix(".venv/bin/")).exists(), program
        named = [each for each in arguments if each.startswith("tests/")]
        assert all((ROOT / each).exists() for each in named), hook["id"]


@pytest.mark.slow
def test_the_wheel_holds_the_four_packages_and_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        source.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source)
    for name in ("bgpd", "reflector", "rib", "fib"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(command, check=True, env=os.environ | {"PYBGPD_COMPILE": "0"})
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    (data,) = {top for top in tops if top.endswith(".data")}
    assert {top for top in tops if not top.endswith(".dist-info")} - {data} == {
        "bgpd",
        "fib",
        "reflector",
        "rib",
    }
    modules = {name for name in names if name.endswith(".py")}
    expected = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if "build" not in path.parts and path.name != "setup.py"
    }
    assert modules == expected
    shared = {
        name.removeprefix(f"{data}/data/share/") for name in names if data in name
    }
    assert shared == {
        place.format(program)
        for program in PROGRAMS
        for place in (*COMPLETIONS.values(), f"man/man{SECTION}/{{}}.{SECTION}")
    }
