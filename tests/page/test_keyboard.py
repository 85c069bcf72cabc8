"""The page without a mouse."""

import pytest

from tests.page.test_looks import VIEWS
from tests.support.chromium import Browser, Tab
from tests.support.page_scene import Scene

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("page")]

FOCUS = "document.activeElement"
# Everything that the Tab key must reach, and whether what has the focus shows that it has.
STOPS = """[...document.querySelectorAll('a[href], button, input, select, summary, [tabindex]')].filter(
  (e) => e.tabIndex >= 0 && e.checkVisibility() && !e.closest('dialog')).length"""
HERE = """(() => {
  const e = document.activeElement;
  if (e === document.body) return null;
  window.seen ??= new Map();
  if (!window.seen.has(e)) window.seen.set(e, window.seen.size);
  const style = getComputedStyle(e);
  const box = e.querySelector(':scope > .box');
  const isMarked = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2)
    || (box !== null && parseFloat(getComputedStyle(box).strokeWidth) >= 3);
  const at = e.getBoundingClientRect();
  const isInSight = at.bottom > 0 && at.top < innerHeight && at.right > 0 && at.left < innerWidth;
  return [window.seen.get(e), isMarked, isInSight, e.outerHTML.slice(0, 120)];
})()"""


def test_the_first_stop_leads_to_the_content(tab: Tab) -> None:
    tab.press("Tab")
    assert tab.js(f"{FOCUS}.textContent") == "Skip to content"
    assert tab.js(f"{FOCUS}.getBoundingClientRect().top") >= 0
    tab.press("Enter")
    assert tab.js(f"{FOCUS}.id") == "content"


def test_arrows_move_between_the_tabs_and_enter_opens_one(tab: Tab) -> None:
    tab.js("document.querySelector('.tab[tabindex=\"0\"]').focus()")
    assert tab.js("document.querySelectorAll('.tab[tabindex=\"0\"]').length") == 1
    tab.press("ArrowDown")
    assert tab.js(f"{FOCUS}.textContent") == "Peers"
    tab.press("End", "ArrowDown", "ArrowUp")
    assert tab.js(f"{FOCUS}.textContent").startswith("Status")
    tab.press("Enter")
    tab.until("document.querySelector('h1').textContent === 'Status'")
    assert tab.js(f"{FOCUS}.tagName") == "H1"
    assert tab.js("document.querySelector('.tab[aria-current]').textContent")


def test_shortcuts_go_to_views_and_into_the_search(tab: Tab) -> None:
    for key, title in (("p", "Peers"), ("r", "Routes"), ("l", "Live changes")):
        tab.press("g", key)
        tab.until(f"document.querySelector('h1').textContent === '{title}'")
    tab.press("/")
    assert tab.js(f"{FOCUS}.id") == "search"
    tab.write("g p?")
    assert tab.js(f"{FOCUS}.value") == "g p?"
    assert tab.text("h1") == "Live changes"
    tab.press("Escape")
    assert tab.js(f"{FOCUS}.tagName") == "BODY"


def test_a_question_mark_shows_the_shortcuts(tab: Tab) -> None:
    tab.press("?", shift=True)
    assert tab.js("document.querySelector('dialog').open")
    tab.until_text("go to Routes", "dialog")
    assert tab.js(f"{FOCUS}.textContent") == "Close"
    tab.press("Escape")
    tab.until("!document.querySelector('dialog')")


def test_a_list_is_one_stop_and_arrows_move_in_it(tab: Tab) -> None:
    tab.show("#/routes", "Routes")
    tab.until("document.querySelectorAll('.rows .row').length > 20")
    tab.js("document.querySelector('.list').focus()")
    assert tab.js("document.querySelectorAll('.list [tabindex=\"0\"]').length") == 0
    tab.press("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp")
    active = "document.getElementById(document.querySelector('.list').getAttribute('aria-activedescendant'))"
    assert tab.js(f"{active}.ariaRowIndex") == "3"
    tab.press("End")
    assert tab.js(f"{active}.ariaRowIndex") == tab.js(
        "document.querySelector('.list').ariaRowCount"
    )
    tab.press("Home", "PageDown", "PageUp", "ArrowDown")
    prefix = tab.js(f"{active}.firstChild.textContent")
    tab.press("Enter")
    tab.until(f"document.querySelector('h1').textContent === '{prefix}'")


