"""Which build of the hot modules runs: compiled by mypyc, or their sources."""

import platform
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from typing import Final, Literal

from bgpd import __version__

_COMPILED_MODULE: Final = "rib.loc_rib"  # they are compiled together, or none is

Build = Literal["compiled", "pure Python"]


@cache
def build() -> Build:
    """Return which build an import finds; imports nothing of it."""
    spec = find_spec(_COMPILED_MODULE)
    origin = "" if spec is None else spec.origin or ""
    return "compiled" if origin.endswith(tuple(EXTENSION_SUFFIXES)) else "pure Python"


def version_line(program: str) -> str:
    """Return what ``--version`` says."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{program} {__version__} ({build()}, {python})"
