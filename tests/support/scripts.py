"""The programs as an installation has them, for scripts and units that name a path."""

import sys
from pathlib import Path

from tests.support.daemons import ROOT


def an_installed_pybgpd(folder: Path) -> Path:
    """Make an executable ``pybgpd`` of this tree in ``folder``."""
    script = folder / "pybgpd"
    text = f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m bgpd.cli.daemon "$@"\n'
    script.write_text(text, encoding="utf-8")
    script.chmod(0o755)
    return script