def test_arrows_move_in_the_topology_and_enter_opens_a_speaker(tab: Tab) -> None:
    tab.until("document.querySelectorAll('.topology .node').length > 8")
    assert tab.js("document.querySelectorAll('.topology [tabindex=\"0\"]').length") == 1
    tab.js("document.querySelector('.topology [tabindex=\"0\"]').focus()")
    assert tab.js(f"{FOCUS}.dataset.name") == "tor-1"
    tab.press("ArrowRight")
    assert tab.js(f"{FOCUS}.dataset.name") == "tor-2"
    tab.press("ArrowDown", "ArrowDown")
    assert tab.js(f"{FOCUS}.dataset.name").startswith("reflector-")
    assert tab.js("document.querySelectorAll('.topology [tabindex=\"0\"]').length") == 1
    name = tab.js(f"{FOCUS}.dataset.name")
    tab.press("Enter")
    tab.until(f"document.querySelector('h1').textContent === '{name}'")


@pytest.mark.parametrize("width", [1280, 360])
def test_the_tab_key_reaches_everything_in_each_view_and_shows_where_it_is(
    browser: Browser, scene: Scene, width: int
) -> None:
    tab = browser.page(scene.url, width=width)
    for address, heading in VIEWS.items():
        tab.show(address, heading)
        tab.until("!document.body.innerText.includes('Loading')")
        tab.js("document.activeElement.blur(), window.seen = new Map()")
        stops = tab.js(STOPS)
        for _ in range(stops + 8):
            tab.press("Tab")
            here = tab.js(HERE)
            if here is None:  # around: the browser's own controls
                continue
            _, is_marked, is_in_sight, html = here
            assert is_marked, (address, html)
            assert is_in_sight, (address, html)
        assert tab.js("window.seen.size") >= tab.js(STOPS) - 1, address
    assert tab.faults() == []
    tab.close()


def test_one_comes_to_each_view_and_into_its_details_by_keys_alone(tab: Tab) -> None:
    tab.until("document.querySelectorAll('.topology .node').length > 8")
    for key, title in (("p", "Peers"), ("r", "Routes")):
        tab.press("g", key)
        tab.until(f"document.querySelector('h1').textContent === '{title}'")
        tab.until("document.querySelectorAll('.rows .row').length > 7")
        for _ in range(40):
            if tab.js(f"{FOCUS}.matches('.list')"):
                break
            tab.press("Tab")
        tab.press("ArrowDown", "Enter")
        tab.until(f"document.querySelector('h1').textContent !== '{title}'")
        tab.until("!document.body.innerText.includes('Loading')")
        assert tab.js(f"{FOCUS}.tagName") == "H1"
        tab.press("Tab")
        assert tab.js(f"{FOCUS}.closest('main') !== null")
    for key, title in (("l", "Live changes"), ("c", "Churn"), ("s", "Status")):
        tab.press("g", key)
        tab.until(f"document.querySelector('h1').textContent === '{title}'")


def test_an_update_leaves_the_focus_where_it_is(tab: Tab) -> None:
    tab.until("document.querySelectorAll('.topology .node').length > 8")
    tab.js("document.querySelector('[data-name=node-2]').focus()")
    element = tab.js("window.kept = document.activeElement, kept.dataset.name")
    tab.js(
        "new Promise((r) => { const seen = new MutationObserver(r);"
        " seen.observe(document.body, {subtree: true, childList: true, attributes: true,"
        " characterData: true}); setTimeout(r, 6000); })"
    )
    assert tab.js("window.kept === document.activeElement")
    assert tab.js(f"{FOCUS}.dataset.name") == element


def test_assistive_programs_find_landmarks_names_and_states(tab: Tab) -> None:
    tab.until("document.querySelectorAll('.topology .node').length > 8")
    seen = tab.accessible()
    roles = [role for role, _ in seen]
    assert {"banner", "navigation", "main", "heading"} <= set(roles)
    nameless = [
        role
        for role, name in seen
        if role in ("link", "button", "searchbox") and not name
    ]
    assert nameless == []
    tab.show("#/peers", "Peers")
    tab.until("document.querySelectorAll('.rows .row').length === 8")
    roles = [role for role, _ in tab.accessible()]
    assert roles.count("grid") == 1
    assert roles.count("columnheader") == 9
