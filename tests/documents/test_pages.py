"""What a reader of the documentation types does what the page says, with real routers."""

from pathlib import Path

import pytest

from tests.support.played import play_pages
from tests.support.routers import needs
from tests.support.sandbox import Shell

WHOLE = (
    ("docs/getting-started.md",),
    ("docs/getting-started.md#Stop a client", "docs/recipes.md"),
)
"""Pages that run from top to bottom; the pages of one row share their shell."""


@pytest.mark.root
@pytest.mark.interop
@needs("bird")
@needs("frr")
@pytest.mark.parametrize("pages", WHOLE, ids=lambda pages: Path(pages[-1]).stem)
def test_pages_run_from_top_to_bottom(pages: tuple[str, ...], tmp_path: Path) -> None:
    with Shell(tmp_path) as shell:
        play_pages(shell, list(pages))
