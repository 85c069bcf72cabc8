"""What is installed is locked: the lock is of today's dependencies, and the SBOM is of the lock."""

import json
import re
import subprocess
import sys
import tomllib
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.generated import ROOT

LOCK: Final = ROOT / "configs" / "python" / "requirements.txt"
SBOM: Final = ROOT / "configs" / "python" / "sbom"
PIN: Final = re.compile(r"([a-z0-9-]+)==(\S+)(?: ; (.+?))? \\")
HASHED: Final = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def declared() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found: list[str] = tomllib.loads(text)["project"]["dependencies"]
    return found


def pins() -> dict[str, str]:
    found = (
        PIN.fullmatch(line) for line in LOCK.read_text(encoding="utf-8").splitlines()
    )
    return {pin[1]: pin[2] for pin in found if pin is not None}


def test_the_lock_was_written_for_the_dependencies_of_today() -> None:
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    written = [line[2:] for line in lines if line.startswith("# ")][1:]
    assert written == declared(), "run `make lock`"


def test_each_dependency_is_locked_in_a_version_that_it_asks_for() -> None:
    versions = pins()
    for text in declared():
        wanted = Requirement(text)
        version = versions[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), text


def test_every_locked_package_has_hashes_and_nothing_else_is_there() -> None:
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    names = [at for at, line in enumerate(lines) if PIN.fullmatch(line)]
    assert len(names) == len(pins()) > 20
    assert all(HASHED.fullmatch(lines[at + 1]) for at in names)
    assert all(
        PIN.fullmatch(line) or HASHED.fullmatch(line) or line.startswith("# ")
        for line in lines
    )


def bill() -> dict[str, Any]:
    said = subprocess.check_output([sys.executable, str(SBOM)], text=True)
    found: dict[str, Any] = json.loads(said)
    return found


def test_the_bill_of_materials_lists_the_lock() -> None:
    found = bill()
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    assert found == bill()  # the same each time
    components = {each["name"]: each for each in found["components"]}
    assert {name: each["version"] for name, each in components.items()} == pins()
    for name, each in components.items():
        assert each["purl"] == each["bom-ref"] == f"pkg:pypi/{name}@{pins()[name]}"
        assert each["hashes"]
    (own,) = found["dependencies"]
    assert own["ref"] == found["metadata"]["component"]["bom-ref"]
    assert own["dependsOn"] == [each["bom-ref"] for each in found["components"]]
