"""The page that lists every example of ``configs``, folder by folder."""

from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[2]
_LISTED: Final = ("configs", "tests/interop/configurations")
_BEGINNING: Final = """\
# Examples

<!-- written by `make docs` -->

All files of `configs`, and the routers' configurations that some of them replace. Tests load, build or run each of them.
"""


def examples_page() -> str:
    """Return the page: a heading for each folder, with links to its files."""
    parts = [_BEGINNING]
    for top in _LISTED:
        folders = [_ROOT / top, *(p for p in (_ROOT / top).rglob("*") if p.is_dir())]
        parts += [part for folder in sorted(folders) if (part := _section(folder))]
    return "\n".join(parts)


def _section(folder: Path) -> str:
    files = sorted(each for each in folder.iterdir() if each.is_file())
    files = [each for each in files if each.suffix not in {".pyc", ".md"}]
    inside = [
        p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts
    ]
    if not inside or folder.name == "__pycache__":
        return ""
    name = folder.relative_to(_ROOT)
    rows = [f"* [{each.name}](../{each.relative_to(_ROOT)})" for each in files]
    return "\n".join([f"## {name}\n", *(rows or ["Folders only."]), ""])
