"""What the page says when something is wrong, and what it does with texts of hostile peers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bgpd.wire.errors import CeaseSubcode, ErrorCode
from bgpd.wire.notification import Notification, encode_notification
from tests.support.chromium import Browser
from tests.support.page_scene import Around, Scene

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
