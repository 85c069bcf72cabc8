"""The programs in one file, ``pybgpd.pyz``: which of them runs is in its name, or after ``--``.

::

    ./pybgpd.pyz run --config FILE
    ./pybgpd.pyz -- pybgpctl show peers
    ln -s pybgpd.pyz pybgpctl && ./pybgpctl show peers
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import PurePath
from types import MappingProxyType
from typing import Final

PROGRAMS: Final = MappingProxyType(
    {
        "pybgpd": "bgpd.cli.daemon",
        "pybgpctl": "bgpd.cli.control",
        "birdcl": "bgpd.cli.birdcl",
        "birdcl6": "bgpd.cli.birdcl",
    }
)
_USAGE: Final = 2


def chosen(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the program that a command line means, and its arguments.

    Raises:
        ValueError: The word after ``--`` names none.
    """
    file, *arguments = words
    if arguments[:1] == ["--"]:
        name = arguments[1] if arguments[1:] else ""
        if name not in PROGRAMS:
            known = ", ".join(PROGRAMS)
            raise ValueError(f"expected one of {known} after --, found {name!r}")
        return name, arguments[2:]
    name = PurePath(file).name.removesuffix(".pyz")
    return (name if name in PROGRAMS else "pybgpd"), arguments


def main() -> None:
    """Run it."""
    try:
        name, arguments = chosen(sys.argv)
    except ValueError as error:
        sys.stderr.write(f"pybgpd: {error}\n")
        sys.exit(_USAGE)
    sys.argv = [name, *arguments]
    import_module(PROGRAMS[name]).main()


if __name__ == "__main__":
    main()
