"""A browser and a daemon for all tests of the page."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chromium import Browser, Tab, is_installed
from tests.support.page_scene import Scene, a_node


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not is_installed() and os.environ.get("CI") != "true":
        pytest.skip("chromium is not installed (Debian's package chromium)")
    with Browser() as made:
        yield made


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A node with gateways, reflectors and a mesh; node-3 is not there."""
    folder: Path = tmp_path_factory.mktemp("scene")
    with Scene(folder, a_node()) as made:
        made.connect(*(name for name in made.around if name != "node-3"))
        made.furnish("node-3")
        made.until_prefixes(20)
        yield made


@pytest.fixture
def tab(browser: Browser, scene: Scene) -> Iterator[Tab]:
    """The page in a tab of its own, in which nothing may go wrong."""
    made = browser.page(scene.url)
    made.until("document.querySelector('h1')")
    yield made
    faults = made.faults()
    made.close()
    assert faults == [], scene.daemon.log()[-4000:]
