"""The page of a reflector, beside its clients: all are shown, found and filtered."""

from collections.abc import Iterator

import pytest

from tests.support.chromium import Browser, Tab
from tests.support.page_fleet import Fleet

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("page")]

SIZE = 400
LISTED = "document.querySelector('.list').ariaRowCount - 1"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("fleet"), SIZE) as made:
        made.connect_clients()
        made.announce_blocks(40)
        yield made


def test_each_client_is_listed_and_found_as_one_types(
    browser: Browser, fleet: Fleet
) -> None:
    tab = browser.page(f"{fleet.url}#/peers")
    tab.until(f"{LISTED} === {SIZE}")
    assert tab.js("document.querySelectorAll('.rows .row').length") < 60
    tab.js("document.getElementById('search').focus()")
    address = fleet.clients[287]
    for text, number in ((address, 1), ("rack-2", SIZE - 250), ("nothing", 0)):
        tab.js("document.getElementById('search').select()")
        tab.write(text)
        found = tab.js(f"document.querySelector('.list').hidden ? 0 : {LISTED}")
        assert found == number, text
    tab.close()


def test_a_filter_shows_clients_in_one_state_and_those_that_are_gone(
    browser: Browser, fleet: Fleet
) -> None:
    fleet.disconnect_client(fleet.clients[5])
    tab = browser.page(f"{fleet.url}#/peers")
    tab.until(f"{LISTED} >= {SIZE - 1}")
    tab.click(".chip")
    up = tab.js("document.querySelector('.chip[aria-pressed=true]').textContent")
    assert up.startswith("established ")
    assert tab.js(f"String({LISTED})") == up.split()[-1].replace(",", "")
    tab.show(f"#/peers?q={fleet.clients[5]}")
    tab.until_text("1 dynamic peer gone", ".gone")
    tab.until_text(fleet.clients[5], ".gone table")
    fleet.connect_clients(fleet.clients[5])
    assert tab.faults() == []
    tab.close()


def test_the_topology_shows_a_mark_for_each_client_by_its_range(
    browser: Browser, fleet: Fleet
) -> None:
    tab: Tab = browser.page(fleet.url)
    tab.until_text(f"{SIZE} peers: {SIZE} established")
    told = tab.js("[...document.querySelectorAll('.cluster')].map((c) => c.ariaLabel)")
    assert [text.split(":")[0].split()[0] for text in told] == ["rack-1", "rack-2"]
    assert sum(int(text.split(": ")[1].split()[0]) for text in told) == SIZE
    tab.click(".cluster:last-of-type")
    tab.until("document.querySelector('h1').textContent === 'Peers'")
    tab.until(f"{LISTED} === {SIZE - 250}")
    assert tab.faults() == []
    tab.close()
