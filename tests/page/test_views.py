"""Every view of the page, beside a real daemon with real sessions and routes."""

import re

import pytest

from tests.support.chromium import Browser, Tab
from tests.support.page_scene import Scene, nlris_of, routes

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("page")]

NODES = "[...document.querySelectorAll('.topology [data-name]')]"


def search(tab: Tab, text: str) -> None:
    """Type into the search field in place of what is there."""
    tab.js("document.getElementById('search').select()")
    tab.js("document.getElementById('search').focus()")
    tab.call("Input.insertText", text=text)


def rows(tab: Tab) -> list[list[str]]:
    """Return the cells of all rows of a list that are in the document."""
    found: list[list[str]] = tab.js(
        "[...document.querySelectorAll('.rows .row')].map((row) =>"
        " [...row.children].map((cell) => cell.textContent.trim()))"
    )
    return found


def test_the_topology_draws_each_speaker_with_state_by_colour_and_shape(
    tab: Tab,
) -> None:
    tab.until_text("8 peers: 1 down, 7 established")
    told = tab.js(
        f"Object.fromEntries({NODES}.map((n) => [n.dataset.name, n.ariaLabel]))"
    )
    assert told["tor-1"].startswith("tor-1, established, ")
    assert told["node-3"].startswith("node-3, down, ")
    assert told["10.1.0.1"].startswith("10.1.0.1, behind reflector-1, reflector-2, ")
    marks = tab.js(
        "Object.fromEntries([...document.querySelectorAll('.topology .node .mark')].map("
        "(m) => [m.getAttribute('class'), [m.getAttribute('d'), getComputedStyle(m).fill]]))"
    )
    assert len(marks) == 2
    assert marks["mark up"][0] != marks["mark down"][0]
    assert marks["mark up"][1] != marks["mark down"][1]
    assert "Route reflectors · 2" in tab.texts(".band-title")
    assert "eBGP peers and gateways · 2" in tab.texts(".band-title")


def test_a_session_that_ends_shows_at_once_and_moves_nothing(
    tab: Tab, scene: Scene
) -> None:
    where = f"Object.fromEntries({NODES}.map((n) => [n.dataset.name, n.getAttribute('transform')]))"
    tab.until_text("8 peers: 1 down, 7 established")
    before = tab.js(where)
    scene.disconnect("node-4")
    try:
        tab.until_text("8 peers: 2 down, 6 established")
        assert tab.js(where) == before
        tab.show("#/peers", "Peers")
        tab.until("[...document.querySelectorAll('.rows .row.down')].length === 2")
        assert any(row[1].startswith("node-4") for row in rows(tab))
    finally:
        scene.connect("node-4")
        scene.say("node-4", routes(nlris_of("10.244.14.0/26"), "10.0.0.14"))
    tab.until("[...document.querySelectorAll('.rows .row.down')].length === 1")


def test_peers_can_be_searched_and_sorted(tab: Tab) -> None:
    tab.show("#/peers", "Peers")
    tab.until("document.querySelectorAll('.rows .row').length === 8")
    assert rows(tab)[0][1].startswith("node-3")  # what is down comes first
    search(tab, "as65002")
    assert [row[1][:5] for row in rows(tab)] == ["tor-2"]
    assert tab.js("location.hash") == "#/peers?q=as65002"
    search(tab, "nothing like it")
    tab.until_text("No peer matches")
    tab.click(".empty button")
    tab.js(
        "(() => { const s = document.querySelector('select'); s.value = 'name';"
        " s.dispatchEvent(new Event('change')); })()"
    )
    names = [row[1] for row in rows(tab)]
    assert names == sorted(names)
    assert len(names) == 8


def test_a_peer_has_state_counts_policies_and_attempts(tab: Tab) -> None:
    tab.show("#/peers/tor-1", "tor-1")
    for text in ("Established", "from-tor", "accept-all", "Filtered routes 1", "65001"):
        tab.until_text(text)
    family = tab.texts("section[aria-label=Families] tbody tr")[0]
    assert family.startswith("ipv4-unicast431")
    tab.click("main a[href*=filtered]")
    tab.until_text("192.168.7.0/24")
    assert rows(tab)[0][7] == "filtered: import policy: no private blocks"


def test_a_peer_that_is_not_there_is_explained(tab: Tab) -> None:
    tab.show("#/peers/absent")
    tab.until_text("there is no peer 'absent'")


def test_routes_are_found_as_one_types(tab: Tab) -> None:
    tab.show("#/routes", "Routes")
    tab.until("document.querySelectorAll('.rows .row').length > 20")
    wanted = {
        "10.244.0.0/16": {"10.244.11.0/26", "10.244.12.0/26", "10.244.14.0/26"},
        "203.0.113.80": {"203.0.113.80/32", "203.0.113.0/24", "0.0.0.0/0"},
        "10.245.3": {"10.245.3.0/26", "10.245.3.64/26"},
        "peer:node-2": {"10.244.12.0/26"},
        "65001:200": {"0.0.0.0/0", "203.0.113.0/24", "203.0.113.80/32"},
        "65001:1:2": {"0.0.0.0/0", "203.0.113.0/24", "203.0.113.80/32"},
        "as64900": {"0.0.0.0/0", "203.0.113.0/24", "203.0.113.80/32"},
        "65002 0.0.0": {"0.0.0.0/0"},
        "next:10.0.0.14": {"10.244.14.0/26"},
        "is:filtered": {"192.168.7.0/24"},
        "is:best as65001": {"203.0.113.0/24", "203.0.113.80/32"},
    }
    for text, prefixes in wanted.items():
        search(tab, text)
        assert {row[0] for row in rows(tab)} == prefixes, text
    search(tab, "10.244.0.0/16")
    assert all(re.fullmatch(r"(≤ )?\d+ (min( \d+ s)?|s)", row[8]) for row in rows(tab))
    search(tab, "198.51.100.0/24")
    tab.until_text("Explain 198.51.100.0/24")


