"""The columns of the report: BIRD 2 and 3, FRR, and our two builds, each with its version."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench.peers import NoPeersError, suite_folder, variables_of
from tests.bench.report.builds import compiled_program, digest_of, pure_program

BUILDS: Final = ("compiled", "pure")
KERNEL: Final = "kernel"
_ORDER: Final = (KERNEL, "bird2", "bird3", "frr", *sorted(BUILDS, reverse=True))
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")


class Router(NamedTuple):
    """What is measured in a column.

    Attributes:
        key: Names the column in results.
        kind: ``bird2``, ``bird3``, ``frr``, ``compiled`` or ``pure``; ``kernel`` is the kernel
            alone, fed ready-made messages.
        title: For people, with the version.
        version: results of another one are left out.
        maker: Its name in ``compare.py`` and in ``tests.bench.beside``.
        variables: Of the environment in which it runs.
        program: Of our builds; empty for others.
    """

    key: str
    kind: str
    title: str
    version: str
    maker: str
    variables: Mapping[str, str]
    program: str = ""


def version_in(text: str) -> str:
    """Return the version of Debian's package, or of a program, without revisions."""
    found = _VERSION.search(text)
    return found[0] if found else text.strip()


def installed_routers() -> list[Router]:
    """Return the routers of other makers that are installed."""
    found = []
    for kind, maker, variable, program, name in (
        ("bird2", "bird", "BIRD", "bird", "BIRD"),
        ("frr", "frr", "FRR", "/usr/lib/frr/bgpd", "FRR"),
    ):
        path = shutil.which(program)
        if path is None:
            continue
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, check=False
        )
        version = version_in(done.stdout or done.stderr)
        title = f"{name} {version}"
        found.append(Router(kind, kind, title, version, maker, {variable: path}))
    return found


def routers_of_suite(suite: str) -> list[Router]:
    """Return BIRD 2 and 3 and FRR of a Debian suite.

    Raises:
        NoPeersError: They cannot be unpacked here.
    """
    folder = suite_folder(suite)
    variables = variables_of(folder, os.environ.get("PATH", ""))
    packages = dict(
        line.split(maxsplit=1)
        for line in (folder / "versions").read_text("utf-8").splitlines()
    )
    found = []
    for kind, maker, package, name in (
        ("bird2", "bird", "bird2", "BIRD"),
        ("bird3", "bird", "bird3", "BIRD"),
        ("frr", "frr", "frr", "FRR"),
    ):
        if package not in packages:
            raise NoPeersError(f"{folder} has no {package}: remove it to unpack again")
        its = variables
        if kind == "bird3":
            its = {
                **variables,
                "BIRD": variables["BIRD3"],
                "PATH": f"{Path(variables['BIRD3']).parent}:{variables['PATH']}",
            }
        version = version_in(packages[package])
        title = f"{name} {version} ({suite})"
        found.append(Router(f"{kind}-{suite}", kind, title, version, maker, its))
    return found


def own_routers() -> list[Router]:
    """Return our builds, without what starts them: see ``ready``."""
    version = digest_of()
    return [
        Router(build, build, f"pybgpd, {build}", version, "ours", {})
        for build in ("pure", "compiled")
    ]


def ready(router: Router) -> Router:
    """Return a router that can be measured; the compiled build is made if it is not there.

    Raises:
        NoBuildError: One of our builds cannot be measured.
    """
    program = {"pure": pure_program, "compiled": compiled_program}.get(router.kind)
    return router._replace(program=program()) if program else router


def all_routers(suite: str) -> list[Router]:
    """Return the columns of a page in their order.

    Args:
        suite: Of newer routers; empty for none.

    Raises:
        NoPeersError: They cannot be unpacked here.
    """
    found = installed_routers()
    found += routers_of_suite(suite) if suite else []
    found += [
        Router(KERNEL, KERNEL, "the kernel alone", os.uname().release, KERNEL, {})
    ]
    found += own_routers()
    return sorted(found, key=lambda router: _ORDER.index(router.kind))
