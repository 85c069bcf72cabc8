"""Contrast, narrow screens, motion: computed in the browser, view by view."""

import pytest

from tests.support.chromium import Browser
from tests.support.page_scene import Scene

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("page")]

VIEWS = {
    "#/topology": "Topology",
    "#/peers": "Peers",
    "#/peers/tor-1": "tor-1",
    "#/routes": "Routes",
    "#/route/203.0.113.0%2F24": "203.0.113.0/24",
    "#/events": "Live changes",
    "#/churn": "Churn",
    "#/status": "Status",
}
# Each text that is seen, with the contrast of its colour to what is painted behind it (WCAG 2.2).
CONTRAST = """(() => {
  const parse = (c) => (c.match(/[\\d.]+/g) ?? []).map(Number);
  const part = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const ground = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const box = at.matches?.('.node') ? at.querySelector('.box') : null;
      const [r, g, b, a = 1] = parse(box ? getComputedStyle(box).fill : getComputedStyle(at).backgroundColor);
      if (a === 1 && r !== undefined) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.data.trim();
    const element = walk.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest('title, option')) continue;
    const style = getComputedStyle(element);
    const colour = parse(element instanceof SVGElement ? style.fill : style.color).slice(0, 3);
    const [a, b] = [light(colour), light(ground(element))].sort((x, y) => y - x);
    found.push([text, (a + 0.05) / (b + 0.05)]);
  }
  return found;
})()"""


# Each mark of a state and each frame of a control, with its contrast to what is around it.
SHAPES = (
    CONTRAST[: CONTRAST.index("  const found")]
    + """
  const ratio = (colour, around) => {
    const [a, b] = [light(colour), light(around)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const found = [];
  for (const mark of document.querySelectorAll('path.mark, path.small, svg.mark > path')) {
    if (!mark.checkVisibility()) continue;
    found.push([mark.closest('[class]').getAttribute('class'), ratio(parse(getComputedStyle(mark).fill).slice(0, 3), ground(mark))]);
  }
  for (const control of document.querySelectorAll('input, select, button:not(.plain, .hint)')) {
    if (!control.checkVisibility()) continue;
    const frame = parse(getComputedStyle(control).borderTopColor).slice(0, 3);
    found.push([control.outerHTML.slice(0, 80), ratio(frame, ground(control.parentElement))]);
  }
  return found;
})()"""
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_text_has_the_contrast_of_wcag_aa(
    browser: Browser, scene: Scene, scheme: str
) -> None:
    tab = browser.page(scene.url, scheme=scheme)
    try:
        for address, heading in VIEWS.items():
            tab.show(address, heading)
            tab.until("!document.body.innerText.includes('Loading')")
            found = tab.js(CONTRAST)
            assert len(found) > 20
            assert [(text, ratio) for text, ratio in found if ratio < 4.5] == []
        grounds = tab.js("getComputedStyle(document.documentElement).backgroundColor")
        assert (
            grounds
            == {"light": "rgb(244, 246, 249)", "dark": "rgb(14, 19, 26)"}[scheme]
        )
        assert tab.faults() == []
    finally:
        tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_mark_and_each_frame_of_a_control_has_the_contrast_of_wcag_aa(
    browser: Browser, scene: Scene, scheme: str
) -> None:
    tab = browser.page(scene.url, scheme=scheme)
    found: list[tuple[str, float]] = []
    for address in ("#/topology", "#/peers", "#/churn"):
        tab.show(address, VIEWS[address])
        tab.until("!document.body.innerText.includes('Loading')")
        found += tab.js(SHAPES)
    tab.close()
    assert len(found) > 20
    assert [(what, ratio) for what, ratio in found if ratio < 3] == []


def test_the_switch_of_colours_overrides_the_system_and_is_kept(
    browser: Browser, scene: Scene
) -> None:
    tab = browser.page(scene.url, scheme="light")
    try:
        tab.until("document.querySelector('button[title=Colours]')")
        ground = "getComputedStyle(document.documentElement).backgroundColor"
        light = tab.js(ground)
        tab.click("button[title=Colours]")  # light
        tab.click("button[title=Colours]")  # dark
        assert tab.js(ground) != light
        tab.go(f"{scene.url}?again")
        assert tab.js(ground) != light
        tab.until("document.querySelector('button[title=Colours]')")
        tab.click("button[title=Colours]")  # the system's
        assert tab.js(ground) == light
    finally:
        tab.close()


def test_a_phone_scrolls_no_view_sideways_and_hides_no_text(
    browser: Browser, scene: Scene
) -> None:
    tab = browser.page(scene.url, width=360, height=740, is_phone=True)
    try:
        for address, heading in VIEWS.items():
            tab.show(address, heading)
            tab.until("!document.body.innerText.includes('Loading')")
            assert tab.js("document.documentElement.scrollWidth") == 360, address
            small = tab.js(
                "[...document.querySelectorAll('a, button, input, select')].filter((e) =>"
                " e.checkVisibility() && e.matches('.tab, button, input, select, .row')"
                " && e.getBoundingClientRect().height < 24).map((e) => e.outerHTML)"
            )
            assert small == [], address  # WCAG 2.2, 2.5.8
        assert tab.faults() == []
    finally:
        tab.close()


def test_nothing_moves_for_those_who_want_less_motion(
    browser: Browser, scene: Scene
) -> None:
    moving = (
        "[...document.querySelectorAll('*')].filter((e) =>"
        " getComputedStyle(e).transitionDuration !== '0s'"
        " || getComputedStyle(e).animationName !== 'none').length"
    )
    for reduces, some in ((True, False), (False, True)):
        tab = browser.page(scene.url, reduces_motion=reduces)
        try:
            tab.until("document.querySelector('.tab')")
            assert (tab.js(moving) > 0) is some
        finally:
            tab.close()
