"""How Sphinx builds the site from these pages: ``make site``."""

import tomllib
from pathlib import Path

_ROOT = Path(__file__).parents[1]
with (_ROOT / "pyproject.toml").open("rb") as file:
    _project = tomllib.load(file)["project"]

project = _project["name"]
release = version = _project["version"]
html_title = f"{project} {release}"
extensions = ["myst_parser", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["**/.*"]
nitpicky = True  # a link that leads nowhere is an error
highlight_language = "none"

# Headings have the anchors that a forge gives them, so that links work in both places.
myst_heading_anchors = 6
myst_enable_extensions = ["colon_fence"]
# Examples of other daemons' configurations have no lexer, and what a shell prints has none that fits.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_show_sourcelink = False
html_copy_source = False
html_last_updated_fmt = None
# No line of the site comes from elsewhere: no fonts, no scripts, no counters.
html_theme_options = {"footer_icons": []}

copybutton_prompt_text = r"[$#] "
copybutton_prompt_is_regexp = True
copybutton_here_doc_delimiter = "END"
copybutton_selector = "div.highlight-console pre"
