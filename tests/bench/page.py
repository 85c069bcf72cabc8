"""How fast the page is: ``python -m tests.bench.page``, with Debian's Chromium.

A daemon with 100 peers and 100,000 routes; first paint, the first rows, the whole table, and the time
from a key to the updated view, each the median and the worst of several.
"""

import json
import statistics
import tempfile
from pathlib import Path
from typing import Final

from tests.support.chromium import Browser, Tab
from tests.support.page_scene import ASN, Scene, a_node, a_table

MESH: Final = 96
ROUTES: Final = 100_000
LOADS: Final = 5
SEARCHES: Final = ("2", "20.1", "as65150", "65000:3", "peer:node-1", "20.0.0.0/9", "")

# From setting the field to the second frame after it, when the change is on the screen.
_KEY: Final = """(async () => {
  const field = document.getElementById('search');
  const start = performance.now();
  field.value = TEXT;
  field.dispatchEvent(new Event('input', {bubbles: true}));
  const worked = performance.now() - start;
  await new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)));
  return [worked, performance.now() - start];
})()"""
_PAINT: Final = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def main() -> None:
    """Measure, and print."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Scene(Path(folder), a_node(MESH)) as scene,
        Browser() as browser,
    ):
        scene.connect()
        scene.furnish()
        scene.say("node-1", a_table(ROUTES, scene.around["node-1"].router_id, ASN))
        scene.until_prefixes(ROUTES)
        _loads(
            browser,
            scene,
            "#/topology",
            "document.querySelectorAll('.node').length > 100",
        )
        _loads(browser, scene, "#/routes", "document.querySelector('.rows .row')")
        tab = browser.page(f"{scene.url}#/routes")
        _until_loaded(tab)
        print(  # noqa: T201
            "table loaded, ms:",
            tab.js(
                "Math.round(performance.getEntriesByName('routes-loaded')[0].startTime)"
            ),
        )
        times = [
            tab.js(_KEY.replace("TEXT", json.dumps(text))) for text in SEARCHES * 3
        ]
        _tell("a key in the routes, script", [worked for worked, _ in times])
        _tell("a key in the routes, on the screen", [shown for _, shown in times])
        tab.show("#/peers", "Peers")
        tab.until("document.querySelectorAll('.rows .row').length > 10")
        times = [
            tab.js(_KEY.replace("TEXT", json.dumps(t))) for t in ("n", "node-9", "") * 5
        ]
        _tell("a key in the peers, on the screen", [shown for _, shown in times])
        worst = scene.daemon.ask("show-status")[0]["loop_lag"]
        print(  # noqa: T201
            "the daemon's loop, worst lag in the last minute, ms:",
            round(worst * 1000, 1),
        )


def _until_loaded(tab: Tab) -> None:
    tab.until("performance.getEntriesByName('routes-loaded').length", 60)


def _loads(browser: Browser, scene: Scene, address: str, is_there: str) -> None:
    """Load a view in new tabs without any cache."""
    paints, shown = [], []
    for _ in range(LOADS):
        tab = browser.page(f"{scene.url}{address}")
        tab.until(_PAINT)
        tab.until(is_there)
        shown.append(tab.js("performance.now()"))
        paints.append(tab.js(_PAINT))
        tab.close()
    _tell(f"{address}, first paint", paints)
    _tell(f"{address}, content", shown)


def _tell(what: str, times: list[float]) -> None:
    print(f"{what}, ms: median {statistics.median(times):.0f}, worst {max(times):.0f}")  # noqa: T201


if __name__ == "__main__":
    main()
