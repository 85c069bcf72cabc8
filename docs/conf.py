"""How Sphinx builds the site from these pages: ``make site``.

Links between pages are those that a forge shows. Some things are put into Sphinx' form as it reads:
the lists of the index become the table of contents, a link to a folder leads to its section of the
page of examples, and one to a page outside this folder to the file itself.
"""

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_DOCS: Final = Path(__file__).parent
_ROOT: Final = _DOCS.parent
with (_ROOT / "pyproject.toml").open("rb") as _file:
    _project = tomllib.load(_file)["project"]

project = _project["name"]
release = version = _project["version"]
html_title = f"{project} {release}"
extensions = ["myst_parser", "sphinx_copybutton"]
nitpicky = True  # a link that leads nowhere is an error
highlight_language = "none"

# Headings have the anchors that a forge gives them, so that links work in both places.
myst_heading_anchors = 6
# The languages of other daemons' configurations have no lexer.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
# No line of the site comes from elsewhere: no fonts, no scripts, no counters.
html_theme_options = {"footer_icons": []}

# The button leaves out prompts and output.
copybutton_prompt_text = r"[$#] "
copybutton_prompt_is_regexp = True
copybutton_here_doc_delimiter = "END"
copybutton_line_continuation_character = "\\"
copybutton_selector = "div.highlight-console pre"

_LINK: Final = re.compile(r"\[([^\]]*)\]\((\.\./[\w./-]+|adr)\)")
_ENTRY: Final = re.compile(r"^\* \[[^\]]+\]\(([\w/-]+)\.md\)$", re.MULTILINE)


def _link(match: re.Match[str], page: Path) -> str:
    text, name = match.groups()
    target = (page.parent / name).resolve()
    if target == _DOCS / "adr":
        return f"[{text}](adr/index.md)"
    if target.is_dir():
        anchor = str(target.relative_to(_ROOT)).replace("/", "")
        return f"[{text}](examples.md#{anchor})"
    if target.suffix == ".md" and not target.is_relative_to(_DOCS):
        return f"{{download}}`{text} <{name}>`"
    return match[0]


def _contents(text: str) -> str:
    """Return the tables of contents that the lists of the index stand for."""
    tables = []
    for section in text.split("\n## ")[1:]:
        pages = _ENTRY.findall(section)
        head = f"```{{toctree}}\n:hidden:\n:caption: {section.splitlines()[0]}\n\n"
        tables.append(head + "\n".join(pages) + "\n```\n")
    return "\n".join(tables)


def _read(_app: "Sphinx", name: str, source: list[str]) -> None:
    page = _DOCS / f"{name}.md"
    source[0] = _LINK.sub(lambda match: _link(match, page), source[0])
    if name == "index":
        source[0] += "\n" + _contents(source[0])
    elif name == "adr/index":
        source[0] += "\n```{toctree}\n:glob:\n:maxdepth: 1\n\n0*\n```\n"


def setup(app: "Sphinx") -> None:
    """Let Sphinx call us with each page that it reads."""
    app.connect("source-read", _read)
