from pathlib import Path

from bgpd.session.diagram import render
from bgpd.session.fsm import State

PAGE = Path(__file__).parents[4] / "docs" / "fsm.md"


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text() == render(), (
        "write bgpd.session.diagram.render() to docs/fsm.md"
    )


def test_every_state_has_its_section() -> None:
    page = render()
    assert all(f"## {state.name} ({int(state)})" in page for state in State)