def test_a_prefix_is_explained(tab: Tab, scene: Scene) -> None:
    tab.show("#/route/203.0.113.0%2F24", "203.0.113.0/24")
    tab.until_text(
        "The path from tor-1 is selected; the others lost by: lower LOCAL_PREF."
    )
    best, other = tab.texts(".path")
    assert "LOCAL_PREF200" in best
    assert "Before import policy" in best
    assert re.search(r"Unchanged for\d+ (min( \d+ s)?|s), since ", best)
    assert other.startswith("tor-2lower LOCAL_PREF")
    tab.until_text("because it came from this peer")
    tab.until_text("This daemon does not write routes into the kernel.")
    scene.withdraw("tor-1", "203.0.113.0/24")
    try:
        tab.until_text("The path from tor-2 is the only one.")
    finally:
        scene.furnish("node-3")
    tab.until_text("The path from tor-1 is selected")


def test_a_filtered_and_a_missing_prefix_are_explained(tab: Tab) -> None:
    tab.show("#/route/192.168.7.0%2F24", "192.168.7.0/24")
    tab.until_text("Every path of this prefix was filtered.")
    tab.until_text("import policy: no private blocks")
    tab.show("#/route/10.244.11.9", "10.244.11.0/26")
    tab.until_text("the most specific route for 10.244.11.9")
    tab.show("#/route/2001:db8::%2F32", "2001:db8::/32")
    tab.until_text("There is no such route")


def test_the_status_has_the_process_tables_and_warnings(tab: Tab) -> None:
    tab.show("#/status", "Status")
    for text in ("7 of 8 established", "ipv4-unicast", "10.0.0.1", "Memory", "warning"):
        tab.until_text(text)


def test_only_rows_in_sight_are_in_the_document(browser: Browser, scene: Scene) -> None:
    """Rows out of sight are not in the document, and come when one scrolls."""
    scene.say(
        "node-2",
        routes([b"\x18\x1e" + n.to_bytes(2, "big") for n in range(3000)], "10.0.0.12"),
    )
    scene.until_prefixes(3000)
    tab = browser.page(f"{scene.url}#/routes?q=30.")
    try:
        tab.until("document.querySelector('.list')?.ariaRowCount === '3001'")
        assert tab.js("document.querySelectorAll('.rows .row').length") < 60
        tab.js("document.querySelector('.list').scrollTop = 1e9")
        tab.until_text("30.11.183.0/24", ".rows")
        assert tab.js("document.querySelectorAll('.rows .row').length") < 60
        tab.show("#/churn", "Churn")  # counts more than the page holds
        tab.until("document.querySelector('.chart')")
        told = tab.js("document.querySelector('.chart').ariaLabel")
        total = re.match(r"Changes of routes: ([0-9,]+) in all", told)
        assert total is not None, told
        assert int(total[1].replace(",", "")) >= 3000
        assert tab.faults() == []
    finally:
        tab.close()


def test_live_changes_and_churn_count_what_happens(tab: Tab, scene: Scene) -> None:
    tab.until("document.querySelector('.pulse.live')")
    tab.show("#/events", "Live changes")
    scene.say("node-1", routes(nlris_of("10.66.0.0/24"), "10.0.0.11"))
    tab.until_text("10.66.0.0/24", ".events")
    scene.withdraw("node-1", "10.66.0.0/24")
    tab.until("document.querySelectorAll('.event.route').length >= 2")
    tab.click("button[aria-pressed]:last-of-type")
    search(tab, "nothing like it")
    tab.until_text("No event matches")
    tab.show("#/churn", "Churn")
    tab.until("document.querySelector('.chart .bar')")
    tab.until_text("10.66.0.0/24", "section[aria-label='Prefixes that change most']")


def test_the_journey_of_a_prefix_is_shown(tab: Tab, scene: Scene) -> None:
    scene.say("node-1", routes(nlris_of("10.67.0.0/24"), "10.0.0.11"))
    scene.until_best("10.67.0.0/24", "node-1")
    scene.say("node-2", routes(nlris_of("10.67.0.0/24"), "10.0.0.12", local_pref=200))
    scene.until_best("10.67.0.0/24", "node-2")
    tab.show("#/route/10.67.0.0%2F24", "10.67.0.0/24")
    tab.until("document.querySelectorAll('.history li').length >= 2")
    tab.until_text("node-2", ".history li")
    scene.withdraw("node-1", "10.67.0.0/24")
    scene.withdraw("node-2", "10.67.0.0/24")
    tab.until_text("There is no such route")
