"""Which routers stand beside ours: the installed ones, or those of a Debian suite.

``BENCH_PEERS=sid`` takes BIRD 2 and 3, FRR, GoBGP and OpenBGPD of that suite, which ``.ci/peers``
unpacks outside of the checkout. A table without the versions beside it means nothing, so each
measurement prints them.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
VARIABLE: Final = "BENCH_PEERS"
BIRD3: Final = "BIRD3"  # names the program of BIRD 3, if it is installed
OPENBGPD: Final = "OPENBGPD"  # the same of a suite's OpenBGPD
_SUITE: Final = re.compile(r"[a-z][a-z0-9-]*")
# What compare.py, the lab and PATH look for, by the folder of its maker.
_PROGRAMS: Final = {
    "BIRD": "bird/bird",
    BIRD3: "bird3/bird",
    "FRR": "frr/bgpd",
    "GOBGPD": "gobgp/gobgpd",
    OPENBGPD: "openbgpd/bgpd",
}
INSTALLED_OPENBGPD: Final = "/usr/sbin/bgpd"  # where compare.py starts it
_VERSIONS: Final = {
    "BIRD": ("bird", "--version"),
    "FRR": ("/usr/lib/frr/bgpd", "--version"),
    "GOBGPD": ("gobgpd", "--version"),
    OPENBGPD: (INSTALLED_OPENBGPD, "-V"),
}


class NoPeersError(Exception):
    """The routers of a suite are not available; the text says why."""


def suite_folder(suite: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder with a Debian suite's routers, which are unpacked if need be.

    Raises:
        NoPeersError: They cannot be unpacked here.
    """
    if not _SUITE.fullmatch(suite):
        raise NoPeersError(f"{suite!r} does not name a suite, such as sid or trixie")
    done = subprocess.run(
        [str(ROOT / ".ci/peers"), suite], capture_output=True, text=True, check=False
    )
    cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "pybgpd-tests" / "peers" / suite
    if done.returncode or not (folder / "versions").is_file():
        raise NoPeersError((done.stderr or done.stdout).strip())
    return folder


def variables_of(folder: Path, path: str = "") -> dict[str, str]:
    """Return the environment in which a suite's routers are found.

    Args:
        folder: Of ``suite_folder``.
        path: ``PATH`` until now.
    """
    programs = {name: folder / file for name, file in _PROGRAMS.items()}
    makers = [str(programs[name].parent) for name in ("BIRD", "GOBGPD")]
    return {
        **{name: str(file) for name, file in programs.items()},
        "PEERS_FOLDER": str(folder),
        "PATH": os.pathsep.join([*makers, path]),
    }


def use_suite(suite: str, environment: MutableMapping[str, str] = os.environ) -> None:
    """Let all that is started from here find the routers of a Debian suite.

    Raises:
        NoPeersError: As in ``suite_folder``.
    """
    folder = suite_folder(suite, environment)
    environment.update(variables_of(folder, environment.get("PATH", "")))


def versions() -> str:
    """Return the routers that are measured, with their versions, in a line."""
    folder = os.environ.get("PEERS_FOLDER")
    if folder:
        text = Path(folder, "versions").read_text(encoding="utf-8")
        return f"Debian {Path(folder).name}: {', '.join(text.splitlines())}"
    found = []
    for command in _VERSIONS.values():
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            found.append((done.stdout or done.stderr).splitlines()[0])
    return ", ".join(found) or "no other routers"
