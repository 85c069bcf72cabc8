"""How fast the page is: ``python -m tests.bench.page``, with Debian's Chromium.

A daemon with 100 peers and 100,000 routes, then a reflector with 5,000 clients; first paint, the
first rows, the whole table, the time from a key to the updated view, and the longest task of the browser, each
the median and the worst of several. At the end, what the daemon's loop had to bear.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.support.chromium import Browser, Tab
from tests.support.page_fleet import Fleet
from tests.support.page_scene import ASN, Scene, a_node, a_table

MESH: Final = 96
ROUTES: Final = 100_000
LOADS: Final = 5
CLIENTS: Final = 5000
BLOCKS: Final = 100  # clients with a route
WATCHED: Final = 10.0  # seconds that a view of the fleet stays open
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
_LONG_TASKS: Final = """window.tasks = [];
  new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((e) => e.duration)))
    .observe({type: 'longtask'})"""
LAG_WINDOW: Final = 62.0  # seconds
_PAINT: Final = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def main() -> None:
    """Measure, and print."""
    node()
    fleet()


def fleet() -> None:
    """Measure a reflector's page."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Fleet(Path(folder), CLIENTS) as reflector,
        Browser() as browser,
    ):
        reflector.connect_clients()
        reflector.announce_blocks(BLOCKS)
        time.sleep(LAG_WINDOW)  # so that the lag of the intake is forgotten
        _tell_lag(reflector, "at rest")
        for address, is_there in (
            ("#/topology", "document.querySelector('.cluster')"),
            ("#/peers", "document.querySelector('.rows .row')"),
        ):
            _loads(browser, reflector, address, is_there)
        tab = browser.page(f"{reflector.url}#/peers")
        tab.js(_LONG_TASKS)
        tab.until("document.querySelector('.rows .row')")
        words = ("1", "127", "rack-7", reflector.clients[4321], "established", "")
        times = [tab.js(_KEY.replace("TEXT", json.dumps(t))) for t in words * 3]
        _tell("a key in 5,000 peers, on the screen", [shown for _, shown in times])
        time.sleep(WATCHED)
        _tell("tasks over 50 ms meanwhile", tab.js("window.tasks") or [0])
        _tell_lag(reflector, "with the page")


def node() -> None:
    """Measure a node's page."""
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
        _tell_lag(scene, "with the intake and the page")


def _tell_lag(scene: Scene, when: str) -> None:
    worst = scene.daemon.ask("show-status")[0]["loop_lag"]
    print(  # noqa: T201
        f"the daemon's loop {when}, worst lag in the last minute, ms: {worst * 1000:.1f}"
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
