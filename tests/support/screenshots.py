"""Pictures of the page for the documentation: ``python -m tests.support.screenshots`` writes them.

A real daemon with real sessions and routes, in Debian's Chromium.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.support.chromium import Browser, is_installed
from tests.support.page_scene import Scene, a_node, a_table, nlris_of, routes

FOLDER: Final = Path(__file__).parents[2] / "docs" / "screenshots"
MAX_OCTETS: Final = 150_000
MESH: Final = 12
SETTLED: Final = 1.0  # seconds for transitions and the last answers


class Shot(NamedTuple):
    """One picture.

    Attributes:
        name: Of the file.
        address: Of the view.
        text: It is there once this is.
        look: How the browser is set.
    """

    name: str
    address: str
    text: str
    look: dict[str, Any]


_DARK: Final[dict[str, Any]] = {"scheme": "dark"}
_PHONE: Final[dict[str, Any]] = {
    "width": 360,
    "height": 740,
    "is_phone": True,
    "scale": 2,
}
SHOTS: Final = (
    Shot("topology", "#/topology", "Behind the reflectors", {}),
    Shot("topology-dark", "#/topology", "Behind the reflectors", _DARK),
    Shot("peers", "#/peers", "node-3", {}),
    Shot("routes", "#/routes?q=65001", "65001 64900", {}),
    Shot("route", "#/route/203.0.113.0%2F24", "is selected", {}),
    Shot("route-dark", "#/route/203.0.113.0%2F24", "is selected", _DARK),
    Shot("events", "#/events", "route-changed", _DARK),
    Shot("routes-phone", "#/routes?q=10.245", "10.245.1.0/26", _PHONE),
)


def main() -> None:
    """Write all pictures."""
    if not is_installed():
        sys.exit("chromium is not installed: apt-get install chromium")
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        Scene(Path(folder), a_node(MESH)) as scene,
        Browser() as browser,
    ):
        scene.connect(*(name for name in scene.around if name != "node-3"))
        scene.furnish("node-3")
        scene.say("tor-2", a_table(2000, scene.around["tor-2"].router_id, 65002))
        scene.until_prefixes(2020)
        for shot in SHOTS:
            _take(browser, scene, shot)


def _take(browser: Browser, scene: Scene, shot: Shot) -> None:
    tab = browser.page(f"{scene.url}{shot.address}", **shot.look)
    if shot.address == "#/events":
        _change_something(scene)
    tab.until_text(shot.text, "main")
    time.sleep(SETTLED)
    file = FOLDER / f"{shot.name}.png"
    tab.picture(file)
    tab.close()
    size = file.stat().st_size
    print(f"{file.name}: {size} octets")  # noqa: T201  # what the command tells
    if size > MAX_OCTETS:
        sys.exit(f"{file} has {size} octets; {MAX_OCTETS} at most")


def _change_something(scene: Scene) -> None:
    """Have something happen that a reader of the picture understands."""
    hop = scene.around["tor-1"].router_id
    scene.withdraw("tor-1", "203.0.113.0/24")
    scene.disconnect("node-5")
    block = nlris_of("203.0.113.0/24")
    scene.say("tor-1", routes(block, hop, "65001 64999", is_internal=False))
    scene.connect("node-5")
    scene.say("node-5", routes(nlris_of("10.244.15.0/26"), "10.0.0.15"))


if __name__ == "__main__":
    main()
