"""What the page says when something is wrong, and what it does with texts of hostile peers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bgpd.wire.errors import CeaseSubcode, ErrorCode
from bgpd.wire.notification import Notification, encode_notification
from tests.support.chromium import Browser
from tests.support.page_scene import Around, Scene, nlris_of, routes
from tests.support.tcp_relay import Relay

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("page")]

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\u202e\"'&amp;"


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[Scene]:
    """A daemon that has one peer, with a hostile description."""
    peer = Around("evil", 66, 64512, (("description", HOSTILE),))
    with Scene(tmp_path, [peer]) as made:
        yield made


def test_a_daemon_that_goes_shows_with_the_time_and_one_that_comes_back_is_found(
    browser: Browser, lonely: Scene
) -> None:
    tab = browser.page(f"{lonely.url}#/peers")
    tab.until_text("evil")
    tab.until("document.querySelector('.banner').hidden")
    lonely.daemon.process.kill()
    lonely.daemon.process.wait(10)
    tab.until_text("Since ", ".banner")
    tab.until(
        "/cut off|cannot be reached/.test(document.querySelector('.banner').innerText)"
    )
    assert "evil" in tab.text()  # what is known stays
    assert tab.text(".pulse") == "not live"
    with lonely.daemon:
        tab.until("document.querySelector('.banner').hidden", 60)
        tab.until_text("evil")
        tab.close()


EVENT_IDS = "[...document.querySelectorAll('.event')].map((e) => +e.dataset.key)"


def test_a_stream_that_was_cut_goes_on_after_the_last_event_seen(
    browser: Browser, scene: Scene
) -> None:
    with Relay(scene.port) as relay:
        tab = browser.page(f"{relay.url}#/events")
        tab.until("document.querySelector('.pulse.live')")
        scene.say("node-1", routes(nlris_of("10.68.1.0/24"), "10.0.0.11"))
        tab.until_text("10.68.1.0/24", ".events")
        relay.cut()
        tab.until("!document.querySelector('.banner').hidden")
        tab.until_text("not live", ".pulse")
        tab.until_text("10.68.1.0/24", ".events")  # what is known stays
        scene.say("node-1", routes(nlris_of("10.68.2.0/24"), "10.0.0.11"))
        scene.until_best("10.68.2.0/24", "node-1")
        relay.mend()
        tab.click(".banner button")
        tab.until("document.querySelector('.banner').hidden")
        tab.until_text("10.68.2.0/24", ".events")
        found = tab.js(EVENT_IDS)
        assert len(found) == len(set(found)) > 2
        assert found == sorted(found, reverse=True)
        assert "while the stream was cut" not in tab.text("main")  # none is missing
        tab.close()
    scene.withdraw("node-1", "10.68.1.0/24", "10.68.2.0/24")


def test_a_slow_answer_leaves_the_page_usable_and_shows_when_it_comes(
    browser: Browser, scene: Scene
) -> None:
    with Relay(scene.port) as relay:
        tab = browser.page(relay.url)
        tab.until_text("8 peers")
        relay.stall()
        tab.show("#/peers", "Peers")
        tab.until_text("Loading peers")
        tab.press("g", "r")
        tab.until("document.querySelector('h1').textContent === 'Routes'")
        tab.press("g", "p")
        tab.until_text("Loading peers")
        relay.mend()
        tab.until("document.querySelectorAll('.rows .row').length === 8")
        assert tab.faults() == []
        tab.close()


@pytest.mark.parametrize("hours", [5, -5])
def test_ages_are_right_where_the_browser_has_another_time(
    browser: Browser, scene: Scene, hours: int
) -> None:
    tab = browser.page()
    tab.before_scripts(
        f"{{ const now = Date.now; Date.now = () => now.call(Date) + {hours} * 3.6e6; }}"
    )
    tab.go(f"{scene.url}#/status")
    tab.until_text(f"{'behind' if hours > 0 else 'ahead of'} this browser's")
    tab.show("#/peers", "Peers")
    tab.until("document.querySelectorAll('.rows .row').length === 8")
    tab.until(  # no session is hours old, and none began in the future
        "[...document.querySelectorAll('.rows .row .cell:nth-child(5)')].every((cell) =>"
        " /^([1-9]\\d* min)? ?([1-9]\\d* s)?$/.test(cell.textContent))"
    )
    assert tab.faults() == []
    tab.close()


def test_a_refusal_that_no_token_would_end_is_shown_and_requests_none(
    browser: Browser, scene: Scene
) -> None:
    with Relay(scene.port) as relay:
        tab = browser.page(relay.url)
        tab.until_text("8 peers")
        relay.rewrite(b"Sec-Fetch-Site: same-origin", b"Sec-Fetch-Site: cross-site")
        tab.show("#/peers", "Peers")
        tab.until_text("The daemon refuses to answer", ".banner")
        tab.until_text("no page of another site may ask", ".banner")
        assert not tab.js("document.querySelector('dialog')")
        tab.close()


def test_texts_of_a_hostile_peer_are_texts(browser: Browser, lonely: Scene) -> None:
    lonely.connect("evil")
    lonely.daemon.until_logged("established with")
    communication = HOSTILE.encode()
    data = bytes((len(communication),)) + communication
    code, subcode = ErrorCode.CEASE, CeaseSubcode.ADMINISTRATIVE_SHUTDOWN
    lonely.say("evil", encode_notification(Notification(code, subcode, data)))
    lonely.daemon.until_logged("session down")
    tab = browser.page(lonely.url)
    for address in ("#/topology", "#/peers", "#/peers/evil", "#/events", "#/status"):
        tab.show(address)
        tab.until("document.querySelector('h1')")
        tab.until("!document.body.innerText.includes('Loading')")
        assert tab.js("document.querySelectorAll('main img, main script').length") == 0
    tab.show("#/peers/evil", "evil")
    tab.until_text(
        "<img src=x onerror=alert(1)><script>alert(2)</script>", ".description"
    )
    tab.until_text("<script>", "section[aria-label='Resets and attempts']")
    tab.show(f"#/peers?q={HOSTILE.replace('#', '').replace('&', '%26')}")
    tab.until_text("No peer matches")
    assert tab.faults() == []
    tab.close()


def test_addresses_that_lead_nowhere_lead_to_the_topology(
    browser: Browser, lonely: Scene
) -> None:
    tab = browser.page(f"{lonely.url}#/nowhere/at/all")
    tab.until("location.hash === '#/topology'")
    tab.show("#/%zz")
    tab.until("location.hash === '#/topology'")
    tab.show("#/constructor")
    tab.until("location.hash === '#/topology'")
    assert tab.faults() == []
    tab.close()


def test_empty_states_say_what_to_do(browser: Browser, tmp_path: Path) -> None:
    with Scene(tmp_path, []) as empty:
        tab = browser.page(empty.url)
        tab.until_text("There are no peers yet")
        tab.show("#/peers", "Peers")
        tab.until_text("There are no peers")
        tab.show("#/routes", "Routes")
        tab.until_text("There are no routes")
        assert tab.faults() == []
        tab.close()


def test_the_page_requests_a_token_keeps_it_for_the_tab_alone_and_reports_a_wrong_one(
    browser: Browser, tmp_path: Path
) -> None:
    right = "correct-horse-battery-staple"
    file = tmp_path / "token"
    file.write_text(right, encoding="ascii")
    api = {"loopback": "none", "read_token_file": str(file)}
    with Scene(tmp_path, [Around("quiet", 66)], {"api": api}) as closed:
        tab = browser.page(closed.url)
        tab.until("document.activeElement?.id === 'token'")
        for token in ("a-wrong-token-that-is-long", right):
            tab.js("document.getElementById('token').value = ''")
            tab.write(token)
            tab.press("Enter")
            tab.until(
                "!document.querySelector('dialog') || !document.activeElement?.value"
            )
            if token != right:
                tab.until("document.activeElement?.id === 'token'")
                tab.until_text("token", ".banner")
        tab.until_text("quiet")
        tab.until("document.querySelector('.banner').hidden")
        assert tab.js("JSON.stringify(localStorage)").find(right) == -1
        assert tab.js("document.cookie") == ""
        assert tab.js("Object.values(sessionStorage).length") == 1
        assert right not in tab.js("location.href")
        assert tab.faults() == []
        tab.close()
