"""The site is built of the pages without a warning, complete, and of nothing from elsewhere."""

import importlib.util
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.commands import run
from tests.support.generated import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("site"),  # it is built once
    pytest.mark.skipif(
        importlib.util.find_spec("sphinx") is None, reason="needs the extra docs"
    ),
]


class Page(HTMLParser):
    """What a page has and leads to.

    Attributes:
        ids: Its anchors.
        links: Addresses that a reader may follow.
        parts: Addresses of what a browser fetches by itself: styles, scripts, images.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.parts: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.ids.add(values["id"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") not in {
            "index",
            "search",
            "next",
            "prev",
        }:
            self.parts.append(values["href"])
        elif "src" in values:
            self.parts.append(values["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = ("-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-d")
    run(
        *(sys.executable, *command, str(folder / "tree")),
        *(str(ROOT / "docs"), str(folder / "html")),
        PYTHONDONTWRITEBYTECODE="1",
    )
    return folder / "html"


def dead(site: Path) -> Iterator[str]:
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 60
    for path, page in pages.items():
        for link in (*page.links, *page.parts):
            place = urlsplit(link)
            if place.scheme or link == "#":
                continue
            target = (
                (path.parent / unquote(place.path)).resolve() if place.path else path
            )
            if not target.is_file():
                yield f"{path.name}: {link}"
                continue
            ids = pages[target].ids if target in pages else {place.fragment}
            if place.fragment and unquote(place.fragment) not in ids:
                yield f"{path.name}: {link}"


def test_links_of_the_site_lead_somewhere(site: Path) -> None:
    assert sorted(dead(site)) == []


def test_a_browser_fetches_nothing_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        foreign = [part for part in Page(path).parts if urlsplit(part).netloc]
        assert foreign == [], path.name
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert "@import" not in text, path.name
        assert "url(http" not in text.replace('"', "").replace("'", ""), path.name


def test_every_page_can_be_reached_from_the_index(site: Path) -> None:
    seen, waiting = set(), [site / "index.html"]
    while waiting:
        path = waiting.pop()
        if path in seen or path.suffix != ".html" or not path.is_file():
            continue
        seen.add(path)
        places = (urlsplit(link).path for link in Page(path).links)
        waiting += [
            (path.parent / unquote(place)).resolve() for place in places if place
        ]
    own = {"search.html", "genindex.html"}
    missing = {p.name for p in site.rglob("*.html") if p not in seen} - own
    assert missing == set()
